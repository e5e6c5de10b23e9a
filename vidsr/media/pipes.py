"""Inputs and outputs that are no files: stdin, stdout, named pipes, sockets and character devices.

They are read and written by Python, not by FFmpeg: a read of FFmpeg's that waits for a stalled writer cannot be ended,
and a run has to end when it is told to. Whoever waits here looks at the run's cancel token every `_POLL` seconds.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from ..errors import InputError, OutputError, ReaderGoneError, UsageError
from ..fs import DESCRIPTORS

STDIO = Path("-")
"""The name that stands for stdin and for stdout."""
_STDIN = (STDIO, Path("/dev/stdin"), Path("/dev/fd/0"))
_STDOUT = (STDIO, Path("/dev/stdout"), Path("/dev/fd/1"))
_POLL = 0.05
"""Seconds between two looks at the cancel token while waiting."""
_ROOM = 1 << 20
"""Bytes that a pipe is asked to hold; the system gives what it allows."""
CHUNK = 256 << 10
"""Bytes of FFmpeg's own buffer, and so of one read or write."""
_SURE = 4096
"""Bytes that a pipe that is ready takes without waiting (PIPE_BUF of Linux)."""
_HEAD = 1024
"""Bytes in which the header of a Y4M must end."""
Y4M_MAGIC = b"YUV4MPEG2 "


def never() -> None:
    """The check of whoever is never cancelled."""


def is_stdin(path: Path) -> bool:
    """Whether `path` stands for stdin."""
    return path in _STDIN


def is_stdout(path: Path | None) -> bool:
    """Whether `path` stands for stdout."""
    return path in _STDOUT


def is_stream(path: Path) -> bool:
    """Whether `path` is there and no file: it can be read or written once, from its beginning to its end."""
    try:
        inherited = path.parent == DESCRIPTORS and not path.is_file()
        return is_stdin(path) or is_stdout(path) or inherited or path.is_fifo() or path.is_char_device()
    except OSError:  # no name at all: what opens it tells why
        return False


class Reader:
    """A stream as PyAV reads it. `read` never raises: it notes the failure and says that the input has ended.

    PyAV cannot pass on what is no `Exception`, such as the end of a cancelled run. So whoever reads calls
    `raise_failure` where the input seems to end.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`, waiting for a writer where it is a named pipe. Raises InputError."""
        self._fd = -1
        self.name = str(path)
        self.check: Callable[[], None] = never
        """Called while waiting; ends the run by what it raises."""
        self.total = 0
        """Bytes that were read."""
        self._failure: BaseException | None = None
        self._fd = _reading(path)
        self._owned = not is_stdin(path)
        _widen(self._fd)
        self._from_file = stat.S_ISREG(os.fstat(self._fd).st_mode) and os.lseek(self._fd, 0, os.SEEK_CUR) == 0
        self._head = b""
        self.head = self._peek()

    def _peek(self) -> bytes:
        """What comes first, as far as it tells a Y4M's header; it is read again."""
        head = bytearray(self._next(len(Y4M_MAGIC)))
        while len(head) < _HEAD and (head.startswith(Y4M_MAGIC) or Y4M_MAGIC.startswith(head)) and b"\n" not in head:
            more = self._next(1 if head.startswith(Y4M_MAGIC) else len(Y4M_MAGIC) - len(head))
            if not more:
                break
            head += more
        self.raise_failure()
        self._head = b"" if self._from_file else bytes(head)
        if self._from_file:
            self.seek(0)
        self.total = 0
        return bytes(head)

    def read(self, size: int) -> bytes:
        """At most `size` bytes, as soon as there are some; none at the end, or where reading has failed."""
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
        else:
            data = self._next(size)
        self.total += len(data)
        return data

    def _next(self, size: int) -> bytes:
        if self._failure is not None:
            return b""
        try:
            _wait(self._fd, select.POLLIN, self.check)
            return os.read(self._fd, size)
        except BaseException as error:
            self._failure = error
            return b""

    def raise_failure(self) -> None:
        """Raise what ended the reading before the input's end."""
        if isinstance(self._failure, OSError):
            why = (self._failure.strerror or str(self._failure)).lower()
            raise InputError(f"input {self.name} cannot be read: {why}") from self._failure
        if self._failure is not None:
            raise self._failure

    def seekable(self) -> bool:
        """A file that the shell gives as stdin is one."""
        return self._from_file

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return os.lseek(self._fd, offset, whence)

    def tell(self) -> int:
        return os.lseek(self._fd, 0, os.SEEK_CUR)

    @property
    def length(self) -> int:
        """Bytes of the whole input, once it was read to its end."""
        return os.fstat(self._fd).st_size if self._from_file else self.total

    def close(self) -> None:
        """Let the writer know that nobody reads any more."""
        fd, self._fd = self._fd, -1
        if fd > 0 and self._owned:
            os.close(fd)

    __del__ = close


