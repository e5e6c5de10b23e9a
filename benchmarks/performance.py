"""The tables of docs/performance.md, docs/long-runs.md and README.md, made from benchmarks/results.

    python -m benchmarks.performance            writes them into the pages, between their marks; the prose stays
    python -m benchmarks.performance --check    says whether they are those of the results

A table or picture begins with `<!-- table: NAME -->` and ends with `<!-- end -->`. What was not measured says so.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from .charts import published
from .common import RESULTS

DOCS = Path(__file__).parent.parent / "docs"
PAGES = (DOCS / "performance.md", DOCS / "long-runs.md", DOCS.parent / "README.md")
MARKS = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

Row = tuple[object, ...]


def markdown(head: Row, rows: Iterable[Row], numbers: bool = True) -> str:
    """A table; the first column is text, all others are numbers if `numbers`."""
    lines = [head, ("---", *("---:" if numbers else "---" for _ in head[1:])), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _range(values: dict[str, float], form: str = ".2f") -> str:
    """Median, smallest and largest."""
    return f"{values['median']:{form}} ({values['min']:{form}} … {values['max']:{form}})"


def peers(found: dict[str, Any]) -> str:
    """Every contestant: time, rate, shares of the peaks, times slower than vidsr's model only, and its picture."""
    slower, pictures = found["times_slower_than_model_only"], found["difference"]["pictures"]

    def rows() -> Iterator[Row]:
        for name, row in sorted(found["contestants"].items(), key=lambda item: item[1]["seconds_median"]):
            if name.startswith("peak"):
                continue
            shares = [f"{row['share_of_peak'][kind]['median']:.0%}" for kind in found["peak_gflops"]]
            seen = pictures.get(name)
            apart = "" if seen is None else f"{seen['worst_code']}, {seen['psnr_db'] or '∞'} dB"
            times = _range(slower[name]) if name in slower else "1"
            rate = f"{row['gflops']['median']:.1f}"
            yield name, f"{row['seconds_median'] * 1000:.1f}", rate, *shares, times, apart

    frame = found["frame"]
    peak = ", ".join(f"{kind} {values['median']:.1f} GFLOP/s" for kind, values in found["peak_gflops"].items())
    shares = [f"of {kind} peak" for kind in found["peak_gflops"]]
    last = f"worst code and dB to {found['difference']['against']}"
    head = ("", "ms per frame", "GFLOP/s", *shares, "times slower than model only", last)
    command = found["command_line"]
    steady, share = command["seconds_per_frame"]["steady"]["median"], _range(command["share_of_model_only"])
    return (
        f"{frame['model']}, {frame['width']}x{frame['height']}, {found['threads']['torch']} threads, {found['rounds']} "
        f"rounds. Measured peak of the 3x3 convolution: {peak}. {_about(found)}\n\n{markdown(head, rows())}\n\n"
        f"The command line took {steady * 1000:.1f} ms per frame between its first and its last frame: {share} of the "
        f"speed of model only.{_absent(found)}"
    )


def speeds(found: dict[str, Any]) -> str:
    """The contestants a user would choose between, by the time for a frame."""
    slower, frame = found["times_slower_than_model_only"], found["frame"]
    chosen = {
        "vidsr, the network": None, "vidsr, the whole command line": "vidsr, command line, steady",
        "ncnn, its fastest": "ncnn bf16",
        "PyTorch as it is, fp32": "PyTorch fp32", "Real-ESRGAN (`RealESRGANer.enhance`)": "reference, enhance",
    }  # fmt: skip
    took = {name: item["seconds_median"] * 1000 for name, item in found["contestants"].items()}
    rows = (
        (shown, f"{took[name or found['model_only']]:.0f}", _range(slower[name]) if name else "1")
        for shown, name in chosen.items()
        if name is None or name in took
    )
    table = markdown(("", "ms per frame", "times the network alone"), rows)
    return f"{frame['model']}, {frame['width']}x{frame['height']}, in turn in one run. {_about(found)}\n\n{table}"


def _absent(found: dict[str, Any]) -> str:
    return "".join(f" Without {name}: {why}." for name, why in found["absent"].items())


