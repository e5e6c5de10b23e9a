"""Batches: order, rows, and held pictures."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidsr.frames import Batch, RawFrame, Work
from vidsr.stages.batch import MAX_HELD, group
from vidsr.stages.reuse import find_held


def single(number: int, held: bool) -> Batch:
    frame = RawFrame((np.zeros((2, 2), np.uint8),), pts=number)
    return Batch((frame,), (-1,), None) if held else Batch((frame,), (0,), torch.full((1, 3, 2, 2), float(number)))


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 5))
def test_each_picture_shows_the_last_distinct_one(held: list[bool], size: int) -> None:
    held = [False, *held]
    shown, last, number = [], -1.0, 0
    for batch in group((single(n, h) for n, h in enumerate(held)), size):
        values = [] if batch.rgb is None else batch.rgb[:, 0, 0, 0].tolist()
        assert len(values) <= size
        assert len(batch.frames) <= size + MAX_HELD
        for frame, row in zip(batch.frames, batch.rows, strict=True):
            assert frame.pts == number
            last = values[row] if row >= 0 else last
            shown.append(last)
            number += 1
        last = values[-1] if values else last
    expected = [max(n for n in range(place + 1) if not held[n]) for place in range(len(held))]
    assert shown == expected


def frames(values: list[int]) -> list[RawFrame]:
    chroma = [np.zeros((2, 2), np.uint8) for _ in values]
    return [RawFrame((np.full((4, 4), value, np.uint8), chroma[n]), n) for n, value in enumerate(values)]


def test_only_pictures_equal_in_every_sample_are_held() -> None:
    made = frames([1, 1, 2, 2, 1])
    made[3].planes[1][1, 1] = 7
    works = list(find_held(made, "exact"))
    assert [work.held for work in works] == [False, True, False, False, False]
    assert not any(work.held for work in find_held(made, "off"))


def test_one_sample_in_a_corner_is_enough_to_differ() -> None:
    made = frames([1, 1])
    made[1].planes[0][3, 3] += 1
    assert [work.held for work in find_held(made, "exact")] == [False, False]
    assert isinstance(next(find_held(made, "exact")), Work)
