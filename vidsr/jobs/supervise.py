"""The loop over films and their tasks: what runs next, what runs again, and when a film is over.

All films go through one queue, so a worker that has nothing to do for one film goes on with the next. A join goes
before segments, a segment before the preparation of another film, an earlier film before a later one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

from ..errors import DeviceError, StoppedError, VidsrError
from ..events import Emit, Notice
from ..flow import Cancel
from .messages import Beat, Done, Executor, Failed, Lost, Message, Retired, Said, failed_to_error
from .track import TRIES, Film, Job, Meter, Trouble, Way, caused, hint_of, lost_error, title_of
from .worker import is_users

WAIT = 0.1
"""Seconds between two looks at the cancel token, at most."""

_RANK = {"join": 0, "segment": 1, "prepare": 2}


class Supervisor:
    """Brings `films` through the workers of `executor`, which stays open. `run` is called once.

    It tells `emit` the events of the workers, its own decisions, and progress over all films together.
    """

    def __init__(self, executor: Executor, films: Sequence[Film], emit: Emit, cancel: Cancel) -> None:
        self._executor, self._emit, self._cancel = executor, emit, cancel
        self._ways = [Way(film, number) for number, film in enumerate(films)]
        self._open = len(self._ways)
        self._order = count()
        self._ready: list[tuple[int, int, int, Job | None]] = [(2, way.number, 0, None) for way in self._ways]
        self._held: list[Job] = []
        self._running: dict[str, Job] = {}
        self._first: Trouble | None = None
        self._meter = Meter(self._ways, emit)

    def run(self) -> list[Any]:
        """The outcome of each film: what its `joined` returned, or the error that ended it.

        Where there is but one film, its error is raised. Raises the cause of `cancel` when that is set.
        """
        try:
            while self._open:
                self._step()
        except BaseException as error:
            for way in self._ways:
                self._fail(way, error)
            raise
        self._meter.tell(self._running.values(), now=True)
        outcomes = [way.outcome for way in self._ways]
        if len(outcomes) == 1 and isinstance(outcomes[0], BaseException):
            raise outcomes[0]
        return outcomes

    def _step(self) -> None:
        self._dispatch()
        for message in self._executor.wait(WAIT if self._open else 0):
            self._take(message)
        if self._cancel.cause is not None:
            raise self._cancel.cause
        if not self._executor.capacity:
            self._give_up()
        self._meter.tell(self._running.values())

    def _dispatch(self) -> None:
        """Give every free worker something to do."""
        if not self._ready and not self._running:
            self._release()
        while self._ready and self._executor.free:
            _, number, _, job = heapq.heappop(self._ready)
            if self._ways[number].over:
                continue
            if job is None:
                self._begin(self._ways[number])
            else:
                assert job.task.id not in self._running, f"two tasks have the id {job.task.id}"
                job.done = 0
                self._running[job.task.id] = job
                self._executor.submit(job.task)
        assert self._ready or self._running or self._held or not self._open, "no film can go on"

    def _release(self) -> None:
        """Let tasks that failed be tried again.

        Each waits until another task is done: a worker that fails some times in a row is given up by its executor,
        and that a single task should bring about only where nothing else is left to do.
        """
        for job in self._held:
            self._put(job)
        self._held.clear()

    def _put(self, job: Job) -> None:
        heapq.heappush(self._ready, (_RANK[job.task.kind], job.way.number, next(self._order), job))

    def _begin(self, way: Way) -> None:
        with self._hook(way):
            task = way.film.first()
            if task is None:
                self._cut(way, {})
            else:
                self._put(Job(way, task))

    def _cut(self, way: Way, result: dict[str, Any]) -> None:
        """The film is prepared: on to its segments."""
        tasks = way.film.prepared(result)
        way.earlier = way.film.frames_done
        way.left = len({task.id for task in tasks})
        assert way.left == len(tasks), "two segments have one id"
        for task in tasks:
            self._put(Job(way, task))
        self._close_segments(way)

    def _close_segments(self, way: Way) -> None:
        """Once no segment is left: join them, or fail for those that were given up."""
        if way.left or way.over:
            return
        if way.lost:
            self._fail(way, lost_error(way))
        else:
            self._put(Job(way, way.film.joining()))

    def _take(self, message: Message) -> None:
        match message:
            case Said(_, event):
                self._emit(event)
            case Beat(task, done, _):
                if job := self._running.get(task):
                    job.done = done
            case Done(task, result):
                if job := self._running.pop(task, None):
                    self._finish(job, result)
                self._release()
            case Failed(task):
                self._take_failed(self._running.pop(task, None), message)
            case Lost(task, worker, cause):
                self._take_trouble(self._running.pop(task or "", None), _trouble(worker, cause))
            case Retired(worker, cause):
                self._first = self._first or _trouble(worker, cause)
                left = f"{self._executor.capacity} left"
                self._emit(Notice(f"{worker} {cause}; it is not started again, {left}", "warning"))

    def _take_failed(self, job: Job | None, failed: Failed) -> None:
        error = failed_to_error(failed)
        if job and is_users(failed):
            self._fail(job.way, error)
        elif job:
            line = (failed.message.strip() or "no message").splitlines()[0]
            words = line if isinstance(error, VidsrError) else f"{failed.kind}: {line}"
            self._take_trouble(job, Trouble(words, error))

    def _take_trouble(self, job: Job | None, trouble: Trouble) -> None:
        """A worker failed, at `job` if at any of ours."""
        if job is None:
            self._emit(Notice(trouble.words, "detail"))
            return
        self._first = self._first or trouble
        job.troubles.append(trouble)
        tries = len(job.troubles)
        if tries < TRIES:
            self._held.append(job)
            self._emit(Notice(f"{trouble.words}; {self._title(job)} restarted ({tries} of {TRIES - 1})", "warning"))
        else:
            self._emit(Notice(f"{trouble.words}; {self._title(job)} is given up after {tries} tries", "warning"))
            self._drop(job)

    def _drop(self, job: Job) -> None:
        """A task was tried often enough. A film goes on with its other segments, so that they are kept."""
        way = job.way
        if job.task.kind != "segment":
            cause = job.troubles[0]
            text = f"{self._title(job)} failed {TRIES} times, first because {cause.words}"
            self._fail(way, caused(DeviceError(text, hint_of(cause)), cause))
            return
        way.lost.append((job, job.troubles[0]))
        way.left -= 1
        with self._hook(way):
            self._close_segments(way)

    def _title(self, job: Job) -> str:
        return title_of(job.task, job.way.film, alone=len(self._ways) == 1)

    def _finish(self, job: Job, result: dict[str, Any]) -> None:
        way = job.way
        with self._hook(way):
            if job.task.kind == "prepare":
                self._cut(way, result)
            elif job.task.kind == "segment":
                way.film.finished(job.task.id, result)
                way.left -= 1
                self._close_segments(way)
            else:
                way.outcome = way.film.joined(result)
                way.over = True
                self._open -= 1

    @contextmanager
    def _hook(self, way: Way) -> Iterator[None]:
        """What a film raises inside ends that film; a signal ends the run."""
        try:
            yield
        except StoppedError:
            raise
        except Exception as error:
            self._fail(way, error)

    def _fail(self, way: Way, error: BaseException) -> None:
        """The film is over: nobody works on it any more."""
        if way.over:
            return
        way.over, way.outcome = True, error
        self._open -= 1
        for job in [job for job in self._running.values() if job.way is way]:
            del self._running[job.task.id]
            self._executor.cancel(job.task.id)
        try:
            way.film.failed(error)
        except StoppedError:
            raise
        except Exception as second:  # the first error is the one to tell
            error.add_note(f"then, while ending {way.film.name}: {second!r}")

    def _give_up(self) -> None:
        """No worker is left: every film that is not over fails for what happened first."""
        cause = self._first or Trouble("there was none", DeviceError("there was no worker"))
        for way in self._ways:
            error = DeviceError(f"no worker is left for {way.film.name}: {cause.words}", hint_of(cause))
            self._fail(way, caused(error, cause))


def _trouble(worker: str, cause: str) -> Trouble:
    return Trouble(f"{worker} {cause}", DeviceError(f"{worker} {cause}"))