def _about(found: dict[str, Any]) -> str:
    machine = found["machine"]
    torch = machine["versions"]["torch"]
    return f"{machine['processor']}, {machine['cores']} cores, PyTorch {torch}, commit {machine['commit'][:7]}."


def others(found: dict[str, Any] | None = None) -> str:
    """What others publish; needs no result of ours."""
    rows = (
        (row["who"], row["gpu"], row["network"], f"{row['tflops']:g}", f"{row['peak']:g}", f"{row['share']:.0%}",
         ("derived from " if row["derived"] else "") + row["source"])
        for row in published()
    )  # fmt: skip
    return markdown(("", "GPU", "network", "TFLOP/s", "dense fp16 peak", "share", "source"), rows, numbers=False)


def reuse(found: dict[str, Any]) -> str:
    """Every case of exact reuse: whether it is exact, and its gains."""

    def rows() -> Iterator[Row]:
        for case in found["cases"]:
            item, name = case["network"], f"{case['clip']}, {case['size']}, {case['precision']}"
            wrong = item["frames_not_equal"] + sum(part.get("frames_not_equal", 0) for part in case["program"])
            yield (
                name, item["frames"], item["held"], wrong, f"{item['work_share']:.3f}", f"{item['ideal_gain']:.2f}",
                f"{item['gain']:.2f}", f"{item['share_of_ideal']:.0%}",
                f"{item['held_frame_planes']:.2%}", f"{item['overhead_where_nothing_is_reused']:.1%}",
                f"{item['cache_bytes_per_pixel'] / 1000:.2f}",
            )  # fmt: skip

    head = (
        "clip, size, precision", "frames", "held", "not equal", "work", "at most", "gain", "share of it",
        "a held frame", "where nothing is reused", "cache, KB per pixel",
    )  # fmt: skip
    return f"{_about(found)}\n\n{markdown(head, rows())}"


def exact(found: dict[str, Any]) -> str:
    """How often results with and without reuse were compared, and how often they differed."""
    rows = (
        (f"{case['clip']}, {case['size']}", case["precision"], case["network"]["frames"],
         case["network"]["frames_not_equal"], *(part["frames_not_equal"] for part in case["program"]))
        for case in found["cases"]
    )  # fmt: skip
    head = ("clip, size", "precision", "frames", "network", "program, whole frames", "program, tiles of 96")
    return f"Frames that differ in any bit. {_about(found)}\n\n{markdown(head, rows)}"


def near(found: dict[str, Any]) -> str:
    """`--reuse near:T` against exact."""
    rows = (
        (f"{case['clip']}, {case['size']}, {case['precision']}", part["reuse"], f"{part['gain']:.2f}",
         f"{part['psnr_to_exact_db'] or '∞'} dB")
        for case in found["cases"] for part in case["program"] if part["reuse"].startswith("near")
    )  # fmt: skip
    return markdown(("clip, size, precision", "", "times faster than off", "to exact"), rows)


def pipeline(found: dict[str, Any]) -> str:
    """What the pipeline costs besides pixels."""
    costs = found["microseconds_per_frame"] | {"all, one thread": found["microseconds_in_all"]}
    table = markdown(("stage", "µs per frame"), ((name, f"{cost:.1f}") for name, cost in costs.items()))
    carried = [f"With {_device(run)} it carries {_range(run['fps'], '.0f')} fps." for run in found["runs"]]
    size = f"{found['input']} to {found['output']}, batches of {found['batch']}, {found['frames']} frames."
    return f"{size} {_about(found)}\n\n{table}\n\n{' '.join(carried)} The goal is {found['goal_fps']} fps."


def _device(run: dict[str, Any]) -> str:
    return f"a device of {run['device_fps']:.0f} fps" if run["device_fps"] else "a device that takes no time"


def gpu(found: dict[str, Any]) -> str:
    """Everything of the suite that has a rate, step by step."""
    machine = found["machine"]
    parts = [f"{machine.get('gpu', 'CPU')}, PyTorch {machine['versions']['torch']}, commit {machine['commit'][:7]}."]
    for name, step in found["steps"].items():
        rated = {key: item for key, item in step["items"].items() if {"tflops", "fps", "gb_s"} & item.keys()}
        if rated:
            rows = (
                (key, *(_number(item.get(unit)) for unit in ("fps", "tflops", "gb_s"))) for key, item in rated.items()
            )
            parts.append(f"**{name}**\n\n{markdown(('', 'fps', 'TFLOP/s', 'GB/s'), rows)}")
        failed = [f"{key}: {item['error']}" for key, item in step["items"].items() if "error" in item]
        parts += [f"* {text}" for text in (*failed, *(step[word] for word in ("skipped", "error") if word in step))]
    return "\n\n".join(parts)


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, int | float) else ""


