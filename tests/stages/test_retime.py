"""Frames at a constant rate: every point of the grid has one, and none is shown at a wrong time."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vidsr.frames import RawFrame
from vidsr.stages.retime import FINEST, Retimer, clock_of

BASE = Fraction(1, 24000)
RATES = [Fraction(rate) for rate in ("24", "25", "24000/1001", "30000/1001", "50", "1", "120")]


def frames(steps: list[int], origin: int = 0) -> list[RawFrame]:
    """Frames that last `steps` ticks each; the only plane of each holds its number."""
    starts = accumulate(steps[:-1], initial=origin)
    return [
        RawFrame((np.full((1, 1), number, np.uint8),), pts, step)
        for number, (pts, step) in enumerate(zip(starts, steps, strict=True))
    ]


def numbers(found: list[RawFrame]) -> list[int]:
    return [int(frame.planes[0][0, 0]) for frame in found]


def retimed(rate: Fraction, given: list[RawFrame], start: Fraction = Fraction(0)) -> tuple[Retimer, list[RawFrame]]:
    retimer = Retimer(rate, given[0].pts, BASE, start)
    return retimer, list(retimer.frames(given))


def test_twice_the_rate_shows_each_twice_and_half_of_it_every_other() -> None:
    retimer, found = retimed(Fraction(48), frames([1000] * 5))
    assert numbers(found) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert (retimer.inserted, retimer.removed) == (5, 0)
    retimer, found = retimed(Fraction(12), frames([1000] * 6))
    assert len(found) == 3
    assert (retimer.inserted, retimer.removed) == (0, 3)
    assert np.diff(numbers(found)).tolist() == [2, 2]


def test_the_same_rate_with_rounded_times_changes_no_frame() -> None:
    steps = [1008, 984, 1008, 1008, 984] * 20  # 42, 41, 42 ms, as Matroska writes 24 frames a second
    retimer, found = retimed(Fraction(24), frames(steps))
    assert numbers(found) == list(range(100))
    assert (retimer.inserted, retimer.removed) == (0, 0)
    assert [frame.pts * retimer.clock for frame in found] == [Fraction(n, 24) for n in range(100)]


@given(
    st.lists(st.integers(1, 20000), min_size=1, max_size=60),
    st.sampled_from(RATES),
    st.integers(-50000, 50000),
    st.fractions(0, 10, max_denominator=90000),
)
def test_times_hold_to_half_a_frame_and_nothing_is_uncounted(
    steps: list[int], rate: Fraction, origin: int, start: Fraction
) -> None:
    given = frames(steps, origin)
    retimer, found = retimed(rate, given, start)
    times = [frame.pts * retimer.clock for frame in found]
    assert all(after - before == 1 / rate for before, after in pairwise(times))
    assert abs(times[0] - start) <= 1 / rate / 1000
    assert len(given) + retimer.inserted - retimer.removed == len(found)
    length = sum(steps) * BASE
    assert abs(len(found) / rate - length) <= Fraction(1, 2) / rate or len(found) == 1
    half = Fraction(1, 2) / rate
    for time, number in zip(times, numbers(found), strict=True):
        begin = (given[number].pts - origin) * BASE + times[0]
        assert begin - half <= time <= begin + given[number].duration * BASE + half
    assert numbers(found) == sorted(numbers(found))


@given(st.sampled_from(RATES), st.fractions(0, 1000, max_denominator=10**6))
def test_the_clock_holds_the_grid_and_where_it_can_the_start(rate: Fraction, start: Fraction) -> None:
    clock = clock_of(rate, start)
    assert (1 / rate / clock).denominator == 1
    assert clock.denominator < FINEST
    assert (start / clock).denominator == 1 or clock == 1 / rate / 1000
