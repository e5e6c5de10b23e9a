"""A comparison as a page: facts, findings, the worst pictures beside each other, and plots over time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..events import Emit, ignore
from .compare import Comparison
from .crops import most_different
from .films import opened
from .forms import Adapter, codes_to_screen, form_of, screen
from .matching import Match
from .model import Page, Picture, Plot, Shot, Table

WORST = 4
"""Worst pictures that are shown of each match."""
SHOWN = 6
"""Findings that are shown as pictures."""
CLOSE_UPS = 2
"""Close-ups of each of them."""

Moments = dict[int, str]
"""Why a picture of the first film is shown, by its number."""


def compare_page(comparison: Comparison, emit: Emit = ignore) -> Page:
    """Read the films once more for the pictures that are to be seen, and put the page together. Raises InputError."""
    matches = comparison.matches
    names = _names([film["path"] for film in comparison.films])
    return Page(
        title=f"{' and '.join(names[1:])} against {names[0]}",
        summary=[fact for match, name in zip(matches, names[1:], strict=True) for fact in _facts(match, name)],
        comparisons=shots(comparison, names, emit),
        plots=[*_plots(matches, names[1:])],
        tables=[_findings(matches, names[1:]), metrics_table(matches, names[1:]), films_table(comparison.films)],
        notes=comparison.notes,
    )


def _names(paths: Sequence[str]) -> list[str]:
    """The names of the files, or all of their paths where two have one name."""
    short = [Path(path).name for path in paths]
    return [
        name if count == 1 else path for name, path, count in zip(short, paths, map(short.count, short), strict=True)
    ]


def _facts(match: Match, name: str) -> Iterator[tuple[str, str]]:
    values = match.summary()
    yield f"PSNR of {name}", decibels(values["psnr"])
    yield f"SSIM of {name}", f"{values['ssim']:.4f}"
    yield f"Pairs with {name}", f"{match.pairs}, {sum(match.unpaired)} pictures without partner"
    if not math.isnan(values["sound_ms"]):
        yield f"Sound of {name}", f"{values['sound_ms']:+.1f} ms against its pictures"


def decibels(value: float) -> str:
    """For people: of equal pictures it is infinite."""
    return "equal" if value == math.inf else f"{value:.2f} dB"


def _findings(matches: Sequence[Match], names: Sequence[str]) -> Table:
    rows = [(name, *str(finding).split(": ", 1)) for match, name in zip(matches, names, strict=True)
            for finding in match.findings]  # fmt: skip
    return Table("Findings", ("film", "what", "how"), rows or [("", "none", "")], first=True)


def metrics_table(matches: Sequence[Match], names: Sequence[str]) -> Table:
    """Every metric over the whole film, a column for each match."""
    values = [match.summary() for match in matches]
    known = [name for name in values[0] if all(name in each for each in values)]
    return Table("Measures", ("", *names), [(name, *(_shown(name, each[name]) for each in values)) for name in known])


def _shown(name: str, value: float) -> str:
    if math.isnan(value):
        return "not measured"
    return decibels(value) if name.startswith("psnr") else f"{value:.4f}"


def films_table(films: Sequence[dict[str, Any]]) -> Table:
    """What each film is, a column for each."""
    keys = [key for key in films[0] if key not in ("path", "streams", "guessed")]
    rows = [(key, *("" if film[key] is None else str(film[key]) for film in films)) for key in keys]
    most = max(len(film["streams"]) for film in films)
    rows += [(f"stream {place}", *(_stream(film["streams"], place) for film in films)) for place in range(most)]
    return Table("Films", ("", *_names([film["path"] for film in films])), rows)


def _stream(streams: Sequence[dict[str, Any]], place: int) -> str:
    if place >= len(streams):
        return "none"
    said = {key: value for key, value in streams[place].items() if key not in ("index", "kind", "codec") and value}
    return ", ".join([f"{streams[place]['kind']} {streams[place]['codec']}", *(f"{k} {v}" for k, v in said.items())])


def _plots(matches: Sequence[Match], names: Sequence[str]) -> Iterator[Plot]:
    """Those over time hold the lines of all matches; the page thins them out and keeps their peaks."""
    main = matches[0].main
    for title, column, unit in (
        ("PSNR", f"psnr_{main}", "dB"), ("SSIM", f"ssim_{main}", ""), ("Flicker", "flicker", "codes of 8 bits"),
    ):  # fmt: skip
        yield from _over_time(title, unit, {name: (match, column) for match, name in zip(matches, names, strict=True)})
    for match, name in zip(matches, names, strict=True):
        lines = {plane: (match, f"drift_{plane}") for plane in match.form.names}
        yield from _over_time(f"Shift of the mean of each plane: {name}", "codes of 8 bits", lines)
        if match.levels:
            line = {"median difference": list(match.levels.values())}
            levels = [float(level) for level in match.levels]
            yield Plot(f"Levels: {name}", levels, line, x_label="level of 8 bits", y_label="codes")
        if match.offsets:
            lates = {"late": [1000 * offset.late for offset in match.offsets]}
            yield Plot(f"Sound against picture: {name}", [offset.time for offset in match.offsets], lates, y_label="ms")


def _over_time(title: str, unit: str, lines: dict[str, tuple[Match, str]]) -> Iterator[Plot]:
    """One plot where all lines have the same times, else one for each."""
    times = [match.columns["time"] for match, _ in lines.values()]
    values = {name: match.columns[column] for name, (match, column) in lines.items()}
    if not any(np.isfinite(column).any() for column in values.values()):
        return
    if all(other == times[0] for other in times):
        yield Plot(title, times[0], values, y_label=unit)
        return
    for (name, column), x in zip(values.items(), times, strict=True):
        yield Plot(f"{title}: {name}", x, {name: column}, y_label=unit)


def shots(comparison: Comparison, names: Sequence[str], emit: Emit = ignore) -> list[Shot]:
    """The worst pictures and those of findings, of all films at the size of the first, in order of time."""
    moments = _moments(comparison.matches)
    if not moments:
        return []
    wanted: list[dict[int, int]] = [{number: number for number in moments}]
    wanted += [_partners(match, moments) for match in comparison.matches]
    paths = [Path(film["path"]) for film in comparison.films]
    with opened(paths[0]) as film:
        size = screen(film.traits)
    found = [_pictures(path, set(numbers.values()), size, emit) for path, numbers in zip(paths, wanted, strict=True)]
    made = []
    for number in sorted(moments):
        layers = {
            name: pictures[numbers[number]][1]
            for name, pictures, numbers in zip(names, found, wanted, strict=True)
            if numbers.get(number) in pictures
        }
        if len(layers) > 1:
            time = found[0][number][0]
            made.append(
                Shot(
                    f"picture {number}", time, layers, most_different(list(layers.values()), CLOSE_UPS), moments[number]
                )
            )
    return made


def _moments(matches: Sequence[Match]) -> Moments:
    moments: Moments = {}
    for match in matches:
        for finding in [finding for finding in match.findings if finding.pair][:SHOWN]:
            assert finding.pair is not None
            moments.setdefault(finding.pair[0], str(finding))
        for place in match.worst(WORST):
            psnr = match.columns[f"psnr_{match.main}"][place]
            moments.setdefault(int(match.columns["first"][place]), f"one of the worst: {decibels(psnr)}")
    return moments


def _partners(match: Match, moments: Moments) -> dict[int, int]:
    """The number of the partner of each picture, where it has one."""
    pairs = zip(match.columns["first"], match.columns["second"], strict=True)
    return {int(first): int(second) for first, second in pairs if int(first) in moments}


def _pictures(path: Path, numbers: set[int], size: Any, emit: Emit) -> dict[int, tuple[float, Picture]]:
    """(seconds, picture as screens show it) by number; the film is read up to the last of them."""
    found: dict[int, tuple[float, Picture]] = {}
    with opened(path, emit) as film:
        adapt = Adapter(form_of(film.traits), size)
        for picture in film.pictures if numbers else ():
            if picture.number in numbers:
                found[picture.number] = picture.time, codes_to_screen(adapt(picture.planes))
            if len(found) == len(numbers):
                break
    return found
