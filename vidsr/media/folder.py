"""Numbered pictures on their way to their names: all of them, or none.

They are written into a hidden folder, inside the folder of the output where that is there already, and beside it
where it is not; so the last step is a rename within one file system.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from ..errors import ExistsError, OutputError, UsageError
from ..fs import lock, short_name, sync, unwritable
from .sequences import Numbering, find, is_sequence, numbering_of


class Folder:
    """The output of a sequence. Use as a context manager; leaving it without `commit` leaves what was there before.

    `path` is the folder that takes the pictures meanwhile. Raises ExistsError when a picture of such a name exists and
    `overwrite` is not set, OutputError when the folder cannot be written, BusyError when another run is writing it.
    """

    direct = False

    def __init__(self, numbering: Numbering, *, overwrite: bool = False) -> None:
        self._numbering, self._overwrite = numbering, overwrite
        self.final = numbering.folder.resolve()
        self._new = not self.final.is_dir()
        self._check_free()
        self.path = self.final

    def _check_free(self) -> None:
        there = self._numbering.there()
        if there and not self._overwrite:
            raise ExistsError(f"output {there[0]} exists", "-y replaces all pictures of such names; -o names others")

    def __enter__(self) -> Folder:
        home = self.final.parent if self._new else self.final
        name = short_name(self.final.name if self._new else self._numbering.prefix or "frames")
        self._lock = lock(home / f".{name}.lock")
        self._lock.__enter__()
        try:
            for left in home.glob(f".{glob_escaped(name)}.????????.part"):  # of a killed run: we hold the lock
                shutil.rmtree(left, ignore_errors=True)
            self.path = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".part", dir=home))
        except OSError as error:
            self._lock.__exit__(None, None, None)
            raise unwritable(home, error) from error
        return self

    def commit(self) -> None:
        """Give the pictures their names, for good: they are on the disk when this returns."""
        self._check_free()
        try:
            written = sorted(self.path.iterdir())
            for path in written:
                sync(path)
            if self._new and not self.final.exists():
                self._name_folder()
            else:
                self._name_files(written)
        except OSError as error:
            raise OutputError(f"output {self.final}: {(error.strerror or str(error)).lower()}") from error

    def _name_folder(self) -> None:
        mask = os.umask(0)
        os.umask(mask)
        with suppress(PermissionError):  # a file system without modes
            self.path.chmod(0o777 & ~mask)
        sync(self.path)
        self.path.rename(self.final)
        sync(self.final.parent)

    def _name_files(self, written: list[Path]) -> None:
        """The new pictures in the place of the old ones, of which none stays: two films would be mixed."""
        old = {path.name for path in self._numbering.there()} - {path.name for path in written}
        times = self._numbering.times.name
        for path in sorted(written, key=lambda path: path.name == times):
            path.replace(self.final / path.name)
        for name in old:
            (self.final / name).unlink()
        sync(self.final)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.path != self.final and self.path.exists():
            shutil.rmtree(self.path, ignore_errors=True)
        self._lock.__exit__(None, None, None)


def glob_escaped(name: str) -> str:
    """`name` with the wildcards of glob made literal."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


def output_pattern(input: Path, output: Path | None) -> Path:
    """The pattern of the output of the sequence `input`: as given, or the same names in the folder that is given.

    Raises UsageError where nothing is given.
    """
    if output is None:
        raise UsageError(
            f"input {input}: a sequence gives its output no name", "-o names a video, a folder or a pattern"
        )
    if not output.is_dir():
        return output
    names = numbering_of(input) or find(input).numbering
    prefix, suffix = (text.replace("%", "%%") for text in (names.prefix, names.suffix))
    return output / f"{prefix}%0{names.width}d{suffix}"


def check_pattern(input: Path, output: Path, numbering: Numbering, overwrite: bool) -> None:
    """Refuse an output sequence that is the input, exists, or has no place. Raises UsageError, OutputError."""
    if is_sequence(input) and any(
        path.name == numbering.name(numbering.number(path.name) or 0) and _same(path.parent, numbering.folder)
        for path in find(input).paths
    ):
        raise UsageError(f"output {output} is the input itself", "name another folder with -o")
    if _same(input.parent, numbering.folder) and numbering.number(input.name) is not None:
        raise UsageError(f"output {output} would take the place of the input", "name another folder with -o")
    there = numbering.there()
    if there and not overwrite:
        raise ExistsError(f"output {there[0]} exists", "-y replaces all pictures of such names; -o names others")
    folder = numbering.folder.resolve()
    if not folder.is_dir() and (folder.exists() or not folder.parent.is_dir()):
        why = "is a file" if folder.exists() else "does not exist, nor the one around it"
        raise OutputError(f"output folder {numbering.folder} {why}", "create it, or name another with -o")


def _same(first: Path, second: Path) -> bool:
    return second.exists() and first.exists() and first.samefile(second)
