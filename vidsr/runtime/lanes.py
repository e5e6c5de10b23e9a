"""The three streams of a CUDA device, and the order between them.

A lane is a stream: what is given to one runs in the order it was given, what is given to two runs at once unless an
event orders it. `upload` and `download` are streams of their own; `compute` is the current stream of the thread that
calls, so that everything a stage does runs there without knowing of lanes. See docs/cuda.md.

`Lanes` is the little that the transfers need of a device. `CudaLanes` is the real one; the tests have another, which
runs the lanes as late and in as unfavourable an order as the events allow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from ..frames import DevicePicture
from .surfaces import planes_from_device

T = TypeVar("T")


class Event(Protocol):
    """A point in the work of one lane."""

    def query(self) -> bool:
        """Whether everything before the point is done."""
        ...

    def synchronize(self) -> None:
        """Make the host wait until everything before the point is done."""
        ...


class Lanes(Protocol):
    """What the transfers need of a device. Nothing here waits on the host but `drain` and `Event.synchronize`."""

    def pinned(self, nbytes: int) -> Tensor:
        """`nbytes` uint8 of page-locked host memory, not initialised."""
        ...

    def upload(self, host: Tensor) -> tuple[Tensor, Event]:
        """A copy of `host`, which is pinned, in new device memory; it may be read behind the event.

        `host` must stay as it is until the event is reached.
        """
        ...

    def adopt(self, picture: DevicePicture) -> tuple[tuple[Tensor, ...], Event]:
        """The planes of a decoder's picture in new device memory; they may be read behind the event.

        The picture must be kept until the event is reached: its memory goes back to the decoder when it dies.
        """
        ...

    def order(self, event: Event) -> None:
        """What the compute lane is given from now on runs behind `event`."""
        ...

    def mark(self) -> Event:
        """The point behind all that the compute lane was given so far."""
        ...

    def download(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> Event:
        """Copy each (device, host) pair, host being pinned, behind what the compute lane was given so far.

        The device tensors must not be written any more; their memory may be dropped at once.
        """
        ...

    def drain(self) -> None:
        """Wait until every copy that was begun is done."""
        ...


class CudaLanes:
    """Lanes of a CUDA device.

    Memory that crosses lanes is told to PyTorch's allocator (`record_stream`), which then gives it out again only
    behind the lane that used it last. Events that the host waits for block instead of spinning: the cores have an
    encoder to feed. The lanes belong to one thread, the one that calls; only the events may be used from others.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._upload = _stream(device)
        self._download = _stream(device)

    def pinned(self, nbytes: int) -> Tensor:
        return torch.empty(nbytes, dtype=torch.uint8, pin_memory=True)

    def upload(self, host: Tensor) -> tuple[Tensor, Event]:
        with torch.cuda.stream(self._upload):
            copy = torch.empty(host.shape, dtype=host.dtype, device=self.device)
            copy.copy_(host, non_blocking=True)
        copy.record_stream(self._compute)
        return copy, _recorded(self._upload)

    def adopt(self, picture: DevicePicture) -> tuple[tuple[Tensor, ...], Event]:
        decoder = torch.cuda.default_stream(self.device)  # FFmpeg is given no stream, so it uses the legacy default one
        self._upload.wait_event(_recorded(decoder))
        with torch.cuda.stream(self._upload):
            planes = planes_from_device(picture)
        for plane in planes:
            plane.record_stream(self._compute)
        return planes, _recorded(self._upload)

    def order(self, event: Event) -> None:
        assert isinstance(event, torch.cuda.Event)
        self._compute.wait_event(event)

    def mark(self) -> Event:
        return _recorded(self._compute)

    def download(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> Event:
        self._download.wait_event(_recorded(self._compute))
        with torch.cuda.stream(self._download):
            for device, host in pairs:
                host.copy_(device, non_blocking=True)
                device.record_stream(self._download)
        return _recorded(self._download)

    def drain(self) -> None:
        self._upload.synchronize()
        self._download.synchronize()

    @property
    def _compute(self) -> torch.cuda.Stream:
        return torch.cuda.current_stream(self.device)


def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # missing in torch's stubs


def _recorded(stream: torch.cuda.Stream) -> torch.cuda.Event:
    event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # missing in torch's stubs
    event.record(stream)
    return event


def lanes_for(device: torch.device) -> CudaLanes | None:
    """The lanes of `device`; None where copies are not asynchronous or not needed: cpu and mps."""
    return CudaLanes(device) if device.type == "cuda" else None


def make_current(device: torch.device) -> None:
    """Make PyTorch's CUDA context the current one of the calling thread, which is where FFmpeg looks for it.

    Work is needed for that, not only an allocation: PyTorch makes the context when a kernel is first launched.
    """
    torch.cuda.set_device(device.index or 0)
    torch.zeros(1, device=device)


def computing(items: Iterable[T], device: torch.device) -> Iterator[T]:
    """`items`, everything that makes them running on a compute lane of its own.

    It is the last generator of its thread. The default stream stays free for FFmpeg: a decoder's copies in the same
    stream would queue behind the network.
    """
    if device.type != "cuda":
        yield from items
        return
    with torch.cuda.device(device), torch.cuda.stream(_stream(device)):
        yield from items
