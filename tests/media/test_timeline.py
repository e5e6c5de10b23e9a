"""Time: whatever comes in, what goes out rises, and every change is told."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from vidsr.events import Dropped, Event, Retimed
from vidsr.media.timeline import BACKWARD, Continuity, Timeline

TB = Fraction(1, 1000)


def place_all(pts: list[int | None], step: int = 40, base: Fraction = TB) -> tuple[list[int], list[Event]]:
    events: list[Event] = []
    timeline = Timeline(base, None, events.append)
    placed = [timeline.place(stamp, step) for stamp in pts]
    return [stamp for stamp in placed if stamp is not None], events


@given(st.lists(st.one_of(st.none(), st.integers(-(2**40), 2**40)), max_size=60), st.integers(0, 50))
def test_any_input_gives_a_strictly_rising_line_and_the_counts_add_up(pts: list[int | None], step: int) -> None:
    placed, events = place_all(pts, step)
    assert all(a < b for a, b in pairwise(placed))
    assert len(placed) == len(pts) - sum(isinstance(event, Dropped) for event in events)
    untouched = sum(1 for stamp in placed if stamp in pts)
    assert len(placed) - untouched <= sum(isinstance(event, Retimed) for event in events)


@given(st.lists(st.integers(-1000, 10**9), unique=True, max_size=60).map(sorted))
def test_a_rising_line_is_left_alone(pts: list[int]) -> None:
    assert place_all(list(pts)) == (pts, [])


def test_missing_times_are_filled_from_the_length_of_a_frame() -> None:
    placed, events = place_all([0, None, 80, None])
    assert placed == [0, 40, 80, 120]
    assert [type(event) for event in events] == [Retimed, Retimed]


def test_equal_and_backward_times_get_the_next_tick_when_there_is_room() -> None:
    placed, events = place_all([0, 40, 40, 20, 80])
    assert placed == [0, 40, 41, 42, 80]
    assert len(events) == 2


def test_without_room_a_frame_is_dropped_and_told() -> None:
    placed, events = place_all([0, 1, 1, 2], step=1, base=Fraction(1, 24))
    assert placed == [0, 1, 2]
    assert [type(event) for event in events] == [Dropped]


def continue_all(times: list[tuple[int, float]]) -> tuple[list[Fraction], list[Event]]:
    events: list[Event] = []
    continuity = Continuity(events.append)
    placed = [Fraction(time) + continuity.offset(stream, Fraction(time)) for stream, time in times]
    return placed, events


def test_a_splice_is_closed_by_the_same_offset_for_sound_and_picture() -> None:
    first = [(stream, n / 10 + stream / 100) for n in range(100) for stream in (0, 1)]
    placed, events = continue_all(first + first)
    video, audio = placed[0::2], placed[1::2]
    assert all(a < b for a, b in pairwise(video))
    assert {round(float(a - v), 6) for v, a in zip(video, audio, strict=True)} == {0.01}
    assert len(events) == 1


def test_streams_may_reach_a_splice_at_different_moments() -> None:
    old = [(0, 9.8), (0, 9.9), (1, 9.8)]
    new = [(0, 0.0), (1, 9.9), (0, 0.1), (1, 0.0), (1, 0.1)]
    placed, events = continue_all(old + new)
    assert [round(float(t), 3) for t in placed[3:]] == [10.0, 9.9, 10.1, 10.0, 10.1]
    assert len(events) == 1


def test_a_wrapped_33_bit_counter_goes_on() -> None:
    wrap = 2**33 / 90000
    placed, _ = continue_all([(0, wrap - 0.2), (0, wrap - 0.1), (0, 0.0), (0, 0.1)])
    assert [round(float(b - a), 3) for a, b in pairwise(placed)] == [0.1, 0.1, 0.1]


def test_small_steps_back_are_left_to_the_frames() -> None:
    placed, events = continue_all([(0, 1.0), (0, 1.0 - float(BACKWARD) / 2), (0, 1.1)])
    assert [float(t) for t in placed] == [1.0, 1.0 - float(BACKWARD) / 2, 1.1]
    assert events == []


def test_a_stream_without_a_clock_follows_the_video() -> None:
    continuity = Continuity(lambda event: None)
    for time in (0, 5, 10, 0):
        offset = continuity.offset(0, Fraction(time))
    assert continuity.offset(0, None) == offset > 0
