"""Pictures for docs/performance.md, made from benchmarks/results and benchmarks/published.yaml.

    python -m benchmarks.charts [--results FOLDER] [--to FOLDER]

Needs matplotlib (the extra `bench`). What was not measured gets no picture.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from .common import RESULTS, tell

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

PUBLISHED = Path(__file__).with_name("published.yaml")
DOCS = Path(__file__).parent.parent / "docs"
OURS, THEIRS, FLOOR = "#1f6feb", "#9aa4b2", "#d0d7de"
INK, PAPER = "#24292f", "#ffffff"
SERIES = ("#1f6feb", "#d4642a", "#2da160", "#8957e5", "#b8860b", "#57606a")
STYLE: Any = {
    "figure.facecolor": PAPER, "axes.facecolor": PAPER, "savefig.facecolor": PAPER, "text.color": INK,
    "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.edgecolor": FLOOR, "font.size": 9,
    "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10, "axes.titlelocation": "left",
    "font.family": "DejaVu Sans",
}  # fmt: skip
"""Dark ink on a white card of its own: readable on light and on dark pages."""


def published() -> list[dict[str, Any]]:
    """The rows of published.yaml with their share of the peak, best first."""
    rows = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))
    return sorted(({**row, "share": row["tflops"] / row["peak"]} for row in rows), key=lambda row: -row["share"])


def share_of_peak(found: dict[str, Any]) -> Figure:
    """Bars: what each contestant makes of the measured peak here, and what others publish of their cards' peaks."""
    from matplotlib import pyplot

    theirs = published()
    rows = {
        name: row["share_of_peak"]["bf16" if "bf16" in row["share_of_peak"] else "fp32"]["median"]
        for name, row in found["contestants"].items()
        if not name.startswith("peak")
    }
    rows = dict(sorted(rows.items(), key=lambda item: -item[1]))
    kind = "bf16" if "bf16" in found["peak_gflops"] else "fp32"
    names = {_label(row): row["share"] for row in theirs}
    top = 1.06 * max(1.0, *rows.values(), *names.values())
    size = f"{found['frame']['width']}x{found['frame']['height']}"
    heights = [len(rows) + 1.5, len(names) + 1.5]
    figure = pyplot.figure(figsize=(8, 0.26 * sum(heights)), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=heights)
    _bars(parts[0], rows, top, f"Measured here, {size} on a CPU: share of the measured peak of {kind} convolutions")
    _bars(parts[1], names, top, "Published by others, GPUs: share of the card's dense fp16 peak (* derived)")
    return figure


def _label(row: dict[str, Any]) -> str:
    return f"{row['who']}, {row['gpu']}, {row['network']}{' *' if row['derived'] else ''}"


def _bars(part: SubFigure, rows: dict[str, float], top: float, title: str) -> None:
    """Horizontal bars of shares, the first on top, each with its number; vidsr's own in their colour."""
    part.suptitle(title, x=0.01, ha="left", fontsize=10)
    axes = part.subplots()
    colours = [OURS if name.startswith("vidsr") else THEIRS for name in rows]
    drawn = axes.barh(range(len(rows)), list(rows.values()), color=colours, height=0.72)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.set(xlim=(0, top), xticks=[1], xticklabels=["the peak"])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(length=0)
    axes.bar_label(drawn, [f"{share:.0%}" for share in rows.values()], padding=3)
    axes.axvline(1, color=FLOOR, linewidth=1, zorder=0)


def timeline(found: dict[str, Any]) -> Figure:
    """Lanes over time: a bar where a stage, or a stream of the device, works."""
    from matplotlib import pyplot

    parts = [(kind, found[kind]) for kind in ("stages", "device") if found.get(kind)]
    lanes = [(name, spans, part["busy"][name]) for _, part in parts for name, spans in part["lanes_ms"].items()]
    figure, axes = pyplot.subplots(figsize=(8, 0.3 * len(lanes) + 1.1), layout="constrained")
    for row, (name, spans, busy) in enumerate(lanes):
        colour = SERIES[2 if name in ("source", "decode") else 1 if name in ("encode", "mux") else 0]
        axes.broken_barh([(begun, max(ended - begun, 0.0)) for begun, ended in spans], (row - 0.36, 0.72), color=colour)
        axes.text(
            1.01, row, f"{busy:.0%}" if busy >= 0.01 else "< 1%", transform=axes.get_yaxis_transform(), va="center"
        )
    axes.set_yticks(range(len(lanes)), [name for name, *_ in lanes])
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("milliseconds")
    title = f"When each stage works, {found['frames']} frames of {found['size']}"
    axes.set_title(f"{title}; a colour is a thread, at the right the share of the time")
    return figure


def reuse(found: dict[str, Any]) -> Figure:
    """Points: gain by exact reuse over the gain that is possible at most."""
    from matplotlib import pyplot
    from matplotlib.ticker import FixedLocator, NullLocator

    cases = found["cases"]
    figure, axes = pyplot.subplots(figsize=(6.4, 4.6), layout="constrained")
    clips = list(dict.fromkeys(case["clip"] for case in cases))
    for case in cases:
        item, mark = case["network"], "o" if case["precision"] == "bf16" else "s"
        colour = SERIES[clips.index(case["clip"]) % len(SERIES)]
        axes.plot(item["ideal_gain"], item["gain"], mark, color=colour, markersize=6, markeredgecolor=PAPER)
    top = 1.25 * max(2.0, *(case["network"]["ideal_gain"] for case in cases))
    axes.plot([1, top], [1, top], color=INK, linewidth=1, label="all that is possible")
    axes.plot([1, top], [0.8, 0.8 * top], color=INK, linewidth=1, linestyle=(0, (4, 3)), label="80 % of it")
    for index, clip in enumerate(clips):
        axes.plot([], [], "o", color=SERIES[index % len(SERIES)], label=clip)
    for mark, name in (("o", "bf16"), ("s", "fp32")):
        axes.plot([], [], mark, color=THEIRS, label=name)
    axes.legend(frameon=False, loc="upper left")
    axes.set(xscale="log", yscale="log", xlim=(0.9, top * 1.1), ylim=(0.75, top * 1.25))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator([1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24]))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.set(xlabel="times faster at most, by the tiles that a change can reach", ylabel="times faster, measured")
    axes.set_title("Exact reuse, network only; every result equal bit for bit" if _all_equal(cases) else "Exact reuse")
    return figure


def _all_equal(cases: list[dict[str, Any]]) -> bool:
    parts = [item for case in cases for item in (case["network"], *case["program"])]
    return not any(item.get("frames_not_equal", 0) for item in parts)


CHARTS: dict[str, tuple[str, Callable[[dict[str, Any]], Figure]]] = {
    "performance-peers.png": ("peers.json", share_of_peak),
    "performance-timeline.png": ("timeline.json", timeline),
    "performance-reuse.png": ("reuse.json", reuse),
}
"""Picture, the result it is made from, and how."""


def draw(results: Path, folder: Path) -> list[str]:
    """Make every picture whose result exists; their names."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    made = []
    for name, (source, chart) in CHARTS.items():
        if not (results / source).exists():
            tell(f"{name}: no {source} in {results}")
            continue
        with pyplot.rc_context(STYLE):
            figure = chart(json.loads((results / source).read_text(encoding="utf-8")))
            figure.savefig(folder / name, dpi=160, metadata={"Software": None})
            pyplot.close(figure)
        made.append(name)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--to", type=Path, default=DOCS)
    asked = parser.parse_args()
    for name in draw(asked.results, asked.to):
        tell(f"made {asked.to / name}")


if __name__ == "__main__":
    main()
