"""Planes to the device and back, without the host waiting for either.

Both ways are a delay line: a copy is begun when a frame comes in and asked for when the frame goes out, some frames
later, by which time it is done. Order never changes, the last frames are flushed, and when the consumer stops early or
anything raises, no copy is left running.

Uploads go through a ring of pinned buffers, since the planes of the decoder lie in ordinary memory, which the copy
engine cannot read by itself. Downloads go to new pinned memory for each frame and are handed out as they are: the
encoder may keep them as long as it likes, and no core copies them a second time, which would be 5 GB/s at 400 frames
of 3840x2160 per second. PyTorch keeps pinned blocks for later, each rounded up to a power of two: a frame of 8 bits
in 4:2:0 and 3840x2160 is 12.4 MB and holds 12.6 MB while it waits. `depth` + 1 frames wait here, and what the queue in
front of the encoder holds.

On a CPU both ways hand through what they are given: no copy, no delay.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from ..frames import DevicePicture, Plane
from .lanes import Event, Lanes, lanes_for
from .surfaces import surface

T = TypeVar("T")
B = TypeVar("B")
R = TypeVar("R")

Planes = tuple[Plane, ...]
Tensors = tuple[Tensor, ...]

AHEAD = 1
"""Frames whose upload is begun before the network gets the frame in front of them."""

SLOTS = 4
"""Pinned buffers of a ring: one being filled, one being read, and two for a device that lags behind."""

PINNED_LIMIT = 256 << 20
"""Bytes of pinned memory that a ring may take; one buffer always fits."""

_DTYPES = {"uint8": torch.uint8, "uint16": torch.uint16, "float32": torch.float32}

_ALIGN = 256
"""Bytes at whose multiples planes begin inside a buffer: what cudaMalloc gives, so that kernels may load vectors."""


def delayed(
    items: Iterable[T], depth: int, begin: Callable[[T], B], end: Callable[[B], R], drain: Callable[[], None]
) -> Iterator[R]:
    """`end(begin(item))` of each item in order, `begin` being called `depth` items earlier.

    `drain` is called when the line is left early, by an error or by its consumer, so that nothing goes on behind it.
    """
    begun: deque[B] = deque()
    try:
        for item in items:
            begun.append(begin(item))
            if len(begun) > depth:
                yield end(begun.popleft())
        while begun:
            yield end(begun.popleft())
    except BaseException:
        with suppress(Exception):  # of a device that failed: the first cause is the one to tell
            drain()
        raise


@dataclass
class _Slot:
    """A pinned buffer, and the copy that reads it."""

    buffer: Tensor | None = None
    reader: Event | None = None

    @property
    def size(self) -> int:
        return 0 if self.buffer is None else self.buffer.numel()

    def release(self) -> None:
        """Wait until nobody reads the buffer."""
        if self.reader is not None:
            self.reader.synchronize()
            self.reader = None


class Ring:
    """Pinned buffers, used in turn; the oldest is used again, once the copy that reads it is done.

    At most `depth` buffers and `limit` bytes, however sizes change; one buffer of any size is always given.
    """

    def __init__(self, allocate: Callable[[int], Tensor], depth: int, limit: int) -> None:
        self._allocate = allocate
        self._depth = depth
        self._limit = limit
        self._slots: deque[_Slot] = deque()

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(slot.size for slot in self._slots)

    def take(self, nbytes: int) -> _Slot:
        """The next slot, free to be written, its buffer of at least `nbytes`. Set its `reader` before the next call."""
        full = len(self._slots) == self._depth or self.nbytes + nbytes > self._limit
        slot = self._slots.popleft() if self._slots and full else _Slot()
        slot.release()
        if slot.size < nbytes:
            slot.buffer = None  # before the larger one is made
            while self._slots and self.nbytes + nbytes > self._limit:
                self._slots.popleft().release()
            slot.buffer = self._allocate(nbytes)
        self._slots.append(slot)
        return slot


class Uploader:
    """Planes of the host, or pictures of a hardware decoder, to tensors on `device`, on its upload lane."""

    def __init__(
        self, device: torch.device, lanes: Lanes | None = None, slots: int = SLOTS, limit: int = PINNED_LIMIT
    ) -> None:
        self.device = device
        self._lanes = lanes or lanes_for(device)
        self._slots = slots
        self._ring = Ring(self._lanes.pinned, slots, limit) if self._lanes else None
        self._borrowed: deque[tuple[Event, DevicePicture]] = deque()

    def uploaded(self, items: Iterable[tuple[T, Planes | DevicePicture | None]]) -> Iterator[tuple[T, Tensors | None]]:
        """Each item with its planes as 1 H W and 1 h w tensors, ready for the compute lane; None stays None.

        On a CUDA device the next frame is on its way before this one is given out. On a CPU the tensors share the
        memory of the planes and must not be written.
        """
        if self._lanes is None:
            for item, planes in items:
                yield item, None if planes is None else self._plain(planes)
            return
        yield from delayed(items, AHEAD, self._begin, self._end, self._lanes.drain)
        self._give_back(0)

    def _plain(self, planes: Planes | DevicePicture) -> Tensors:
        assert isinstance(planes, tuple), "pictures of a hardware decoder need a CUDA device"
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # we only read it
            return tuple(torch.from_numpy(plane).unsqueeze(0).to(self.device) for plane in planes)

    def _begin(self, pair: tuple[T, Planes | DevicePicture | None]) -> tuple[T, Tensors | None, Event | None]:
        item, planes = pair
        if planes is None:
            return item, None, None
        return item, *(self._send(planes) if isinstance(planes, tuple) else self._adopt(planes))

    def _end(self, begun: tuple[T, Tensors | None, Event | None]) -> tuple[T, Tensors | None]:
        item, tensors, event = begun
        if event is not None:
            assert self._lanes is not None
            self._lanes.order(event)
        return item, tensors

    def _send(self, planes: Planes) -> tuple[Tensors, Event]:
        """Lay the planes behind one another into a pinned buffer, and copy that in one piece."""
        assert self._lanes is not None
        assert self._ring is not None
        starts, total = _places(planes)
        slot = self._ring.take(total)
        assert slot.buffer is not None
        for start, plane in zip(starts, planes, strict=True):
            np.copyto(_array(slot.buffer, start, plane), plane)
        device, slot.reader = self._lanes.upload(slot.buffer[:total])
        return tuple(_tensor(device, start, plane) for start, plane in zip(starts, planes, strict=True)), slot.reader

    def _adopt(self, picture: DevicePicture) -> tuple[Tensors, Event]:
        """Copy a decoder's picture on the device, and keep it until that is done."""
        assert self._lanes is not None
        self._give_back(self._slots - 1)
        tensors, event = self._lanes.adopt(picture)
        self._borrowed.append((event, picture))
        return tensors, event

    def _give_back(self, most: int) -> None:
        """Let go of pictures that are copied; wait until no more than `most` are kept."""
        while self._borrowed and (len(self._borrowed) > most or self._borrowed[0][0].query()):
            self._borrowed[0][0].synchronize()
            self._borrowed.popleft()