def scaling(found: dict[str, Any]) -> str:
    """Sharded runs of workers that only wait, and what a segment costs besides its frames."""
    rows = (
        (run["workers"], run["segments"], run["frames"], f"{run['seconds']:.1f}", f"{run['efficiency']:.1%}")
        for run in found["runs"]
    )
    cost, bare = found["per_segment"], found["bare"][0]
    table = markdown(("workers", "segments", "frames", "seconds", "of the ideal"), rows)
    once = f"A run of {bare['frames']} such frames that take no time took {bare['seconds']:.2f} s"
    each = f"each further segment adds {cost['seconds'] * 1000:.0f} ms of a worker"
    lead = f"{cost['supervisor_cpu_seconds'] * 1000:.1f} s of the supervisor's processor for 1,000 segments"
    return (
        f"Workers whose device takes {found['delay']:g} s per frame. {_about(found)}\n\n{table}\n\n{once}; {each}, and "
        f"{lead}. Loading PyTorch, 2 to 4 s once for each worker, is left out."
    )


def kills(found: dict[str, Any]) -> str:
    """Runs that were killed at random moments."""
    killed = found["kills"]
    who = f"{killed['supervisor']} times the supervisor, {killed['worker']} times a worker"
    left = f"{found['processes_left']} processes and {found['files_left']} files were left"
    return (
        f"{found['trials']} films were killed {killed['supervisor'] + killed['worker']} times by SIGKILL at random "
        f"moments ({who}), and {found['journals_cut']} journals cut at a random byte. After the last rerun "
        f"{found['equal_to_undisturbed']} results equalled that of an undisturbed run; an incomplete file had the "
        f"final name {found['partial_outputs']} times; {left}. {_about(found)}"
    )


TABLES: dict[str, tuple[str | None, Callable[[Any], str]]] = {
    "peers": ("peers.json", peers),
    "speeds": ("peers.json", speeds),
    "published": (None, others),
    "reuse": ("reuse.json", reuse),
    "exact": ("reuse_exact.json", exact),
    "near": ("reuse.json", near),
    "pipeline": ("pipeline_cost.json", pipeline),
    "gpu": ("gpu_suite.json", gpu),
    "scaling": ("scaling.json", scaling),
    "kills": ("kills.json", kills),
}
"""Each table, the result it is made from, and how."""


PICTURES = {
    "picture-peers": ("performance-peers.png", "bars: share of the peak by contestant, and as others publish it"),
    "picture-reuse": ("performance-reuse.png", "points: gain by exact reuse over the gain that is possible"),
    "picture-timeline": ("performance-timeline.png", "lanes over time: when each stage works"),
}
"""Each picture that `benchmarks.charts` makes, and what it shows in words."""


def table(name: str, results: Path = RESULTS) -> str:
    """The Markdown of a table or a picture. Raises KeyError for names that none has."""
    if name in PICTURES:
        file, words = PICTURES[name]
        return f"![{words}]({file})" if (DOCS / file).exists() else f"Not drawn yet: {words}."
    source, make = TABLES[name]
    if source is None:
        return make(None)
    if not (results / source).exists():
        return f"Not measured yet: there is no `benchmarks/results/{source}`."
    return make(json.loads((results / source).read_text(encoding="utf-8")))


def filled(page: str, results: Path = RESULTS) -> str:
    """The page with every table as the results make it."""
    return MARKS.sub(lambda found: f"{found[1]}\n{table(found[2], results)}\n\n{found[3]}", page)


def main(words: list[str]) -> int:
    pages = {path: path.read_text(encoding="utf-8") for path in PAGES}
    if "--check" in words:
        return int(any(page != filled(page) for page in pages.values()))
    for path, page in pages.items():
        path.write_text(filled(page), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
