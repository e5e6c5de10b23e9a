"""What an input says of itself, so that it can be held against what was really in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from ..events import clock
from ..frames import ColorTags, HdrStatic, Orientation, VideoTraits
from .gaps import Span, together
from .libav import is_cover, main_video, open_input
from .pixels import has_alpha, layout_of
from .structure import structure_fault

_STATED = {"mov", "matroska", "webm", "avi", "flv", "asf", "gif", "nut", "wav"}
"""Demuxers whose header states a duration. Of the others (MPEG-TS, MPEG-PS, raw streams) FFmpeg only guesses it from
what is there, so that a cut file claims exactly what is left."""


@dataclass(frozen=True)
class Claims:
    """What the header of a file states. 0 or None: nothing is stated."""

    path: str
    format: str
    frames: int
    """Pictures in the video stream."""
    video: int
    """Index of the video stream."""
    ends: dict[int, Fraction]
    """Seconds at which the last packet of a picture or sound stream ends, on the same clock as the pts."""
    container_end: Fraction | None
    """Seconds at which the last of all streams ends."""
    packets: dict[int, int] = field(default_factory=dict)
    """Packets of each picture or sound stream, where the container has a table of them (MP4)."""
    fault: str = ""
    """How the skeleton of the file contradicts itself."""
    streams: tuple[dict[str, Any], ...] = field(default_factory=tuple)

    @property
    def any(self) -> bool:
        return bool(self.frames or self.ends or self.container_end is not None)

    def to_dict(self) -> dict[str, Any]:
        end = self.container_end
        ends = {index: float(seconds) for index, seconds in self.ends.items()}
        return asdict(self) | {"ends": ends, "container_end": None if end is None else float(end)}


def read_claims(container: InputContainer, video: VideoStream, path: Path) -> Claims:
    """The claims of an open input, without decoding anything."""
    formats = set(container.format.name.split(","))
    tabled = "mov" in formats
    stated = bool(_STATED & formats) and not (tabled and not video.frames)  # of fragments, FFmpeg adds up what it finds
    start = Fraction(container.start_time or 0, av.time_base)
    whole = Fraction(container.duration, av.time_base) if stated and container.duration else None
    return Claims(
        path=str(path),
        format=container.format.name,
        frames=_stated_frames(video, container.format.name),
        video=video.index,
        ends=_stated_ends(container) if stated else {},
        container_end=start + whole if whole else None,
        packets=_stated_packets(container) if tabled else {},
        fault=structure_fault(container, path),
        streams=tuple(describe_stream(stream) for stream in container.streams),
    )


def _stated_frames(video: VideoStream, format: str) -> int:
    """Number of pictures from the index (MP4) or from mkvmerge's statistics tags.

    AVI counts the empty chunks, which stand for a picture that is shown longer, so its number is one of time.
    """
    if format == "avi":
        return 0
    tags = [value for key, value in video.metadata.items() if key.upper().startswith("NUMBER_OF_FRAMES")]
    return video.frames or next((int(tag) for tag in tags if tag.isdigit()), 0)


def _stated_packets(container: InputContainer) -> dict[int, int]:
    """Packets of each stream by the index of an MP4 or MOV, but of raw sound, of which it counts the samples."""
    steady = {stream.index: stream for stream in _steady(container) if stream.frames and stream.codec_context}
    return {index: stream.frames for index, stream in steady.items() if "pcm" not in stream.codec_context.name}


def _stated_ends(container: InputContainer) -> dict[int, Fraction]:
    in_chunks = container.format.name == "avi"
    ends = {stream.index: _stated_end(stream, in_chunks) for stream in _steady(container)}
    return {index: end for index, end in ends.items() if end is not None}


def _steady(container: InputContainer) -> list[Stream]:
    return [stream for stream in container.streams if stream.type in ("video", "audio") and not is_cover(stream)]


def _stated_end(stream: Stream, in_chunks: bool) -> Fraction | None:
    """Seconds, from Matroska's DURATION tag, which counts from zero, from the stream's own duration (MP4), or from the
    number of chunks (AVI, whose duration FFmpeg corrects to what it finds)."""
    tag = next((value for key, value in stream.metadata.items() if key.upper().startswith("DURATION")), "")
    hours, minutes, seconds = [*tag.split(":"), "", "", ""][:3]
    if hours.isdigit() and minutes.isdigit() and seconds.replace(".", "", 1).isdigit():
        return Fraction(int(hours) * 3600 + int(minutes) * 60) + Fraction(seconds)
    if in_chunks and stream.frames and stream.time_base:
        return ((stream.start_time or 0) + stream.frames) * stream.time_base
    if stream.duration and stream.time_base:
        return ((stream.start_time or 0) + stream.duration) * stream.time_base
    return None


def describe_stream(stream: Stream) -> dict[str, Any]:
    """One stream for people and for JSON."""
    codec = stream.codec_context.name if stream.codec_context else getattr(stream, "name", None) or "unknown"
    known: dict[str, Any] = {"index": stream.index, "kind": stream.type, "codec": codec}
    if isinstance(stream, VideoStream):
        known |= {"kind": "cover"} if is_cover(stream) else {}
        known |= {"size": f"{stream.codec_context.width}x{stream.codec_context.height}"} if stream.codec_context else {}
        known |= {"rate": str(stream.average_rate) if stream.average_rate else None}
    if stream.type == "audio" and stream.codec_context:
        known |= {"rate": stream.codec_context.sample_rate, "channels": stream.codec_context.channels}  # type: ignore[attr-defined]
    return known | {"language": stream.language, "title": stream.metadata.get("title")}


def traits_of(frame: av.VideoFrame, video: VideoStream) -> VideoTraits:
    """What holds for the whole stream, from its first decoded frame. Raises InputError for an unusable format."""
    side = {item.type.name: bytes(item) for item in frame.side_data}  # type: ignore[attr-defined,arg-type]  # PyAV's stubs say str
    return VideoTraits(
        width=frame.width,
        height=frame.height,
        layout=layout_of(frame.format.name),
        color=color_of(frame),
        time_base=Fraction(frame.time_base or video.time_base or Fraction(1, 1000)),
        rate=Fraction(video.average_rate) if video.average_rate else None,
        sample_aspect=Fraction(video.sample_aspect_ratio or 1),
        orientation=orientation_of(side.get("DISPLAYMATRIX", b"")),
        interlaced=frame.interlaced_frame,
        alpha=has_alpha(frame.format.name) or video.metadata.get("alpha_mode") == "1",
        hdr=hdr_of(side),
    )


def color_of(frame: av.VideoFrame) -> ColorTags:
    """The colour tags of a frame. PyAV does not tell the chroma location."""
    full = True if frame.format.name.startswith("yuvj") else {1: False, 2: True}.get(int(frame.color_range))
    return ColorTags(
        matrix=int(frame.colorspace),
        full_range=full,
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
    )


def orientation_of(matrix: bytes) -> Orientation:
    """The orientation that a display matrix (nine 32-bit integers, row by row) asks for, to a quarter turn."""
    if len(matrix) != 36:
        return Orientation()
    a, b, _, c, d = (int.from_bytes(matrix[4 * i : 4 * i + 4], "little", signed=True) for i in range(5))
    mirror = a * d - b * c < 0
    x, y = (-a, -b) if mirror else (a, b)  # where the x axis goes once the mirroring is undone
    turns = (0 if x > 0 else 2) if abs(x) >= abs(y) else (1 if y > 0 else 3)
    return Orientation(turns, mirror)


def hdr_of(side: dict[str, bytes]) -> HdrStatic | None:
    """HDR10 static metadata from FFmpeg's AVMasteringDisplayMetadata and AVContentLightMetadata."""
    mastering, light = side.get("MASTERING_DISPLAY_METADATA", b""), side.get("CONTENT_LIGHT_LEVEL", b"")
    if len(mastering) < 88 and len(light) < 8:
        return None
    ints = [int.from_bytes(mastering[i : i + 4], "little", signed=True) for i in range(0, len(mastering), 4)]
    pairs = [Fraction(num, den or 1) for num, den in zip(ints[0:20:2], ints[1:20:2], strict=True)]
    known = ints[20:22] if ints else [0, 0]
    levels = [int.from_bytes(light[i : i + 4], "little") for i in (0, 4)] if len(light) >= 8 else [0, 0]
    return HdrStatic(
        chromaticities=tuple(zip(pairs[0:8:2], pairs[1:8:2], strict=True)) if known[0] else (),
        luminance=(pairs[8], pairs[9]) if known[1] else None,
        max_cll=levels[0],
        max_fall=levels[1],
    )


