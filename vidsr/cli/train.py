"""`vidsr train`: train and fine-tune networks. The trainer is imported by the commands that need it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import InputError, UsageError
from .messages import table
from .progress import listening

if TYPE_CHECKING:
    from ..events import Emit

CONFIG = click.argument("config", metavar="CFG", type=click.Path(path_type=Path))
FOLDER = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
OVERRIDES = click.argument("overrides", metavar="[KEY=VALUE]...", nargs=-1)


@click.group()
def train() -> None:
    """Train and fine-tune networks on videos and pictures.

    A run is described by a YAML file; vidsr train init writes one that works. KEY=VALUE changes one of its values,
    such as loop.batch=4 or losses.0.weight=0.5. Several processes: torchrun --nproc-per-node N -m vidsr train run CFG.
    """


@train.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_recipes(as_json: bool) -> None:
    """List the recipes."""
    from trainer import recipes

    rows = [(name, recipes.description(name)) for name in recipes.names()]
    click.echo(json.dumps(dict(rows), indent=2) if as_json else table(list(rows)))


@train.command()
@click.argument("recipe")
@OVERRIDES
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The file; RECIPE.yaml in this folder when not given."
)
def init(recipe: str, overrides: tuple[str, ...], output: Path | None) -> None:
    """Write the configuration of RECIPE to a file, to be changed and run. The path goes to stdout."""
    from trainer import recipes

    target = output or Path(f"{recipe}.yaml")
    recipes.write(recipe, target, overrides)
    click.echo(target)


@train.command()
def schema() -> None:
    """Print the JSON schema of configurations, for editors."""
    from trainer.config import schema as made

    click.echo(json.dumps(made(), indent=2))


@train.command()
@CONFIG
@OVERRIDES
@click.option("--sheet", type=click.Path(path_type=Path), help="Write LQ and GT of samples side by side to this PNG.")
@click.option("--samples", type=click.IntRange(1, 256), default=8, show_default=True, help="Samples on the sheet.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(config: Path, overrides: tuple[str, ...], sheet: Path | None, samples: int, as_json: bool) -> None:
    """Check the configuration CFG, the weights that it names, and every file of its data.

    What is found goes to stdout: errors would end a run or cost it files, warnings are trained on as they are.
    """
    from trainer.config import load

    chosen = load(config, overrides)
    from trainer.inspect import draw_sheet, inspect

    with listening() as emit:
        found = list(inspect(chosen, emit))
        errors = sum(finding.level == "error" for finding in found)
        if sheet is not None and not errors:
            draw_sheet(chosen, sheet, samples, emit)
    lines = [f"{finding.level}: {finding.text}" for finding in found]
    click.echo(json.dumps([asdict(finding) for finding in found], indent=2) if as_json else "\n".join(lines))
    if errors:
        raise InputError(f"{config}: {errors} of {len(found)} findings are errors", "what they are is on stdout")


@train.command()
@CONFIG
@OVERRIDES
@click.option("-o", "--folder", type=click.Path(path_type=Path), help="Of the run; runs/NAME when not given.")
def run(config: Path, overrides: tuple[str, ...], folder: Path | None) -> None:
    """Train by the configuration CFG, in a folder that is empty or not there yet.

    Ctrl-C finishes the iteration, saves, and ends with 130; a second one ends at once. The folder goes to stdout.
    """
    from trainer.config import load

    chosen = load(config, overrides)
    target = folder or Path("runs") / chosen.name
    from trainer.run import start

    with listening() as emit:
        start(chosen, target, emit)
    _say(target)


@train.command()
@FOLDER
def resume(folder: Path) -> None:
    """Go on with the run in DIR after it was stopped, killed, or ran out of time, exactly where its last checkpoint is.

    The folder goes to stdout.
    """
    from trainer.run import resume as go_on

    with listening() as emit:
        go_on(folder, emit)
    _say(folder)


def _say(folder: Path) -> None:
    """The result, once for all processes of torchrun."""
    if os.environ.get("RANK", "0") == "0":
        click.echo(folder)


@train.command()
@FOLDER
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder of the files; DIR/export when not given.")
@click.option(
    "--weights", type=click.Choice(["ema", "swa", "net"]), help="Which weights; as configured when not given."
)
@click.option("--checkpoint", type=click.Choice(["best", "last"]), help="Which one; as configured when not given.")
@click.option("--pth", is_flag=True, help="Write net_g and net_d as .pth in the layout of the reference, and no more.")
def export(folder: Path, output: Path | None, pth: bool, **chosen: str | None) -> None:
    """Write the network of the run in DIR as files, and keep it under its name for vidsr upscale --model NAME.

    The paths go to stdout.
    """
    given = {name: value for name, value in chosen.items() if value is not None}
    with listening() as emit:
        paths = _as_pth(folder, output, given) if pth else _as_model(folder, output, given, emit)
    click.echo("\n".join(map(str, paths)))


def _as_model(folder: Path, output: Path | None, given: dict[str, str], emit: Emit) -> list[Path]:
    from trainer import checkpoint
    from trainer.config import parse
    from trainer.export import export as write
    from trainer.metrics.options import Export

    known = parse(checkpoint.pick(folder, "last").config).export or Export()
    done = write(folder, known.model_copy(update=given), target=output, emit=emit)
    return [path for path in (done.weights, done.card, done.onnx) if path is not None]


def _as_pth(folder: Path, output: Path | None, given: dict[str, str]) -> list[Path]:
    from trainer import checkpoint, reference

    if "weights" in given:
        raise UsageError("--weights and --pth exclude each other: a .pth holds both", "leave --weights out")
    return reference.write(checkpoint.pick(folder, given.get("checkpoint", "last")), output or folder / "export")
