"""What the supervisor and its workers say to each other, one JSON object on a line, and who carries it.

Lines are pure ASCII: JSON's escapes hold every string, also a path with bytes that are no UTF-8 (Python keeps those as
lone surrogates), so a line is the same in every locale and survives any pipe.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, fields
from types import UnionType
from typing import Any, Literal, Protocol, get_args, get_origin, get_type_hints

from ..errors import StoppedError, VidsrError
from ..events import Event


@dataclass(frozen=True, slots=True)
class Task:
    """Work for one worker. `id` is unique in a run; `body` holds JSON values only, its keys are strings."""

    id: str
    kind: Literal["prepare", "segment", "join"]
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """A task emitted an event."""

    task: str
    event: Event


@dataclass(frozen=True, slots=True)
class Beat:
    """A worker lives. `done` frames are finished; `ticks` grows with every step of the work, so that one who hangs
    is told from one who is slow."""

    task: str
    done: int
    ticks: int


@dataclass(frozen=True, slots=True)
class Done:
    """A task is finished; `result` holds JSON values only."""

    task: str
    result: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failed:
    """A task raised. `kind` is the name of the error's class, with its module for those of other libraries; `detail`
    is the traceback."""

    task: str
    message: str
    hint: str
    kind: str
    exit_code: int
    detail: str


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker ended before it finished `task`, or while it had none. `cause` says how, in words."""

    task: str | None
    worker: str
    cause: str


@dataclass(frozen=True, slots=True)
class Retired:
    """A worker ended too often in a row and is not started again."""

    worker: str
    cause: str


Message = Said | Beat | Done | Failed | Lost | Retired

_LINES: dict[str, type[Any]] = {cls.__name__: cls for cls in (Task, *get_args(Message))}
_EVENTS: dict[str, type[Any]] = {cls.__name__: cls for cls in get_args(Event)}
_TYPES = {cls: get_type_hints(cls) for cls in (*_LINES.values(), *_EVENTS.values())}


class Executor(Protocol):
    """Workers that take tasks, wherever they run: processes of this machine, or of many.

    A worker that ends in any way, also one that was killed, gives Lost and is started again by its executor. After
    three ends in a row without a Done it gives Retired, and `capacity` falls. A task that failed with an error that
    is not the user's (DeviceError, a bug) ends its worker too, for errors of a GPU are sticky.
    """

    @property
    def capacity(self) -> int:
        """Workers that live or are being started."""

    @property
    def free(self) -> int:
        """Workers that have no task."""

    def submit(self, task: Task) -> None:
        """Give a task to a free worker; one must be free."""

    def wait(self, timeout: float) -> list[Message]:
        """What was said since the last call, in order for each worker; waits up to `timeout` seconds for the first."""

    def cancel(self, task_id: str) -> None:
        """Kill whoever works on the task, which then is Lost; nothing happens when nobody does."""

    def close(self) -> None:
        """End all workers and wait for their end; may be called twice."""


def to_line(item: Task | Message) -> str:
    """One JSON object in ASCII, without a line end. Raises TypeError for what JSON cannot hold."""
    return json.dumps(_to_json(item), separators=(",", ":"))


def from_line(line: str) -> Task | Message:
    """What `to_line` was given. Raises ValueError for any other text."""
    values = json.loads(line)
    if isinstance(values, dict) and "event" in values:
        values = values | {"event": _from_json(_EVENTS, values["event"])}
    item: Task | Message = _from_json(_LINES, values)
    return item


def event_to_json(event: Event) -> dict[str, Any]:
    """An event as JSON values; its class is under `is`."""
    return _to_json(event)


def event_from_json(values: dict[str, Any]) -> Event:
    """The event that `event_to_json` was given. Raises ValueError for anything else."""
    event: Event = _from_json(_EVENTS, values)
    return event


def _to_json(item: Any) -> dict[str, Any]:
    values = {field.name: getattr(item, field.name) for field in fields(item)}
    if isinstance(item, Said):
        values["event"] = _to_json(item.event)
    return {"is": type(item).__name__, **values}


def _from_json(classes: dict[str, type[Any]], values: Any) -> Any:
    """An instance of one of `classes`, every field present and of its type."""
    kind = values.get("is") if isinstance(values, dict) else None
    cls = classes.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise ValueError(f"no message of vidsr: {str(values)[:200]!r}")
    given = {name: value for name, value in values.items() if name != "is"}
    hints = _TYPES[cls]
    if given.keys() != hints.keys() or not all(_fits(given[name], hint) for name, hint in hints.items()):
        raise ValueError(f"no {cls.__name__} of vidsr: {str(given)[:200]!r}")
    return cls(**given)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value from JSON is of a field's type."""
    origin = get_origin(hint)
    if origin is Literal:
        return value in get_args(hint)
    if origin is UnionType:
        return any(_fits(value, option) for option in get_args(hint))
    return isinstance(value, int | float) if hint is float else isinstance(value, origin or hint)


class WorkerBug(RuntimeError):
    """An error in a worker that is no VidsrError, with the worker's traceback: a bug in vidsr (exit code 1)."""


def error_to_failed(task: str, error: BaseException) -> Failed:
    """The message for an error that ended `task`."""
    detail, cls = "".join(traceback.format_exception(error)), type(error)
    if isinstance(error, VidsrError):
        return Failed(task, str(error), error.hint, cls.__name__, error.exit_code, detail)
    kind = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    return Failed(task, str(error), "", kind, 1, detail)


def failed_to_error(failed: Failed) -> BaseException:
    """The error again, to be raised here: a VidsrError as its own class, or one with its exit code where that class
    is not loaded; anything else as a WorkerBug. A traceback of it shows the worker's too."""
    cls = _error_class(failed)
    if cls is None:
        return WorkerBug(f"{failed.kind} in a worker: {failed.message}\n{failed.detail}")
    stopped = issubclass(cls, StoppedError)
    signal = (failed.exit_code - 128,) if stopped else ()
    error: VidsrError = cls(failed.message, *signal, failed.hint)
    error.add_note(f"in a worker:\n{failed.detail}")
    return error


def _error_class(failed: Failed) -> Any:
    known = list(_family(VidsrError))
    named = [cls for cls in known if cls.__name__ == failed.kind]
    alike = [cls for cls in known if cls.exit_code == failed.exit_code != VidsrError.exit_code]
    return next(iter(named + alike), None)


def _family(cls: type[VidsrError]) -> Iterator[type[VidsrError]]:
    """A class and all that derive from it, as far as they are loaded; the nearer ones first."""
    yield cls
    for child in cls.__subclasses__():
        yield from _family(child)
