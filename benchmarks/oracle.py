"""What an output holds against what it should hold: how `benchmarks.faults` classes a run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from vidsr.media.pixels import layout_of, planes_of


@dataclass(frozen=True)
class Result:
    """What a finished output holds: seconds and hash of every frame, and of every audio packet."""

    times: tuple[float, ...]
    frames: tuple[str, ...]
    audio_times: tuple[float, ...]
    audio: tuple[str, ...]

    def same_times(self, other: Result) -> bool:
        return _near(self.times, other.times) and _near(self.audio_times, other.audio_times)

    def begins(self, other: Result) -> bool:
        """Whether `other` starts with this result, but for pictures that were coded behind the place of the cut."""
        held = {round(stamp, 2) for stamp in other.times} >= {round(stamp, 2) for stamp in self.times}
        reordered = sum(stamp < self.times[-1] for stamp in other.times) - len(self.times) + 1
        return held and reordered <= 2 and _near(self.audio_times, other.audio_times[: len(self.audio_times)])


def _near(first: Sequence[float], second: Sequence[float]) -> bool:
    """Equal to within 2 ms, the rounding of Matroska."""
    return len(first) == len(second) and all(abs(a - b) < 0.002 for a, b in zip(first, second, strict=True))


def read_result(path: Path) -> Result:
    times, frames, audio_times, audio = [], [], [], []
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            for frame in packet.decode():
                times.append(float(frame.pts * frame.time_base))
                planes = planes_of(frame, layout_of(frame.format.name))
                frames.append(hashlib.sha256(b"".join(plane.tobytes() for plane in planes)).hexdigest())
    with av.open(str(path)) as container:
        for packet in container.demux(audio=0) if container.streams.audio else ():
            if packet.size:
                audio_times.append(float((packet.pts or 0) * packet.time_base))
                audio.append(hashlib.sha256(bytes(packet)).hexdigest())
    return Result(tuple(times), tuple(frames), tuple(audio_times), tuple(audio))


def stated_times(path: Path) -> Result:
    """The times that the packets of a file state, read by PyAV alone."""
    times: dict[str, list[float]] = {"video": [], "audio": []}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size and packet.pts is not None and packet.stream.type in times:
                times[packet.stream.type].append(float(packet.pts * packet.time_base))
    return Result(tuple(sorted(times["video"])), (), tuple(times["audio"]), ())


def judge(found: Result, good: Result, report: Any, path: Path) -> str:
    """The class of a run that ended with an output."""
    if report.exit_code == 7:
        return "declared"
    if found.same_times(good):
        return "whole" if found == good else "altered"
    if noted(report):
        return "declared"
    complete = len(found.times) == len(good.times) and len(found.audio) == len(good.audio)
    if complete and found.same_times(stated_times(path)):
        return "moved"
    unknown = any("could not be checked" in text for text in report.verified)
    return "unchecked" if unknown and found.begins(good) else "silent"


_TOLD = ("no picture", "no sound", "not decodable")
"""Words of the notes that name what is missing."""


def noted(report: Any) -> list[str]:
    """What a report says of gaps and times, below the level of a loss."""
    retimed = [f"{report.retimed} timestamps replaced"] if report.retimed else []
    return [note for note in report.notes if any(word in note for word in _TOLD)] + retimed
