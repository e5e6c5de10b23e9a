"""One film held against another, picture by picture: what is measured, and what is found."""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..events import Emit, Progress
from ..media.verify import kinds_of
from . import measures
from .align import Step, aligned, difference
from .films import Film, opened, step_of
from .findings import Finding, Watch
from .forms import Adapter, Form, form_of
from .levels import Colours, Levels
from .sound import Offset, offsets

SAME_RATE = 0.03
"""Part by which the usual steps of two films may differ when picture is to follow picture."""
ALIKE = 0.2
"""Difference of thumbs up to which two pictures show the same, whatever was done to them; see `align.difference`."""
OFF = 0.01
"""Seconds by which sound may be off before it is a fault."""
Planes = tuple[NDArray[Any], ...]


@dataclass
class Match:
    """What was measured of `second` against `first`, a number for each pair of pictures in every column.

    Columns: `time`, seconds from the first picture of the first film; `first` and `second`, the numbers of the
    pictures; `mse_P` in codes, `psnr_P` in dB, `ssim_P`, and `drift_P`, the mean of the second above that of the
    first in codes of 8 bits, for each plane P; `flicker`, see `measures.flicker`.
    """

    first: str
    second: str
    form: Form
    """In which they were compared: that of the first film, with the depth of the shallower."""
    resampled: bool
    columns: dict[str, array[float]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    unpaired: list[int] = field(default_factory=lambda: [0, 0])
    """Pictures of each film that have no partner."""
    offsets: list[Offset] = field(default_factory=list)
    """How late the sound of the second film is against its pictures, beyond that of the first."""
    levels: dict[int, float] = field(default_factory=dict)
    """The median difference of luma (of RGB: green) in codes at each level of 8 bits of the first film."""

    @property
    def pairs(self) -> int:
        return len(self.columns.get("time", ()))

    @property
    def main(self) -> str:
        """The plane that stands for the picture: luma, or green."""
        return "g" if self.form.layout.family == "rgb" else "y"

    def summary(self) -> dict[str, float]:
        """Each metric over the film. PSNR is that of the mean error; NaN where there was nothing to measure."""
        peak, found = self.form.layout.peak, {}
        for name, values in self.columns.items():
            if name.startswith(("ssim", "drift", "flicker")):
                found[name] = _mean(values)
            elif name.startswith("mse"):
                found[name] = _mean(values)
                found[name.replace("mse", "psnr")] = measures.psnr(found[name], peak) if len(values) else math.nan
        for metric in ("psnr", "ssim"):
            column = self.columns.get(f"{metric}_{self.main}", array("d"))
            found[metric] = found.get(f"{metric}_{self.main}", math.nan)
            found[f"{metric}_min"] = float(np.nanmin(column)) if _known(column).size else math.nan
        lates = [offset.late for offset in self.offsets]
        return found | {"sound_ms": 1000 * float(np.median(lates)) if lates else math.nan}

    def worst(self, count: int = 4) -> list[int]:
        """The pairs with the lowest PSNR, some way apart from each other, worst first."""
        psnr = np.asarray(self.columns.get(f"psnr_{self.main}", array("d")))
        chosen: list[int] = []
        apart = max(1, len(psnr) // 50)
        for place in np.argsort(psnr, kind="stable"):
            if len(chosen) == count or not math.isfinite(psnr[place]):
                break
            if all(abs(int(place) - other) >= apart for other in chosen):
                chosen.append(int(place))
        return chosen


def _known(values: array[float]) -> NDArray[np.float64]:
    found = np.asarray(values, np.float64)
    return found[~np.isnan(found)]


def _mean(values: array[float]) -> float:
    known = _known(values)
    return float(known.mean()) if known.size else math.nan


def match(first: Path, second: Path, emit: Emit) -> Match:
    """Decode both films side by side and measure. Memory is that of some pictures and some numbers for each pair.

    Raises InputError, UsageError.
    """
    with opened(first, emit) as one, opened(second, emit) as two:
        form = form_of(one.traits, min(film.traits.layout.depth for film in (one, two)))
        result = Match(str(first), str(second), form, not _same_rate(first, second))
        looks = _Looks(result, one, two)
        for step in _counted(looks.steps(), one, emit):
            looks.see(step)
        looks.conclude()
    return result


def _same_rate(first: Path, second: Path) -> bool:
    steps = [step_of(path) for path in (first, second)]
    return None in steps or abs(math.log((steps[0] or 1) / (steps[1] or 1))) < SAME_RATE


def _counted(steps: Iterator[Step], film: Film, emit: Emit) -> Iterator[Step]:
    """The steps, with word of how far they are."""
    begun, done = time.monotonic(), 0
    for step in steps:
        yield step
        if step.first:
            done += 1
            fps = done / max(1e-9, time.monotonic() - begun)
            emit(Progress(done, film.source.claims.frames or None, step.first.time, fps))


class _Looks:
    """Everything that looks at the pairs as they come."""

    def __init__(self, result: Match, one: Film, two: Film) -> None:
        self._result, self._films = result, (one, two)
        self._adapt = tuple(Adapter(form_of(film.traits), result.form) for film in (one, two))
        self._watch = Watch(result.resampled)
        self._main = result.form.names.index(result.main)
        self._levels = Levels(result.form.layout.depth)
        self._colours = Colours(result.form)
        self._before: tuple[NDArray[Any], NDArray[Any]] | None = None
        self._lags: list[tuple[float, float]] = []
        names = [f"{kind}_{plane}" for kind in ("mse", "psnr", "ssim", "drift") for plane in result.form.names]
        for name in ("time", "first", "second", *names, "flicker"):
            result.columns[name] = array("d")

    def steps(self) -> Iterator[Step]:
        one, two = self._films
        return aligned(one.pictures, two.pictures, not self._result.resampled)

    def see(self, step: Step) -> None:
        """Measure a pair, or count a picture without partner."""
        wrong = self._watch.see(step)
        if not self._lags or self._lags[-1][1] != step.lag:
            self._lags.append((step.first.time if step.first else 0.0, step.lag))
        if step.first is None or step.second is None:
            self._result.unpaired[step.first is None] += 1
            self._before = None
            return
        planes = [adapt(picture.planes) for adapt, picture in zip(self._adapt, (step.first, step.second), strict=True)]
        self._put(time=step.first.time, first=step.first.number, second=step.second.number)
        self._measure(planes[0], planes[1])
        if not wrong and difference(step.first.thumb, step.second.thumb) < ALIKE:
            self._add_colours(planes[0], planes[1])

    def _put(self, **values: float) -> None:
        for name, value in values.items():
            self._result.columns[name].append(value)

    def _measure(self, first: Planes, second: Planes) -> None:
        layout = self._result.form.layout
        for name, one, two in zip(self._result.form.names, first, second, strict=True):
            error = measures.mse(one, two)
            values = {
                "mse": error,
                "psnr": measures.psnr(error, layout.peak),
                "ssim": measures.ssim(one, two, layout.peak) if error else 1.0,
                "drift": measures.drift(one, two, layout.depth),
            }
            self._put(**{f"{kind}_{name}": value for kind, value in values.items()})
        pair = first[self._main], second[self._main]
        self._put(flicker=measures.flicker(self._before, pair, layout.depth) if self._before else math.nan)
        self._before = pair

    def _add_colours(self, first: Planes, second: Planes) -> None:
        """Levels and colours are those of pictures that show the same: one that does not would outweigh a film."""
        self._levels.add(first[self._main], second[self._main])
        if len(first) == 3:
            self._colours.add(first, second)

    def conclude(self) -> None:
        """What only the whole film shows."""
        result, (one, two) = self._result, self._films
        result.findings = [*self._watch.found, *self._of_colours(), *_of_streams(one, two), *_of_damage(one, two)]
        result.findings += [
            Finding(kind, f"{count} more of this kind", count=count)  # type: ignore[arg-type]
            for kind, count in self._watch.more.items()
        ]
        result.levels = self._levels.curve()
        result.offsets = [
            Offset(offset.time, offset.late - self._lag_at(offset.time), offset.alike)
            for offset in offsets(one.path, two.path, (one.begin, two.begin))
        ]
        result.findings += _of_sound(result.offsets)

    def _lag_at(self, time: float) -> float:
        return [lag for since, lag in self._lags if since <= time or since == self._lags[0][0]][-1]

    def _of_colours(self) -> Iterator[Finding]:
        mixed, (black, span) = self._colours.mixed_up(), self._result.form.ranges()[self._main]
        worst = next(iter(self._result.worst(1)), None)
        columns = self._result.columns
        pair = None if worst is None else (int(columns["first"][worst]), int(columns["second"][worst]))
        if mixed:
            text = f"the colours of the second film are those of values made by {mixed[0]} and read as {mixed[1]}"
            yield Finding("matrix", text, pair=pair)
        elif moved := self._levels.moved(black, black + span):
            depth = self._result.form.layout.depth
            dark, bright = (f"{value:+.1f}" for value in moved)
            text = f"levels are off by {dark} codes of {depth} bits at black, {bright} at white"
            yield Finding("range", text, pair=pair)


def _of_sound(found: list[Offset]) -> Iterator[Finding]:
    """One finding, at the first block that is off."""
    off = [offset for offset in found if abs(offset.late) > OFF]
    if off:
        late = float(np.median([offset.late for offset in off]))
        yield Finding("sound", f"the sound is {abs(late) * 1000:.0f} ms {'late' if late > 0 else 'early'}", off[0].time)


def _of_streams(one: Film, two: Film) -> Iterator[Finding]:
    first, second = (kinds_of(film.source.container) for film in (one, two))
    for kind in sorted(first | second):
        if first[kind] != second[kind]:
            yield Finding("streams", f"{kind}: {first[kind]} in the first film, {second[kind]} in the second")


def _of_damage(*films: Film) -> Iterator[Finding]:
    for film, which in zip(films, ("first", "second"), strict=True):
        if film.damage:
            text = f"{len(film.damage)} places of the {which} film could not be decoded as they were meant"
            yield Finding("damaged", text, getattr(film.damage[0], "seconds", None), len(film.damage))
