"""A run from its configuration or its folder to its end: who may write there, what is built, what is resumed.

RUN/config.yaml  log.jsonl  tensorboard/  curves.png  checkpoints/  nan/  and what validation and export write
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

import torch

from vidsr.errors import ExistsError, StoppedError, UsageError
from vidsr.events import Emit, Notice, ignore
from vidsr.fs import lock, unwritable

from . import generator, rng
from .adversary import Adversary
from .config import Config, load, parse
from .curves import offer
from .data.build import build as build_source
from .distributed import World, choose_device, from_environment, joined
from .ema import Average
from .export import export
from .feed import Feed
from .log import Log
from .loop import train
from .losses import build as build_loss
from .losses.base import Loss
from .losses.gan import build as build_gan_loss
from .nets import build as build_discriminator
from .optim import Learner
from .parts import Run
from .state import State, newest, restore, save
from .stopping import Stop, listening
from .validate import Validator

CONFIG = "config.yaml"


def start(config: Config, folder: Path, emit: Emit = ignore) -> str:
    """Train from the beginning in a folder that is empty or not there; the reason why it ended.

    Raises ExistsError when something is in the folder, BusyError when another run holds it, StoppedError after a
    signal, with the state saved, and what building and training raise.
    """
    world = from_environment()
    with _held(folder, world):
        if world.first:
            _check_empty(folder)
        return _run(parse(config.resolved()), folder, world, emit)  # as resume will: paths are part of some seeds


def resume(folder: Path, emit: Emit = ignore) -> str:
    """Go on where a run was stopped, killed or ran out of time; the reason why it ended.

    Raises UsageError when the folder holds no run, and otherwise as `start`.
    """
    if not (folder / CONFIG).is_file():
        raise UsageError(f"{folder} holds no run: {CONFIG} is missing", "vidsr train run CFG begins one")
    world = from_environment()
    with _held(folder, world):
        return _run(load(folder / CONFIG), folder, world, emit)


@contextmanager
def _held(folder: Path, world: World) -> Iterator[None]:
    """The folder, and the right of this run alone to write there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    with lock(folder / f".{folder.resolve().name}.lock") if world.first else nullcontext():
        yield


def _check_empty(folder: Path) -> None:
    found = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if found:
        raise ExistsError(
            f"run folder {folder} is not empty: it holds {found[0]}",
            f"vidsr train resume {folder} goes on with it; -o names another folder",
        )


def _run(config: Config, folder: Path, world: World, emit: Emit) -> str:
    device = choose_device(config.loop.device, world)
    with ExitStack() as open_, listening() as stop:
        open_.enter_context(joined(world, device))
        world.wait()  # until the first process has found the folder free, nobody writes there
        open_.enter_context(_determinism(config.loop.deterministic))
        with stop.at_once():
            run = open_.enter_context(_built(config, folder, world, device, stop, emit if world.first else ignore))
        try:
            reason = train(run)
        except StoppedError:  # in the middle of a validation, where nothing has changed since the last step
            save(run.state, config, folder, world)
            raise
        if run.log:
            run.log.write("end", run.state.counters.iteration, {"reason": reason})
    if reason == "signal":
        raise stop.error()
    if world.first:
        offer(folder, emit)
    if reason == "hours":
        emit(Notice(f"stopped after {config.loop.hours:g} hours; vidsr train resume {folder} goes on"))
    elif config.export and world.first:
        emit(Notice(f"{reason.replace('_', ' ')} after {run.state.counters.iteration} iterations"))
        export(folder, emit=emit)
    return reason


@contextmanager
def _built(config: Config, folder: Path, world: World, device: torch.device, stop: Stop, emit: Emit) -> Iterator[Run]:
    """All parts of a run, at the newest checkpoint if there is one."""
    rng.seed_all(config.seed)  # all processes alike, so that all begin with the same weights
    saved = newest(folder, emit)
    net = generator.build(config.net, config.scale, emit, saved.weights("net") if saved else None)
    g = Learner(net, config.optim, config.optim.lr, config.loop, device)
    d, adversary = _adversary(config, device, anew=saved is None)
    rng.seed_all(config.seed + world.rank)
    ema = Average(g.net, config.ema) if config.ema else None
    swa = Average(g.net, config.swa) if config.swa else None
    losses = _losses(config, device)
    source = build_source(config.data, config.degrade, config.scale, seed=config.seed, emit=emit)
    with Feed(config, source, device, world, emit) as feed:
        state = State(g, d, ema, swa, feed)
        if saved:
            restore(state, saved, folder, world, emit)
            emit(Notice(f"going on after iteration {state.counters.iteration} of {config.loop.iterations}"))
        validator = Validator(config, device, emit) if config.validation and world.first else None
        if world.first and not (folder / CONFIG).exists():  # not before: a run that cannot begin leaves no trace
            config.save(folder / CONFIG)
        with Log(folder, state.counters.iteration) if world.first else nullcontext() as log:
            yield Run(
                config, folder, state, feed, losses, adversary, validator, world, log, stop, emit,
                saved=saved.iteration if saved else -1,
            )  # fmt: skip


def _adversary(config: Config, device: torch.device, *, anew: bool) -> tuple[Learner | None, Adversary | None]:
    """The weights that a discriminator began with are needed only once."""
    if config.gan is None:
        return None, None
    options = config.gan.discriminator
    net = build_discriminator(options if anew else options.model_copy(update={"weights": None}))
    learner = Learner(net, config.optim, config.gan.lr or config.optim.lr, config.loop, device)
    return learner, Adversary(learner, build_gan_loss(config.gan.loss))


def _losses(config: Config, device: torch.device) -> Mapping[str, Loss]:
    """The losses by name: their kind, numbered where one kind is there twice."""
    found: dict[str, Loss] = {}
    for options in config.losses:
        kind = options.kind
        number = sum(name.split(".")[0] == kind for name in found)
        found[f"{kind}.{number + 1}" if number else kind] = build_loss(options, device)
    return found


@contextmanager
def _determinism(wanted: bool) -> Iterator[None]:
    """The same bits every time, or else the fastest algorithms for the sizes at hand."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(wanted)
    torch.backends.cudnn.benchmark = not wanted
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
