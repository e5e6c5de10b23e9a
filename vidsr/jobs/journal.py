"""What is done of a run, kept so that a run that died can be resumed: append-only JSON lines, one fsync each.

The first line says what the work belongs to: the identity of the input, the options, the versions. Each line holds a
CRC-32 of its record that goes on from the CRC of the line before, so that altered, lost and swapped lines are known.
"""

from __future__ import annotations

import json
import os
import zlib
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import InputError, OutputError
from ..fs import sync
from . import disk

_MIB = 1 << 20
_LINE = b'{"crc":"%08x","record":%s}\n'
_RECORD = slice(len(b'{"crc":"01234567","record":'), -len(b"}\n"))


class JournalError(OutputError):
    """A journal cannot be trusted: it is missing, or what it holds was altered."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells an input from another one under the same name. Hashes are SHA-256 of the first and the last MiB."""

    size: int
    mtime_ns: int
    head: str
    tail: str


def identify(path: Path) -> Identity:
    """The identity of a file as it is now. Raises InputError."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            head = file.read(_MIB)
            file.seek(max(0, status.st_size - _MIB))
            tail = file.read(_MIB)
    except OSError as error:
        raise InputError(f"input {path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    return Identity(status.st_size, status.st_mtime_ns, sha256(head).hexdigest(), sha256(tail).hexdigest())


class Journal:
    """A journal open for appending. `first` is its first line, `records` are the others, all as JSON gives them back.

    Use `create` or `open`; also a context manager. One process at a time: the work folder is locked.
    """

    def __init__(self, path: Path, first: dict[str, Any], records: list[dict[str, Any]], crc: int, length: int) -> None:
        self.path = path
        self.first = first
        self.records = records
        self._crc = crc
        self._length = length
        with disk.writing_in(path.parent):
            self._file = path.open("ab", buffering=0)

    @classmethod
    def create(cls, path: Path, first: dict[str, Any]) -> Journal:
        """A new journal, on the disk with its first line or not there at all.

        Raises JournalError when there is one already, OutputError when it cannot be written.
        """
        if path.exists():
            raise JournalError(f"journal {path} exists already", "resume with it, or set its folder aside")
        disk.create(path, _line(first, 0))
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Journal:
        """The journal of a run that ended in any way. A last line that is torn was never committed and is cut away.

        Raises JournalError when anything else is damaged, OutputError when it cannot be written.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise JournalError(f"journal {path} cannot be read: {(error.strerror or str(error)).lower()}") from error
        (first, *records), crc, length = _read(path, data)
        if length < len(data):
            with disk.writing_in(path.parent):
                os.truncate(path, length)
                sync(path)
        return cls(path, first, records, crc, length)

    def append(self, record: dict[str, Any]) -> None:
        """Commit a record: it is on the disk when this returns. Raises OutputError.

        After any error the journal is closed and holds what it held before; after a signal, the new line too, if it
        was written: what the record tells of is there already.
        """
        line = _line(record, self._crc)
        try:
            with disk.writing_in(self.path.parent):
                _write(self._file, line)
                os.fsync(self._file.fileno())
            self._crc, self._length = _crc_of(line), self._length + len(line)
            self.records.append(json.loads(line[_RECORD]))
        except BaseException as error:
            with suppress(OSError, ValueError):  # if it cannot be cut away now, the next open does it
                if isinstance(error, OutputError) or os.fstat(self._file.fileno()).st_size < self._length + len(line):
                    self._file.truncate(self._length)
            self.close()
            raise

    def close(self) -> None:
        """Nothing can be appended any more; may be called twice."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def _write(file: FileIO, line: bytes) -> None:
    """Write all of `line`: a raw file may take less at once."""
    while line:
        line = line[file.write(line) :]


def _line(record: dict[str, Any], before: int) -> bytes:
    body = json.dumps(record, separators=(",", ":")).encode("ascii")
    return _LINE % (zlib.crc32(body, before), body)


def _crc_of(line: bytes) -> int:
    return int(line[8:16], 16)


def _read(path: Path, data: bytes) -> tuple[list[dict[str, Any]], int, int]:
    """All records, the CRC of the last line and the length of the lines that hold."""
    records: list[dict[str, Any]] = []
    crc = length = 0
    for line in data.splitlines(keepends=True):
        body = line[_RECORD]
        if line != _LINE % (zlib.crc32(body, crc), body):
            break
        records.append(json.loads(body))
        crc, length = _crc_of(line), length + len(line)
    rest = data[length:]
    if not records or b"\n" in rest[:-1]:
        raise JournalError(f"journal {path} is damaged in line {len(records) + 1}", "its work cannot be resumed")
    return records, crc, length


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """In what two first lines differ, in words: `crf 18 -> 20`, `input was changed since`. Empty when they are equal.

    Groups inside groups are compared key by key. What is under `input`, and hashes, are not spelled out.
    """
    old, new = json.loads(json.dumps(old)), json.loads(json.dumps(new))  # tuples become lists, as in a journal
    found: list[str] = []
    for key in dict.fromkeys((*new, *old)):
        before, after = old.get(key, _ABSENT), new.get(key, _ABSENT)
        if _said(before) == _said(after):
            continue
        if key == "input":
            found.append("input was changed since")
        elif isinstance(before, dict) and isinstance(after, dict):
            found += differences(before, after)
        elif _is_hash(before) and _is_hash(after):
            found.append(f"{key} changed since")
        else:
            found.append(f"{key} {_shown(before)} -> {_shown(after)}")
    return found


_ABSENT = object()


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and len(value) >= 32 and set(value) <= set("0123456789abcdef")


def _said(value: Any) -> str:
    return "(not set)" if value is _ABSENT else json.dumps(value, sort_keys=True)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else _said(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def set_aside(folder: Path) -> Path:
    """Rename a work folder to the first free `<name>.old-N` and return that. Raises OutputError."""
    number = 1
    while os.path.lexists(aside := folder.with_name(f"{folder.name}.old-{number}")):
        number += 1
    with disk.writing_in(folder.parent):
        folder.rename(aside)
        sync(folder.parent)
    return aside
