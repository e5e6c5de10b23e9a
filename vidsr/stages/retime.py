"""--fps: frames at a constant rate, none shown for longer or shorter than before by more than half a frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor, gcd

from ..frames import RawFrame

FINEST = 1 << 31
"""Ticks per second that a container's clock may have."""


@dataclass
class Retimer:
    """Puts frames on a grid of 1 / `rate` seconds that begins at `start`.

    Each goes to the point nearest to its own time; the last one of those that share a point is shown, and it is shown
    again at each point until the next comes (as FFmpeg's filter `fps` with round=near does it). Times in are in units
    of `base`, the first one is `origin`; times out are in units of `clock`.
    """

    rate: Fraction
    origin: int
    base: Fraction
    start: Fraction
    """Seconds at which the first frame is to be shown."""
    inserted: int = 0
    """Frames that are shown again."""
    removed: int = 0

    def __post_init__(self) -> None:
        self.clock = clock_of(self.rate, self.start)
        self._step = round(1 / self.rate / self.clock)
        self._first = round(self.start / self.clock)

    def frames(self, frames: Iterable[RawFrame]) -> Iterator[RawFrame]:
        """One frame for every point of the grid, from the first frame's to the end of the last one."""
        shown: RawFrame | None = None
        place = 0
        for frame in frames:
            following = self._place(frame.pts)
            if shown is not None:
                self.removed += following == place
                yield from self._repeated(shown, place, following)
            shown, place = frame, following
        if shown is not None:
            end = self._place(shown.pts + shown.duration) if shown.duration else place + 1
            self.removed += end <= place and place > 0
            yield from self._repeated(shown, place, end if place else max(1, end))

    def _place(self, pts: int) -> int:
        return floor((pts - self.origin) * self.base * self.rate + Fraction(1, 2))

    def _repeated(self, frame: RawFrame, begin: int, end: int) -> Iterator[RawFrame]:
        """`frame` at the points from `begin` until before `end`."""
        self.inserted += max(0, end - begin - 1)
        for place in range(begin, end):
            yield replace(frame, pts=self._first + place * self._step, duration=self._step)


def clock_of(rate: Fraction, start: Fraction) -> Fraction:
    """The coarsest time base, in seconds, that holds both `start` and a grid of 1 / `rate`.

    Where none is coarse enough for containers, one that holds the grid, and `start` to a thousandth of a frame.
    """
    step = 1 / rate
    common = Fraction(
        gcd(step.numerator * start.denominator, start.numerator * step.denominator),
        step.denominator * start.denominator,
    )
    return common if common.denominator < FINEST else step / 1000
