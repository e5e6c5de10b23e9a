"""1 for numbered pictures: files to packets, each of which holds one picture as it is (PAM, Netpbm's pam(5)).

So everything behind this stage meets a video, whose decoder has nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream

from ..errors import InputError
from ..events import Damaged, Emit, Notice
from ..media.image_files.header import Metadata
from ..media.images import Array, Picture, read_picture
from ..media.light import to_codes
from ..media.pam import channels_of, pam
from ..media.sequences import Sequence
from ..media.timecodes import Clock


@dataclass
class Pictures:
    """The pictures of a sequence, read one after another, in the shape and depth of the first."""

    sequence: Sequence
    clock: Clock
    max_pixels: int
    allow_loss: bool
    kept: dict[int, Metadata] | None = None
    """Where the metadata of each picture is put, by its pts, for an output that can hold it."""
    first: Picture = field(init=False)
    """The first picture that can be read."""

    def __post_init__(self) -> None:
        self.first = next(filter(None, map(self._picture, self.sequence.paths)), None) or self._none()

    def _none(self) -> Picture:
        raise InputError(f"input {self.sequence.pattern}: none of its pictures can be read")

    def _picture(self, path: Path, tell: Callable[[str], None] = lambda text: None) -> Picture | None:
        """None for one that cannot be read, where that is allowed. Raises InputError."""
        try:
            return read_picture(path, self.max_pixels)
        except InputError as error:
            if not self.allow_loss:
                raise
            tell(str(error))
            return None

    def packets(self, video: VideoStream, emit: Emit, owe: Callable[[int], None]) -> Iterator[Packet[Any]]:
        """A packet for each picture, and the flush packet; `owe` gets the pts of those that are not there."""
        names = dict(zip(self.sequence.places, self.sequence.paths, strict=True))
        begun = False
        for place, pts in enumerate(self.clock.pts):
            picture = self._at(place, names.get(place), emit)
            if picture is None and begun:
                owe(pts)
            elif picture is None:
                emit(Damaged(float(pts * self.clock.base), "there is no picture before it that could be shown again"))
            else:
                begun = True
                yield self._packet(video, names[place], picture, place)
        flush = Packet(0)
        flush.stream = video
        yield flush

    def _at(self, place: int, path: Path | None, emit: Emit) -> Picture | None:
        if path is None:
            emit(Notice(f"picture {self.sequence.name(place)} is missing", "warning"))
            return None
        return self._picture(path, lambda text: emit(Notice(text, "warning")))

    def _packet(self, video: VideoStream, path: Path, picture: Picture, place: int) -> Packet[Any]:
        packet: Packet[Any] = Packet(pam(self._alike(path, codes_of(picture))))
        packet.stream, packet.time_base = video, self.clock.base
        packet.pts = packet.dts = self.clock.pts[place]
        packet.duration, packet.is_keyframe = self.clock.duration(place), True
        if self.kept is not None:
            self.kept[packet.pts] = picture.metadata
        return packet

    def _alike(self, path: Path, pixels: Array) -> Array:
        """`pixels` as those of the first picture are. Raises InputError for another size, and for what would be lost:
        colours, transparency, bits.
        """
        model = codes_of(self.first)
        size, wanted = (f"{array.shape[1]}x{array.shape[0]}" for array in (pixels, model))
        if size != wanted:
            what = f"picture {path} is {size}, the first of its sequence is {wanted}"
            raise InputError(what, "all pictures of a sequence have one size")
        more = [name for name, mine, its in zip(_KINDS, _kind(pixels), _kind(model), strict=True) if mine > its]
        if more:
            what = f"picture {path} has {' and '.join(more)}, the first of its sequence has not"
            raise InputError(what, "make them of one kind, or begin with one that has all of it")
        return _like(pixels, model)


_KINDS = ("colours", "transparency", "16 bits a sample")


def _kind(pixels: Array) -> tuple[bool, bool, bool]:
    """Whether there are colours, transparency, and more than 8 bits."""
    channels = channels_of(pixels)
    return channels > 2, channels in (2, 4), pixels.dtype.itemsize > 1


def _like(pixels: Array, model: Array) -> Array:
    """The same picture in the dtype and with the channels of `model`, which has at least as much."""
    if pixels.dtype != model.dtype:
        pixels = pixels.astype(np.uint16) * np.uint16(257)
    if channels_of(pixels) == channels_of(model):
        return pixels
    planes = np.atleast_3d(pixels)
    colours, alpha = (planes[..., :-1], planes[..., -1:]) if _kind(pixels)[1] else (planes, None)
    if _kind(model)[0] and colours.shape[2] == 1:
        colours = colours.repeat(3, axis=2)
    if _kind(model)[1]:
        opaque = np.full((*planes.shape[:2], 1), np.iinfo(pixels.dtype).max, pixels.dtype)
        colours = np.concatenate([colours, opaque if alpha is None else alpha], axis=2)
    return colours


def codes_of(picture: Picture) -> Array:
    """The pixels as whole codes: linear light becomes sRGB of 16 bits, and what is brighter than white white."""
    return to_codes(picture.pixels, np.dtype(np.uint16)) if picture.pixels.dtype.kind == "f" else picture.pixels
