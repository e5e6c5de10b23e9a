"""`upscale --report-page`: what a run did, as a page. `Recorder` listens while it runs, `write_run_page` tells."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av

from ..errors import VidsrError
from ..events import Concealed, Damaged, Dropped, Emit, Event, Progress, Repeated, Retimed, Stage, clock
from ..media.color import resolve
from ..media.files import KINDS
from ..media.pipes import is_stdin, is_stdout
from ..media.pixels import planes_of
from ..media.sequences import is_sequence
from ..media.traits import traits_of
from ..options import Options
from ..record import Report
from .crops import most_different
from .model import Page, Picture, Plot, Shot, Table
from .page import write_page
from .stretch import Input, Shown, colours, source_frames

KEPT = 2000
"""Points of time that are kept: of more, every second one is forgotten, so that memory does not grow with the film."""
LISTED = 100
"""Damages that are listed; the report counts the rest."""
PICTURED = 4
"""Damages that are shown."""
STRIPS = 3
"""Places all over the film that are shown before and after."""

Damage = Concealed | Damaged | Dropped | Repeated | Retimed
_WORDS = {
    Concealed: "damaged picture, as the decoder repaired it",
    Repeated: "picture missing, the one before shown again",
    Damaged: "input could not be read",
    Dropped: "picture lost",
    Retimed: "timestamp replaced",
}


@dataclass
class Recorder:
    """An Emit that remembers when things happened, and passes them on. Called from several threads: it only appends."""

    emit: Emit
    begun: float = field(default_factory=time.monotonic)
    stages: list[tuple[float, str]] = field(default_factory=list)
    points: list[tuple[float, int, int | None]] = field(default_factory=list)
    """Seconds since the beginning, frames done, frames that needed no network."""
    damages: list[Damage] = field(default_factory=list)
    _every: int = 1
    _heard: int = 0

    def hear(self, event: Event) -> None:
        now = time.monotonic() - self.begun
        if isinstance(event, Stage):
            self.stages.append((now, event.name))
        elif isinstance(event, Progress):
            self._note((now, event.done, event.reused))
        elif isinstance(event, Damage) and len(self.damages) < LISTED:
            self.damages.append(event)
        self.emit(event)

    def _note(self, point: tuple[float, int, int | None]) -> None:
        self._heard += 1
        if self._heard % self._every == 0:
            self.points.append(point)
        if len(self.points) > KEPT:
            self.points = self.points[::2]
            self._every *= 2


def write_run_page(path: Path, report: Report, options: Options, heard: Recorder) -> int:
    """Write the page about a finished run, and return its size in bytes. Raises OutputError."""
    notes = list(report.losses[:1])
    try:
        shots = _shots(report, options, heard)
    except VidsrError as error:  # the run is done: that its input can be read no more is no reason to fail it
        shots, notes = [], [*notes, f"Pictures are missing: {error}"]
    said = Table("Notes", ("What was said",), [(note,) for note in dict.fromkeys(report.notes)])
    tables = [_damages(heard), _checks(report), _streams(report), _stages(report), said]
    title = f"{Path(report.input).name} upscaled by {report.model}"
    tables = [table for table in tables if table.rows]
    return write_page(path, Page(title, _facts(report), shots, _plots(report, heard), tables, notes=notes))


def _facts(report: Report) -> list[tuple[str, str]]:
    lost = {"repeated": report.repeated, "concealed": report.concealed, "dropped": report.dropped}
    losses = ", ".join(f"{count} {name}" for name, count in lost.items() if count)
    return [
        ("Outcome", "finished with declared loss" if report.losses else "whole"),
        ("Output", Path(report.output).name),
        ("Size", f"{report.width}x{report.height}"),
        ("Frames", f"{report.frames_in} in, {report.frames_out} out"),
        ("Length", clock(report.seconds)),
        ("Loss", losses or ("declared" if report.losses else "none")),
        ("Time", clock(report.wall_seconds)[:-4]),
        ("Speed", f"{report.fps:.2f} fps, bound by {report.bound_by}"),
        ("Network", f"{report.model}, {report.runtime} {report.precision} on {report.device}"),
        ("Reused", f"{report.share_reused:.1%} of the frames, {1 - report.work_share:.1%} of the work"),
    ]


def _plots(report: Report, heard: Recorder) -> list[Plot]:
    """Speed and reuse as time went on, and what the time was spent on."""
    spans = [(a, b) for a, b in pairwise(_thinned(heard.points)) if b[0] > a[0] and b[1] > a[1]]
    plots = [_bars("Phases of the run", dict(_phases(report, heard)))]
    plots.append(_bars("Work of each stage", {name: stage["seconds"] for name, stage in report.stages.items()}))
    if spans:
        x = [b[0] for _, b in spans]
        now = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in spans]
        first = heard.points[0][0]
        average = [b[1] / max(b[0] - first, 1e-6) if b[0] > first else now[0] for _, b in spans]
        plots.append(Plot("Speed", x, {"now": now, "on average": average}, y_label="fps"))
    shares = [(b[0], (b[2] - a[2]) / (b[1] - a[1])) for a, b in spans if a[2] is not None and b[2] is not None]
    if shares:  # where several processes work, nobody counts
        values = [min(100.0, max(0.0, 100 * share)) for _, share in shares]
        plots.append(Plot("Frames that needed no network", [at for at, _ in shares], {"share": values}, y_label="%"))
    return plots


def _thinned(points: list[tuple[float, int, int | None]], most: int = 200) -> list[tuple[float, int, int | None]]:
    """Some `most` points: a rate over a tenth of a second says nothing."""
    return points[:: max(1, len(points) // most)]


def _bars(name: str, values: dict[str, float]) -> Plot:
    numbers = list(values.values())
    return Plot(name, list(range(len(numbers))), {"s": numbers}, y_label="s", kind="bars", labels=list(values))


def _phases(report: Report, heard: Recorder) -> Iterator[tuple[str, float]]:
    """What the run was at, and for how long, in seconds; phases that lie within each other are parted."""
    for (begin, name), (end, _) in pairwise([*heard.stages, (max(report.wall_seconds, heard.stages[-1][0]), "")]):
        if name != "done":
            yield name, max(0.0, end - begin)


def _damages(heard: Recorder) -> Table:
    rows = [
        ("–" if event.seconds is None else clock(event.seconds), _WORDS[type(event)], getattr(event, "reason", ""))
        for event in heard.damages
    ]
    return Table("Damage", ("Time", "What", "Why"), rows)


def _checks(report: Report) -> Table:
    return Table("Verified", ("What holds",), [(text,) for text in report.verified])


def _streams(report: Report) -> Table:
    rows = [
        (str(stream.get("index", number)), str(stream.get("kind", "")), _described(stream))
        for number, stream in enumerate(report.streams)
    ]
    return Table("Streams", ("Stream", "Kind", "Details"), rows)


def _described(stream: dict[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in stream.items() if key not in ("index", "kind") and value)


def _stages(report: Report) -> Table:
    rows = [(name, f"{stage['seconds']:.2f} s", f"{stage['fps']:.2f} fps") for name, stage in report.stages.items()]
    return Table("Stages", ("Stage", "Time", "Speed alone"), rows)


def _shots(report: Report, options: Options, heard: Recorder) -> list[Shot]:
    """Places of the film before and after: where it was damaged, and some all over it."""
    input, output = Path(report.input), Path(report.output)
    pictures_only = output.suffix.lower().lstrip(".") in KINDS or is_sequence(output) or not output.is_file()
    if is_stdin(input) or is_stdout(output) or is_sequence(input) or pictures_only or not report.frames_out:
        return []
    film = Input.read(input, options)
    base, pts = Fraction(report.time_base), report.pts
    first = _begin(film, options)
    places = [(len(pts) * (2 * number + 1) // (2 * STRIPS), "") for number in range(min(STRIPS, len(pts)))]
    for event in heard.damages[:PICTURED]:
        if event.seconds is not None:
            since = event.seconds - first[1]
            after = [index for index, stamp in enumerate(pts) if float((stamp - pts[0]) * base) >= since - 1e-6]
            places.append((after[0] if after else len(pts) - 1, _WORDS[type(event)]))
    shots = []
    for index, why in sorted(dict(places).items()):
        passed = float((pts[index] - pts[0]) * base)
        shots.append(_pair(film, output, pts[index], base, first[0] + passed, why))
    return shots


def _begin(film: Input, options: Options) -> tuple[float, float]:
    """When the first picture of the run is shown: in seconds from where the input begins, and on its own clock."""
    from ..options import seconds

    asked = float(seconds(options.start)) if options.start else 0.0
    frame = next(source_frames(film, asked, 1))
    own = float(frame.pts * film.traits.time_base)
    with av.open(str(film.path)) as container:
        origin = (container.start_time or 0) / av.time_base
    return own - origin, own


def _pair(film: Input, output: Path, pts: int, base: Fraction, seconds: float, why: str) -> Shot:
    after = picture_at(output, pts * base)
    size = (after.shape[1], after.shape[0])
    before = next((film.picture(frame, size) for frame in source_frames(film, seconds, 1)), after)
    layers = {"before": before, "after": after}
    return Shot(clock(seconds), seconds, layers, most_different([before, after], 2), why)


def picture_at(path: Path, seconds: Fraction) -> Picture:
    """The picture of a film that vidsr wrote which is shown at `seconds`: upright, H W 3, uint8 RGB."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        base = Fraction(video.time_base or 1)
        container.seek(int(seconds / base), stream=video, backward=True)
        last: av.VideoFrame | None = None
        for last in container.decode(video):
            if last.pts is not None and last.pts * base >= seconds - Fraction(1, 2000):
                break
        assert last is not None, "the output was verified: it holds pictures"
        traits = colours(traits_of(last, video))
        color, _ = resolve(traits.color, traits.layout, traits.width, traits.height, video.codec_context.name)
        return Shown(traits.layout, color, traits.orientation).picture(planes_of(last, traits.layout))
