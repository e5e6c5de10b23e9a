"""How far each film has come, and how that is told."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..errors import DeviceError
from ..events import Emit, Progress
from .messages import Task

TRIES = 3
"""How often a task is tried whose worker fails."""
PROGRESS_EVERY = 0.1
"""Seconds between two Progress events, at least."""
SAME_EVERY = 1.0
"""The same, while nothing is finished."""
WINDOW = 10.0
"""Seconds over which frames per second are measured."""


class Film(Protocol):
    """One input on its way to one output. The supervisor calls the methods one at a time, in its own thread.

    An error that a method raises ends the film. Every film ends with one `joined` that returns, or one `failed`.
    """

    name: str
    frames_total: int | None
    """Frames of the whole film; None before that is known."""
    frames_done: int
    """Frames of finished segments, also of an earlier run."""
    rate: float
    """Frames per second on average, 0 where that is unknown: only for showing the time."""

    def first(self) -> Task | None:
        """The task that prepares the film; None where nothing is to prepare: `prepared({})` is then next."""

    def prepared(self, result: dict[str, Any]) -> list[Task]:
        """The segments that are still to do, in order; their ids end with `:` and their numbers."""

    def finished(self, task_id: str, result: dict[str, Any]) -> None:
        """A segment is finished: called once for each."""

    def joining(self) -> Task:
        """The task that joins the segments, of which all are finished."""

    def joined(self, result: dict[str, Any]) -> Any:
        """Put the result in place; what is returned is the outcome of the film."""

    def failed(self, error: BaseException) -> None:
        """The film ends here, by an error or because the run is stopped."""


@dataclass(frozen=True)
class Trouble:
    """Why a task was not done: in words, and as an error that carries the worker's traceback."""

    words: str
    error: BaseException


@dataclass
class Way:
    """How far a film has come."""

    film: Film
    number: int
    left: int = 0
    """Segments that are neither finished nor given up."""
    lost: list[tuple[Job, Trouble]] = field(default_factory=list)
    """Segments that were given up, and what happened the first time."""
    earlier: int = 0
    """Frames that an earlier run finished."""
    over: bool = False
    outcome: Any = None


@dataclass
class Job:
    """A task of a film, and how it went so far."""

    way: Way
    task: Task
    troubles: list[Trouble] = field(default_factory=list)
    done: int = 0
    """Frames finished by the worker that is at it."""


class Meter:
    """Tells progress over all films together, not too often."""

    def __init__(self, ways: Sequence[Way], emit: Emit) -> None:
        self._ways, self._emit = ways, emit
        self._told = -math.inf
        self._said: tuple[int, int | None] | None = None
        self._begun = False
        self._past: deque[tuple[float, int]] = deque()
        """Times, on the monotonic clock, and how many frames this run had finished then."""

    def tell(self, running: Iterable[Job], *, now: bool = False) -> None:
        """Tell how many frames are finished, when it is time to, or `now`."""
        clock = time.monotonic()
        if clock < self._told + PROGRESS_EVERY and not now:
            return
        computing = [job for job in running if job.task.kind == "segment"]
        frames = [way.film.frames_done for way in self._ways]
        for job in computing:
            frames[job.way.number] += job.done
        totals = [way.film.frames_total for way in self._ways]
        said = sum(frames), None if None in totals else sum(filter(None, totals))
        fps = self._fps(clock, said[0] - sum(way.earlier for way in self._ways), bool(computing))
        if said != self._said or clock >= self._told + SAME_EVERY or now:
            self._told, self._said = clock, said
            self._emit(Progress(*said, self._seconds(frames), fps))

    def _seconds(self, frames: Sequence[int]) -> float:
        return sum(done / way.film.rate for done, way in zip(frames, self._ways, strict=True) if way.film.rate)

    def _fps(self, clock: float, done: int, computing: bool) -> float:
        """Frames per second over the last seconds, from when the first segment was begun; 0 while a worker that ended
        has taken back more than was done."""
        if not self._begun:
            self._past.clear()
            self._begun = computing or done > 0
        self._past.append((clock, done))
        while len(self._past) > 2 and self._past[1][0] <= clock - WINDOW:
            self._past.popleft()
        before, then = self._past[0]
        return max(0.0, (done - then) / max(clock - before, 1e-6))


def title_of(task: Task, film: Film, *, alone: bool) -> str:
    """What people call a task. The number of a segment is the end of its id."""
    if task.kind != "segment":
        return f"{'preparing' if task.kind == 'prepare' else 'joining'} {film.name}"
    number = task.id.rpartition(":")[2]
    return f"segment {number}{'' if alone else f' of {film.name}'}"


def lost_error(way: Way) -> DeviceError:
    """The error of a film of which some segments could not be made."""
    job, cause = way.lost[0]
    more = f"; {len(way.lost) - 1} more failed too" if len(way.lost) > 1 else ""
    which = f"segment {job.task.id.rpartition(':')[2]} ({job.task.body.get('span_text', 'of unknown time')})"
    text = f"{which} of {way.film.name} failed {TRIES} times, first because {cause.words}{more}"
    return caused(DeviceError(f"{text}; the other segments are kept", hint_of(cause)), cause)


def caused(error: DeviceError, cause: Trouble) -> DeviceError:
    """`error`, with what it goes back to."""
    error.__cause__ = cause.error
    return error


def hint_of(cause: Trouble) -> str:
    """What to do next."""
    return getattr(cause.error, "hint", "") or "finished segments are kept: the same command goes on from there"
