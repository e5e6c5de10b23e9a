"""A device that runs its lanes as late, and in as unfavourable an order, as the events between them allow.

Copies are real, but happen when `Simulated` gets round to them: a host buffer that is written too early, or read too
early, holds wrong data for all to see. Memory that nobody has written yet holds noise.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Sequence
from random import Random

import torch
from torch import Tensor

from vidsr.runtime.surfaces import DevicePicture, planes_from_device

LANES = ("upload", "compute", "download")


class Point:
    """An event: done when its lane has come that far."""

    def __init__(self, device: Simulated, lane: str) -> None:
        self.device, self.lane, self.done = device, lane, False

    def query(self) -> bool:
        return self.done

    def synchronize(self) -> None:
        self.device.waits += not self.done
        self.device.reach(self)


class Simulated:
    """The Lanes of a device that lags. Between two calls each lane takes up to `eager` steps, drawn from `seed`."""

    def __init__(self, seed: int = 0, eager: int = 0) -> None:
        self._random = Random(seed)
        self._eager = eager
        self._work: dict[str, deque[Callable[[], bool]]] = {lane: deque() for lane in LANES}
        self.pinned_now = 0
        """Bytes of pinned memory that are alive."""
        self.pinned_most = 0
        self.waits = 0
        """How often the host really had to wait."""
        self.drained = 0

    def pinned(self, nbytes: int) -> Tensor:
        buffer = torch.full((nbytes,), 0xA5, dtype=torch.uint8)
        self.pinned_now += nbytes
        self.pinned_most = max(self.pinned_most, self.pinned_now)
        weakref.finalize(buffer.untyped_storage(), self._freed, nbytes)
        return buffer

    def _freed(self, nbytes: int) -> None:
        self.pinned_now -= nbytes

    def upload(self, host: Tensor) -> tuple[Tensor, Point]:
        device = torch.full_like(host, 0x5A)
        alive, place, size = weakref.ref(host.untyped_storage()), host.storage_offset(), host.shape

        def copy() -> None:
            storage = alive()
            assert storage is not None, "the pinned buffer was freed before it was copied"
            device.copy_(torch.empty(0, dtype=torch.uint8).set_(storage, place, size))

        self.run("upload", copy)
        return device, self._record("upload")

    def adopt(self, picture: DevicePicture) -> tuple[tuple[Tensor, ...], Point]:
        now = planes_from_device(picture)
        later = tuple(torch.full_like(plane, 0x5A) for plane in now)
        alive = weakref.ref(picture)

        def copy() -> None:
            kept = alive()
            assert kept is not None, "the picture went back to the decoder before it was copied"
            for plane, source in zip(later, planes_from_device(kept), strict=True):
                plane.copy_(source)

        self.run("upload", copy)
        return later, self._record("upload")

    def order(self, event: Point) -> None:
        self._wait("compute", event)

    def mark(self) -> Point:
        return self._record("compute")

    def download(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> Point:
        self._wait("download", self._record("compute"))
        for device, host in pairs:
            self.run("download", lambda device=device, host=host: host.copy_(device))
        return self._record("download")

    def drain(self) -> None:
        self.drained += 1
        for lane in ("upload", "download"):
            self.reach(self._record(lane))

    def run(self, lane: str, work: Callable[[], object]) -> None:
        """Give `lane` a piece of work."""

        def step() -> bool:
            work()
            return True

        self._give(lane, step)

    def _record(self, lane: str) -> Point:
        point = Point(self, lane)

        def step() -> bool:
            point.done = True
            return True

        self._give(lane, step)
        return point

    def _wait(self, lane: str, point: Point) -> None:
        self._give(lane, lambda: point.done)

    def _give(self, lane: str, step: Callable[[], bool]) -> None:
        self._work[lane].append(step)
        for _ in range(self._random.randint(0, self._eager)):
            self._step(self._random.choice(LANES))

    def _step(self, lane: str) -> bool:
        """One piece of work of `lane`; False if it has none, or waits for another lane."""
        work = self._work[lane]
        if not work or not work[0]():
            return False
        work.popleft()
        return True

    def reach(self, point: Point) -> None:
        """Run until `point`, and no further than that needs."""
        while not point.done:
            others = [lane for lane in LANES if lane != point.lane]
            self._random.shuffle(others)
            moved = any(self._step(lane) for lane in (point.lane, *others))
            assert moved or point.done, f"{point.lane} waits for what nobody will do"

    @property
    def pending(self) -> int:
        """Copies that were begun and not done."""
        return len(self._work["upload"]) + len(self._work["download"])
