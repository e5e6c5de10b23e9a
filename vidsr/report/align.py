"""Which picture of one film belongs to which of another: by their times, and by what they show where times fail.

Two pictures belong together when their times from the beginning differ by less than half the way to the next picture.
Where a picture was taken out or put in and the rest moved up, times alone would pair every later picture with the
wrong one. So each pair is looked at, as pictures of 64x36: when the pictures ahead clearly fit better some places
earlier or later, those in between have no partner, and the clocks are taken to differ from there on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .films import Picture, Thumb

REACH = 8
"""Pictures that may be missing or too many in one place and still be found by what is shown."""
LENGTH = 8
"""Pictures ahead by which a place is judged."""
SAME = 0.01
"""Difference of two thumbs, in standard deviations of their contrast, below which they show the same: half a code of
an ordinary picture."""
FLAT = 2.0
"""Standard deviation in codes of 8 bits below which a thumb shows nothing to recognise."""


@dataclass(frozen=True, eq=False)
class Step:
    """A pair, or a picture without partner. `lag` is how many seconds the second film is late by here."""

    first: Picture | None
    second: Picture | None
    lag: float = 0.0
    after: Picture | None = None
    """What the second film shows after pictures without partner, at one of them."""


def aligned(first: Iterator[Picture], second: Iterator[Picture], same_rate: bool) -> Iterator[Step]:
    """All pictures of two films in order, each once; where the rates differ, see `resampled`."""
    if not same_rate:
        yield from resampled(first, second)
        return
    one, two, lag = _Window(first), _Window(second), 0.0
    while one.head and two.head:
        apart = two.head.time - lag - one.head.time
        tolerance = min(one.step, two.step) / 2
        shift = _shift(one, two) if abs(apart) < tolerance else 0
        if shift:
            yield from (Step(one.take(), None, lag) for _ in range(shift))
            after = two.pictures(1 + max(0, -shift))[-1]
            yield from (Step(None, two.take(), lag, after) for _ in range(-shift))
            lag = two.head.time - one.head.time
        elif apart >= tolerance:
            yield Step(one.take(), None, lag)
        elif apart <= -tolerance:
            yield Step(None, two.take(), lag, two.head)
        else:
            yield Step(one.take(), two.take(), lag)
    yield from (Step(picture, None, lag) for picture in one.rest())
    yield from (Step(None, picture, lag) for picture in two.rest())


def resampled(first: Iterator[Picture], second: Iterator[Picture]) -> Iterator[Step]:
    """Every picture of the first film with the nearest in time of the second, which may serve several or none."""
    ahead = _Window(second)
    for picture in first:
        while (near := ahead.pictures(2)) and len(near) == 2 and _nearer(picture, *near):
            ahead.take()
        yield Step(picture, ahead.head)


def _nearer(picture: Picture, now: Picture, then: Picture) -> bool:
    return abs(then.time - picture.time) < abs(now.time - picture.time)


class _Window:
    """Pictures with some of those ahead."""

    def __init__(self, pictures: Iterator[Picture]) -> None:
        self._source, self._ahead = pictures, deque[Picture]()
        self._step = float("inf")

    def pictures(self, count: int) -> list[Picture]:
        """The next ones, fewer only at the end."""
        while len(self._ahead) < count and (picture := next(self._source, None)):
            self._ahead.append(picture)
        return list(self._ahead)[:count]

    @property
    def head(self) -> Picture | None:
        return next(iter(self.pictures(1)), None)

    @property
    def step(self) -> float:
        """Seconds to the next picture; of the last, from the one before."""
        near = self.pictures(2)
        if len(near) == 2:
            self._step = near[1].time - near[0].time
        return self._step

    def take(self) -> Picture:
        self.pictures(1)
        return self._ahead.popleft()

    def rest(self) -> Iterator[Picture]:
        while self.head:
            yield self.take()


def _shift(one: _Window, two: _Window) -> int:
    """How many pictures of the first film to pass over, or, below 0, of the second, so that what follows fits."""
    heads = [window.pictures(1)[0].thumb for window in (one, two)]
    if difference(*heads) < SAME:
        return 0
    apart = _differences(*([picture.thumb for picture in window.pictures(REACH + LENGTH)] for window in (one, two)))
    rows, columns = apart.shape
    places: list[int] = [*range(1, min(REACH + 1, rows)), *range(-1, -min(REACH + 1, columns), -1)]
    gains: dict[int, int] = {shift: _gain(apart, shift) for shift in (0, *sorted(places, key=abs))}
    best: int = max(gains, key=gains.__getitem__)
    return best


def _gain(apart: NDArray[np.float32], shift: int) -> int:
    """By how many of the pictures ahead `shift` fits better than none. The next one has to be among them, so that a
    gap is found where it is, and another one, if there is one, so that a single damaged picture is no gap."""
    moved, still = np.diagonal(apart, -shift)[:LENGTH], np.diagonal(apart)[:LENGTH]
    count = min(len(moved), len(still))
    moved, still = moved[:count], still[:count]
    better = (moved * 2 < still) & (still > SAME)
    worse = (still * 2 < moved) & (moved > SAME)
    return int(better.sum() - worse.sum()) if better[0] and better.sum() >= min(2, count) else 0


def difference(first: Thumb, second: Thumb) -> float:
    """Mean absolute difference of two thumbs, each without its mean and over its standard deviation, so that neither
    brightness nor contrast count; 0 where one shows nothing."""
    return float(_differences([first], [second])[0, 0])


def _differences(first: list[Thumb], second: list[Thumb]) -> NDArray[np.float32]:
    """rows: `first`, columns: `second`."""
    one, two = (np.stack([thumb.ravel() for thumb in thumbs]) for thumbs in (first, second))
    spread = [values.std(axis=1, keepdims=True) for values in (one, two)]
    one, two = (
        (values - values.mean(axis=1, keepdims=True)) / np.maximum(s, FLAT)
        for values, s in zip((one, two), spread, strict=True)
    )
    apart = np.stack([np.abs(two - row).mean(axis=1) for row in one])
    flat = (spread[0] < FLAT) | (spread[1] < FLAT).T
    return np.where(flat, np.float32(0), apart)
