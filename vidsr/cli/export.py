"""`vidsr export`: a network as a file for other programs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import OutputError
from ..options import parse
from .progress import listening

if TYPE_CHECKING:
    from ..models.convert import Exported
    from ..models.descriptor import Descriptor

FORMS = ("onnx", "safetensors", "torch-export", "ncnn")


@click.command()
@click.argument("model", metavar="MODEL")
@click.option("--to", "form", type=click.Choice(FORMS), required=True, help="Form of the file.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path),
    help="The file; the name of the model with the form's ending, in this folder, when not given.",
)  # fmt: skip
@click.option("--half", is_flag=True, help="Weights, and layers where the form has them, in float16.")
@click.option("-dn", "--denoise", metavar="F", help="Denoise strength, as in vidsr upscale.")
@click.option("--blend", metavar="PATH:W", multiple=True, help="Mix in another model, as in vidsr upscale.")
@click.option("-y", "--overwrite", is_flag=True, help="Replace the file when it exists.")
@click.option("--report", type=click.Path(path_type=Path), help="Write JSON to this file: what, and how exact it is.")
@click.option("--json", "as_json", is_flag=True, help="Print that JSON in place of the path.")
def export(
    model: str, form: Any, output: Path | None, half: bool, overwrite: bool, report: Path | None, as_json: bool,
    **mixing: Any,
) -> None:  # fmt: skip
    """Write the network MODEL, a name or a weights file, to a file for other programs.

    The file is run on a picture and compared with the network before it gets its name. Pictures may have any size
    that the network takes. The path goes to stdout.
    """
    chosen = parse({"model": model, **{name: value for name, value in mixing.items() if value}})
    from ..events import Notice
    from ..models.convert import SUFFIXES, export_model
    from ..models.load import load_model

    with listening() as emit:
        network = load_model(chosen.model, denoise=chosen.denoise, blend=chosen.blend, emit=emit)
        target = output or Path(f"{network.name}{SUFFIXES[form]}")
        done = export_model(network, form, target, half=half, overwrite=overwrite)
        emit(Notice(_words(done)))
    text = json.dumps(as_dict(done, network), indent=2)
    if report is not None:
        _save(report, text)
    click.echo(text if as_json else "\n".join(map(str, done.files)))


def _words(done: Exported) -> str:
    equal = done.decibels == math.inf
    apart = (
        "equal to the network" if equal else f"{done.decibels:.1f} dB from the network, worst value {done.worst:.2g}"
    )
    return f"{done.form} {done.precision}, {done.bytes / 1e6:.1f} MB, run by {done.checked_by}: {apart}"


def as_dict(done: Exported, network: Descriptor) -> dict[str, Any]:
    """All that is known of an export, as plain values; `decibels` is None when nothing differs."""
    return {
        "model": network.name,
        "architecture": network.arch,
        "scale": network.scale,
        "multiple_of": network.multiple_of,
        "weights_sha256": network.sha256,
        "licence": network.licence,
        "origin": network.origin,
        "form": done.form,
        "precision": done.precision,
        "files": [str(path) for path in done.files],
        "bytes": done.bytes,
        "sha256": list(done.sha256),
        "checked_by": done.checked_by,
        "decibels": None if done.decibels == math.inf else round(done.decibels, 2),
        "worst": done.worst,
    }


def _save(report: Path, text: str) -> None:
    try:
        report.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"--report: {report} cannot be written: {(error.strerror or str(error)).lower()}") from error
