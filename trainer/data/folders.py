"""Which files a folder or a list names, in an order that does not depend on the file system."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from vidsr.errors import InputError
from vidsr.media.image_formats import FORMATS

PICTURES = frozenset(FORMATS)
FILMS = frozenset({
    ".mkv", ".mp4", ".m4v", ".mov", ".avi", ".webm", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".vob", ".wmv", ".flv",
    ".ogv", ".y4m", ".nut", ".mxf", ".gif",
})  # fmt: skip


def files_under(folder: Path, endings: Collection[str]) -> list[Path]:
    """Files in `folder` and all folders inside it, links followed, whose names have one of `endings` in any case.

    Hidden files and folders are passed over. Raises InputError when there is no such folder, or nothing in it.
    """
    if not folder.is_dir():
        raise InputError(f"folder {folder} {'is a file' if folder.exists() else 'does not exist'}")
    found: list[Path] = []
    entered: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in entered:  # a link to a folder above
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place, name) for name in names if _has(name, endings)]
    if not found:
        raise InputError(f"folder {folder} holds no file that ends in {', '.join(sorted(endings))}")
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _has(name: str, endings: Collection[str]) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in endings


def films(paths: Collection[Path]) -> list[Path]:
    """Films that are named, and those in folders that are. Raises InputError for what does not exist."""
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise InputError(f"film {path} does not exist")
        found += files_under(path, FILMS) if path.is_dir() else [path]
    return list(dict.fromkeys(found))
