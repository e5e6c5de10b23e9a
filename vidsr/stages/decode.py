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
from ..frames import DevicePicture, Plane, RawFrame, VideoTraits
from ..media.alpha import bled_planes
from ..media.deinterlace import Deinterlacer
from ..media.hwaccel import Picture, is_on_device, on_host, sample_format
from ..media.libav import reason
from ..media.pixels import format_of, layout_of, planes_of
from ..media.timeline import Timeline

MAX_FAILURES = 64
"""Packets in a row that may fail before the rest of the stream is given up."""

_PICTURE_PER_PACKET = {
    "h264", "hevc", "av1", "libdav1d", "vp9", "libvpx-vp9", "mpeg2video", "mjpeg", "ffv1", "prores", "dnxhd",
}  # fmt: skip
"""Decoders that make exactly one picture of each packet of a progressive stream, so that a missing one is known."""


def pictures(packets: Iterable[Packet[Any]], context: VideoCodecContext, emit: Emit) -> Iterator[av.VideoFrame]:
    """Every picture the decoder makes of `packets`, damaged packets skipped and told.

    Ends early, and says so, when MAX_FAILURES packets in a row fail.
    """
    failures, opened, shown = 0, False, False
    for packet in packets:
        opened = opened or packet.is_keyframe
        decoded = _decode(packet, context, emit, bridged=not opened or (shown and one_each(context)))
        failures = failures + 1 if decoded is None else 0
        shown = shown or bool(decoded)
        yield from decoded or ()
        if failures == MAX_FAILURES:
            emit(Damaged(_seconds(packet), f"{failures} packets in a row were not decodable, the rest is given up"))
            yield from _decode(Packet(0), context, emit) or ()  # what other threads of the decoder still hold
            return


def _decode(
    packet: Packet[Any], context: VideoCodecContext, emit: Emit, bridged: bool = False
) -> list[av.VideoFrame] | None:
    """The pictures that are ready after `packet`, or after the last one if it is empty; None if it fails.

    A failure is a loss by itself, unless it is `bridged`: its picture is expected, and told when it does not come.
    """
    try:
        return context.decode(packet if packet.size else None)
    except (av.error.FFmpegError, EOFError) as error:
        what = f"packet not decodable, {reason(error)}"
        at = _seconds(packet)
        emit(Notice(f"{at:.3f} s: {what}", "warning", at) if bridged else Damaged(at, what))
        return None


def one_each(context: VideoCodecContext) -> bool:
    """Whether every packet of the stream is one picture."""
    return context.field_order in (0, 1) and context.codec.name in _PICTURE_PER_PACKET


def _seconds(packet: Packet[Any]) -> float:
    stamp = packet.pts if packet.pts is not None else packet.dts
    return float(stamp * packet.time_base) if stamp is not None and packet.time_base else 0.0


