"""Where weights lie on this machine. Knows files and names; opens nothing and needs no torch."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .registry import Packaged, Weights

SUFFIXES = (".pth", ".pt", ".ckpt", ".pt2", ".safetensors", ".onnx", ".param", ".bin")
"""Endings that mark a model given as a path."""


def cache_folder() -> Path:
    """`$VIDSR_HOME/weights`, or `weights` in the platform's cache folder. It need not exist."""
    import platformdirs  # here and below: `vidsr --help` needs neither

    home = os.environ.get("VIDSR_HOME")
    return (Path(home).expanduser() if home else platformdirs.user_cache_path("vidsr", appauthor=False)) / "weights"


def official_file(item: Weights) -> Path:
    """Where the file of the official release is kept once downloaded, or lies inside vidsr."""
    return (Path(__file__).parent.parent / item.embedded) if item.embedded else cache_folder() / item.file_name


def converted_file(name: str) -> Path:
    """Where weights converted from a package, or imported by the user under `name`, are kept."""
    return cache_folder() / f"{name}.safetensors"


def kept_graph(name: str) -> Path:
    """Where an ONNX file imported by the user under `name` is kept."""
    return cache_folder() / f"{name}.onnx"


def imported_files(name: str) -> list[Path]:
    """The files that are kept under `name`, imported or converted."""
    return [path for path in (converted_file(name), kept_graph(name)) if path.is_file()]


def imported_file(name: str) -> Path | None:
    """The file that is kept under `name`, None when there is none."""
    return next(iter(imported_files(name)), None)


def imported_names() -> list[str]:
    """Names under which weights lie in the cache."""
    kept = [path for ending in ("safetensors", "onnx") for path in cache_folder().glob(f"*.{ending}")]
    return sorted({path.stem for path in kept if not path.name.startswith(".")})


def packaged_files(packaged: Packaged | None) -> tuple[Path, Path] | None:
    """(.param, .bin) in the installed data package, None when it is not installed. The package is not imported."""
    if packaged is None:
        return None
    pairs = zip(_installed(packaged.param), _installed(packaged.bin), strict=False)
    return next(((param, binary) for param, binary in pairs if param.is_file() and binary.is_file()), None)


def _installed(path: str) -> Iterator[Path]:
    module, _, rest = path.partition("/")
    spec = importlib.util.find_spec(module)
    for location in (spec and spec.submodule_search_locations) or ():
        yield Path(location) / rest


def locate(item: Weights) -> Path | None:
    """The file that would be used for `item` without downloading: cached official, cached converted, in a package."""
    for path in (official_file(item), converted_file(item.name)):
        if path.is_file():
            return path
    found = packaged_files(item.package)
    return found and found[1]


def is_path(spec: str) -> bool:
    """Whether a `--model` means a file rather than a name."""
    return Path(spec).suffix.lower() in SUFFIXES or "/" in spec or os.sep in spec


def sha256_of(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    import hashlib

    return hashlib.sha256(data).hexdigest()
