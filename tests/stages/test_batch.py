"""Batches: order and rows."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidsr.frames import Batch, RawFrame
from vidsr.stages.batch import MAX_HELD, group


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
