"""Many inputs: which files are meant, and where each output goes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import InputError, OutputError, UsageError
from ..options import Options

VIDEO = {
    ".3gp", ".apng", ".avi", ".flv", ".gif", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
    ".mxf", ".nut", ".ogm", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
}  # fmt: skip
"""Endings of the files that are taken from a folder."""

Pair = tuple[Path, Path | None]


def pairs(inputs: Sequence[Path], output: Path | None, options: Options, *, make: bool = True) -> list[Pair]:
    """Each input with its output, a folder that exists by then if it is to `make`, or None for beside the input.

    A folder stands for the videos in it and below it; their outputs lie in `output` as they lie in the folder, or in
    `<folder>_<model>` beside it. Raises UsageError for an output that is no folder, InputError for an empty folder.
    """
    if output is not None and output.exists() and not output.is_dir():
        raise UsageError(f"output {output} is a file, and there are several inputs", "name a folder with -o")
    found = [pair for item in inputs for pair in _pairs_of(item, output, options)]
    for _, folder in found:
        if make and folder is not None:
            _make(folder)
    return found


def _pairs_of(item: Path, output: Path | None, options: Options) -> Iterator[Pair]:
    if not item.is_dir():
        yield item, output
        return
    target = output or item.with_name(f"{item.resolve().name}_{Path(options.model).stem}")
    videos = list(_videos(item, skipped=target))
    if not videos:
        raise InputError(f"input {item}: the folder holds no video ({', '.join(sorted(VIDEO))})", "name files instead")
    for video in videos:
        yield video, target / video.parent.relative_to(item)


def _videos(folder: Path, skipped: Path) -> Iterator[Path]:
    """The videos in and below `folder`, by name; hidden files and `skipped`, our own output, are left out."""
    for root, folders, files in os.walk(folder):
        here = Path(root)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not _is(here / name, skipped))
        yield from (here / name for name in sorted(files) if _is_video(name))


def _is_video(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in VIDEO


def _is(path: Path, other: Path) -> bool:
    return other.exists() and path.samefile(other)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"output folder {folder}: {(error.strerror or str(error)).lower()}") from error
