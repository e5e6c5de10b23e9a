"""From the loader to batches that networks and losses take: degraded on the device where the chain is the classic
one, mixed by the pair pool, sharpened where a loss asks for it. All of it in float32."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from vidsr.events import Emit, Notice, ignore

from .config import Config
from .data.build import SampleSource
from .data.loader import Loader, Samples
from .data.sampling import Position
from .degrade.canvas import full_precision
from .degrade.classic import Degrader
from .degrade.filters import Usm
from .degrade.options import Classic
from .degrade.pool import PairPool
from .distributed import World
from .sample import Batch

Open = Callable[[Position], Loader]


class Feed:
    """Batches for one process, without end. A context manager: no loader process outlives it."""

    def __init__(
        self, config: Config, source: SampleSource, device: torch.device, world: World, emit: Emit = ignore
    ) -> None:
        """The loader starts at the first `take`, for until then a checkpoint may say where."""
        self.device, self._source, self._emit = device, source, emit
        self._open: Open = lambda start: Loader(
            source, config.loop.batch, config.loop.workers, seed=config.seed, start=start, device=device,
            rank=world.rank, world=world.size, emit=emit,
        )  # fmt: skip
        self._start, self._loader = Position(), None
        self._degrader = Degrader(config.degrade, config.scale, device) if isinstance(config.degrade, Classic) else None
        self._pool = PairPool(config.pair_pool) if config.pair_pool else None
        wanted = {loss.on for loss in config.losses} | {config.gan.on if config.gan else "gt"}
        self._usm = Usm(config.sharpen) if "usm" in wanted else None
        self._tally: Counter[str] = Counter()

    _loader: Loader | None

    def __enter__(self) -> Feed:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._loader is not None:
            self._loader.close()
            self._loader = None

    def take(self) -> Batch:
        """The next batch. Raises InputError when too much of the data cannot be read."""
        if self._loader is None:
            self._loader = self._open(self._start)
        samples = next(self._loader)
        self._tally += samples.counted
        names = samples.names
        lq, gt = self._degraded(samples)
        if self._pool is not None:
            lq, gt, names = self._pool.exchange(lq, gt, names, samples.keys[0])
        return Batch(gt, lq, self._sharpened(gt), names)

    def _degraded(self, samples: Samples) -> tuple[Tensor, Tensor]:
        """(N T 3 h w, N T 3 H W)."""
        gt = samples.gt.float() / 255
        if self._degrader is not None:
            return self._degrader.degrade(gt, samples.keys)
        assert samples.lq is not None, "the rules of a configuration see to it"
        return samples.lq.float() / 255, gt

    def _sharpened(self, gt: Tensor) -> Tensor | None:
        """After the pool, as in the reference: so the pool keeps one large picture per pair and not two."""
        if self._usm is None:
            return None
        with full_precision(self.device):
            return self._usm(gt.flatten(0, 1)).view_as(gt)

    def wait_share(self) -> float:
        """Part of the time since the last call in which the device waited for data."""
        if self._loader is None:
            return 0.0
        share = self._loader.wait_share
        self._loader.restart_clock()
        return share

    def counted(self) -> Counter[str]:
        """Codecs of the batches since the last call, and their failures, by name; of this process."""
        counted, self._tally = self._tally, Counter()
        return counted

    def position_dict(self) -> dict[str, Any]:
        """Where the run is among the samples, the same for all its processes."""
        position = self._loader.position if self._loader else self._start
        return {"samples": position.samples, "fingerprint": self._source.fingerprint}

    def load_position(self, state: dict[str, Any]) -> None:
        """Go on from there, before the first `take`."""
        if state["fingerprint"] != self._source.fingerprint:
            self._emit(Notice("the data is not what it was at the checkpoint; other samples follow", "warning"))
        self._start = Position(state["samples"])

    def pool_dict(self) -> dict[str, Any] | None:
        """The pair pool of this process."""
        return self._pool.state_dict() if self._pool else None

    def load_pool(self, state: dict[str, Any] | None) -> None:
        """Go on with a saved pair pool."""
        if self._pool is not None and state is not None:
            self._pool.load_state_dict(state)
