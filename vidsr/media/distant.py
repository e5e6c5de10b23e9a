"""Inputs whose bytes lie on another machine: read by ranges, each when it is needed, by way of a process that fetches.

That process serves blocks on a Unix socket, which the environment variable VIDSR_RANGES names. A file below the
socket's folder is a placeholder: it has the name, the size and the time of the input, and holds nothing. Its content
comes from here and never from the disk, so no reader can take the zeros of a hole for the film.
"""

from __future__ import annotations

import io
import json
import os
import socket
import struct
from collections import OrderedDict
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import InputError

DOOR = "VIDSR_RANGES"
"""Environment variable with the path of the socket."""
BLOCK = 1 << 20
"""Bytes that are fetched at a time."""
KEPT = 64
"""Blocks that a process keeps: indexes at both ends of a file are read each time that it is opened."""
HEAD = struct.Struct("<cI")
"""Before each answer: + with the length of a block, or - with the length of the reason why the input is refused."""

_kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()


class UnreachableError(Exception):
    """The bytes cannot be had now. No VidsrError and no OSError: the task fails, and another worker tries it again."""


def name_or_file(path: Path) -> str | DistantFile:
    """What `av.open` takes for the input `path`."""
    full = path.resolve()
    return DistantFile(full) if is_distant(full) else f"file:{full}"


def open_bytes(path: Path) -> BinaryIO:
    """The bytes of the input `path`, wherever they lie."""
    full = path.resolve()
    return io.BufferedReader(DistantFile(full)) if is_distant(full) else path.open("rb")


def is_distant(path: Path) -> bool:
    """Whether `path`, without links, is the placeholder of a file on another machine."""
    door = os.environ.get(DOOR)
    return door is not None and path.is_relative_to(Path(door).parent)


class DistantFile(io.RawIOBase):
    """A file on another machine, for reading. Raises InputError when it was changed, UnreachableError when it is out
    of reach."""

    def __init__(self, path: Path) -> None:
        self.name = f"file:{path}"  # as libav calls a local file
        self._path, self._place, self._size = str(path), 0, path.stat().st_size
        self._line: socket.socket | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence])
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Read up to the end of a block, as a raw file may."""
        number, start = divmod(self._place, BLOCK)
        if self._place >= self._size:
            return 0
        data = memoryview(self._block(number))[start : start + len(buffer)]
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def _block(self, number: int) -> bytes:
        key = self._path, number
        if key not in _kept:
            _kept[key] = self._fetch(number)
            while len(_kept) > KEPT:
                _kept.popitem(last=False)
        _kept.move_to_end(key)
        return _kept[key]

    def _fetch(self, number: int) -> bytes:
        try:
            sign, data = self._ask(number)
        except OSError as error:
            raise UnreachableError(f"{self._path} is out of reach: {error}") from error
        if sign == b"-":
            raise InputError(data.decode())
        if len(data) != min(BLOCK, self._size - number * BLOCK):
            raise UnreachableError(f"{self._path} came in part: {len(data)} bytes of block {number}")
        return data

    def _ask(self, number: int) -> tuple[bytes, bytes]:
        if self._line is None:
            self._line = socket.socket(socket.AF_UNIX)
            self._line.connect(os.environ[DOOR])
        self._line.sendall(json.dumps([self._path, number]).encode() + b"\n")
        sign, length = HEAD.unpack(self._receive(HEAD.size))
        return sign, self._receive(length)

    def _receive(self, length: int) -> bytes:
        assert self._line
        parts = bytearray()
        while len(parts) < length:
            more = self._line.recv(length - len(parts))
            if not more:
                raise ConnectionError("nobody fetches it any more")
            parts += more
        return bytes(parts)

    def close(self) -> None:
        if self._line is not None:
            with closing(self._line):
                self._line = None
        super().close()
