"""Weights of the user's under a name of their own, in the cache."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..errors import OutputError, UsageError, WeightsError
from ..events import Emit, ignore
from ..fs import write_atomically
from . import store
from .archs import compact
from .archs.compact import SLOPES, Activation
from .builtin import builtin
from .cards import Card, beside
from .files import digest, write_converted
from .find import NAME, Found, find_path
from .load import describe


def import_file(
    path: Path,
    name: str | None = None,
    *,
    purpose: str = "",
    licence: str = "",
    url: str = "",
    activation: Activation | None = None,
    emit: Emit = ignore,
) -> Path:
    """Keep a user's weights in the cache under `name` (the stem of the file when None), so that `--model NAME` finds
    them; gives the new file. ONNX files stay as they are, all others are kept as safetensors.

    `purpose`, `licence` and `url` go into the card. `activation` is that of an SRVGGNetCompact whose weights do not
    tell. Raises UsageError for names that are not allowed, WeightsError for files that are refused.
    """
    name = path.stem if name is None else name
    if not NAME.fullmatch(name):
        raise UsageError(f"name {name!r} is not allowed; up to 64 letters, digits and . _ + - are")
    if builtin().find(name) is not None:
        raise UsageError(f"name {name!r} is that of a built-in model", "give another one with --name")
    found = find_path(path, emit)
    found = replace(found, licence=licence or found.licence)
    if activation is not None:
        found = _activated(found, activation)
    made = describe(found, str(path), emit)
    said = {"purpose": purpose, "url": url, "architecture": made.arch}
    card = Card(str(path.resolve()), found.sha256, found.licence, "", scale=made.scale, **said)
    target = _keep(found, name, card)
    for other in store.imported_files(name):
        if other != target:
            _delete(other)
    return target


def _activated(found: Found, activation: Activation) -> Found:
    """The same weights with slopes; they are others now, and so is their hash."""
    if found.graph or not compact.matches(found.state):
        raise UsageError("--activation: only SRVGGNetCompact has a choice of activations", "leave --activation out")
    if "body.1.weight" in found.state:
        raise UsageError("--activation: these weights have PReLU slopes, which tell it", "leave --activation out")
    if activation == "prelu":
        raise UsageError("--activation: prelu needs slopes, which these weights do not have")
    state = compact.with_slopes(found.state, SLOPES[activation])
    return replace(found, state=state, sha256=digest(state))


def _keep(found: Found, name: str, card: Card) -> Path:
    if not found.graph:
        target = store.converted_file(name)
        write_converted(target, found.state, card)
        return target
    target = store.kept_graph(name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(beside(target), f"{card.text()}\n".encode())
        write_atomically(target, found.graph)
    except (OSError, OutputError) as error:
        raise WeightsError(f"weights folder {target.parent} cannot be written: {error}", "set VIDSR_HOME") from error
    return target


def remove(name: str) -> list[Path]:
    """Delete what the cache keeps of `name`: imported weights, or the download and the copy of a built-in model, which
    come back when they are needed. Gives the files. Raises UsageError when there is nothing to delete.
    """
    item = builtin().find(name)
    kept = store.imported_files(item.name if item else name)
    if item is not None and not item.embedded and store.official_file(item).is_file():
        kept.append(store.official_file(item))
    if not kept:
        known = ", ".join(store.imported_names()) or "none are"
        raise UsageError(f"no weights of {name!r} are in the cache; imported: {known}", "vidsr models list")
    for path in kept:
        _delete(path)
    return kept


def _delete(path: Path) -> None:
    try:
        path.unlink()
        beside(path).unlink(missing_ok=True)
    except OSError as error:
        raise WeightsError(f"weights {path} cannot be deleted: {error.strerror}") from error
