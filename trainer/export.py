"""The result of a run as files for `vidsr upscale` and for other programs.

NAME.safetensors   the weights, with the card in the header
NAME.json          the card: what the network is, what it was trained on, how good it is, where it comes from
NAME.onnx          the network as a graph, compared with the weights before it gets its name
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidsr import __version__
from vidsr.errors import UsageError, WeightsError
from vidsr.events import Emit, Notice, ignore
from vidsr.fs import write_atomically
from vidsr.models import store
from vidsr.models.cards import read_card
from vidsr.models.convert import LEAST, Exported, compare, export_model
from vidsr.models.descriptor import Descriptor
from vidsr.models.export import about
from vidsr.models.files import digest
from vidsr.models.find import Found
from vidsr.models.importing import import_file
from vidsr.models.load import describe, load_model

from . import checkpoint
from .checkpoint import Saved
from .config import Config, parse
from .log import read_log
from .metrics.options import Export
from .portable import with_activation, write

Json = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """What `export` wrote. `onnx` is None where none was asked for or its packages are missing, which is told;
    `registered` is the name for `--model`, None where it was not asked for or is taken.
    """

    weights: Path
    card: Path
    onnx: Path | None
    registered: str | None


def export(run: Path, options: Export | None = None, *, target: Path | None = None, emit: Emit = ignore) -> Result:
    """Write the network of a run to `target`, the folder `export` of the run when None, and register its name.

    `options` are those of the run when None. Files of an earlier export are replaced. Raises UsageError when the run
    has no checkpoint, WeightsError when a file gives another picture than the network, OutputError.
    """
    saved = checkpoint.pick(run, (options or Export()).checkpoint)
    config = parse(saved.config, str(saved.path))
    options = options or config.export or Export()
    saved = checkpoint.pick(run, options.checkpoint)
    name = options.name or config.name
    network = describe(_found(saved, config, options, name))
    folder = target or run / "export"
    weights, card = folder / f"{name}.safetensors", folder / f"{name}.json"
    told = _card(network, saved, config, options, run)
    _write_weights(network, weights, told, options.half)
    _write_card(card, told)
    registered = _register(weights, name, told, options, emit) if options.register_name else None
    onnx = _onnx(network, folder / f"{name}.onnx", emit) if options.onnx else None
    if onnx is not None:
        _write_card(card, told | {"onnx": _parity(onnx)})
    return Result(weights, card, onnx.files[0] if onnx else None, registered)


def _found(saved: Saved, config: Config, options: Export, name: str) -> Found:
    state: dict[str, Tensor] = with_activation(saved.weights(options.weights), config.net)
    state = {key: value.float() for key, value in state.items()}
    return Found(
        name, state, digest(state), options.licence, f"{saved.path.parent.parent.name}, {saved.iteration} iterations"
    )


def _card(network: Descriptor, saved: Saved, config: Config, options: Export, run: Path) -> Json:
    """All that a user of the weights should know; no path of the machine they were made on."""
    return {
        "name": network.name,
        "architecture": network.arch,
        "scale": network.scale,
        "receptive_field": network.receptive_field,
        "parameters": network.parameters,
        "licence": options.licence,
        "weights": {
            "sha256": network.sha256,
            "kind": saved.kind(options.weights),
            "precision": "fp16" if options.half else "fp32",
        },
        "training": {
            "iterations": saved.iteration,
            "of": config.loop.iterations,
            "started_from": _bare(config.net.start),
            "data": [_named(item.model_dump(mode="json")) for item in config.data],
            "degradation": config.degrade.kind,
            "losses": [item.kind for item in config.losses],
            "adversarial": config.gan.loss.kind if config.gan else None,
            "config_sha256": config.digest(),
        },
        "metrics": _metrics(run, saved.iteration),
        "made": {
            "by": f"vidsr {__version__}, torch {torch.__version__}",
            "at": datetime.now(UTC).isoformat("T", "seconds"),
        },
    }


def _named(value: Any) -> Any:
    """Options of data without their folders: a name says what was used, and a path where somebody lives."""
    if isinstance(value, dict):
        return {key: _named(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_named(item) for item in value]
    return _bare(value) if isinstance(value, str) else value


def _bare(text: str | None) -> str | None:
    """The last part of a path."""
    return text and (Path(text).name or text)


def _metrics(run: Path, iteration: int) -> Json:
    """The figures of the first validation, and of the one that belongs to the weights."""
    lines = [line for line in read_log(run) if line.get("kind") == "validation"]
    figures = {line["iteration"]: _figures(line) for line in lines}
    first = min(figures, default=iteration)
    known = {} if first == iteration else {"first": {"iteration": first} | figures[first]}
    return known | ({"this": {"iteration": iteration} | figures[iteration]} if iteration in figures else {})


def _figures(line: Json) -> Json:
    """Of a line of the log; an infinite one is None."""
    said = {key: value for key, value in line.items() if key not in ("kind", "iteration")}
    return {key: value if value is not None and math.isfinite(value) else None for key, value in said.items()}


def _write_weights(network: Descriptor, path: Path, card: Json, half: bool) -> None:
    """The file, read again and compared with the network. Raises WeightsError when it gives another picture."""
    precision = "fp16" if half else "fp32"
    state = network.network.state_dict()
    state = {key: value.half() if half else value for key, value in state.items()}
    write(path, state, about(network, precision) | {"card": json.dumps(card, sort_keys=True)})
    decibels, _ = compare(network, load_model(str(path)).network)
    if not decibels >= LEAST[precision]:
        raise WeightsError(f"weights {path}, read again, are {decibels:.1f} dB from the network", "a disk that fails?")


def _write_card(path: Path, card: Json) -> None:
    write_atomically(path, f"{json.dumps(card, indent=2)}\n".encode())


def _register(weights: Path, name: str, card: Json, options: Export, emit: Emit) -> str | None:
    """Keep the weights under `name`, unless others have it."""
    kept = store.imported_file(name)
    known = read_card(kept) if kept else None
    if kept is not None and (known is None or known.source != str(weights.resolve())):
        what = f"{name} is not registered: other weights have the name, and --model {name} still means those"
        free = f"vidsr models remove {name} frees it"
        emit(Notice(f"{what}; {free}, vidsr models import {weights} --name OTHER takes another", "warning"))
        return None
    training = card["training"]
    start = f" from {training['started_from']}" if training["started_from"] else ""
    purpose = f"trained{start}, {training['iterations']} iterations, config {training['config_sha256'][:12]}"
    import_file(weights, name, purpose=purpose, licence=options.licence)
    return name


def _onnx(network: Descriptor, path: Path, emit: Emit) -> Exported | None:
    try:
        return export_model(network, "onnx", path, overwrite=True)
    except UsageError as error:  # its packages are an extra, and hours of training should not end in an error for them
        emit(Notice(f"{path.name} is not written: {error}; {error.hint}", "warning"))
        return None


def _parity(onnx: Exported) -> Json:
    """How far the graph is from the weights; `decibels` is None when nothing differs."""
    said = asdict(replace(onnx, files=()))
    said["decibels"] = None if math.isinf(onnx.decibels) else round(onnx.decibels, 2)
    return {key: said[key] for key in ("sha256", "checked_by", "decibels", "worst")}