class Writer:
    """A stream as PyAV writes it: takes everything, waiting for the reader as long as `check` lets it.

    Raises BrokenPipeError when the reader is gone, other OSErrors of the system, and ECANCELED where `check` ended the
    run. Once a write failed, the others are taken and go nowhere: what closes the output must not wait for anybody.
    """

    def __init__(self, path: Path, check: Callable[[], None] = never) -> None:
        """Open `path`, waiting for a reader where it is a named pipe. Raises OutputError."""
        self._check = check
        self.failure: BaseException | None = None
        """What ended the writing; PyAV does not pass on every kind."""
        try:
            self._fd, self._most = _writing(path, check)
        except OSError as error:
            raise OutputError(f"output {path} cannot be written: {(error.strerror or str(error)).lower()}") from error
        _widen(self._fd)

    def write(self, data: bytes | memoryview) -> int:
        """Write all of `data`; its length in bytes."""
        left = memoryview(data).cast("B")
        if self.failure is None:
            try:
                self._write(left)
            except BaseException as error:
                self.failure = error
                if isinstance(error, Exception):
                    raise
                raise OSError(errno.ECANCELED, "the run was stopped") from error
        return left.nbytes

    def _write(self, left: memoryview) -> None:
        while left:
            _wait(self._fd, select.POLLOUT, self._check)
            with suppress(BlockingIOError):
                left = left[os.write(self._fd, left[: self._most]) :]

    def close(self) -> None:
        """Let the reader know that nothing more comes."""
        os.close(self._fd)


@contextmanager
def streamed(path: Path, check: Callable[[], None]) -> Iterator[Writer | None]:
    """What writes to `path` where that is no file, else None. What PyAV could not pass on is raised behind it."""
    if not is_stream(path) and path.parent != DESCRIPTORS:
        yield None
        return
    with closing(Writer(path, check)) as pipe:
        try:
            yield pipe
        except (OSError, OutputError) as error:
            if pipe.failure is None or isinstance(pipe.failure, Exception):
                raise
            raise pipe.failure from error
        if pipe.failure is not None:  # at the end of a file some muxers pass over what a write says
            raise _failed(path, pipe.failure) from pipe.failure


def _failed(path: Path, failure: BaseException) -> BaseException:
    """What a write that failed comes to, where nobody has told it."""
    if isinstance(failure, BrokenPipeError):
        return ReaderGoneError("the reader of the output is gone")
    if isinstance(failure, OSError):
        return OutputError(f"output {path} cannot be written: {(failure.strerror or str(failure)).lower()}")
    return failure


def _reading(path: Path) -> int:
    try:
        if is_stdin(path):
            os.fstat(0)
            if os.isatty(0):
                raise UsageError(
                    "the input is stdin, and that is a terminal", "pipe a video into vidsr, or name a file"
                )
            return 0
        inherited = _inherited(path)
        return os.open(path, os.O_RDONLY) if inherited is None else inherited
    except OSError as error:
        raise InputError(f"input {path} cannot be read: {(error.strerror or str(error)).lower()}") from error


def _writing(path: Path, check: Callable[[], None]) -> tuple[int, int]:
    """A descriptor for `path`, and how many bytes a write to it takes without waiting once it is ready.

    A pipe gets an open file description of its own, so that nobody else's becomes non-blocking.
    """
    inherited = _inherited(path)
    if inherited is not None:
        return _unblocked(path, inherited)
    while True:
        try:
            return os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0)), CHUNK
        except OSError as error:
            if error.errno != errno.ENXIO or not path.is_fifo():
                raise
        check()
        time.sleep(_POLL)  # a named pipe that nobody reads yet


def _unblocked(path: Path, inherited: int) -> tuple[int, int]:
    """The same for an open descriptor, which is closed if another takes its place."""
    mode = os.fstat(inherited).st_mode
    if stat.S_ISFIFO(mode) and sys.platform == "linux":  # elsewhere the name leads to the same description
        with suppress(OSError):  # the reader of a named pipe is gone: a write will tell
            own = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            os.close(inherited)
            return own, CHUNK
    return inherited, CHUNK if stat.S_ISREG(mode) else _SURE


def _inherited(path: Path) -> int | None:
    """A duplicate of the open descriptor that `/dev/fd/N` names."""
    return os.dup(int(path.name)) if path.parent == DESCRIPTORS and path.name.isdigit() else None


def _widen(fd: int) -> None:
    """Ask for a large pipe: fewer, larger reads and writes."""
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):  # no pipe, or over the user's limit
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _ROOM)


def _wait(fd: int, event: int, check: Callable[[], None]) -> None:
    """Until `fd` is ready, or broken: the read or write after it tells. Windows cannot wait for pipes that way."""
    if sys.platform == "win32":
        check()
        return
    ready = select.poll()
    ready.register(fd, event)
    check()
    while not ready.poll(_POLL * 1000):
        check()
