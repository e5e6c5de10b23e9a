"""How files of the work folder are written: whole or not at all, and on the disk when it is said so."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ..errors import OutputError
from ..fs import sync

_WHY = {
    errno.ENOSPC: "no space left",
    errno.EDQUOT: "no space left in the quota",
    errno.EFBIG: "a file would be larger than allowed",
}


@contextmanager
def writing_in(folder: Path) -> Iterator[None]:
    """Errors of the disk become an OutputError that names `folder`, where a run keeps its work."""
    try:
        yield
    except OSError as error:
        why = _WHY.get(error.errno or 0) or (error.strerror or str(error)).lower()
        hint = "free some space or name another folder with --work-dir; finished work is kept, the same command resumes"
        raise OutputError(f"work folder {folder}: {why}", hint) from error


def part_of(path: Path) -> Path:
    """The name under which `path` is written until it is whole. One writer at a time: the work folder is locked."""
    return path.with_name(f"{path.name}.part")


def settle(file: BinaryIO, path: Path) -> None:
    """Give the finished `file`, written as `part_of(path)`, its name; both are on the disk when this returns."""
    file.flush()
    os.fsync(file.fileno())
    file.close()
    part_of(path).replace(path)
    sync(path.parent)


def abandon(file: BinaryIO, path: Path) -> None:
    """Remove what was written of `path`."""
    with suppress(OSError):  # closing flushes, which fails again on a full disk
        file.close()
    with suppress(OSError):
        part_of(path).unlink()


def create(path: Path, data: bytes) -> None:
    """Write `path`, whole or not at all. Raises OutputError."""
    with writing_in(path.parent):
        file = part_of(path).open("wb")
        try:
            file.write(data)
            settle(file, path)
        except BaseException:
            abandon(file, path)
            raise
