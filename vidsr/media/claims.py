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
from .libav import is_cover, main_video, open_input
from .pixels import has_alpha, layout_of

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
    stated = bool(_STATED & set(container.format.name.split(",")))
    start = Fraction(container.start_time or 0, av.time_base)
    whole = Fraction(container.duration, av.time_base) if stated and container.duration else None
    return Claims(
        path=str(path),
        format=container.format.name,
        frames=_stated_frames(video, container.format.name),
        video=video.index,
        ends=_stated_ends(container) if stated else {},
        container_end=start + whole if whole else None,
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


def _stated_ends(container: InputContainer) -> dict[int, Fraction]:
    steady = [stream for stream in container.streams if stream.type in ("video", "audio") and not is_cover(stream)]
    ends = {stream.index: _stated_end(stream) for stream in steady}
    return {index: end for index, end in ends.items() if end is not None}


def _stated_end(stream: Stream) -> Fraction | None:
    """Seconds, from the stream's own duration (MP4) or from Matroska's DURATION tag, which counts from zero."""
    if stream.duration and stream.time_base:
        return ((stream.start_time or 0) + stream.duration) * stream.time_base
    tag = next((value for key, value in stream.metadata.items() if key.upper().startswith("DURATION")), "")
    hours, minutes, seconds = [*tag.split(":"), "", "", ""][:3]
    if not (hours.isdigit() and minutes.isdigit() and seconds.replace(".", "", 1).isdigit()):
        return None
    return Fraction(int(hours) * 3600 + int(minutes) * 60) + Fraction(seconds)


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
    """Length of the last packet."""

    def note(self, start: Fraction, duration: Fraction) -> None:
        self.packets += 1
        if start + duration >= self.end:
            self.end, self.step = start + duration, duration


ROUNDING = Fraction(1, 100)
"""Seconds by which a stated end may lie behind the last packet: rounding to milliseconds, delay of an audio codec."""


def shortfall(claims: Claims, seen: dict[int, Seen]) -> str:
    """How the input falls short of its claims, as a sentence, or nothing.

    `seen` tells of each stream what was really read. Half a packet is let pass, so that one missing packet is found.
    """
    packets = seen.get(claims.video, Seen()).packets
    if claims.frames > packets:
        return f"the input holds {packets} of the {claims.frames} frames its header states"
    stated = dict(claims.ends)
    if not stated and claims.container_end is not None:
        last = max(seen, key=lambda index: seen[index].end, default=claims.video)
        stated = {last: claims.container_end}
    for index, end in stated.items():
        found = seen.get(index, Seen())
        if found.end + found.step / 2 + ROUNDING < end:
            kind = "video" if index == claims.video else f"stream {index}"
            return f"the input's {kind} ends at {clock(found.end)} of {clock(end)} stated"
    return ""
