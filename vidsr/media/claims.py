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

from .alpha_streams import carries_alpha
from .libav import is_cover, main_video, open_input
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
        known |= {"alpha": True} if carries_alpha(stream) else {}
    if stream.type == "audio" and stream.codec_context:
        known |= {"rate": stream.codec_context.sample_rate, "channels": stream.codec_context.channels}  # type: ignore[attr-defined]
    return known | {"language": stream.language, "title": stream.metadata.get("title")}


def probe(path: Path) -> Claims:
    """The claims of a file. Raises InputError when it is no video."""
    with open_input(path) as container:
        return read_claims(container, main_video(container, path), path)
