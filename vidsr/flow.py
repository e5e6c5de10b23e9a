"""All threads live here: bounded queues, cancelling, and how an error reaches the main thread.

Stages are plain generators that know nothing of threads. `Flow.boundary` lets everything upstream of it run in a
thread of its own, at most `limit` bytes ahead. The first failure anywhere cancels the whole flow, and `Flow.run`
raises that first cause, not what it led to.

Whatever PyTorch computes in parallel is done by threads of a flow, one after another, never by the caller's: OpenMP
gives every thread that computes a pool of its own for as long as it lives, and once there are more pools than one,
libgomp lets them sleep instead of spin between two operations. Short operations then take three times as long.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_POLL = 0.05
"""Seconds between two looks at the cancel token while waiting."""


class Cancelled(BaseException):
    """Ends a thread whose flow was cancelled. Not an Exception, so that no stage takes it for a fault of its own."""


class Cancel:
    """A token that all threads of a run look at. The first cause that is set wins."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self.cause: BaseException | None = None

    def set(self, cause: BaseException) -> None:
        with self._lock:
            if self.cause is None:
                self.cause = cause
        self._event.set()

    def is_set(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raise Cancelled if the run is to stop. Long work calls this now and then."""
        if self._event.is_set():
            raise Cancelled


_MOST = 64
"""Items that may wait in one channel however small they are: more would not make anything faster."""


class Channel(Generic[T]):
    """A queue of one producer and one consumer, bounded in bytes and in items; at least one item always fits."""

    def __init__(self, limit: int, cancel: Cancel) -> None:
        self._items: deque[tuple[T, int]] = deque()
        self._limit = limit
        self._held = 0
        self._closed = False
        self._cancel = cancel
        self._changed = threading.Condition()

    def put(self, item: T, size: int) -> None:
        with self._changed:
            while self._items and (self._held + size > self._limit or len(self._items) >= _MOST):
                self._cancel.check()
                self._changed.wait(_POLL)
            self._cancel.check()
            self._items.append((item, size))
            self._held += size
            self._changed.notify_all()

    def close(self) -> None:
        """No more items will come."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                while not self._items and not self._closed:
                    self._cancel.check()
                    self._changed.wait(_POLL)
                self._cancel.check()
                if not self._items:
                    return
                item, size = self._items.popleft()
                self._held -= size
                self._changed.notify_all()
            yield item


class Flow:
    """The threads of one run."""

    def __init__(self, cancel: Cancel | None = None, limit: int = 256 << 20) -> None:
        self.cancel = cancel or Cancel()
        self._limit = limit
        self._threads: list[threading.Thread] = []

    def boundary(self, items: Iterable[T], name: str) -> Iterator[T]:
        """`items`, produced by a thread called `name` while the consumer works; at most `limit` bytes wait.

        The size of an item is its `nbytes`. The thread starts at the first request.
        """
        channel: Channel[T] = Channel(self._limit, self.cancel)

        def produce() -> None:
            for item in items:
                channel.put(item, getattr(item, "nbytes", 0))
            channel.close()

        self._made(produce, name)[0].start()
        yield from channel

    def run(self, work: Callable[[], R], name: str) -> R:
        """The result of `work`, done in a thread called `name`; the calling thread only waits.

        Raises the first cause if any thread of the flow failed; no thread is left when it returns or raises.
        """
        try:
            result = self.apart(work, name)
        finally:
            for thread in self._threads:
                _join(thread)
        self._raise_cause()
        return result

    def apart(self, work: Callable[[], R], name: str) -> R:
        """The same, while other threads of the flow go on."""
        result: list[R] = []
        thread, ended = self._made(lambda: result.append(work()), name)
        try:
            thread.start()  # in here: a signal may come as soon as it runs
            # Never in `Thread.join`, which Ctrl-C breaks before Python 3.13 (cpython#90882).
            while not ended.wait(_POLL):
                if self.cancel.is_set():
                    break
        except BaseException as error:  # KeyboardInterrupt where no signal handler is installed
            self.cancel.set(error)
        _join(thread)
        self._raise_cause()
        return result[0]

    def _raise_cause(self) -> None:
        if self.cancel.cause is not None:
            raise self.cancel.cause

    def _made(self, work: Callable[[], Any], name: str) -> tuple[threading.Thread, threading.Event]:
        ended = threading.Event()

        def guarded() -> None:
            try:
                work()
            except Cancelled:
                if not self.cancel.is_set():  # by another run's token: this one must not end in silence
                    self.cancel.set(RuntimeError(f"{name} was cancelled by the token of another run"))
            except BaseException as error:
                self.cancel.set(error)
            finally:
                ended.set()

        thread = threading.Thread(target=guarded, name=f"vidsr-{name}", daemon=True)
        self._threads.append(thread)
        return thread, ended


def _join(thread: threading.Thread) -> None:
    """Wait until it has seen the end or the cancel token."""
    while thread.is_alive():
        thread.join(_POLL)
