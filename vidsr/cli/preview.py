"""`vidsr preview`: a few telling frames in one or more ways, and what a whole run would take."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import presets
from ..errors import ExistsError, OutputError, UsageError
from ..events import clock
from ..options import Options, seconds
from .messages import table
from .progress import listening
from .upscale import GroupedCommand, option_of

if TYPE_CHECKING:
    from ..report.preview import Preview, Variant

LEFT_OUT = {
    "model", "preset", "start", "end", "frames", "report", "report_page", "dry_run", "allow_loss", "verify", "resume",
    "shards", "cluster", "work_dir", "overwrite", "suffix", "ext", "quality", "in_format", "in_size", "in_rate",
    "out_format", "audio_file",
}  # fmt: skip
"""Fields of Options that mean nothing where a few stretches of a file are tried."""


def _with_options(command: click.Command) -> click.Command:
    command.params.extend(option_of(name) for name in Options.model_fields if name not in LEFT_OUT)
    return command


@_with_options
@click.command(cls=GroupedCommand)
@click.argument("input", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The page; <stem>_preview.html beside the input when not given.",
)
@click.option(
    "--at",
    "times",
    multiple=True,
    metavar="T",
    help="A frame to show, in seconds or as [H:]MM:SS; may be given more than once.",
)
@click.option(
    "--auto",
    type=click.IntRange(1, 50),
    default=5,
    show_default=True,
    help="How many telling frames are chosen where --at names none.",
)
@click.option(
    "-n",
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="NAME|PATH",
    help="A network to try, as in vidsr upscale; may be given more than once.",
)
@click.option(
    "-p", "--preset", "named", multiple=True, metavar="NAME", help="A preset to try; may be given more than once."
)
@click.option(
    "--stretch",
    type=click.IntRange(2, 500),
    default=8,
    show_default=True,
    help="Frames that are upscaled from each shown one on, to measure time and size.",
)
@click.option(
    "--clips",
    type=click.Choice(["none", "h264", "vp9"]),
    default="none",
    show_default=True,
    help="Put these frames into the page as short videos too.",
)
@click.option("--sheets", is_flag=True, help="Write the comparisons as PNG files too, beside the page.")
@click.option(
    "--page-size",
    type=click.FloatRange(0.5, 500),
    default=13.0,
    show_default=True,
    metavar="MB",
    help="Size of the page at most, about; pictures are coded with loss where it must be.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the estimates as JSON.")
@click.option("-y", "--overwrite", is_flag=True, help="Replace the page when it exists.")
def preview(input: Path, **values: Any) -> None:  # fmt: skip
    """Try models and presets on a few frames of INPUT, before a long run.

    Telling frames are chosen: dark, fast, detailed and sharp ones, and such right after a scene cut, from all over the
    film. Only they are upscaled, as a run would do it; the page compares them with the input enlarged by bicubic
    interpolation, and says what the whole film would take on this machine in time, size and memory.
    """
    own = {name: values.pop(name) for name in ("output", "times", "auto", "models", "named", "stretch", "clips")}
    sheets, size, as_json, overwrite = (values.pop(name) for name in ("sheets", "page_size", "as_json", "overwrite"))
    given = {name: value for name, value in values.items() if value is not None and value != ()}
    target = _target(input, own["output"], overwrite)
    variants = _variants(own["models"], own["named"], given)
    times = [_time(text) for text in own["times"]]
    from ..report.page import write_page
    from ..report.preview import preview as run
    from ..report.sheets import write_sheets

    clips = None if own["clips"] == "none" else own["clips"]
    with listening() as emit:
        found = run(input, variants, times=times, auto=own["auto"], length=own["stretch"], clips=clips, emit=emit)
    nbytes = write_page(target, found.page, round(size * 1e6))
    paths = [target, *(write_sheets(target.parent, target.stem, found.page) if sheets else [])]
    click.echo(json.dumps(_plain(found, paths), indent=2) if as_json else _text(found, paths, nbytes))


def _variants(models: tuple[str, ...], named: tuple[str, ...], given: dict[str, Any]) -> list[Variant]:
    """One for each model and each preset; the default model where none is named."""
    from ..report.preview import Variant

    tried = [(Path(model).stem, {"model": model}) for model in models] + [(name, {"preset": name}) for name in named]
    tried = tried or [(presets.apply(given).model, {})]
    return [Variant(name, presets.apply(given | chosen)) for name, chosen in tried]


def _target(input: Path, output: Path | None, overwrite: bool) -> Path:
    target = output or input.with_name(f"{input.stem}_preview.html")
    if target.is_dir():
        target = target / f"{input.stem}_preview.html"
    if not target.resolve().parent.is_dir():
        raise OutputError(f"output {target}: folder {target.parent} does not exist", "create it, or name another")
    if target.exists() and (not overwrite or target.suffix.lower() not in (".html", ".htm")):
        raise ExistsError(f"output {target} exists already", "-y replaces a page, -o names another")
    return target


def _time(text: str) -> float:
    import re

    if not re.fullmatch(r"([0-9]+:){0,2}[0-9]+(\.[0-9]+)?", text):
        raise UsageError(f"--at: {text!r} is not allowed, it must be seconds such as 12.5, or a time such as 1:30")
    return float(seconds(text))


def _plain(found: Preview, paths: list[Path]) -> dict[str, Any]:
    tried = [
        {"name": one.variant.name, "model": one.plan.network.name, "width": one.plan.size[0],
         "height": one.plan.size[1], "encoder": one.plan.encoder.name, **asdict(one.estimate)}
        for one in found.tried
    ]  # fmt: skip
    return {"shown": [shot.time for shot in found.page.comparisons], "tried": tried, "files": list(map(str, paths))}


def _text(found: Preview, paths: list[Path], nbytes: int) -> str:
    rows: list[tuple[Any, ...]] = [("version", "time", "speed", "size", "memory")]
    for one in found.tried:
        whole = one.estimate
        memory = f"{whole.memory / 1e9:.1f} GB" if whole.memory else "unknown"
        size = f"{whole.size / 1e6:.1f} MB"
        rows.append((one.variant.name, clock(whole.seconds)[:-4], f"{whole.fps:.2f} fps", size, memory))
    written = [f"page {paths[0]}, {nbytes / 1e6:.1f} MB", *(f"sheet {path}" for path in paths[1:])]
    return "\n".join([table(rows), *written])
