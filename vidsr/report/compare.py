"""`compare`: two films, or two against a third, as numbers and findings. The way in for Python and the command."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError, near_miss
from ..events import Emit, ignore
from ..media.color import matrix_name, primaries_name, range_name, transfer_name
from ..media.pixels import format_of
from .films import opened, step_of
from .matching import Match, match


@dataclass(frozen=True)
class Comparison:
    """`films` describes each film; `matches` are A and B against the reference, or B against A without one."""

    films: tuple[dict[str, Any], ...]
    matches: tuple[Match, ...]
    notes: tuple[str, ...] = ()

    @property
    def found(self) -> int:
        """How many findings there are."""
        return sum(len(match.findings) for match in self.matches)

    def failures(self, limits: dict[str, float]) -> list[str]:
        """A sentence for each metric that misses its limit, or could not be measured, in any match."""
        return [text for match in self.matches for text in _failures(match, limits)]

    def json_pieces(self) -> Iterator[str]:
        """The JSON of all of it, column by column, so that a film of hours needs no second copy of its numbers."""
        yield f'{{"films": {json.dumps(self.films)}, "notes": {json.dumps(self.notes)}, "matches": ['
        for number, each in enumerate(self.matches):
            yield ", " * bool(number) + json.dumps(_facts(each))[:-1] + ', "frames": {'
            for place, (name, values) in enumerate(each.columns.items()):
                yield f"{', ' * bool(place)}{json.dumps(name)}: {json.dumps(_plain(values))}"
            yield "}}"
        yield "]}\n"


def compare(a: Path, b: Path, reference: Path | None = None, emit: Emit = ignore) -> Comparison:
    """Hold `b` against `a`, or both against `reference`; all are films as files.

    Raises InputError for what cannot be decoded, UsageError for pipes.
    """
    paths = [a, b] if reference is None else [reference, a, b]
    films = tuple(describe(path) for path in paths)
    matches = tuple(match(paths[0], other, emit) for other in paths[1:])
    return Comparison(films, matches, tuple(_notes(films, matches)))


def describe(path: Path) -> dict[str, Any]:
    """What a film is, as plain values: size, form, colours, rate, streams."""
    with opened(path) as film:
        traits, color = film.traits, film.traits.color
        begin, guesses, claims = float(film.begin), film.guesses, film.source.claims
    step = step_of(path)
    return {
        "path": str(path),
        "container": claims.format,
        "size": f"{traits.width}x{traits.height}",
        "pixels": format_of(traits.layout),
        "matrix": matrix_name(color.matrix),
        "range": range_name(color.full_range),
        "primaries": primaries_name(color.primaries),
        "transfer": transfer_name(color.transfer),
        "guessed": list(guesses),
        "rate": round(float(traits.rate), 3) if traits.rate else step and round(1 / step, 3),
        "begins": begin,
        "ends": None if claims.container_end is None else float(claims.container_end),
        "streams": list(claims.streams),
    }


def _notes(films: tuple[dict[str, Any], ...], matches: tuple[Match, ...]) -> Iterator[str]:
    """What to know of the way in which they were compared."""
    reference = films[0]
    for film, each in zip(films[1:], matches, strict=True):
        if film["size"] != reference["size"]:
            yield f"{film['path']} is {film['size']}, and was compared at {reference['size']}"
        if each.resampled:
            rates = f"{film['rate']} pictures a second, {reference['path']} {reference['rate']}"
            yield f"{film['path']} has {rates}; each picture of the latter was held against the nearest"
        for guess in film["guessed"]:
            key = guess.split(":")[0]
            if key in ("matrix", "range") and film[key] != reference[key]:
                yield f"{film['path']} does not say its {key}, and {reference['path']} has another: {guess}"
        if film["transfer"] != reference["transfer"] and not {film["transfer"], reference["transfer"]} <= _ONE_CURVE:
            said = f"is {film['transfer']}, not {reference['transfer']}"
            yield f"the transfer of {film['path']} {said}; codes were compared, not light"


def parse_limits(texts: tuple[str, ...]) -> dict[str, float]:
    """`psnr=40` as a metric and its limit. Raises UsageError."""
    limits = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            limits[name.strip().lower()] = float(value)
        except ValueError as error:
            raise UsageError(f"--fail-under: {text!r} is not METRIC=VALUE", "for example psnr=40") from error
    for name in limits:
        if name not in METRICS:
            miss = near_miss(name, list(METRICS))
            raise UsageError(f"--fail-under: {name!r} is no metric{miss}", f"allowed are {', '.join(METRICS)}")
    return limits


_ONE_CURVE = {"bt709", "smpte170m", "bt2020-10", "bt2020-12"}
"""Names of transfers that are the same (H.273 table 3)."""
_PLANES = ("y", "u", "v", "r", "g", "b")
METRICS = (
    *(f"{kind}{rest}" for kind in ("psnr", "ssim") for rest in ("", "_min", *(f"_{plane}" for plane in _PLANES))),
)
"""What can be given a least value."""


def _failures(match: Match, limits: dict[str, float]) -> Iterator[str]:
    values = match.summary()
    for name, limit in limits.items():
        value = values.get(name, math.nan)
        if not value >= limit:  # true for NaN too
            said = "was not measured" if math.isnan(value) else f"is {value:.4f}"
            yield f"{match.second}: {name} {said}, at least {limit:g} is wanted"


def _facts(match: Match) -> dict[str, Any]:
    """All of a match but its columns."""
    form = match.form
    return {
        "first": match.first,
        "second": match.second,
        "compared_as": {"size": f"{form.width}x{form.height}", "pixels": format_of(form.layout)},
        "pairs": match.pairs,
        "unpaired": match.unpaired,
        "summary": {name: _number(value) for name, value in match.summary().items()},
        "findings": [asdict(finding) for finding in match.findings],
        "sound": [asdict(offset) for offset in match.offsets],
        "levels": match.levels,
        "worst": match.worst(),
    }


def _plain(values: array[float]) -> list[float | int | None]:
    return [_number(value) for value in values]


def _number(value: float) -> float | int | None:
    """JSON has neither infinity nor NaN: None stands for both, and `mse` beside a PSNR says which."""
    if not math.isfinite(value):
        return None
    return int(value) if value == int(value) else round(value, 6)
