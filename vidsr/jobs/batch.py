"""Many inputs: which files are meant, and where each output goes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import InputError, OutputError, UsageError
from ..media.animations import is_animated
from ..media.containers import KEPT
from ..media.image_formats import FORMATS
from ..options import Options

VIDEO = {
    ".3gp", ".apng", ".avi", ".flv", ".gif", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
    ".mxf", ".nut", ".ogm", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
}  # fmt: skip
"""Endings of the files that are taken from a folder."""

Pair = tuple[Path, Path | None]


def pairs(inputs: Sequence[Path], output: Path | None, options: Options, *, make: bool = True) -> list[Pair]:
    """Each input with its output, a folder that exists by then if it is to `make`, or None for beside the input.

    A folder stands for the videos and pictures in it and below it; their outputs lie in `output` as they lie in the
    folder, or in `<folder>_<model>` beside it. Raises UsageError for an output that is no folder, InputError for an
    empty folder.
    """
    if output is not None and output.exists() and not output.is_dir():
        raise UsageError(f"output {output} is a file, and there are several inputs", "name a folder with -o")
    if output is not None and output.suffix.lower() in VIDEO and not output.exists():
        what = f"output {output} is named like a video, and there are several inputs, each with an output of its own"
        raise UsageError(what, "name a folder; numbered pictures become a film by a pattern in quotes: 'frames/*.png'")
    found = [pair for item in inputs for pair in _pairs_of(item, output, options)]
    _check_names(found, options)
    for _, folder in found:
        if make and folder is not None:
            _make(folder)
    return found


def _pairs_of(item: Path, output: Path | None, options: Options) -> Iterator[Pair]:
    if not item.is_dir():
        if item.exists() and not item.is_file():
            raise UsageError(f"input {item} is no file, and there are several inputs", "give it alone")
        yield item, output
        return
    if output is not None and output.exists() and output.samefile(item):
        what = f"output {output} is the input folder: what is made there would be upscaled again"
        raise UsageError(what, "name another")
    target = output or item.with_name(f"{item.resolve().name}_{Path(options.model).stem}")
    videos = list(_videos(item, skipped=target))
    if not videos:
        kinds = ", ".join(sorted(VIDEO | set(FORMATS)))
        raise InputError(f"input {item}: the folder holds no video and no picture ({kinds})", "name files instead")
    for video in videos:
        yield video, target / video.parent.relative_to(item)


def _videos(folder: Path, skipped: Path) -> Iterator[Path]:
    """The videos and pictures in and below `folder`, by name; without hidden files and `skipped`, our own output."""
    for root, folders, files in os.walk(folder):
        here = Path(root)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not _is(here / name, skipped))
        yield from (here / name for name in sorted(files) if _is_wanted(here / name))


def _is_wanted(path: Path) -> bool:
    """Whether a file of a folder is to be upscaled; a pipe there would be waited for without an end."""
    kind = path.suffix.lower()
    return not path.name.startswith(".") and (kind in VIDEO or kind in FORMATS) and path.is_file()


def _check_names(found: Sequence[Pair], options: Options) -> None:
    """Two inputs must not have one output: the second would seem to be done. Raises UsageError."""
    taken: dict[Path, Path] = {}
    for source, folder in found:
        ending = source.suffix.lower() if source.suffix.lower() in KEPT else ".mkv"
        if source.suffix.lower() in FORMATS and not is_animated(source):
            continue  # pictures see to it themselves
        ending = f".{options.container}" if options.container else ending
        name = (folder or source.parent).resolve() / f"{source.stem}{ending}"
        other = taken.setdefault(name, source)
        if other.resolve() != source.resolve():
            what = f"{other} and {source} would have outputs of one name"
            raise UsageError(what, "rename one, or upscale them into different folders")


def _is(path: Path, other: Path) -> bool:
    return other.exists() and path.samefile(other)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"output folder {folder}: {(error.strerror or str(error)).lower()}") from error
