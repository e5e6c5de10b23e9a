"""All that a run is at one moment: what a checkpoint keeps, and what resuming brings back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from vidsr.errors import WeightsError
from vidsr.events import Emit, FellBack, Notice

from . import checkpoint, rng
from .config import Config
from .distributed import World
from .ema import Average
from .feed import Feed
from .optim import Learner


@dataclass(frozen=True)
class Best:
    """The best value of the metric that decides, and when it was reached."""

    metric: str
    value: float
    iteration: int


@dataclass
class Counters:
    """What is counted over all calls of a run."""

    iteration: int = 0
    """Finished steps."""
    validated: int = -1
    """The iteration of the last validation."""
    worse: int = 0
    """Validations in a row without a gain."""
    skipped: int = 0
    """Iterations in a row that were not finite."""
    seconds: float = 0.0
    """Time spent training."""


class State:
    """The networks, what makes them learn, the data's position, and the counters of a run."""

    def __init__(
        self, generator: Learner, discriminator: Learner | None, ema: Average | None, swa: Average | None, feed: Feed
    ) -> None:
        self.generator, self.discriminator = generator, discriminator
        self.ema, self.swa = ema, swa
        self.feed = feed
        self.counters = Counters()
        self.best: Best | None = None
        self.gained: Best | None = None
        """When the metric of early stopping last gained."""

    @property
    def shown(self) -> nn.Module:
        """The network that is validated and exported: the average where there is one."""
        return self.ema.module if self.ema else self.generator.net

    def state_dict(self) -> dict[str, Any]:
        """Everything but what belongs to one process alone. Weights lie under the names of their networks."""
        d = self.discriminator
        return {
            "generator": self.generator.net.state_dict(),
            "generator_learner": self.generator.state_dict(),
            "discriminator": d and d.net.state_dict(),
            "discriminator_learner": d and d.state_dict(),
            "ema": self.ema and self.ema.state_dict(),
            "swa": self.swa and self.swa.state_dict(),
            "position": self.feed.position_dict(),
            "counters": asdict(self.counters),
            "best": self.best and asdict(self.best),
            "gained": self.gained and asdict(self.gained),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`. Raises KeyError or RuntimeError where it belongs to another configuration."""
        self.generator.net.load_state_dict(state["generator"])
        self.generator.load_state_dict(state["generator_learner"])
        if self.discriminator:
            self.discriminator.net.load_state_dict(state["discriminator"])
            self.discriminator.load_state_dict(state["discriminator_learner"])
        for average, name in ((self.ema, "ema"), (self.swa, "swa")):
            if average:
                average.load_state_dict(state[name])
        self.feed.load_position(state["position"])
        self.counters = Counters(**state["counters"])
        self.best, self.gained = (Best(**state[name]) if state[name] else None for name in ("best", "gained"))

    def own_dict(self) -> dict[str, Any]:
        """What only this process knows: random numbers and its pair pool."""
        return {"rng": rng.state_dict(), "pool": self.feed.pool_dict()}

    def load_own(self, state: dict[str, Any]) -> None:
        """Go on from `own_dict`."""
        self.feed.load_pool(state["pool"])
        rng.load_state_dict(state["rng"])


def save(state: State, config: Config, run: Path, world: World) -> Path:
    """Write a checkpoint and delete those that are no longer wanted. Raises OutputError.

    The other processes write first: when the file of the first one has its name, the checkpoint is whole.
    """
    done, resolved = state.counters.iteration, config.resolved()
    path = checkpoint.file_of(run, done)
    if not world.first:
        checkpoint.write(checkpoint.file_of(run, done, world.rank), {"own": state.own_dict()}, resolved, done)
    world.wait()
    if world.first:
        checkpoint.write(path, state.state_dict() | {"own": state.own_dict()}, resolved, done)
        milestones = {round(part * config.loop.iterations) for part in config.checkpoint.milestones}
        best = {state.best.iteration} if state.best else set[int]()
        checkpoint.prune(run, config.checkpoint.keep, milestones | best)
    return path


def newest(run: Path, emit: Emit) -> checkpoint.Saved | None:
    """The newest checkpoint that can be read, None when there is none at all. Raises WeightsError when none can be."""
    paths = checkpoint.listed(run)
    for path in reversed(paths):
        try:
            return checkpoint.read(path)
        except WeightsError as error:
            if path == paths[0]:
                raise
            emit(FellBack(str(path), "the checkpoint before it", str(error)))
    return None


def restore(state: State, saved: checkpoint.Saved, run: Path, world: World, emit: Emit) -> None:
    """Go on from a checkpoint. Raises WeightsError when it belongs to another configuration."""
    try:
        state.load_state_dict(saved.state)
        state.load_own(_own(saved, run, world, emit))
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        said = str(error).split("\n")[0]
        raise WeightsError(f"checkpoint {saved.path} does not fit the configuration of the run: {said}") from error


def _own(saved: checkpoint.Saved, run: Path, world: World, emit: Emit) -> dict[str, Any]:
    """The part of this process; the first one's where the run had fewer processes before."""
    path = checkpoint.file_of(run, saved.iteration, world.rank)
    if not world.first and path.exists():
        return checkpoint.read(path).state["own"]  # type: ignore[no-any-return]
    if not world.first:
        emit(Notice(f"process {world.rank} is new to this run and begins with the pair pool of the first", "warning"))
    return saved.state["own"]  # type: ignore[no-any-return]