def _places(planes: Planes) -> tuple[list[int], int]:
    """Where each plane begins in a buffer that holds all of them, and the size of that buffer, in bytes."""
    starts, total = [], 0
    for plane in planes:
        starts.append(total)
        total += -(-plane.nbytes // _ALIGN) * _ALIGN
    return starts, total


def _array(buffer: Tensor, start: int, like: Plane) -> Plane:
    """The bytes of `buffer` from `start` on as an array of the shape and type of `like`."""
    view: np.ndarray[Any, Any] = buffer.numpy()[start : start + like.nbytes]
    return view.view(like.dtype).reshape(like.shape)


def _tensor(buffer: Tensor, start: int, like: Plane) -> Tensor:
    """The bytes of `buffer` from `start` on as a 1 H W tensor of the shape and type of `like`."""
    dtype = _DTYPES[like.dtype.name]
    return buffer[start : start + like.nbytes].view(dtype).view(1, *like.shape)


class Downloader:
    """Planes of the device to the host, on the download lane of `device`, `depth` frames behind.

    With a `depth` of at least the batch size, the next batch is given to the device before the frames of this one are
    waited for. The planes must not be written after they were handed over, since the copy reads them later: whoever
    patches planes in place hands over a clone.
    """

    def __init__(self, device: torch.device, depth: int = 2, lanes: Lanes | None = None) -> None:
        self._depth = depth
        self._lanes = lanes or lanes_for(device)

    def downloaded(self, items: Iterable[tuple[T, Tensors | None]]) -> Iterator[tuple[T, Planes]]:
        """Each item with its planes, H W and h w, as arrays that nobody writes any more.

        An item with None shows the planes of the item before, and shares its arrays. On a CPU the arrays share the
        memory of the tensors.
        """
        return self._line(items, self._fetch, lambda tensors: tuple(tensor.cpu().numpy() for tensor in tensors))

    def surfaces(self, items: Iterable[tuple[T, Tensors | None]], depth: int) -> Iterator[tuple[T, Tensors]]:
        """Each item with its 4:2:0 planes of `depth` bits as the luma and chroma tensors of NV12 or P010.

        They stay on the device, finished: a hardware encoder may read them from any stream. Shared as in `downloaded`.
        """

        def begin(tensors: Tensors) -> tuple[Tensors, Event | None]:
            return surface(tensors, depth), self._lanes.mark() if self._lanes else None

        return self._line(items, begin, lambda tensors: surface(tensors, depth))

    def _line(
        self,
        items: Iterable[tuple[T, Tensors | None]],
        begin: Callable[[Tensors], tuple[R, Event | None]],
        plain: Callable[[Tensors], R],
    ) -> Iterator[tuple[T, R]]:
        if self._lanes is None:
            return delayed(items, 0, _once(lambda tensors: (plain(tensors), None)), _waited, _nothing)
        return delayed(items, self._depth, _once(begin), _waited, self._lanes.drain)

    def _fetch(self, tensors: Tensors) -> tuple[Planes, Event]:
        assert self._lanes is not None
        hosts = [self._lanes.pinned(tensor.nbytes).view(tensor.dtype).view(tensor.shape) for tensor in tensors]
        event = self._lanes.download(list(zip(tensors, hosts, strict=True)))
        return tuple(host.numpy() for host in hosts), event


def _once(
    begin: Callable[[Tensors], tuple[R, Event | None]],
) -> Callable[[tuple[T, Tensors | None]], tuple[T, R, Event | None]]:
    """`begin` for an item and its planes; for an item without planes, what it gave last."""
    latest: tuple[R, Event | None] | None = None

    def begin_once(pair: tuple[T, Tensors | None]) -> tuple[T, R, Event | None]:
        nonlocal latest
        item, tensors = pair
        if tensors is not None:
            latest = begin(tensors)
        assert latest is not None, "the first item needs planes"
        return item, *latest

    return begin_once


def _waited(begun: tuple[T, R, Event | None]) -> tuple[T, R]:
    """What was begun, finished: here the host waits for the device."""
    item, result, event = begun
    if event is not None:
        event.synchronize()
    return item, result


def _nothing() -> None:
    pass
