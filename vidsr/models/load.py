"""From the name of a model to a network: a path given, the cache, an installed data package, the official release."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..errors import UsageError, WeightsError
from ..events import Emit, Notice, ignore
from . import dni, store
from .builtin import builtin
from .descriptor import ALL_DTYPES, Descriptor
from .fetch import fetch, official_url
from .files import check_sha256, digest, parse, read_bytes, read_converted, write_converted
from .recover import build
from .registry import Packaged, Weights

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
"""Allowed names of imported weights."""


@dataclass(frozen=True)
class Found:
    """A state dict and where it was found; `sha256` is that of the file as found."""

    name: str
    state: dict[str, Tensor]
    sha256: str
    licence: str
    origin: str


def load_model(spec: str, *, denoise: float | None = None, emit: Emit = ignore) -> Descriptor:
    """The network that `spec` (a built-in name, its alias, the name of imported weights, or a path) stands for.

    `denoise` in [0, 1] mixes it with its partner: 1 is the model alone, 0 the partner alone. Raises UsageError for
    unknown names and for `denoise` where there is no partner, WeightsError for weights that are missing or refused.
    """
    found = _mixed(spec, denoise, emit) if denoise is not None else find(spec, emit)
    try:
        network = build(found.state)
    except WeightsError as error:
        raise WeightsError(f"model {spec}: {error}", error.hint) from error
    if network.title.endswith(" relu"):
        emit(Notice(f"model {spec} has no PReLU slopes; its activation is taken to be ReLU", "warning"))
    return Descriptor(
        name=found.name,
        arch=network.title,
        scale=network.scale,
        receptive_field=network.receptive_field,
        multiple_of=network.multiple_of,
        minimum=network.multiple_of,
        dtypes=ALL_DTYPES,
        parameters=sum(tensor.numel() for tensor in network.parameters()),
        flops_per_pixel=network.flops_per_pixel,
        sha256=found.sha256,
        licence=found.licence,
        origin=found.origin,
        network=network,
    )


def find(spec: str, emit: Emit = ignore) -> Found:
    """The weights of `spec`, by the order this module describes."""
    item = builtin().find(spec)
    if item is not None:
        return _find_builtin(item, emit)
    imported = store.converted_file(spec)
    if NAME.fullmatch(spec) and imported.is_file():
        state, said = read_converted(imported)
        return Found(spec, state, said["sha256"], said["licence"], str(imported))
    if store.is_path(spec) or Path(spec).is_file():
        return _find_path(Path(spec).expanduser(), emit)
    return _find_builtin(builtin().get(spec), emit)


def _find_path(path: Path, emit: Emit) -> Found:
    """A file of the user's. One that is known by name must be the known one; any other is unverified."""
    path = path.with_suffix(".bin") if path.suffix.lower() == ".param" else path
    data, known = read_bytes(path), builtin().by_file(path.name)
    sha256 = check_sha256(path, data, known.sha256 if known else None)
    same = next((item for item in builtin() if sha256 in _hashes(item)), None)
    if same is None:
        emit(Notice(f"weights {path} are unverified: sha256 {sha256} is not in the list of known ones", "warning"))
    return Found(path.stem, parse(path, data), sha256, same.licence if same else "unknown", str(path))


def _hashes(item: Weights) -> set[str | None]:
    return {item.sha256, item.package.bin_sha256 if item.package else None}


def _find_builtin(item: Weights, emit: Emit) -> Found:
    if item.kind != "generator":
        raise UsageError(f"model {item.name} is a {item.kind}, which only training uses", "vidsr models list")
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
    return fetch(official_url(item.url), path, size=item.bytes, sha256=item.sha256, emit=emit)


def _read_official(item: Weights, path: Path, emit: Emit) -> Found:
    data = read_bytes(path)
    sha256 = check_sha256(path, data, item.sha256)
    if item.sha256 is None:
        emit(Notice(f"weights {path} are unverified: no sha256 is known, this file has {sha256}", "warning"))
    return Found(item.name, parse(path, data), sha256, item.licence, str(path))


def _read_package_copy(item: Weights, package: Packaged, path: Path) -> Found:
    """The copy of a data package's weights that an earlier run converted."""
    state, said = read_converted(path)
    if said.get("sha256") != package.bin_sha256:
        raise WeightsError(
            f"weights {path} were made from another file (expected sha256 {package.bin_sha256}, got {said['sha256']})",
            "delete the file; it is made again when it is needed",
        )
    return Found(item.name, state, said["sha256"], said["licence"], said["source"])


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
        write_converted(store.converted_file(item.name), found.state, found.origin, sha256, item.licence)
    except WeightsError as error:
        emit(Notice(f"weights of {item.name} are not kept: {error}", "warning"))
    return found


def _mixed(spec: str, denoise: float, emit: Emit) -> Found:
    item = builtin().find(spec)
    partner = builtin().get(item.partner) if item and item.partner else None
    if item is None or partner is None:
        able = ", ".join(known.name for known in builtin() if known.partner)
        raise UsageError(f"--denoise: model {spec!r} has no denoise strength; {able} has", "leave --denoise out")
    if not 0 <= denoise <= 1:
        raise UsageError(f"--denoise: {denoise} is not allowed, expected 0 to 1")
    first = _find_builtin(item, emit) if denoise > 0 else None
    second = _find_builtin(partner, emit) if denoise < 1 else None
    if first is None or second is None:
        return first or second or _find_builtin(item, emit)
    state = dni.mix(first.state, second.state, denoise)
    origin = f"{denoise:g} * {first.origin} + {1 - denoise:g} * {second.origin}"
    return Found(item.name, state, digest(state), item.licence, origin)


def import_file(path: Path, name: str | None = None, *, emit: Emit = ignore) -> Path:
    """Keep a user's weights in the cache under `name` (the stem of the file when None), so that `--model NAME` finds
    them. Gives the new file. Raises UsageError for names that are not allowed, WeightsError for files that are refused.
    """
    name = path.stem if name is None else name
    if not NAME.fullmatch(name):
        raise UsageError(f"name {name!r} is not allowed; up to 64 letters, digits and . _ + - are")
    if builtin().find(name) is not None:
        raise UsageError(f"name {name!r} is that of a built-in model", "give another one with --name")
    found = _find_path(path, emit)
    build(found.state)
    target = store.converted_file(name)
    write_converted(target, found.state, str(path.resolve()), found.sha256, found.licence)
    return target