@dataclass
class Expected:
    """The pts of packets whose pictures have not come yet, so that one that never comes is noticed.

    It watches only streams in which one packet is one picture; elsewhere it expects nothing.
    """

    context: VideoCodecContext
    amid: bool = False
    """Whether the packets begin in the middle of a film: that some refer to what is before is no news then."""
    skipped: int = 0
    """Packets before the first key picture that gave no picture."""
    _owed: list[int] = field(default_factory=list)
    _started: bool = False
    _latest: int | None = None
    _key: int | None = None
    """The pts of the first key picture."""

    def watch(self, packets: Iterable[Packet[Any]]) -> Iterator[Packet[Any]]:
        for packet in packets:
            if self._counts(packet):
                assert packet.pts is not None
                self._latest = packet.pts
                heapq.heappush(self._owed, packet.pts)
                if self._key is None and packet.is_keyframe:
                    self._key = packet.pts
            yield packet

    def owe(self, pts: int) -> None:
        """Expect a picture that has no packet: it is known to be missing."""
        heapq.heappush(self._owed, pts)

    def _counts(self, packet: Packet[Any]) -> bool:
        usable = packet.size > 0 and packet.pts is not None and not packet.is_discard
        backward = self._latest is not None and packet.pts is not None and packet.pts < self._latest
        disordered = backward and not self.context.has_b_frames  # comes late by its time, not by its place
        return usable and one_each(self.context) and not disordered

    def missing_before(self, pts: int | None) -> Iterator[int]:
        """The pts that should have come before a picture of `pts` (None: at the end), and did not.

        Pictures before the first that came are no loss if they lie before the first key picture or if there is none:
        they refer to pictures before the start.
        """
        while self._owed and (pts is None or self._owed[0] <= pts):
            owed = heapq.heappop(self._owed)
            if owed != pts and (self._started or (self._key is not None and owed >= self._key)):
                yield owed
            elif owed != pts:
                self.skipped += 1
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
    _form: tuple[int, int, str] | None = None
    """Size and pixel format that were told last."""

    def __post_init__(self) -> None:
        self._timeline = Timeline(self.traits.time_base, self.traits.rate, self.emit)

    def raw_frames(self, pictures: Iterable[av.VideoFrame], expected: Expected) -> Iterator[RawFrame]:
        """A RawFrame for each picture that has room on the timeline, and one for each that never came."""
        for picture in self._progressive(pictures):
            pts = picture.pts if picture.pts is not None else picture.dts
            if picture.pts is not None:  # one without a time says nothing of what should have come before it
                yield from self._bridge(expected.missing_before(picture.pts))
            self.frames_in += 1
            if picture.is_corrupt:
                self.emit(Concealed(self._seconds(pts or 0)))
            place = self._timeline.place(pts, picture.duration or 0)
            if place is not None:
                self._last = RawFrame(self._planes(picture, place), place, picture.duration or 0)
                yield self._last
        yield from self._bridge(expected.missing_before(None))
        if expected.skipped and not expected.amid:
            what = f"{expected.skipped} packets before the first key picture gave no picture"
            self.emit(Notice(f"{what}: the input begins between two of them", "warning"))

    def _progressive(self, pictures: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        if self.deinterlace == "off":
            yield from pictures
            return
        deinterlacer = Deinterlacer(self.deinterlace, self.traits.time_base)
        interlaced = False
        for picture in pictures:
            interlaced = interlaced or picture.interlaced_frame
            yield from deinterlacer.push(on_host(picture) if interlaced else picture)
        yield from deinterlacer.finish()

    def _bridge(self, missing: Iterable[int]) -> Iterator[RawFrame]:
        """The picture before, shown again at each of the pts in `missing`."""
        for pts in missing:
            if self._last is None or self._timeline.last is None:
                self.emit(Damaged(self._seconds(pts), "its packet gave no picture, and there is none before it"))
                continue
            if pts <= self._timeline.last:
                continue
            self._timeline.place(pts, 0)
            self.emit(Repeated(self._seconds(pts), "its packet gave no picture"))
            self._last = replace(self._last, pts=pts)
            yield self._last

    def _seconds(self, pts: int) -> float:
        return float(pts * self.traits.time_base)

    def _planes(self, picture: av.VideoFrame, pts: int) -> tuple[Plane, ...] | DevicePicture:
        """The planes of `picture`, in the first picture's size and layout if its own differ, with sensible colours
        where nothing is visible.

        A picture on the device stays there unless it has to be adapted.
        """
        width, height = self.traits.width, self.traits.height
        form = (picture.width, picture.height, sample_format(picture))
        if form != self._form:
            self._tell_change(self._form, form, self._seconds(pts))
            self._form = form
        if is_on_device(picture) and form[:2] == (width, height) and layout_of(form[2]) == self.traits.layout:
            return Picture(picture)
        picture = on_host(picture)
        if form[:2] != (width, height):
            picture = picture.reformat(width=width, height=height, interpolation="BICUBIC", threads=1)
        planes = planes_of(picture, self.traits.layout)
        return bled_planes(planes) if self.traits.layout.alpha else planes

    def _tell_change(self, before: tuple[int, int, str] | None, now: tuple[int, int, str], seconds: float) -> None:
        traits = self.traits
        if before and before[:2] != now[:2]:
            text = f"the size changes to {now[0]}x{now[1]} at {seconds:.2f} s"
            self.emit(Notice(f"{text}; scaled to the first, {traits.width}x{traits.height}", "warning"))
        if before and layout_of(before[2]) != layout_of(now[2]):
            first = format_of(traits.layout)
            text = f"the pixel format changes to {now[2]} at {seconds:.2f} s; converted to {first}"
            self.emit(Notice(text, "warning"))


def first_picture(pictures: Iterator[av.VideoFrame], path: Path) -> tuple[av.VideoFrame, Iterator[av.VideoFrame]]:
    """The first picture, and all of them again. Raises InputError when there is none."""
    first = next(pictures, None)
    if first is None:
        raise InputError(f"no frame of {path} could be decoded", "vidsr probe shows what the file holds")
    return first, chain([first], pictures)
