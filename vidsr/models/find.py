"""From the name of a model to its weights: the cache, an installed data package, the official release, or a path."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..errors import UsageError, WeightsError
from ..events import Emit, Notice, ignore
from . import store
from .builtin import builtin
from .cards import Card, read_card
from .fetch import fetch, official_url
from .files import check_sha256, parse, read_bytes, read_converted, write_converted
from .registry import Kind, Packaged, Weights

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
"""Allowed names of imported weights."""

GENERATORS: tuple[Kind, ...] = ("generator",)
"""What --model takes."""

USES: dict[Kind, str] = {
    "generator": "--model takes",
    "discriminator": "only training uses",
    "face-restorer": "--face-enhance takes",
    "face-detector": "finds faces and --model does not take",
    "face-parser": "--face-enhance uses by itself",
}


@dataclass(frozen=True)
class Found:
    """A state dict, or the content of an ONNX file, and where it was found; `sha256` is that of the file as found."""

    name: str
    state: dict[str, Tensor]
    sha256: str
    licence: str
    origin: str
    graph: bytes = b""


def find(spec: str, emit: Emit = ignore, kinds: Collection[Kind] = GENERATORS) -> Found:
    """The weights that `spec` stands for: a built-in name or its alias, the name of imported weights, or a path.

    Raises UsageError for unknown names and for built-in weights of other `kinds`, WeightsError for weights that are
    missing or refused.
    """
    item = builtin().find(spec)
    if item is not None:
        return find_builtin(item, emit, kinds)
    imported = store.imported_file(spec) if NAME.fullmatch(spec) else None
    if imported is not None:
        return _find_imported(spec, imported)
    if store.is_path(spec) or Path(spec).is_file():
        return find_path(Path(spec).expanduser(), emit)
    return find_builtin(builtin().get(spec), emit, kinds)


def _find_imported(name: str, path: Path) -> Found:
    """Weights kept in the cache under a name. Raises WeightsError when they were altered since."""
    if path.suffix == ".onnx":
        card, data = read_card(path), read_bytes(path)
        if card is None:
            raise WeightsError(f"weights {path} have no card", f"vidsr models remove {name}, and import them again")
        return Found(name, {}, check_sha256(path, data, card.sha256), card.licence, str(path), data)
    state, card = read_converted(path)
    return Found(name, state, card.sha256, card.licence, str(path))


def find_path(path: Path, emit: Emit) -> Found:
    """A file of the user's. One that is known by name must be the known one; any other is unverified."""
    path = path.with_suffix(".bin") if path.suffix.lower() == ".param" else path
    data, known = read_bytes(path), builtin().by_file(path.name)
    sha256 = check_sha256(path, data, known.sha256 if known else None)
    same = next((item for item in builtin() if sha256 in _hashes(item)), None)
    if same is None:
        emit(Notice(f"weights {path} are unverified: sha256 {sha256} is not in the list of known ones", "warning"))
    graph = data if path.suffix.lower() == ".onnx" else b""
    state = {} if graph else parse(path, data)
    return Found(path.stem, state, sha256, same.licence if same else "unknown", str(path), graph)


def _hashes(item: Weights) -> set[str | None]:
    return {item.sha256, item.package.bin_sha256 if item.package else None}


def find_builtin(item: Weights, emit: Emit, kinds: Collection[Kind] = GENERATORS) -> Found:
    """The weights of a built-in network. Raises UsageError for those that are of none of `kinds`."""
    if item.kind not in kinds:
        raise UsageError(f"model {item.name} is a {item.kind}, which {USES[item.kind]}", "vidsr models list")
    official, converted = store.official_file(item), store.converted_file(item.name)
    if official.is_file():
        return _read_official(item, official, emit)
    if item.package is not None and converted.is_file():
        return _read_package_copy(item, item.package, converted)
    files = store.packaged_files(item.package)
    if item.package is not None and files is not None:
        return _convert(item, item.package, files, emit)
    return _read_official(item, download(item, emit), emit)


def download(item: Weights, emit: Emit = ignore) -> Path:
    """Fetch the official file of `item` into the cache, unless it is there already; gives its path."""
    path = store.official_file(item)
    if item.embedded:
        return path
    return fetch(official_url(item.url), path, size=item.bytes, sha256=item.sha256, emit=emit)


def _read_official(item: Weights, path: Path, emit: Emit) -> Found:
    data = read_bytes(path)
    sha256 = check_sha256(path, data, item.sha256)
    if item.sha256 is None:
        emit(Notice(f"weights {path} are unverified: no sha256 is known, this file has {sha256}", "warning"))
    graph = data if path.suffix.lower() == ".onnx" else b""
    return Found(item.name, {} if graph else parse(path, data), sha256, item.licence, str(path), graph)


def _read_package_copy(item: Weights, package: Packaged, path: Path) -> Found:
    """The copy of a data package's weights that an earlier run converted."""
    state, card = read_converted(path)
    if card.sha256 != package.bin_sha256:
        raise WeightsError(
            f"weights {path} were made from another file (expected sha256 {package.bin_sha256}, got {card.sha256})",
            "delete the file; it is made again when it is needed",
        )
    return Found(item.name, state, card.sha256, card.licence, card.source)


def _convert(item: Weights, package: Packaged, files: tuple[Path, Path], emit: Emit) -> Found:
    """The weights in a data package; a copy is kept as safetensors, without which the next run converts again."""
    param, binary = files
    check_sha256(param, read_bytes(param), package.param_sha256)
    data = read_bytes(binary)
    sha256 = check_sha256(binary, data, package.bin_sha256)
    found = Found(
        item.name, parse(binary, data), sha256, item.licence, f"package {package.distribution}: {binary.name}"
    )
    try:
        write_converted(store.converted_file(item.name), found.state, Card(found.origin, sha256, item.licence, ""))
    except WeightsError as error:
        emit(Notice(f"weights of {item.name} are not kept: {error}", "warning"))
    return found
