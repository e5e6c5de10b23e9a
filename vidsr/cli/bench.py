"""`vidsr bench`: how fast this machine does the main job, and what holds it up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import OutputError, UsageError
from ..options import parse
from .messages import check_page, table
from .progress import listening

if TYPE_CHECKING:
    from ..bench import Ceilings, Measured
    from ..report.model import Page

SIZES = {"640x360": (640, 360), "1280x720": (1280, 720), "1920x1080": (1920, 1080)}


@click.command()
@click.option("-n", "-m", "--model", metavar="NAME|PATH", help="Network, as in vidsr upscale.")
@click.option(
    "--size", type=click.Choice([*SIZES, "all"]), default="1280x720", show_default=True,
    help="Size of the clip that is made and upscaled.",
)  # fmt: skip
@click.option("--input", "source", type=click.Path(path_type=Path), help="A clip of your own, in place of a made one.")
@click.option("--precision", metavar="KIND", help="Number format of the network, as in vidsr upscale.")
@click.option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--runtime", metavar="NAME", help="What runs the network, as in vidsr upscale.")
@click.option(
    "--frames", type=click.IntRange(1, 10_000), help="Frames to measure; as many as take ten seconds when not given."
)
@click.option("--page", type=click.Path(path_type=Path), metavar="FILE.html", help="Write a page to this file too.")
@click.option("--json", "target", type=click.Path(path_type=Path), help="Write JSON to this file; - prints it.")
def bench(
    source: Path | None, size: str, frames: int | None, target: Path | None, page: Path | None, **choices: str | None
) -> None:
    """Measure this machine: its ceilings, every stage alone, and the whole job.

    Nothing is reused between frames. The table goes to stdout: frames per second of each stage alone and end to end,
    TFLOP/s of the network and its share of the peak that convolutions reached here.
    """
    options = parse({name: value for name, value in choices.items() if value is not None})
    if target is not None and str(target) != "-" and not target.resolve().parent.is_dir():
        raise UsageError(f"--json: folder {target.parent} does not exist", "create it, or name another")
    check_page(page)
    from ..bench import measure, measure_ceilings
    from ..events import Notice
    from ..runtime.choose import check_name

    check_name(options.runtime)
    with listening() as emit:
        emit(Notice("measuring what the device can do at most"))
        peaks = measure_ceilings(options.device)
        found = []
        for item in _sources(source, size):
            emit(Notice(f"measuring {item if isinstance(item, Path) else f'{item[0]}x{item[1]}'}"))
            found.append(measure(item, options, peaks, frames, emit))
    if page is not None:
        from ..report.page import write_page

        write_page(page, page_of(peaks, found))
    _tell(peaks, found, target)


def _sources(source: Path | None, size: str) -> list[Path | tuple[int, int]]:
    if source is not None:
        return [source]
    return list(SIZES.values()) if size == "all" else [SIZES[size]]


def _tell(peaks: Ceilings, found: list[Measured], target: Path | None) -> None:
    text = json.dumps(as_json(peaks, found), indent=2)
    if target is not None and str(target) == "-":
        click.echo(text)
        return
    if target is not None:
        try:
            target.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise OutputError(
                f"--json: {target} cannot be written: {(error.strerror or str(error)).lower()}"
            ) from error
    click.echo("\n\n".join([_ceilings(peaks), *map(_one, found)]))


def page_of(peaks: Ceilings, found: list[Measured]) -> Page:
    """The same as a page: a plot of the stages and a table for each size."""
    from ..report.model import Page, Plot, Table

    summary = [(f"Convolution {kind}", f"{peak.tflops:.3f} TFLOP/s") for kind, peak in peaks.convolution.items()]
    summary.append(("Memory copy", f"{peaks.copy_gb_s:.1f} GB/s"))
    plots, tables = [], []
    for item in found:
        name = f"{item.model}, {item.size[0]}x{item.size[1]}"
        speeds = {**item.stages, "end to end": item.end_to_end}
        costs = {stage: 1000 * speed.seconds / speed.frames for stage, speed in speeds.items()}
        places = list(range(len(costs)))
        plots.append(Plot(name, places, {"ms": list(costs.values())}, "", "ms for a frame", "bars", list(costs)))
        rows = [(stage, f"{costs[stage]:.2f} ms", _fps(speed.fps)) for stage, speed in speeds.items()]
        rows.append(("network", f"{item.network_tflops:.3f} TFLOP/s", f"{item.share_of_peak:.0%} of the peak"))
        tables.append(
            Table(f"{name}, {item.device}, {item.runtime} {item.precision}", ("Stage", "Time", "Speed"), rows)
        )
    return Page("How fast this machine is", summary, plots=plots, tables=tables)


def as_json(peaks: Ceilings, found: list[Measured]) -> dict[str, Any]:
    """Everything that was measured, as plain values; seconds are of all frames together."""
    from dataclasses import asdict

    def speed(item: Any) -> dict[str, Any]:
        fps = round(item.fps, 3) if item.seconds else None
        return {"frames": item.frames, "seconds": round(item.seconds, 6), "fps": fps}

    def measured(item: Measured) -> dict[str, Any]:
        stages = {name: speed(stage) for name, stage in item.stages.items()}
        whole = {"stages": stages, "end_to_end": speed(item.end_to_end), "bound_by": item.bound_by}
        return {**asdict(item), "size": f"{item.size[0]}x{item.size[1]}", **whole}

    return {"ceilings": asdict(peaks), "measured": [measured(item) for item in found]}


def _ceilings(peaks: Ceilings) -> str:
    rows = [
        (f"  convolution {kind}", f"{peak.tflops:.3f} TFLOP/s", f"3x3, 64 to 64, {peak.shape}")
        for kind, peak in peaks.convolution.items()
    ]
    return f"ceilings\n{table([*rows, ('  memory copy', f'{peaks.copy_gb_s:.1f} GB/s', 'read and written')])}"


def _one(item: Measured) -> str:
    """The table of one size."""
    title = f"{item.model} x{item.scale}, {item.size[0]}x{item.size[1]}, {item.device}, {item.runtime} {item.precision}"
    rows = [
        (f"  {name}", _fps(stage.fps), f"{1000 * stage.seconds / stage.frames:.2f} ms")
        for name, stage in item.stages.items()
    ]
    whole = item.end_to_end
    rows.append(("  end to end", _fps(whole.fps), f"{1000 * whole.seconds / whole.frames:.2f} ms"))
    network = f"  network  {item.network_tflops:.3f} TFLOP/s"
    share = f", {item.share_of_peak:.0%} of the peak of {item.precision}" if item.share_of_peak else ""
    return f"{title}\n{table(rows)}\n{network}{share}; bound by {item.bound_by}"


def _fps(fps: float) -> str:
    return f"{fps:.2f} fps" if fps < 1e5 else "no time"
