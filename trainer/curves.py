"""The curves of a run as a picture: what was learnt, how fast, and what the validations found."""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Any

from vidsr.errors import InputError, VidsrError
from vidsr.events import Emit, Notice
from vidsr.fs import unwritable, write_atomically
from vidsr.models.export import check_packages

from .log import read_log

Series = dict[str, tuple[list[int], list[float]]]
"""Iterations and values, by the name of a line."""

COLUMNS, WIDTH, HEIGHT = 3, 4.2, 2.6
"""Panels in a row, and inches of each."""
WIDE = 100.0
"""Ratio of the largest to the smallest value above which an axis is logarithmic."""


def draw(run: Path, path: Path | None = None, only: Collection[str] = ()) -> Path:
    """Write the curves of a run, to RUN/curves.png when `path` is None; gives the path. `only` names some of them.

    Raises UsageError where matplotlib, of the extra `train`, is not installed, InputError for a run without a log,
    OutputError where the file cannot be written.
    """
    check_packages(("matplotlib",), "a picture of curves", "train")
    panels = {title: series for title, series in gather(read_log(run)).items() if not only or title in only}
    if not panels:
        raise InputError(
            f"run {run} has no figures to draw: log.jsonl is missing or empty", "is it the folder of a run?"
        )
    target = path or run / "curves.png"
    try:
        write_atomically(target, _png(panels, run.name))
    except OSError as error:
        raise unwritable(target.parent, error) from error
    return target


def offer(run: Path, emit: Emit) -> Path | None:
    """`draw` at the end of a run, to which pictures are no condition: where none can be made, `emit` is told why."""
    try:
        return draw(run)
    except VidsrError as error:
        emit(Notice(f"{run / 'curves.png'} is not drawn: {error}; {error.hint}"))
        return None


def gather(lines: list[dict[str, Any]]) -> dict[str, Series]:
    """Panels by title, validations first: a metric has one, with a line for each set; any other figure has its own."""
    panels: defaultdict[str, Series] = defaultdict(dict)
    for line in sorted(lines, key=lambda line: line.get("kind") != "validation"):
        for name, value in line.items():
            if name in ("kind", "iteration") or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            title, label = _place(line.get("kind", ""), name)
            iterations, values = panels[title].setdefault(label, ([], []))
            iterations.append(line["iteration"])
            values.append(value if math.isfinite(value) else math.nan)
    return dict(panels)


def _place(kind: str, name: str) -> tuple[str, str]:
    """(title of its panel, name of its line) of a figure in a line of the log."""
    if kind == "codecs":
        return kind, name
    if kind == "validation":
        label, _, metric = name.rpartition("/")
        return metric, label or "mean"
    return (name, name) if kind == "train" else (f"{kind} {name}", name)


def _png(panels: dict[str, Series], title: str) -> bytes:
    from matplotlib.figure import Figure

    rows = -(-len(panels) // COLUMNS)
    figure = Figure((COLUMNS * WIDTH, rows * HEIGHT + 0.4), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axis, (name, series) in zip(axes, panels.items(), strict=False):
        _panel(axis, name, series)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _panel(axis: Any, title: str, series: Series) -> None:
    for label, (iterations, values) in series.items():
        axis.plot(iterations, values, label=label, linewidth=1.2, marker="." if len(values) < 30 else "")
    known = [value for _, values in series.values() for value in values if not math.isnan(value)]
    if known and min(known) > 0 and max(known) > WIDE * min(known):
        axis.set_yscale("log")
    axis.set_title(title, fontsize=9)
    axis.tick_params(labelsize=7)
    axis.grid(alpha=0.3)
    if len(series) > 1:
        axis.legend(fontsize=7)
