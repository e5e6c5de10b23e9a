"""Holes in streams that are otherwise without a gap: what a demuxer loses when it skips damage without a word.

A gap alone proves nothing: screen recordings drop pictures that repeat, and films are joined with a little silence
missing. A hole in picture and sound at the same moment is lost data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np

Span = tuple[Fraction, Fraction]
"""Seconds, from the end of the last packet before a hole to the start of the first one behind it."""

STEADY = 0.6
"""Share of equal steps from which on a stream has a rate; below it, gaps are its nature (variable frame rate)."""


def picture_gaps(pts: Sequence[int], time_base: Fraction) -> list[Span]:
    """The holes in pictures at strictly rising `pts`, none where they have no steady rate."""
    stamps = np.asarray(pts, np.int64)
    steps = np.diff(stamps)
    if len(steps) < 8:
        return []
    usual = float(np.median(steps))
    if np.mean(np.abs(steps - usual) <= max(1.0, usual / 4)) < STEADY:
        return []
    wide = np.nonzero(steps > max(1.5 * usual, usual + 1))[0]
    return [((int(stamps[at]) + round(usual)) * time_base, int(stamps[at + 1]) * time_base) for at in wide]


def together(first: Iterable[Span], second: Iterable[Span], slack: Fraction = Fraction(1, 10)) -> list[Span]:
    """Those of `first` that overlap one of `second`, or miss it by less than `slack` seconds."""
    others = list(second)
    return [(a, b) for a, b in first if any(a < d + slack and c < b + slack for c, d in others)]
