"""2. Packets to pictures. Damage is told, counted and bridged; it never ends the film in silence."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext

from ..errors import InputError
from ..events import Concealed, Damaged, Emit, Notice, Repeated
from ..frames import Plane, RawFrame, VideoTraits
from ..media.deinterlace import Deinterlacer
from ..media.libav import reason
from ..media.pixels import planes_of
from ..media.timeline import Timeline

MAX_FAILURES = 64
"""Packets in a row that may fail before the rest of the stream is given up."""

_PICTURE_PER_PACKET = {
    "h264", "hevc", "av1", "libdav1d", "vp8", "vp9", "mpeg2video", "mjpeg", "ffv1", "prores", "dnxhd",
}  # fmt: skip
"""Decoders that make exactly one picture of each packet of a progressive stream, so that a missing one is known."""


def pictures(packets: Iterable[Packet[Any]], context: VideoCodecContext, emit: Emit) -> Iterator[av.VideoFrame]:
    """Every picture the decoder makes of `packets`, damaged packets skipped and told.

    Ends early, and says so, when MAX_FAILURES packets in a row fail.
    """
    failures = 0
    for packet in packets:
        decoded = _decode(packet, context, emit)
        failures = failures + 1 if decoded is None else 0
        yield from decoded or ()
        if failures == MAX_FAILURES:
            emit(Damaged(_seconds(packet), f"{failures} packets in a row were not decodable, the rest is given up"))
            yield from _decode(Packet(0), context, emit) or ()  # what other threads of the decoder still hold
            return


def _decode(packet: Packet[Any], context: VideoCodecContext, emit: Emit) -> list[av.VideoFrame] | None:
    """The pictures that are ready after `packet`, or after the last one if it is empty; None if it fails."""
    try:
        return context.decode(packet if packet.size else None)
    except (av.error.FFmpegError, EOFError) as error:
        emit(Notice(f"{_seconds(packet):.3f} s: packet not decodable, {reason(error)}", "warning"))
        return None


def _seconds(packet: Packet[Any]) -> float:
    stamp = packet.pts if packet.pts is not None else packet.dts
    return float(stamp * packet.time_base) if stamp is not None and packet.time_base else 0.0


@dataclass
class Expected:
    """The pts of packets whose pictures have not come yet, so that one that never comes is noticed.

    It watches only streams in which one packet is one picture; elsewhere it expects nothing.
    """

    context: VideoCodecContext
    _owed: list[int] = field(default_factory=list)
    _started: bool = False

    def watch(self, packets: Iterable[Packet[Any]]) -> Iterator[Packet[Any]]:
        for packet in packets:
            if self._counts(packet):
                assert packet.pts is not None
                heapq.heappush(self._owed, packet.pts)
            yield packet

    def _counts(self, packet: Packet[Any]) -> bool:
        progressive = self.context.field_order in (0, 1)
        usable = packet.size > 0 and packet.pts is not None and not packet.is_discard
        return usable and progressive and self.context.codec.name in _PICTURE_PER_PACKET

    def missing_before(self, pts: int | None) -> Iterator[int]:
        """The pts that should have come before a picture of `pts` (None: at the end), and did not.

        Pictures owed before the first one that came are no loss: they refer to pictures before the start.
        """
        while self._owed and (pts is None or self._owed[0] <= pts):
            owed = heapq.heappop(self._owed)
            if self._started and owed != pts:
                yield owed
        self._started = True


@dataclass
class Decoder:
    """Pictures of one stream to RawFrames of one size and layout, in strictly rising pts."""

    traits: VideoTraits
    deinterlace: Literal["auto", "on", "off"]
    emit: Emit
    frames_in: int = 0
    """Pictures that came out of the decoder."""
    _last: RawFrame | None = None
    _shape: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self._timeline = Timeline(self.traits.time_base, self.traits.rate, self.emit)

    def raw_frames(self, pictures: Iterable[av.VideoFrame], expected: Expected) -> Iterator[RawFrame]:
        """A RawFrame for each picture that has room on the timeline, and one for each that never came."""
        for picture in self._progressive(pictures):
            pts = picture.pts if picture.pts is not None else picture.dts
            yield from self._bridge(expected.missing_before(pts))
            self.frames_in += 1
            if picture.is_corrupt:
                self.emit(Concealed(self._seconds(pts or 0)))
            place = self._timeline.place(pts, picture.duration or 0)
            if place is not None:
                self._last = RawFrame(self._planes(picture, place), place, picture.duration or 0)
                yield self._last
        yield from self._bridge(expected.missing_before(None))

    def _progressive(self, pictures: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        if self.deinterlace == "off":
            yield from pictures
            return
        deinterlacer = Deinterlacer(self.deinterlace, self.traits.time_base)
        for picture in pictures:
            yield from deinterlacer.push(picture)
        yield from deinterlacer.finish()

    def _bridge(self, missing: Iterable[int]) -> Iterator[RawFrame]:
        """The picture before, shown again at each of the pts in `missing`."""
        for pts in missing:
            if self._last is None or self._timeline.last is None or pts <= self._timeline.last:
                continue
            self._timeline.place(pts, 0)
            self.emit(Repeated(self._seconds(pts), "its packet gave no picture"))
            self._last = replace(self._last, pts=pts)
            yield self._last

    def _seconds(self, pts: int) -> float:
        return float(pts * self.traits.time_base)

    def _planes(self, picture: av.VideoFrame, pts: int) -> tuple[Plane, ...]:
        """The planes of `picture`, scaled to the first picture's size if its own differs."""
        width, height = self.traits.width, self.traits.height
        if (picture.width, picture.height) != (width, height):
            if self._shape != (picture.width, picture.height):
                self._shape = (picture.width, picture.height)
                text = f"the size changes to {picture.width}x{picture.height} at {self._seconds(pts):.2f} s"
                self.emit(Notice(f"{text}; scaled to the first, {width}x{height}", "warning"))
            picture = picture.reformat(width=width, height=height, interpolation="BICUBIC")
        return planes_of(picture, self.traits.layout)


def first_picture(pictures: Iterator[av.VideoFrame], path: Path) -> tuple[av.VideoFrame, Iterator[av.VideoFrame]]:
    """The first picture, and all of them again. Raises InputError when there is none."""
    first = next(pictures, None)
    if first is None:
        raise InputError(f"no frame of {path} could be decoded", "vidsr probe shows what the file holds")
    return first, chain([first], pictures)
