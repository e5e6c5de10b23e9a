"""Time, as pure integer arithmetic: packets over discontinuities, frames to a strictly rising line.

Nothing here knows of PyAV. `Continuity` joins what a splice or a wrapped counter tore apart, for all streams alike;
`Timeline` gives every frame a place of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from ..events import Dropped, Emit, Retimed

BACKWARD = Fraction(1, 4)
"""Seconds by which a decoding time may step back before it is a splice: it never should at all."""

FORWARD = Fraction(3600)
"""Seconds by which time may jump ahead before the gap is closed; below it, a gap is a gap (a sparse recording)."""


@dataclass
class _StreamClock:
    epoch: int = 0
    last: Fraction | None = None
    step: Fraction = Fraction(0)


@dataclass
class Continuity:
    """Offsets that make the decoding times of spliced input continuous.

    At a splice the first stream that reaches it finds the offset, and the others take the same one, so that sound
    stays with picture. (The idea of FFmpeg's ts discontinuity handling, with an epoch per stream because packets of
    two streams cross a splice at different moments.)
    """

    emit: Emit
    _offsets: list[Fraction] = field(default_factory=lambda: [Fraction(0)])
    _clocks: dict[int, _StreamClock] = field(default_factory=dict)

    def offset(self, stream: int, time: Fraction | None) -> Fraction:
        """Seconds to add to the times of a packet of `stream` whose decoding time is `time` seconds.

        With None it is the offset of the last packet of that stream: for streams without a steady clock of their
        own, such as subtitles, ask with the number of the video stream.
        """
        clock = self._clocks.setdefault(stream, _StreamClock())
        if time is None:
            return self._offsets[clock.epoch]
        placed = time + self._offsets[clock.epoch]
        if clock.last is not None and not -BACKWARD <= placed - clock.last <= FORWARD:
            placed = self._next_epoch(clock, time)
        if clock.last is not None and placed > clock.last:
            clock.step = placed - clock.last
        clock.last = placed if clock.last is None else max(clock.last, placed)
        return self._offsets[clock.epoch]

    def _next_epoch(self, clock: _StreamClock, time: Fraction) -> Fraction:
        """The place of `time` after a splice, with the offset other streams found there, if that fits."""
        assert clock.last is not None
        clock.epoch += 1
        if clock.epoch == len(self._offsets):
            self._offsets.append(clock.last + clock.step - time)
            self.emit(Retimed(float(clock.last), f"the timestamps jump by {float(time - clock.last):+.3f} s, closed"))
        placed = time + self._offsets[clock.epoch]
        if not -BACKWARD <= placed - clock.last <= FORWARD:
            self._offsets[clock.epoch :] = [clock.last + clock.step - time]
            placed = clock.last + clock.step
        return placed


@dataclass
class Timeline:
    """Places for frames: their own pts wherever that rises, else the nearest that does.

    `time_base` is in seconds per unit; `rate`, frames per second, fills gaps only when no duration is known.
    """

    time_base: Fraction
    rate: Fraction | None
    emit: Emit
    last: int | None = None
    step: int = 0

    def place(self, pts: int | None, duration: int) -> int | None:
        """The pts of the next frame, above all before it; None when there is no room and it has to be dropped."""
        placed = self._placed(pts)
        if placed is None:
            return None
        if placed == pts:  # a place we chose says nothing about the length of a frame
            self.step = duration or (placed - self.last if self.last is not None else 0)
        self.last = placed
        return placed

    def _placed(self, pts: int | None) -> int | None:
        if pts is None:
            place = 0 if self.last is None else self.last + self.nominal
            self._say(Retimed, place, "it had no timestamp")
            return place
        if self.last is None or pts > self.last:
            return pts
        why = "equal to" if pts == self.last else "before"
        if self.nominal > 2:
            self._say(Retimed, self.last + 1, f"its timestamp was {why} that of the frame before")
            return self.last + 1
        self._say(Dropped, self.last, f"its timestamp was {why} that of the frame before and there is no room between")
        return None

    @property
    def nominal(self) -> int:
        """The length of one frame in units of the time base: the last one seen, else from the rate, at least 1."""
        by_rate = round(1 / self.rate / self.time_base) if self.rate else 1
        return max(1, self.step or by_rate)

    def _say(self, event: Callable[[float, str], Retimed | Dropped], pts: int, reason: str) -> None:
        self.emit(event(float(pts * self.time_base), reason))
