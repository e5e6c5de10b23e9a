"""What runs as actors of a Ray cluster: a worker of any machine, and the desk on the machine of the command line.

An outpost holds an ordinary worker process by the same executor as on one machine, so that whatever is known there of
beats, hangs, sticky errors and last words holds here too. It tells the desk all that its worker says.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from ..errors import InputError, VidsrError
from ..media.distant import BLOCK
from . import disk
from .link import Launch
from .local import Local
from .messages import Done, Failed, Lost, Message, Retired, Task, error_to_failed, from_line, to_line
from .ranges import Home, Mirror

TURN = 0.1
"""Seconds between two looks at what is to do."""
CHUNK = 4 << 20
"""Bytes of a finished segment that are sent at a time."""
SAME = ("vidsr-upscaler", "torch", "av", "numpy")
"""Packages that must be of one version on all machines: what they compute is put into one film."""


def versions() -> dict[str, str]:
    """Of what must be the same on all machines; builds for one kind of device or another are the same."""
    return {"python": platform.python_version()} | {name: version(name).partition("+")[0] for name in SAME}


@dataclass(frozen=True)
class Place:
    """Where a worker runs. `launch` is the module and the name of the function that starts it."""

    seat: int
    name: str
    device: str
    threads: int
    launch: str
    stall: float
    """Seconds after which a task that does not move counts as hung."""
    every: float
    """Seconds between two posts that hold nothing but beats."""


class Desk:
    """The machine of the command line, as workers reach it: they leave messages and finished segments and take ranges
    of the input. Its methods are called from many threads."""

    def __init__(self) -> None:
        self._mail: deque[tuple[int, str]] = deque()
        self._came = threading.Condition()
        self._seen: dict[str, tuple[int, int]] = {}
        self._revoked: set[int] = set()

    def host(self) -> str:
        return socket.gethostname()

    def revoke(self, seat: int) -> None:
        """Nothing is taken any more from a worker that was given up: if it lives all the same, that ends it."""
        self._revoked.add(seat)

    def _check(self, seat: int) -> None:
        if seat in self._revoked:
            raise PermissionError("another worker has its place")

    def post(self, seat: int, lines: list[str]) -> None:
        """Leave messages."""
        self._check(seat)
        with self._came:
            self._mail += [(seat, line) for line in lines]
            self._came.notify()

    def take(self, seconds: float) -> list[tuple[int, str]]:
        """All messages; waits so long for the first."""
        with self._came:
            self._came.wait_for(lambda: self._mail, seconds)
            mail = list(self._mail)
            self._mail.clear()
            return mail

    def read(self, path: str, number: int) -> bytes | str:
        """Block `number` of a file, or why it is not to be used."""
        try:
            with Path(path).open("rb") as file:
                status = os.fstat(file.fileno())
                now = status.st_size, status.st_mtime_ns
                if self._seen.setdefault(path, now) != now:
                    return f"input {path} was changed while it was read"
                file.seek(number * BLOCK)
                return file.read(BLOCK)
        except OSError as error:
            return f"input {path} cannot be read: {(error.strerror or str(error)).lower()}"

    def write(self, seat: int, path: str, offset: int, data: bytes) -> str:
        """Keep a piece of a segment. Returns the message of a failure, or nothing."""
        self._check(seat)
        return _told(partial(self._write, Path(path), offset, data))

    def _write(self, path: Path, offset: int, data: bytes) -> None:
        with disk.writing_in(path.parent), disk.part_of(path).open("r+b" if offset else "wb") as file:
            file.seek(offset)
            file.write(data)

    def seal(self, seat: int, path: str, sha256: str) -> str:
        """All pieces are there: give the segment its name. Returns the message of a failure, or nothing."""
        self._check(seat)
        return _told(partial(self._seal, Path(path), sha256))

    def _seal(self, path: Path, sha256: str) -> None:
        with disk.writing_in(path.parent), disk.part_of(path).open("r+b") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != sha256:
                raise ConnectionError(f"{path.name} came with the hash {found} instead of {sha256}")
            disk.settle(file, path)


def _told(work: Callable[[], None]) -> str:
    try:
        work()
    except Exception as error:
        return to_line(error_to_failed("", error))
    return ""


class Outpost:
    """One worker. `run` lasts as long as it lives; the other methods are called meanwhile, from other threads."""

    def __init__(self, place: Place, desk: Any, get: Callable[[Any], Any] | None = None) -> None:
        self._place, self._desk = place, desk
        self._get = get or _answer
        self._inbox: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        self._waiting: deque[tuple[Task, Home]] = deque()
        self._to_send: dict[str, str] = {}
        self._unsent: list[str] = []
        self._next = 0.0
        self._ended = False

    def give(self, line: str, home: Home) -> None:
        """A task, as a message."""
        task = from_line(line)
        assert isinstance(task, Task)
        self._inbox.put(("task", (task, home)))

    def cancel(self, task_id: str) -> None:
        self._inbox.put(("cancel", task_id))

    def close(self) -> None:
        self._inbox.put(("close", None))

    def run(self) -> None:
        """Bring tasks to the worker and its messages to the desk until the worker is retired, or `close`."""
        module, _, name = self._place.launch.partition(":")
        launch: Launch = getattr(import_module(module), name)
        with ExitStack() as stack:
            self._mirror = stack.enter_context(closing(Mirror(self._fetch)))
            place = self._place
            started = Local([place.device], lambda device, _: launch(device, place.threads), stall=place.stall)
            local = stack.enter_context(closing(started))
            self._post([f"hello {to_hello()}"])
            while local.capacity and not self._ended:
                self._turn(local)

    def _turn(self, local: Local) -> None:
        while not self._inbox.empty():
            self._obey(local, *self._inbox.get())
        if self._waiting and local.free:
            self._begin(local, *self._waiting.popleft())
        for message in local.wait(TURN):
            self._take(self._named(message), local)
        if time.monotonic() >= self._next or not all(map(_is_beat, self._unsent)):
            self._post([])

    def _take(self, message: Message, local: Local) -> None:
        """Keep what is to be told. Of beats in a row only the last counts."""
        lines = list(self._lines(message, local))
        if _is_beat(lines[0]) and self._unsent and _is_beat(self._unsent[-1]):
            self._unsent.pop()
        self._unsent += lines

    def _obey(self, local: Local, order: str, what: Any) -> None:
        if order == "task":
            self._waiting.append(what)
        elif order == "close":
            self._ended = True
        elif any(task.id == what for task, _ in self._waiting):
            self._waiting = deque(item for item in self._waiting if item[0].id != what)
            self._post([to_line(Lost(what, self._place.name, "had not begun when its task was cancelled"))])
        else:
            local.cancel(what)

    def _begin(self, local: Local, task: Task, home: Home) -> None:
        try:
            task, target = self._mirror.translate(task, home)
        except VidsrError as error:
            self._post([to_line(error_to_failed(task.id, error))])
            return
        if target is not None:
            self._to_send[task.id] = target
        local.submit(task)

    def _named(self, message: Message) -> Message:
        """The message with the worker's name in the cluster."""
        return replace(message, worker=self._place.name) if isinstance(message, Lost | Retired) else message

    def _lines(self, message: Message, local: Local) -> Iterator[str]:
        if isinstance(message, Done) and message.task in self._to_send:
            yield self._sent(message, local) or self._mirror.home(to_line(message))
        else:
            yield self._mirror.home(to_line(message))

    def _sent(self, done: Done, local: Local) -> str:
        """Send the finished segment home. Returns the message of a failure, or nothing."""
        path, hash, failed = self._to_send.pop(done.task), hashlib.sha256(), ""
        here = self._mirror.far(path)
        with here.open("rb") as file:
            while not failed and (data := file.read(CHUNK)):
                failed = self._get(self._desk.write.remote(self._place.seat, path, file.tell() - len(data), data))
                hash.update(data)
                self._post([self._mirror.home(to_line(self._named(message))) for message in local.wait(0)])  # it lives
        here.unlink()
        failed = failed or self._get(self._desk.seal.remote(self._place.seat, path, hash.hexdigest()))
        if not failed:
            return ""
        told = from_line(failed)
        assert isinstance(told, Failed)
        return to_line(replace(told, task=done.task))

    def _fetch(self, path: str, number: int) -> bytes:
        found: bytes | str = self._get(self._desk.read.remote(path, number))
        if isinstance(found, str):
            raise InputError(found)
        return found

    def _post(self, lines: list[str]) -> None:
        """Each post is answered before the next: messages stay in order, and a desk that is gone ends the worker."""
        lines, self._unsent = self._unsent + lines, []
        if lines:
            self._next = time.monotonic() + self._place.every
            self._get(self._desk.post.remote(self._place.seat, lines))


def _is_beat(line: str) -> bool:
    return line.startswith('{"is":"Beat"')


def _answer(call: Any) -> Any:
    """What a method of an actor returned."""
    import ray  # only here: the supervisor reads this module too, and Ray may not be installed

    return ray.get(call)


def to_hello() -> str:
    """What a worker says first."""
    return json.dumps({"host": socket.gethostname(), "versions": versions()})
