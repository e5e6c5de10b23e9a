"""Tiles: every pixel written once, by a tile that saw enough around it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vidsr.stages.tile import tiles

SIZES = st.integers(1, 90)


@given(SIZES, SIZES, st.integers(16, 64), st.integers(0, 40), st.sampled_from([1, 2, 4]))
def test_every_pixel_lies_in_one_core_with_its_overlap_around_it(h: int, w: int, side: int, lap: int, mul: int) -> None:
    count = np.zeros((h, w), int)
    for tile in tiles(h, w, side, lap, mul):
        core, seen = tile.core, tile.padded
        count[core.top : core.bottom, core.left : core.right] += 1
        assert core.height <= side + mul
        assert core.width <= side + mul
        assert seen.top <= max(0, core.top - lap)
        assert seen.left <= max(0, core.left - lap)
        assert (seen.bottom, seen.right) == (min(h, core.bottom + lap), min(w, core.right + lap))
        assert seen.top % mul == seen.left % mul == core.top % mul == core.left % mul == 0
    assert (count == 1).all()


def test_side_zero_is_the_whole_frame() -> None:
    (only,) = tiles(50, 70, 0, 18)
    assert only.core == only.padded
    assert (only.core.height, only.core.width) == (50, 70)


def test_cores_are_of_nearly_equal_size() -> None:
    heights = {tile.core.height for tile in tiles(100, 10, 30, 5)}
    assert heights == {25}
