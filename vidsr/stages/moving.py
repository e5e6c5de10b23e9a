"""1 for animated WebP, which FFmpeg does not read: its pictures by OpenCV, as packets of one picture each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, takewhile
from pathlib import Path
from typing import Any

from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ..errors import InputError
from ..events import Emit
from ..media.image_files.codec import cv_animation
from ..media.pam import pam

_BLOCK = 1 << 26
"""Pixels that are decoded together: OpenCV begins anew for each block."""


@dataclass(frozen=True)
class Moving:
    """The `count` pictures of an animation, `data`, of `size` (width, height) and so many `channels`, 3 or 4."""

    data: bytes
    size: tuple[int, int]
    channels: int
    count: int

    def first(self, path: Path) -> NDArray[Any]:
        """The first picture. Raises InputError where it cannot be decoded."""
        frames = self._block(0, 1)
        if not frames:
            raise InputError(f"input {path}: its first picture cannot be decoded")
        return frames[0]

    def packets(self, video: VideoStream, emit: Emit, owe: Callable[[int], None]) -> Iterator[Packet[Any]]:
        """A packet for each picture, without a time, and the flush packet; ends early where one cannot be decoded."""
        for pixels in self._pictures():
            packet: Packet[Any] = Packet(pam(pixels))
            packet.stream, packet.is_keyframe = video, True
            yield packet
        flush = Packet(0)
        flush.stream = video
        yield flush

    def _pictures(self) -> Iterator[NDArray[Any]]:
        """Every picture until the first that cannot be decoded."""
        step = max(1, _BLOCK // (self.size[0] * self.size[1]))
        for start in range(0, self.count, step):
            wanted = min(step, self.count - start)
            frames = self._block(start, wanted)
            if len(frames) < wanted:  # one of them is damaged, and then OpenCV gives none
                ones = (self._block(number, 1) for number in range(start, start + wanted))
                yield from chain.from_iterable(takewhile(bool, ones))
                return
            yield from frames

    def _block(self, start: int, count: int) -> list[NDArray[Any]]:
        """The pictures from `start` on, RGB or RGBA; fewer than `count` where they cannot be decoded."""
        return [frame[..., : self.channels] for frame in cv_animation(self.data, start, count)]
