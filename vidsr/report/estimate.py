"""What a whole run would take, from runs of a few stretches of the same film on the same machine.

Time is what a frame took once the network was warm, times the frames, and the beginning and the end once. Where the
film changes more or less from frame to frame than the stretches did, the network's part of it is scaled by that, for
`--reuse` computes what changes.

Size cannot be read off short stretches: they begin with a picture that stands alone. So the planned encoder also codes
a longer part of the film enlarged without the network, which is quick. How much larger the network's pictures become
is measured, for those that stand alone and for the others, on the frames that both ways have coded.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

from ..events import Emit, Event, Notice, Progress, Stage
from ..options import Options
from ..pipeline import run
from ..record import Report
from .memory import forget_peak, peak_bytes
from .stretch import Coded, coded_sizes, start_text

KEYFRAMES = 250
"""Frames from one picture that stands alone to the next, at most, as x264 and x265 have it when nothing is said."""


@dataclass
class Sample:
    """A stretch that was upscaled. Times are in seconds of the clock on the wall."""

    seconds: float
    """Where in the input it begins."""
    path: Path
    report: Report
    begun: float
    """From the call to the first finished frame."""
    going: float
    """From there to the last finished frame."""
    draining: float
    """From there until the file was written."""
    ending: float
    """From there to the end: verification, commit."""
    peak: int
    """Bytes of memory of this process at most, meanwhile; 0 where the system does not tell."""
    coded: Coded

    @property
    def frames(self) -> int:
        return self.report.frames_out

    @property
    def each(self) -> float:
        """Seconds for one more frame.

        A CPU does coding and the network in turn, whatever the threads; beside a GPU they run at the same time.
        """
        more = max(1, self.frames - 1)
        if self.report.device == "cpu":
            return (self.going + self.draining) / more
        return max(self.going / more, self.report.stages["encode"]["seconds"] / self.frames)


@dataclass
class _Watch:
    """When things happened, on the monotonic clock."""

    emit: Emit
    first: float = 0.0
    last: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)

    def hear(self, event: Event) -> None:
        now = time.monotonic()
        if isinstance(event, Progress):
            self.first, self.last = self.first or now, now
        elif isinstance(event, Stage):
            self.stages[event.name] = now
        elif not isinstance(event, Notice) or event.level == "warning":  # a stretch is not the run that notes are of
            self.emit(event)


def upscale_stretch(input: Path, output: Path, options: Options, seconds: float, frames: int, emit: Emit) -> Sample:
    """Upscale `frames` frames of `input` from `seconds` on to the file `output`, as a whole run would do it."""
    watch = _Watch(emit)
    start = start_text(seconds) if seconds > 0 else None
    asked = {"start": start, "end": None, "frames": frames, "overwrite": True, "report": None, "audio": "none"}
    drop = ("data", "attachments", "cover", "chapters", "incompatible")
    forget_peak()
    begun = time.monotonic()
    report = run(input, output, options.model_copy(update=asked | {"subs": "none", "drop": drop}), watch.hear)
    ended = time.monotonic()
    written = watch.stages.get("verify", watch.stages["commit"])
    return Sample(
        seconds,
        output,
        report,
        begun=watch.first - begun,
        going=watch.last - watch.first,
        draining=written - watch.last,
        ending=ended - written,
        peak=peak_bytes(report.device),
        coded=coded_sizes(output),
    )


@dataclass(frozen=True)
class Estimate:
    """What a whole run would take on this machine."""

    frames: int
    seconds: float
    fps: float
    size: int
    """Bytes of the output."""
    memory: int
    """Bytes at most, about; 0 where the system does not tell."""


@dataclass(frozen=True)
class Film:
    """What is known of the whole film."""

    frames: int
    cuts: float
    """Scene cuts for each frame."""
    activity: float
    """What changes from frame to frame, in the film as a part of what changes in the stretches."""
    others: int
    """Bytes of what is carried beside the video."""
    devices: int = 1
    """How many share the work."""


def estimate(samples: list[Sample], stretches: Coded, long: Coded, film: Film, coding: int) -> Estimate:
    """`stretches` are the frames of `samples`, and `long` a part of the film, coded without the network; `coding` is
    what the encoder needs beside everything else, in bytes."""
    seconds = _seconds(samples, film)
    networks = Coded([], [])
    for sample in samples:
        networks += sample.coded
    video = _video_bytes(networks, stretches, long, film)
    peak = max(sample.peak for sample in samples)
    memory = peak + coding if peak else 0
    return Estimate(film.frames, seconds, film.frames / seconds, round(video) + film.others, memory)


def _seconds(samples: list[Sample], film: Film) -> float:
    each = mean(sample.each for sample in samples)
    stages = [sample.report.stages for sample in samples]
    network = sum(stage.get("infer", {"seconds": 0.0})["seconds"] for stage in stages)
    whole = sum(part["seconds"] for stage in stages for part in stage.values())
    varying = network / whole if whole else 0.0
    each *= 1 + varying * (film.activity - 1)
    ending = mean(sample.ending / sample.frames for sample in samples)
    return min(sample.begun for sample in samples) + film.frames * (each / film.devices + ending)


def _video_bytes(networks: Coded, stretches: Coded, long: Coded, film: Film) -> float:
    """Bytes of the pictures that stand alone, and of the others."""
    alone = _ratio(networks.keys, stretches.keys) or 1.0
    others = _ratio(networks.others, stretches.others) or alone
    if not long.others:  # an encoder of single pictures
        return film.frames * mean(long.keys) * alone
    keys = min(film.frames, 1 + film.frames * max(film.cuts, 1 / KEYFRAMES))
    return keys * mean(long.keys) * alone + (film.frames - keys) * mean(long.others) * others


def _ratio(one: list[int], other: list[int]) -> float | None:
    """How many times more bytes a frame has on average in `one` than in `other`."""
    return mean(one) / mean(other) if one and other else None
