"""What can be said while running. Stages emit these; who prints them, and how, is not their worry.

Times are in seconds from the start of the input; they are for people, never for computing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal


@dataclass(frozen=True, slots=True)
class Stage:
    """A new phase of the run has begun."""

    name: Literal["weights", "open", "runtime", "upscale", "verify", "commit", "done"]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """Frames finished so far. `total` is what the input claims, None when it claims nothing."""

    done: int
    total: int | None
    seconds: float
    """Length of finished video."""
    fps: float
    reused: int | None = None
    """Frames so far that needed no network, being equal to the one before; None where nobody counts them."""


@dataclass(frozen=True, slots=True)
class Download:
    """Bytes of a weights file received so far."""

    name: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Notice:
    """A decision the user should know: a converted stream, a dropped track. A detail is for those who ask (-v)."""

    text: str
    level: Literal["detail", "info", "warning"] = "info"
    seconds: float | None = None
    """Where in the input, if it is of one place."""


@dataclass(frozen=True, slots=True)
class Concealed:
    """A damaged picture is shown as the decoder repaired it."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Repeated:
    """A picture could not be decoded; the one before is shown again in its place."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Damaged:
    """Part of the input could not be read; no picture is known to be in it."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """A decoded picture is lost."""

    seconds: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Retimed:
    """A timestamp was missing, equal, backward or too far away, and was replaced."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class FellBack:
    """Something slower or safer is used in place of what was asked for."""

    wanted: str
    used: str
    reason: str


Event = Stage | Progress | Download | Notice | Concealed | Repeated | Damaged | Dropped | Retimed | FellBack
Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """An Emit that says nothing."""


def clock(seconds: float | Fraction) -> str:
    """`0:01:02.345` for people."""
    rounded = round(float(seconds) * 1000)
    sign = "-" if rounded < 0 else ""
    whole, milli = divmod(abs(rounded), 1000)
    return f"{sign}{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}.{milli:03}"