_UNKEPT = {
    "DOVI_RPU_BUFFER": "Dolby Vision metadata",
    "DOVI_METADATA": "Dolby Vision metadata",
    "DYNAMIC_HDR_PLUS": "HDR10+ metadata",
    "DYNAMIC_HDR_VIVID": "HDR Vivid metadata",
    "A53_CC": "closed captions inside the picture",
    "STEREO3D": "stereo 3D layout",
    "SPHERICAL": "360-degree projection",
}


def unkept(frame: av.VideoFrame) -> list[str]:
    """What rides on a frame and has no way through an encoder of PyAV, in words."""
    found = {item.type.name for item in frame.side_data}  # type: ignore[attr-defined]  # PyAV's stubs say str
    return sorted({words for name, words in _UNKEPT.items() if name in found})


def probe(path: Path) -> Claims:
    """The claims of a file. Raises InputError when it is no video."""
    with open_input(path) as container:
        return read_claims(container, main_video(container, path), path)


@dataclass
class Seen:
    """How far the packets of one stream really went. Times are in seconds."""

    packets: int = 0
    end: Fraction = Fraction(0)
    step: Fraction = Fraction(0)
    """Length of the last packet; where none is said (ALAC in Matroska), its distance from the one before."""
    begin: Fraction = Fraction(0)
    """The earliest start of a packet, where that lies before zero: sound that is decoded and not heard."""
    latest: Fraction | None = None
    """The latest start of a packet."""
    opened: Fraction | None = None
    """Start of the first packet."""
    holes: list[Span] = field(default_factory=list)
    """The first MAX_HOLES gaps of more than half a packet."""

    def note(self, start: Fraction, duration: Fraction) -> None:
        self.packets += 1
        self.begin = min(self.begin, start)
        self.opened = start if self.opened is None else self.opened
        usual = duration or self.step
        if self.packets > 1 and usual and start - self.end > usual / 2 and len(self.holes) < MAX_HOLES:
            self.holes.append((self.end, start))
        length = duration or max(Fraction(0), start - (start if self.latest is None else self.latest))
        self.latest = start if self.latest is None else max(self.latest, start)
        if start + length >= self.end:
            self.end, self.step = start + length, length


