"""Batches on the device, in an order that depends on the seed alone, made ahead by worker processes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count

import torch

from vidsr.errors import InputError
from vidsr.events import Emit, Notice, ignore
from vidsr.flow import Cancel, Cancelled, Channel

from ..sample import Key, Sample
from .build import SampleSource
from .quarantine import Bad
from .sampling import Position, key_at
from .workers import Method, Pool, Reported


@dataclass(frozen=True, slots=True)
class Samples:
    """A batch as it comes to the device: uint8, a quarter of what floats would take on the bus."""

    gt: torch.Tensor
    """N T 3 H W uint8 RGB."""
    lq: torch.Tensor | None
    """N T 3 h w uint8 RGB; None where the device degrades."""
    keys: tuple[Key, ...]
    names: tuple[str, ...]
    counted: Counter[str] = field(default_factory=Counter)
    """Codecs that made it, and those that failed, by name."""


Moved = tuple[Samples, torch.cuda.Event | None]
"""A batch, and what has to have happened on the device before it is used."""


def collate(samples: list[Sample]) -> Samples:
    """Samples of one shape as one batch. Raises InputError when their shapes differ, naming two."""
    first = samples[0]
    for other in samples[1:]:
        if other.gt.shape != first.gt.shape or (other.lq is None) != (first.lq is None):
            shapes = f"{tuple(first.gt.shape)} and {tuple(other.gt.shape)}"
            raise InputError(f"samples of {first.name} and {other.name} do not go into one batch: {shapes}")
    small = [sample.lq for sample in samples if sample.lq is not None]
    return Samples(
        gt=torch.stack([sample.gt for sample in samples]),
        lq=torch.stack(small) if small else None,
        keys=tuple(sample.key for sample in samples),
        names=tuple(sample.name for sample in samples),
    )


def _copying(device: torch.device) -> torch.cuda.Stream | None:
    """The stream that copies batches to a CUDA device while another computes."""
    return torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]


class Loader:
    """An endless iterator over batches. Use it as a context manager; no thread and no process outlives it.

    The batch at a position is the same for any number of workers. Of `world` processes that train together, number
    `rank` gets its part of each common batch of `world * batch` samples. `position` is what a checkpoint keeps, and
    `start` takes it up again, also with another batch, world or number of workers.

    Iterating raises InputError when files are bad beyond what may be, or a worker dies, and what the source raises.
    """

    def __init__(
        self,
        source: SampleSource,
        batch: int,
        workers: int,
        *,
        seed: int,
        start: Position = Position(),  # noqa: B008  # frozen
        device: torch.device | str = "cpu",
        rank: int = 0,
        world: int = 1,
        ahead: int = 2,
        method: Method = "spawn",
        emit: Emit = ignore,
    ) -> None:
        self.position = start
        """Behind the last batch that was given."""
        self._source, self._seed, self._start, self._emit = source, seed, start, emit
        self._batch, self._rank, self._world = batch, rank, world
        self._ahead = ahead
        self._device = torch.device(device)
        self._stream = _copying(self._device)
        self._cancel = Cancel()
        self._pool = Pool(source, workers, method) if workers else None
        self._thread: threading.Thread | None = None
        self._batches: Iterator[Moved] = self._made()
        if workers:
            self._batches = self._prefetched()
        self.restart_clock()

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Loader:
        return self

    def __next__(self) -> Samples:
        begun = time.perf_counter()
        try:
            samples, ready = next(self._batches)
        except Cancelled:
            assert self._cancel.cause is not None
            raise self._cancel.cause from None
        if ready is not None:
            self._handed_over(samples, ready)
        self._waited += time.perf_counter() - begun
        self.position = self.position.advanced(self._batch * self._world)
        return samples

    def restart_clock(self) -> None:
        """Count waiting from now on."""
        self._since, self._waited = time.perf_counter(), 0.0

    @property
    def wait_share(self) -> float:
        """Share of the time since `restart_clock` in which the run waited for data, 0 to 1."""
        return self._waited / max(1e-9, time.perf_counter() - self._since)

    def close(self) -> None:
        """End the thread and all workers."""
        self._cancel.set(RuntimeError("the loader was closed"))
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._pool is not None:
            self._pool.close()
            self._pool = None
        self._source.close()

    def _keys(self) -> Iterator[Key]:
        """The keys of this rank, from the start on, without end."""
        for begin in count(self._start.samples + self._rank * self._batch, self._batch * self._world):
            for place in range(begin, begin + self._batch):
                yield key_at(self._seed, place, len(self._source))

    def _samples(self) -> Iterator[Reported]:
        keys = self._keys()
        if self._pool is not None:
            window = (self._ahead + 1) * self._batch
            yield from self._pool.samples(keys, window, self._cancel.check)
        for key in keys:
            sample = self._source.get(key)
            yield sample, self._source.quarantine.taken(), self._source.counted()

    def _made(self) -> Iterator[Moved]:
        """Batches on the device, and what to wait for before they are used."""
        held: list[Sample] = []
        tally: Counter[str] = Counter()
        for sample, bad, counted in self._samples():
            self._tell(bad)
            held.append(sample)
            tally += counted
            if len(held) == self._batch:
                yield self._moved(replace(collate(held), counted=tally))
                held, tally = [], Counter()

    def _tell(self, bad: tuple[Bad, ...]) -> None:
        for each in bad:
            if self._pool is None or self._source.quarantine.add(each):
                self._emit(Notice(f"{each.set}: left out, {each.why}", "warning"))

    def _moved(self, samples: Samples) -> Moved:
        if self._stream is None:
            return self._on_device(samples), None
        with torch.cuda.stream(self._stream):
            return self._on_device(samples), self._stream.record_event()

    def _on_device(self, samples: Samples) -> Samples:
        lq = None if samples.lq is None else self._to(samples.lq)
        return replace(samples, gt=self._to(samples.gt), lq=lq)

    def _to(self, tensor: torch.Tensor) -> torch.Tensor:
        if self._device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(self._device, non_blocking=True)

    def _handed_over(self, samples: Samples, ready: torch.cuda.Event) -> None:
        """Let the stream that computes wait for the copy, and keep the memory until it is done with it."""
        current = torch.cuda.current_stream(self._device)
        current.wait_event(ready)
        for tensor in (samples.gt, samples.lq):
            if tensor is not None:
                tensor.record_stream(current)

    def _prefetched(self) -> Iterator[Moved]:
        """The batches, made by a thread, at most `ahead` of them in advance."""
        channel: Channel[Moved] = Channel(self._ahead, self._cancel)

        def produce() -> None:
            try:
                for made in self._made():
                    channel.put(made, 1)
            except Cancelled:
                pass
            except BaseException as error:
                self._cancel.set(error)

        self._thread = threading.Thread(target=produce, name="vidsr-loader", daemon=True)
        self._thread.start()
        return iter(channel)
