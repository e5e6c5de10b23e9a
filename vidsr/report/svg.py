"""Plots as SVG, drawn here so that they are seen without scripts and on paper. Colours come from the page's style."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from .model import Plot

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 14, 34
"""Margins in pixels for the labels of the axes."""
MOST = 1200
"""Points of a line at most: of more, the least and the greatest of each stretch are drawn."""
COLOURS = 5
"""The style has so many colours for lines; the next begins with the first again, dashed."""
ROW = 26
"""Height of a bar and its gap."""


def svg(plot: Plot) -> str:
    """The plot as an SVG element with a description of what it shows."""
    drawn = _bars(plot) if plot.kind == "bars" else _lines(plot)
    height = TOP + BOTTOM + ROW * len(plot.labels) if plot.kind == "bars" else HEIGHT
    title = f"<title>{escape(plot.name)}</title><desc>{escape(spoken(plot))}</desc>"
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(spoken(plot))}">{title}{drawn}</svg>'


def spoken(plot: Plot) -> str:
    """What the plot shows, in words."""
    parts = []
    for name, values in plot.series.items():
        finite = [value for value in values if math.isfinite(value)]
        span = (
            f"{min(finite):.4g} to {max(finite):.4g}, {sum(finite) / len(finite):.4g} on average" if finite else "none"
        )
        parts.append(f"{name}: {span}")
    return f"{plot.name}{f' in {plot.y_label}' if plot.y_label else ''}. {'; '.join(parts)}"


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) that lie from `low` to `high`."""
    if not high > low:
        return [low]
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [(first + index) * step for index in range(math.floor(high / step + 1e-9) - first + 1)]


def _lines(plot: Plot) -> str:
    finite = [value for values in plot.series.values() for value in values if math.isfinite(value)]
    low, high = _span(finite)
    begin, end = (min(plot.x), max(plot.x)) if plot.x else (0.0, 1.0)
    end = end if end > begin else begin + 1

    def across(x: float) -> float:
        return LEFT + (x - begin) / (end - begin) * (WIDTH - LEFT - RIGHT)

    def down(y: float) -> float:
        return TOP + (high - y) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [_level(down(y), f"{y:g}") for y in ticks(low, high)]
    for x in ticks(begin, end, 6):
        parts.append(f'<text x="{across(x):.1f}" y="{HEIGHT - 16}" text-anchor="middle">{x:g}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 3}" text-anchor="end">{escape(plot.x_label)}</text>')
    for index, values in enumerate(plot.series.values()):
        for stretch in _stretches(plot.x, values):
            points = [(across(x), down(y)) for x, y in thinned(stretch)]
            parts.append(_polyline(points, index))
    return "".join(parts)


def _span(values: Sequence[float]) -> tuple[float, float]:
    """From 0 where that costs little of the height, else around the values."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    if 0 <= low < 0.7 * high:
        low = 0.0
    if high == low:
        return (0.0, high or 1.0) if low >= 0 else (low - 0.5, high + 0.5)
    return low, high


def _level(y: float, text: str) -> str:
    line = f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return f'{line}<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'


def _stretches(x: Sequence[float], y: Sequence[float]) -> Iterator[list[tuple[float, float]]]:
    """Runs of points without a gap."""
    run: list[tuple[float, float]] = []
    for point in zip(x, y, strict=True):
        if math.isfinite(point[1]):
            run.append(point)
        elif run:
            yield run
            run = []
    if run:
        yield run


def thinned(points: list[tuple[float, float]], most: int = MOST) -> list[tuple[float, float]]:
    """At most about `most` points; of each stretch left out the least and the greatest stay, so no peak is lost."""
    if len(points) <= most:
        return points
    size = -(-2 * len(points) // most)
    kept = []
    for start in range(0, len(points), size):
        part = points[start : start + size]
        ends = {min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])}
        kept += sorted(ends)
    return kept


def _polyline(points: list[tuple[float, float]], index: int) -> str:
    colour = f"var(--s{index % COLOURS})"
    if len(points) == 1:
        return f'<circle cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" style="fill:{colour}"/>'
    dash = ";stroke-dasharray:6 4" if index >= COLOURS else ""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" style="stroke:{colour}{dash}"/>'


def _bars(plot: Plot) -> str:
    """Horizontal bars, one for each label, of the first series."""
    [values] = plot.series.values()
    high = max([*values, 1e-9])
    left, room = 150, WIDTH - 150 - 90
    parts = []
    for index, (label, value) in enumerate(zip(plot.labels, values, strict=True)):
        y, length = TOP + index * ROW, value / high * room
        parts.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{escape(label)}</text>')
        parts.append(f'<rect x="{left}" y="{y + 2}" width="{length:.1f}" height="18" rx="2" style="fill:var(--s0)"/>')
        unit = f" {plot.y_label}" if plot.y_label else ""
        parts.append(f'<text x="{left + length + 6:.1f}" y="{y + 15}">{value:.4g}{escape(unit)}</text>')
    return "".join(parts)