MAX_HOLES = 1000
"""Gaps remembered of a stream."""

ROUNDING = Fraction(1, 100)
"""Seconds by which a stated end may lie behind the last packet: rounding to milliseconds, delay of an audio codec."""


def shortfall(claims: Claims, seen: dict[int, Seen]) -> str:
    """How the input falls short of its claims, as a sentence, or nothing.

    `seen` tells of each stream what was really read. Half a packet is let pass, so that one missing packet is found.
    """
    if claims.fault:
        return f"the input is damaged: {claims.fault}"
    for index, count in {claims.video: claims.frames, **claims.packets}.items():
        read = seen.get(index, Seen()).packets
        if count > read:
            what = "frames" if index == claims.video else f"packets of stream {index}"
            return f"the input holds {read} of the {count} {what} its header states"
    stated = dict(claims.ends)
    if not stated and claims.container_end is not None:
        last = max(seen, key=lambda index: seen[index].end, default=claims.video)
        stated = {last: claims.container_end}
    for index, end in stated.items():
        found = seen.get(index, Seen())
        hidden = -found.begin if "matroska" in claims.format else 0  # its DURATION counts what lies before zero as well
        slack = Fraction(1, 500) if hidden else ROUNDING
        if found.end + hidden + found.step / 2 + slack < end:
            kind = "video" if index == claims.video else f"stream {index}"
            return f"the input's {kind} ends at {clock(found.end)} of {clock(end)} stated"
    return ""


LATE = Fraction(1, 4)
"""Seconds by which the first picture may follow the first sound, or all the start of a Matroska, before it is told."""


def gaps(claims: Claims, seen: dict[int, Seen], pictures: list[Span], start: Fraction) -> tuple[list[str], list[str]]:
    """Sentences about holes: those that are losses, and those that may be meant.

    `pictures` are the holes between pictures, `start` the time of the first one. A loss is what is missing from picture
    and sound at once.
    """
    sound = {stream["index"] for stream in claims.streams if stream["kind"] == "audio"}
    heard = [found for index, found in seen.items() if index in sound]
    sounds = [hole for found in heard for hole in found.holes]
    lost = together(pictures, sounds)
    silent = [hole for hole in sounds if hole not in together(sounds, lost)]
    still = [hole for hole in pictures if hole not in lost]
    told = [f"{_span(hole)}: neither picture nor sound, the input has a hole" for hole in lost]
    doubts = [f"{_span(hole)}: no picture in an otherwise steady stream" for hole in still]
    first = [found.opened for found in heard if found.opened is not None]
    begun = min(first, default=start)
    if "matroska" in claims.format and min(begun, start) > LATE:
        doubts.append(f"{_span((Fraction(0), min(begun, start)))}: no picture and no sound, the input begins late")
    if start - begun > LATE:
        doubts.append(f"{_span((begun, start))}: no picture yet, and sound")
    return told, doubts + [f"{_span(hole)}: no sound in an otherwise unbroken stream" for hole in silent]


def _span(hole: Span) -> str:
    return f"{clock(hole[0])} to {clock(hole[1])}"
