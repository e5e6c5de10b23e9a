"""Files: how an output comes to its name, and how two runs keep out of each other's way.

The protocol (after curl's `curl_fopen.c` and SQLite's journal rules): resolve links, lock, write to a new name beside
the target, check, fsync, rename, fsync the folder. Until the rename the final name holds nothing or the old file.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from .errors import BusyError, ExistsError, OutputError

if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _try_lock(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


DESCRIPTORS = Path("/dev/fd")
"""Where the system names what is open; shells put their process substitutions there."""


def same_file(first: Path, second: Path) -> bool:
    """Whether two names lead to one file: by link, hard link, letter case or spelling of the path."""
    try:
        return first.samefile(second)
    except OSError:
        return first.resolve() == second.resolve()


@contextmanager
def lock(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock file `path` while inside; the system frees it if the process dies.

    Raises BusyError when another process holds it, or waits for it when `wait` is set; OutputError when the lock
    file cannot be made.
    """
    handle = _open_lock(path, wait)
    try:
        with suppress(OSError):  # on a full disk the lock holds all the same, it only cannot say whose it is
            os.ftruncate(handle, 0)
            os.write(handle, json.dumps({"pid": os.getpid(), "since": time.time()}).encode())
        yield
    finally:
        with suppress(OSError):  # Windows keeps the name of an open file; a lock file that nobody holds does no harm
            path.unlink()
        os.close(handle)


def _open_lock(path: Path, wait: bool) -> int:
    """A locked handle of the file that now has the name `path`: its last holder may have unlinked it meanwhile."""
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise unwritable(path.parent, error) from error
        try:
            locked = _try_lock(handle)
        except OSError as error:  # a network share without locks
            os.close(handle)
            raise unwritable(path.parent, error) from error
        if not locked:
            holder = _holder(handle)
            os.close(handle)
            if not wait:
                raise BusyError(f"another vidsr ({holder}) is writing {path.name[1:].removesuffix('.lock')}")
            time.sleep(0.1)
        elif path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
            return handle
        else:
            os.close(handle)


def _holder(handle: int) -> str:
    """Who holds a lock, as its file says."""
    try:
        said = json.loads(os.read(handle, 200))
        return f"pid {said['pid']}, since {time.strftime('%H:%M:%S', time.localtime(said['since']))}"
    except (ValueError, KeyError, OSError):
        return "pid unknown"


def unwritable(folder: Path, error: OSError) -> OutputError:
    """The OutputError for a folder in which no file can be made."""
    reason = "does not exist" if not folder.exists() else (error.strerror or str(error)).lower()
    return OutputError(f"output folder {folder}: {reason}", "create the folder, or name another with -o")


def short_name(name: str) -> str:
    """`name`, or where it is long its beginning and a hash: names end at 255 bytes, and ours are made of users'."""
    data = os.fsencode(name)
    if len(data) <= 100:
        return name
    return f"{data[:80].decode('utf-8', 'ignore')}-{hashlib.sha256(data).hexdigest()[:12]}"


class Target:
    """One output file on its way to its final name. Use as a context manager; leaving it without `commit` leaves
    what was there before.

    `path` is where libraries write meanwhile. A target that is no regular file (a pipe, a device) cannot be
    replaced, so it is written directly, and `direct` is true.

    Raises ExistsError when the target exists and `overwrite` is not set, OutputError when its folder cannot be
    written, BusyError when another run is writing it.
    """

    def __init__(self, target: Path, *, overwrite: bool = False) -> None:
        self.final = target.resolve()
        # Not `final`: what a descriptor leads to may have no name, and a file that it leads to is open already.
        self.direct = target.parent == DESCRIPTORS or (target.exists() and not target.is_file())
        if self.final.is_dir():
            raise OutputError(f"output {target} is a folder", "name a file inside it")
        self._check_free(target, overwrite)
        self._overwrite = overwrite
        self.path = target if self.direct else self.final

    def _check_free(self, shown: Path, overwrite: bool) -> None:
        if self.final.is_file() and not (overwrite or self.direct):
            raise ExistsError(f"output {shown} exists", "-y replaces it; -o names another")

    def __enter__(self) -> Target:
        if self.direct:
            return self
        name = short_name(self.final.name)
        self._lock = lock(self.final.with_name(f".{name}.lock"))
        self._lock.__enter__()
        try:
            for left in self.final.parent.glob(f".{_escape(name)}.????????.part"):  # of a killed run: we hold the lock
                left.unlink(missing_ok=True)
            handle, part = tempfile.mkstemp(prefix=f".{name}.", suffix=".part", dir=self.final.parent)
        except OSError as error:
            self._lock.__exit__(None, None, None)
            raise unwritable(self.final.parent, error) from error
        os.close(handle)
        self.path = Path(part)
        return self

    def commit(self) -> None:
        """Give the finished file its name, for good: it is on the disk when this returns."""
        if self.direct:
            return
        self._check_free(self.final, self._overwrite)
        mode = stat.S_IMODE(self.final.stat().st_mode) if self.final.exists() else 0o666 & ~_umask()
        try:
            with suppress(PermissionError):  # a file system without modes, such as exFAT
                self.path.chmod(mode)
            sync(self.path)
            self.path.replace(self.final)
            sync(self.final.parent)
        except OSError as error:
            raise OutputError(f"output {self.final}: {(error.strerror or str(error)).lower()}") from error

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.direct:
            return
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
        self._lock.__exit__(None, None, None)


def sync(path: Path) -> None:
    """fsync a file, or a folder where the system can: Windows and some network shares cannot and need not."""
    if path.is_dir():
        with suppress(OSError):
            _sync(path, os.O_RDONLY)
    else:
        _sync(path, os.O_RDWR)


def _sync(path: Path, mode: int) -> None:
    handle = os.open(path, mode)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, whole or not at all."""
    with Target(path, overwrite=True) as target:
        target.path.write_bytes(data)
        target.commit()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _escape(name: str) -> str:
    """`name` with the wildcards of glob made literal."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)
