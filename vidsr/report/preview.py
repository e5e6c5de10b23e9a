"""`preview`: a few telling frames of a film, upscaled in one or more ways, and what the whole film would take.

Nothing is imitated: every stretch goes through `vidsr.pipeline`, and what is shown was decoded from the file that came
out, coded as a whole run would code it.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ..errors import InputError, UsageError
from ..events import Emit, Notice, clock, ignore
from ..jobs.devices import devices_for
from ..media.animations import is_animated
from ..media.image_formats import FORMATS
from ..media.pipes import is_stdin, is_stream
from ..media.sequences import is_sequence
from ..options import Options
from ..pipeline import plan_only
from ..prepare import Plan, output_path
from .choose import STRETCH, Look, Survey, choose, nearest, survey
from .crops import most_different
from .estimate import Estimate, Film, Sample, estimate, upscale_stretch
from .memory import forget_peak, peak_bytes, resident_bytes
from .model import Clip, Page, Picture, Shot, Table
from .moving import clip
from .stretch import Coded, Input, bicubic_sizes, decoded, source_frames

AUTO = 5
"""Frames that are chosen when nothing is said."""
LENGTH = 8
"""Frames of a stretch, by which time and size are measured; the first one is shown."""
BICUBIC_PIXELS = 1_000_000_000
"""Pixels that are coded without the network to learn about size, about: 120 frames of 4K."""
PARTS = 8
"""Stretches of them, where the film is longer."""
NEAR = 2.0
"""Seconds from the first frame of a stretch within which its others lie, as far as they were looked at."""
CLOSE_UPS = 3
BASELINE = "bicubic"


@dataclass(frozen=True)
class Variant:
    """One way of upscaling that is tried."""

    name: str
    options: Options


@dataclass(frozen=True)
class Tried:
    """What came of a variant."""

    variant: Variant
    plan: Plan
    samples: tuple[Sample, ...]
    estimate: Estimate


@dataclass(frozen=True)
class Preview:
    """What was found. `page` is what is to be written."""

    page: Page
    tried: tuple[Tried, ...]


def preview(
    input: Path,
    variants: Sequence[Variant],
    *,
    times: Sequence[float] = (),
    auto: int = AUTO,
    length: int = LENGTH,
    clips: str | None = None,
    emit: Emit = ignore,
) -> Preview:
    """Try `variants` on the frames at `times`, in seconds from where the input begins, or on `auto` telling ones.

    `length` is the number of frames of each stretch; `clips` is a codec of `moving.WAYS`, or None for no videos.
    Raises the errors of `vidsr.errors`.
    """
    _check(input, variants)
    with tempfile.TemporaryDirectory(prefix="vidsr-preview-") as name:
        work = _Work(input, Path(name), length, emit)
        plans = [work.plan(variant) for variant in variants]
        emit(Notice("looking for telling frames"))
        work.survey = survey(input, variants[0].options.max_pixels)
        chosen = [_asked(work.survey, time) for time in times] or choose(work.survey.looks, auto)
        tried = [work.tried(variant, plan, chosen) for variant, plan in zip(variants, plans, strict=True)]
        emit(Notice("making the page"))
        shots, moving = _shown(work, tried, chosen, clips)
    return Preview(_page(input, work.survey, tried, shots, moving), tuple(tried))


def _check(input: Path, variants: Sequence[Variant]) -> None:
    if not is_stdin(input) and not input.exists() and not is_sequence(input):
        raise InputError(f"input {input} does not exist")
    if is_stdin(input) or is_stream(input) or is_sequence(input) or not input.is_file():
        raise InputError(f"input {input} is no file: a preview looks at several places", "name a video file")
    if input.suffix.lower() in FORMATS and not (input.suffix.lower() in (".png", ".webp") and is_animated(input)):
        raise InputError(f"input {input} is a picture", "vidsr upscale is the preview of a picture")
    names = [variant.name for variant in variants]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UsageError(f"{', '.join(sorted(twice))} is asked for twice", "name each model and preset once")


def _asked(survey: Survey, seconds: float) -> tuple[Look, str]:
    """The frame at or after a time that was asked for."""
    last = max(survey.scan.pts) * survey.scan.time_base - survey.origin
    if seconds > last:
        raise UsageError(f"--at: there is no frame at {clock(seconds)}, the last one is at {clock(last)}")
    found = nearest(survey.looks, seconds)
    return found or Look(0, seconds, 0, 0, 0, 0), "asked for"


class _Work:
    """A folder for what is made, and what several variants have in common."""

    survey: Survey

    def __init__(self, input: Path, folder: Path, length: int, emit: Emit) -> None:
        self.input, self.folder, self.length, self.emit = input, folder, length, emit
        self._numbers = itertools.count()
        self._coded: dict[tuple[object, ...], tuple[Coded, Coded, int]] = {}

    def plan(self, variant: Variant) -> Plan:
        """That of a run of the whole film. Raises what such a run would be refused for."""
        output = self.folder / output_path(self.input, None, variant.options, 1).name
        return plan_only(self.input, output, variant.options, ignore)

    def tried(self, variant: Variant, plan: Plan, chosen: Sequence[tuple[Look, str]]) -> Tried:
        samples = []
        for look, why in chosen:
            self.emit(Notice(f"{variant.name}: {self.length} frames from {clock(look.seconds)}, {why}"))
            output = self.folder / f"{next(self._numbers)}{plan.output.suffix}"
            samples.append(upscale_stretch(self.input, output, variant.options, look.seconds, self.length, self.emit))
        stretches, long, coding = self._bicubic(plan, chosen)
        found = estimate(samples, stretches, long, self._film(plan, variant.options, chosen), coding)
        return Tried(variant, plan, tuple(samples), found)

    def _bicubic(self, plan: Plan, chosen: Sequence[tuple[Look, str]]) -> tuple[Coded, Coded, int]:
        """What the planned encoder makes of the stretches, and of more of the film, without the network."""
        key = (plan.encoder.name, plan.pix_fmt, tuple(plan.settings.items()), plan.target.width, plan.target.height)
        if key not in self._coded:
            self.emit(Notice(f"coding parts of the film by {plan.encoder.name} without the network"))
            empty = Coded([], [])
            stretches = sum((self._coded_part(plan, look.seconds, self.length) for look, _ in chosen), empty)
            forget_peak()
            before = resident_bytes()
            long = sum((self._coded_part(plan, *part) for part in self._parts(plan)), empty)
            coding = max(0, peak_bytes("cpu") - before) if before else 0
            self._coded[key] = stretches, long, coding
        return self._coded[key]

    def _coded_part(self, plan: Plan, seconds: float, count: int) -> Coded:
        return bicubic_sizes(plan, source_frames(Input.of(plan), seconds, count))

    def _parts(self, plan: Plan) -> list[tuple[float, int]]:
        """Where to code without the network, in seconds, and how many frames: all of a short film."""
        scan, origin = self.survey.scan, self.survey.origin
        count = max(PARTS * STRETCH, BICUBIC_PIXELS // (plan.target.width * plan.target.height))
        if scan.packets <= count:
            return [(0.0, scan.packets)]
        stamps = sorted(scan.pts)
        places = [stamps[len(stamps) * number // PARTS] for number in range(PARTS)]
        return [(float(pts * scan.time_base - origin), count // PARTS) for pts in places]

    def _film(self, plan: Plan, options: Options, chosen: Sequence[tuple[Look, str]]) -> Film:
        scan = self.survey.scan
        inside = [look for first, _ in chosen for look in self._stretch(first)]
        sampled = self.survey.activity(inside)
        carried = max(0, self.input.stat().st_size - scan.size) if options.audio != "none" else 0
        frames = (
            scan.packets
            if options.fps is None or not scan.rate
            else round(scan.packets / scan.rate * Fraction(options.fps))
        )
        activity = self.survey.activity() / sampled if sampled and options.reuse != "off" else 1.0
        return Film(frames, self.survey.cuts, activity, carried, len(devices_for(options)))

    def _stretch(self, first: Look) -> list[Look]:
        """What was seen of the frames of a stretch that the network computes with one before them."""
        later = [look for look in self.survey.looks if 0 < look.seconds - first.seconds < NEAR]
        return later[: self.length - 1]


class _Scene:
    """A chosen frame in every version, all of one size."""

    def __init__(self, work: _Work, tried: Sequence[Tried], number: int, look: Look) -> None:
        self._work, self._tried, self._number, self._look = work, tried, number, look
        self.size = max((one.plan.size for one in tried), key=lambda size: size[0] * size[1])

    def baseline(self, count: int) -> list[Picture]:
        input = Input.of(self._tried[0].plan)
        return [input.picture(frame, self.size) for frame in source_frames(input, self._look.seconds, count)]

    def versions(self, count: int) -> dict[str, list[Picture]]:
        """The first `count` frames of each version, and of the baseline."""
        made = {BASELINE: self.baseline(count)}
        for one in self._tried:
            pictures = decoded(one.samples[self._number].path, None if one.plan.size == self.size else self.size)
            made[one.variant.name] = [picture for _, (_, picture) in zip(range(count), pictures, strict=False)]
        return made


def _shown(
    work: _Work, tried: Sequence[Tried], chosen: Sequence[tuple[Look, str]], clips: str | None
) -> tuple[list[Shot], list[Clip]]:
    shots, moving = [], []
    rate = tried[0].plan.target.rate or Fraction(25)
    for number, (look, why) in enumerate(chosen):
        scene = _Scene(work, tried, number, look)
        versions = scene.versions(work.length if clips else 1)
        layers = {name: pictures[0] for name, pictures in versions.items()}
        boxes = most_different(list(layers.values()), CLOSE_UPS)
        shots.append(
            Shot(clock(look.seconds), look.seconds, layers, boxes, f"Chosen as {why}." if why != "asked for" else "")
        )
        if clips:
            moving.append(clip(f"Moving, from {clock(look.seconds)}", versions, rate, clips))
    return shots, moving


def _page(input: Path, survey: Survey, tried: Sequence[Tried], shots: Sequence[Shot], moving: Sequence[Clip]) -> Page:
    source, scan = tried[0].plan.source, survey.scan
    length = (max(scan.pts) - min(scan.pts)) * scan.time_base
    facts = [
        ("Input", input.name),
        ("Size", f"{source.width}x{source.height}"),
        ("Length", f"{clock(length)}, {scan.packets} frames"),
        ("Device", tried[0].samples[0].report.device),
        ("Looked at", f"{len(survey.looks)} frames"),
        *_load(),
    ]
    sizes = {one.plan.size for one in tried}
    notes = [
        "Estimates hold for this machine, as busy as it was: time, size and memory of a run of the whole film.",
        f"{BASELINE} is the input, enlarged without a network.",
    ]
    if len(sizes) > 1:
        notes.append("Versions of different sizes are shown at that of the largest.")
    return Page(f"Preview of {input.name}", facts, shots, tables=[_table(tried)], clips=moving, notes=notes)


def _load() -> list[tuple[str, str]]:
    """How busy the machine was: estimates of time are only as good as it is quiet."""
    if not hasattr(os, "getloadavg"):
        return []
    return [("Load of the machine", f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")]


def _table(tried: Sequence[Tried]) -> Table:
    head = ("Version", "Time", "Speed", "Size", "Memory", "Reused", "Output", "Encoder")
    rows = []
    for one in tried:
        found, width, height = one.estimate, *one.plan.size
        reused = 1 - sum(sample.report.work_share for sample in one.samples) / len(one.samples)
        memory = f"{found.memory / 1e9:.1f} GB" if found.memory else "–"
        rows.append(
            (one.variant.name, clock(found.seconds)[:-4], f"{found.fps:.2f} fps", f"{found.size / 1e6:.1f} MB", memory,
             f"{reused:.0%}", f"{width}x{height}", one.plan.encoder.name)
        )  # fmt: skip
    return Table("A run of the whole film", head, rows, first=True)
