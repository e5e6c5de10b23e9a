"""A worker process, and the pipes to it: none of them ever blocks, whatever the process does."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Protocol

_LONGEST = 256 << 20
"""Bytes in the longest line that can be a message."""
_WORDS = 4096
"""Bytes of a worker's stderr that are kept: its last words."""
_ALL = 1 << 20
"""Bytes that a pipe can hold: one read of so many leaves nothing in it."""

_BOOT = (
    "import json, sys; from importlib import import_module; "
    "sys.path[:] = json.loads(sys.argv.pop(1)); import_module(sys.argv.pop(1)).main()"
)


class Process(Protocol):
    """The part of subprocess.Popen that is used here; its pipes are unbuffered."""

    stdin: IO[bytes] | None
    stdout: IO[bytes] | None
    stderr: IO[bytes] | None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it lives."""

    def terminate(self) -> None:
        """Ask it to end. No error if it did."""

    def kill(self) -> None:
        """End it. No error if it did."""


Launch = Callable[[str, int], Process]
"""Starts a worker for a device, with a number of threads, 0 for as many as there are."""


def launch(device: str, threads: int) -> Process:
    """Start `vidsr.jobs.worker`. Raises OSError."""
    return start("vidsr.jobs.worker", "--device", device, "--threads", str(threads))


def start(module: str, *arguments: str, **environment: str) -> Process:
    """Start a module of this package, which finds modules where this process does, and not in the current folder.

    Signals to the group wait meanwhile: the new process gets none before it ignores them, and this one is not
    interrupted between the start of a process and the record of it. Raises OSError.
    """
    boot = [sys.executable, "-P", "-c", _BOOT, json.dumps(sys.path), module, *arguments]
    pipe, env = subprocess.PIPE, {**os.environ, **environment}
    with _signals_held():
        return subprocess.Popen(boot, bufsize=0, stdin=pipe, stdout=pipe, stderr=pipe, env=env)


@contextmanager
def _signals_held() -> Iterator[None]:
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Link:
    """One process, what it works on, and the pipes to it. `clock` is the time by which its silence is judged."""

    def __init__(self, process: Process, selector: selectors.BaseSelector, clock: float) -> None:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        self.process = process
        self.task: str | None = None
        self.done = self.ticks = 0
        """What its last beat said."""
        self.heard = self.moved = clock
        """When it last said something, and when that was something new."""
        self.doomed: float | None = None
        """When it was killed."""
        self.cause, self.cancelled = "", False
        """Why it was killed, and whether that says nothing about it."""
        self._selector = selector
        self._stdin, self._stdout, self._stderr = process.stdin, process.stdout, process.stderr
        self._unsent, self._pieces, self._words = b"", [b""], b""
        for pipe in (self._stdin, self._stdout, self._stderr):
            os.set_blocking(pipe.fileno(), False)

    def watch(self, hear: Callable[[], None]) -> None:
        """Make the selector call `hear` when there are lines to read."""
        self._selector.register(self._stdout, selectors.EVENT_READ, hear)
        self._selector.register(self._stderr, selectors.EVENT_READ, self._listen)

    def send(self, line: str) -> None:
        """Write a line: now what the pipe takes, and the rest when it takes more."""
        self._unsent += line.encode("ascii") + b"\n"
        self._flush()
        if self._unsent:
            self._selector.register(self._stdin, selectors.EVENT_WRITE, self._flush)

    def _flush(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._stdin.fileno(), self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:  # it has ended, which is seen elsewhere
            self._unsent = b""
        if not self._unsent:
            self._unwatch(self._stdin)

    def lines(self) -> list[bytes]:
        """The lines that have come since the last call. Raises ValueError for one that has no end."""
        data = self._read(self._stdout)
        if b"\n" not in data:
            self._pieces.append(data)
            if sum(map(len, self._pieces)) > _LONGEST:
                raise ValueError("a line without an end")
            return []
        *lines, rest = b"".join([*self._pieces, data]).split(b"\n")
        self._pieces = [rest]
        return lines

    def last_words(self) -> str:
        """The end of what it wrote to stderr, without what would move a terminal's cursor."""
        self._listen()
        lines = self._words.decode("utf-8", "replace").splitlines()
        plain = ("".join(filter(str.isprintable, line)).rstrip() for line in lines)
        return "\n".join(line for line in plain if line)

    def _listen(self) -> None:
        self._words = (self._words + self._read(self._stderr))[-_WORDS:]

    def _read(self, pipe: IO[bytes]) -> bytes:
        """All that is there. A pipe at its end is not watched any more."""
        with suppress(BlockingIOError):
            if data := os.read(pipe.fileno(), _ALL):
                return data
            self._unwatch(pipe)
        return b""

    def _unwatch(self, pipe: IO[bytes]) -> None:
        with suppress(KeyError, ValueError):  # it is not watched, or closed
            self._selector.unregister(pipe)

    def hang_up(self) -> None:
        """Close the pipe of tasks: a sound worker then ends."""
        self._unwatch(self._stdin)
        self._stdin.close()

    def close(self) -> None:
        """Close all pipes."""
        self.hang_up()
        for pipe in (self._stdout, self._stderr):
            self._unwatch(pipe)
            pipe.close()
