"""Pictures in LMDB as BasicSR's scripts put them there: encoded files by their names, and a meta_info.txt beside.

LMDB is an extra: nothing else needs the package.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from vidsr.errors import InputError, UsageError


def keys_of(folder: Path) -> list[str]:
    """The keys of a database, from its list. Raises InputError when there is none or it is empty."""
    if folder.suffix != ".lmdb" or not folder.is_dir():
        raise InputError(f"LMDB {folder} must be a folder whose name ends in .lmdb")
    try:
        lines = (folder / "meta_info.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"LMDB {folder}: its meta_info.txt cannot be read") from error
    keys = [line.split(".")[0].strip() for line in lines if line.strip()]
    if not keys:
        raise InputError(f"LMDB {folder}: its meta_info.txt is empty")
    return keys


class Database:
    """One database, opened for reading in whichever process asks; an open one must not cross a fork."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        _package()
        self._opened: tuple[int, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}

    def read(self, key: str) -> bytes:
        """The file under a key. Raises InputError when there is none."""
        with self._environment().begin(write=False) as transaction:
            data = transaction.get(key.encode())
        if data is None:
            raise InputError(f"LMDB {self.folder} has no picture {key}, though its meta_info.txt names it")
        return bytes(data)

    def close(self) -> None:
        if self._opened is not None and self._opened[0] == os.getpid():
            self._opened[1].close()
        self._opened = None

    def _environment(self) -> Any:
        if self._opened is None or self._opened[0] != os.getpid():
            lmdb = _package()
            try:
                opened = lmdb.open(str(self.folder), readonly=True, lock=False, readahead=False, meminit=False)
            except lmdb.Error as error:
                raise InputError(f"LMDB {self.folder} cannot be opened: {error}") from error
            self._opened = os.getpid(), opened
        return self._opened[1]


def _package() -> Any:
    try:
        return import_module("lmdb")
    except ImportError as error:
        hint = "pip install 'vidsr-upscaler[lmdb]', or use data of kind pictures"
        raise UsageError("data of kind lmdb needs the package lmdb, which is not installed", hint) from error
