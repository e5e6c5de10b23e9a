"""Events to stderr: as a bar, as lines, as JSON lines, or not at all.

The listeners are called from the threads of a run. Each kind of loss is spelled out a few times and then only counted.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import click

from ..events import Download, Emit, Event, FellBack, Notice, Progress, Stage
from .messages import Stderr, event_json, say, words

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

Kind = Literal["bar", "lines", "json", "none"]
LINES_EVERY = 5.0
"""Seconds between two lines of progress."""
SPELLED_OUT = 10
"""Losses of one kind that are told one by one."""


@dataclass
class Talk:
    """How much is said, and in which form; None chooses a bar on a terminal and lines elsewhere."""

    verbose: bool = False
    quiet: bool = False
    progress: Kind | None = None

    @property
    def kind(self) -> Kind:
        return self.progress or ("bar" if Stderr().isatty() else "lines")


def current() -> Talk:
    """The Talk of the command that is running."""
    return click.get_current_context().find_root().ensure_object(Talk)


@contextmanager
def listening(talk: Talk | None = None) -> Iterator[Emit]:
    """An Emit that tells events as the user asked, until the block ends."""
    talk = talk or current()
    if talk.kind == "json":
        yield lambda event: say(event_json(event))
    elif talk.quiet:
        yield lambda event: None
    elif talk.kind == "bar":
        with _bar() as bar:
            show = Bar(bar)
            yield Teller(talk.verbose, show, lambda text: bar.console.print(text, markup=False, highlight=False))
    else:
        yield Teller(talk.verbose, Lines() if talk.kind == "lines" else lambda event: None, say)


class Teller:
    """Sends what moves to `show`, and the rest as words to `tell`."""

    def __init__(self, verbose: bool, show: Callable[[Event], None], tell: Callable[[str], None]) -> None:
        self._verbose, self._show, self._tell = verbose, show, tell
        self._told: Counter[type] = Counter()
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            if isinstance(event, Stage | Progress | Download):
                self._show(event)
            elif isinstance(event, Notice):
                if event.level != "detail" or self._verbose:
                    self._tell(words(event))
            else:
                self._warn(event)

    def _warn(self, event: Event) -> None:
        kind = type(event)
        self._told[kind] += 1
        if self._verbose or isinstance(event, FellBack) or self._told[kind] <= SPELLED_OUT:
            self._tell(words(event))
        elif self._told[kind] == SPELLED_OUT + 1:
            self._tell("warning: more of this kind follow, the report counts them (-v shows each)")


class Lines:
    """A line for each stage, and one for progress now and then."""

    def __init__(self) -> None:
        self._next = time.monotonic() + LINES_EVERY

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        if isinstance(event, Stage):
            say(words(event))
        elif now >= self._next and not (isinstance(event, Progress) and not event.done):
            self._next = now + LINES_EVERY
            say(words(event))


class Bar:
    """Moves a rich bar: stage, frames, frames per second, time left."""

    def __init__(self, bar: RichProgress) -> None:
        self._bar = bar
        self._task = bar.add_task("starting", total=None, rate="")

    def __call__(self, event: Event) -> None:
        if isinstance(event, Stage):
            self._bar.update(self._task, description=words(event))
        elif isinstance(event, Progress):
            self._bar.update(self._task, completed=event.done, total=event.total, rate=f"{event.fps:.1f} fps")
        elif isinstance(event, Download):
            rate = f"{event.done / 1e6:.1f} MB"
            self._bar.update(
                self._task, description=event.name, completed=event.done, total=event.total or None, rate=rate
            )


def _bar() -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    console = Console(file=Stderr())  # type: ignore[arg-type]  # all of a file that rich uses
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    return RichProgress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False)
