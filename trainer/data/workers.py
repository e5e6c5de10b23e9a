"""Processes that make samples, and the one that collects them in order.

Samples travel through pipes, not through shared memory: containers give /dev/shm 64 MB, and a trainer that dies of a
bus error there helps nobody. A pipe carries about 1 GB/s, some hundred times what a training takes.
"""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Literal

import cv2
import torch

from vidsr.errors import InputError, VidsrError

from ..sample import Key, Sample
from .build import SampleSource
from .quarantine import Bad

Method = Literal["spawn", "fork", "forkserver"]

Reported = tuple[Sample, tuple[Bad, ...], Counter[str]]
"""A sample, files that were found bad meanwhile, and what was counted."""

_TASKS = 2
"""Tasks that a worker has at a time: the one it does, and the next, so that it never waits for the parent."""
_POLL = 0.05
"""Seconds between two looks at whether the run was stopped."""
_PATIENCE = 5.0
"""Seconds in which a worker should end when told to; it may be in the middle of a long stretch of film."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a worker sends: a sample as arrays, or the error that came instead, files that it found bad, and what it
    counted."""

    number: int
    arrays: tuple[Any, Any, str] | None
    error: BaseException | None = None
    bad: tuple[Bad, ...] = ()
    counted: Counter[str] = field(default_factory=Counter)


def serve(connection: Connection, source: SampleSource, inherited: tuple[Connection, ...]) -> None:
    """The life of a worker: keys come, samples go, until the parent says so or is gone.

    `inherited` are ends of pipes that a fork has copied into this process, which would keep them open.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what it means
    for other in inherited:
        other.close()
    torch.set_num_threads(1)
    if cv2.getNumThreads() != 1:  # after a fork it is 1 already, see `_without_pool`
        cv2.setNumThreads(1)
    try:
        while (task := connection.recv()) is not None:
            connection.send(_made(source, *task))
    except (EOFError, BrokenPipeError, ConnectionResetError):  # the parent is gone
        pass
    finally:
        source.close()


def _made(source: SampleSource, number: int, key: Key) -> Made:
    try:
        sample = source.get(key)
        arrays = sample.gt.numpy(), None if sample.lq is None else sample.lq.numpy(), sample.name
        return Made(number, arrays, bad=source.quarantine.taken(), counted=source.counted())
    except VidsrError as error:
        return Made(number, None, error, source.quarantine.taken())
    except Exception as error:
        where = "".join(traceback.format_exception(error))
        return Made(number, None, RuntimeError(f"sample {key} could not be made:\n{where}"))


@contextmanager
def _without_pool() -> Iterator[None]:
    """Inside, OpenCV has no threads: a fork copies the pool but not its threads, for which the next call would wait."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


@dataclass
class _Worker:
    """A worker as its parent sees it."""

    process: BaseProcess
    connection: Connection
    queued: deque[tuple[int, Key]] = field(default_factory=deque)
    doing: deque[tuple[int, Key]] = field(default_factory=deque)

    def feed(self) -> None:
        while self.queued and len(self.doing) < _TASKS:
            self.doing.append(self.queued.popleft())
            self.connection.send(self.doing[-1])


class Pool:
    """Worker processes, started at once. Close it, or they wait for tasks until this process ends."""

    def __init__(self, source: SampleSource, workers: int, method: Method = "spawn") -> None:
        self._source = source
        context = multiprocessing.get_context(method)
        pipes = [context.Pipe() for _ in range(workers)]
        ends = tuple(end for pipe in pipes for end in pipe)
        source.share(workers)
        self._workers: list[_Worker] = []
        try:
            with _without_pool():
                for number, (ours, theirs) in enumerate(pipes):
                    inherited = tuple(end for end in ends if end is not theirs) if method == "fork" else ()
                    args, name = (theirs, source, inherited), f"vidsr-data-{number}"
                    process = context.Process(target=serve, args=args, name=name, daemon=True)  # type: ignore[attr-defined]
                    process.start()
                    self._workers.append(_Worker(process, ours))
        except BaseException:
            self.close()
            raise
        for _, theirs in pipes:
            theirs.close()

    def samples(self, keys: Iterator[Key], window: int, check: Callable[[], None]) -> Iterator[Reported]:
        """Samples of `keys`, in their order.

        At most `window` samples are under way or wait their turn. `check` is called while waiting, and ends it by
        raising. Raises what a worker raised, InputError if one dies.
        """
        done: dict[int, tuple[Made, Key]] = {}
        issued = given = 0
        for key in keys:
            worker = self._workers[self._source.lane(key) % len(self._workers)]
            worker.queued.append((issued, key))
            issued += 1
            if issued < given + window:
                continue
            while given not in done:
                done |= self._received(check)
            yield self._opened(*done.pop(given))
            given += 1

    def _received(self, check: Callable[[], None]) -> dict[int, tuple[Made, Key]]:
        """What has come by now, by number."""
        check()
        for worker in self._workers:
            worker.feed()
        by_end = {worker.connection: worker for worker in self._workers}
        found = {}
        for connection in wait(list(by_end), _POLL):
            worker = by_end[connection]  # type: ignore[index]
            try:
                made = worker.connection.recv()
            except (EOFError, OSError) as error:
                raise self._died(worker) from error
            found[made.number] = made, worker.doing.popleft()[1]
        return found

    def _opened(self, made: Made, key: Key) -> Reported:
        if made.arrays is None:
            assert made.error is not None
            raise made.error
        gt, lq, name = made.arrays
        sample = Sample(torch.from_numpy(gt), None if lq is None else torch.from_numpy(lq), key, name)
        return sample, made.bad, made.counted

    def _died(self, worker: _Worker) -> InputError:
        worker.process.join(_PATIENCE)
        at = f" while it read {self._source.path(worker.doing[0][1])}" if worker.doing else ""
        code = worker.process.exitcode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return InputError(
            f"the data process {worker.process.name} died{at} ({how})",
            "where memory ran out, lower workers or cache_mb; where it is always the same file, leave that out",
        )

    def close(self) -> None:
        """End all workers; none is left when this returns."""
        for worker in self._workers:
            with suppress(OSError):  # it died
                worker.connection.send(None)
            worker.connection.close()  # what it still sends has no reader, which ends it too
        for worker in self._workers:
            worker.process.join(_PATIENCE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.process.close()
        self._workers = []
