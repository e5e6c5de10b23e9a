"""What a run did: `Tally` counts while it runs, `Report` is what the user gets."""

from __future__ import annotations

import json
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from .events import Concealed, Damaged, Dropped, Emit, Event, FellBack, Notice, Repeated, Retimed, clock

T = TypeVar("T")


@dataclass(frozen=True)
class Report:
    """The account of one run. Times are in seconds, rates in frames per second.

    frames_in + repeated + inserted - dropped - removed = frames_out always holds. `pts` are those of the output, in
    `time_base` units.
    """

    input: str
    output: str
    model: str
    device: str
    runtime: str
    precision: str
    width: int
    height: int
    frames_in: int
    frames_out: int
    reused: int
    repeated: int
    concealed: int
    dropped: int
    retimed: int
    seconds: float
    wall_seconds: float
    fps: float
    stages: dict[str, dict[str, float]]
    bound_by: str
    share_reused: float
    """Held pictures, which needed no network at all, among all pictures."""
    work_share: float
    """What the network computed, in parts of computing every picture as a whole."""
    kept_bytes: int
    """Memory for what is reused from one picture to the next."""
    time_base: str
    pts: Sequence[int] = field(repr=False)
    streams: tuple[dict[str, Any], ...] = ()
    verified: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    exit_code: int = 0
    inserted: int = 0
    """Frames shown again because --fps asked for more of them."""
    removed: int = 0
    """Frames left out because --fps asked for fewer."""

    def to_json(self) -> str:
        """The report as JSON; the list of pts is left out, its ends stay."""
        values = asdict(self)
        pts = values.pop("pts")
        values |= {"first_pts": pts[0], "last_pts": pts[-1]} if pts else {}
        return json.dumps(values, indent=2)


class Tally:
    """Counts what the stages say, and passes it on to whoever listens."""

    LISTED = 100
    """Losses spelled out one by one; the rest is only counted, so that a damaged film does not fill the memory."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self.frames_in = 0
        self.reused = 0
        self.inserted = self.removed = 0
        """Frames shown again and left out, because a rate was asked for."""
        self.computed = 0.0
        """What the network computed, in whole frames."""
        self.kept = 0
        """Bytes kept from one frame to the next."""
        self.runtime = self.precision = ""
        self.counts = {Repeated: 0, Concealed: 0, Damaged: 0, Dropped: 0, Retimed: 0}
        self.notes: list[str] = []
        self.losses: list[str] = []
        self.pts = array("q")
        self.last = 0
        """Duration of the last picture in units of the pts, 0 if it is unknown."""
        self.clocks: dict[str, float] = {}
        self._started = time.monotonic()

    def emit(self, event: Event) -> None:
        self.count(event)
        self._emit(event)

    def count(self, event: Event) -> None:
        """Keep account of an event, without telling it."""
        if type(event) in self.counts:
            self.counts[type(event)] += 1
        if isinstance(event, Notice | FellBack):
            self.notes.append(event.text if isinstance(event, Notice) else f"{event.wanted}: {event.reason}")
        elif isinstance(event, Repeated | Damaged | Dropped | Concealed):
            self.lose(_words(event))

    def lose(self, text: str) -> None:
        """Declare a loss: the run then ends with exit code 7."""
        if len(self.losses) < self.LISTED:
            self.losses.append(text)
        elif len(self.losses) == self.LISTED:
            self.losses.append("more losses follow; the counts hold them all")

    def timed(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """`items`, with the time spent on them, and on everything before them in the same thread, kept as `name`."""
        self.clocks[name] = 0.0  # now, not at the first item, so that the clocks lie in the order of the stages
        return self._clocked(name, iter(items))

    def _clocked(self, name: str, items: Iterator[T]) -> Iterator[T]:
        while True:
            begun = time.perf_counter()
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                self.clocks[name] += time.perf_counter() - begun
            yield item

    def losses_by_kind(self) -> dict[str, int]:
        """Counts under the names that Report has for them."""
        return {
            "repeated": self.counts[Repeated],
            "concealed": self.counts[Concealed],
            "dropped": self.counts[Dropped],
            "retimed": self.counts[Retimed],
        }

    @property
    def came_in(self) -> int:
        """Frames of the input among those that were sent to the encoder, and those for which there was no room."""
        return len(self.pts) - self.counts[Repeated] - self.inserted + self.counts[Dropped] + self.removed

    @property
    def wall_seconds(self) -> float:
        return time.monotonic() - self._started

    def stages(self, frames: int) -> dict[str, dict[str, float]]:
        """Seconds of each stage alone, in the order they were composed: its clock less that of the stage before."""
        names = list(self.clocks)
        own = {}
        for before, name in zip([None, *names], names, strict=False):
            seconds = max(0.0, self.clocks[name] - (self.clocks[before] if before else 0.0))
            if not name.startswith("wait"):
                own[name] = {"seconds": round(seconds, 4), "fps": round(frames / seconds, 2) if seconds else 0.0}
        return own


def _words(event: Repeated | Damaged | Dropped | Concealed) -> str:
    when = "" if event.seconds is None else f"{clock(event.seconds)}: "
    if isinstance(event, Concealed):
        return f"{when}damaged picture, shown as repaired by the decoder"
    if isinstance(event, Damaged):
        return f"{when}{event.reason}"
    fate = "the picture before is shown again" if isinstance(event, Repeated) else "picture lost"
    return f"{when}{fate}, {event.reason}"
