"""Held pictures, and pictures steadied to within T codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidsr.frames import PixelLayout, RawFrame
from vidsr.stages.reuse import BLOCK, find_held, steadied

YUV = PixelLayout("yuv", 8, 1, 1)
LAYOUTS = [YUV, PixelLayout("yuv", 10, 1, 0), PixelLayout("rgb", 8), PixelLayout("gray", 12)]
LAYOUTS += [PixelLayout("yuv", 8, 1, 1, alpha=True), PixelLayout("gray", 8, alpha=True)]


def frames(values: list[int]) -> list[RawFrame]:
    chroma = [np.zeros((2, 2), np.uint8) for _ in values]
    return [RawFrame((np.full((4, 4), value, np.uint8), chroma[n]), n) for n, value in enumerate(values)]


def test_only_pictures_equal_in_every_sample_are_held() -> None:
    made = frames([1, 1, 2, 2, 1])
    made[3].planes[1][1, 1] = 7
    works = list(find_held(made, "exact", YUV))
    assert [work.held for work in works] == [False, True, False, False, False]
    assert not any(work.held for work in find_held(made, "off", YUV))


def test_one_sample_in_a_corner_is_enough_to_differ() -> None:
    made = frames([1, 1])
    made[1].planes[0][3, 3] += 1
    assert [work.held for work in find_held(made, "exact", YUV)] == [False, False]


class Sealed:
    """A picture on the device. The host may ask for its size, and for nothing else."""

    depth, nbytes = 8, 24

    def capsules(self) -> tuple[Any, Any]:
        raise AssertionError("the host looked at a picture on the device")


def test_pictures_on_the_device_are_not_looked_at() -> None:
    """The one that is shown again, in place of one that never came, is known without a look."""
    one, other = Sealed(), Sealed()
    host = frames([1, 1])
    made = [RawFrame(one, 0), RawFrame(one, 1), RawFrame(other, 2), *host, RawFrame(other, 5), RawFrame(other, 6)]
    works = list(find_held(made, "exact", YUV))
    assert [work.held for work in works] == [False, True, False, False, True, False, True]
    assert [frame.nbytes for frame in made] == [24, 24, 24, 20, 20, 24, 24]
    assert not any(work.held for work in find_held(made, "off", YUV))


def noisy(layout: PixelLayout, width: int, height: int, count: int, spread: int, seed: int) -> list[RawFrame]:
    """A still picture under noise of up to `spread` codes, slowly becoming brighter."""
    rng = np.random.default_rng(seed)
    sizes = layout.plane_sizes(width, height)
    still = [rng.integers(spread, layout.peak - spread - count, size) for size in sizes]
    return [
        RawFrame(
            tuple((p + n + rng.integers(-spread, spread + 1, p.shape)).astype(layout.dtype) for p in still), pts=n * 3
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
@given(st.integers(1, 70), st.integers(1, 50), st.integers(1, 6), st.integers(0, 3), st.integers(0, 99))
def test_steadied_pictures_never_drift_and_are_taken_by_whole_blocks(
    layout: PixelLayout, width: int, height: int, most: int, spread: int, seed: int
) -> None:
    source = noisy(layout, width, height, 8, spread, seed)
    shown: tuple[np.ndarray, ...] | None = None
    for frame, made in zip(source, steadied(source, most, layout), strict=True):
        assert made.pts == frame.pts
        for number, (wanted, got) in enumerate(zip(frame.planes, made.planes, strict=True)):
            assert got.dtype == wanted.dtype
            assert np.abs(got.astype(int) - wanted).max() <= most
            if shown is not None:
                small = number > 0 and layout.family == "yuv"
                down, across = BLOCK >> (small * layout.log2_h), BLOCK >> (small * layout.log2_w)
                for top in range(0, got.shape[0], down):
                    for left in range(0, got.shape[1], across):
                        block = (slice(top, top + down), slice(left, left + across))
                        is_old = np.array_equal(got[block], shown[number][block])
                        assert is_old or np.array_equal(got[block], wanted[block])
        shown = made.planes


def test_a_picture_within_the_limit_is_held_and_one_beyond_it_is_not() -> None:
    made = frames([10, 12, 11, 13, 12])
    assert [work.held for work in find_held(made, "near:2", YUV)] == [False, True, True, False, True]


def test_the_limit_is_in_codes_of_8_bits() -> None:
    layout = PixelLayout("gray", 10)
    made = [RawFrame((np.full((4, 4), value, np.uint16),), pts) for pts, value in enumerate([400, 408, 409])]
    assert [work.held for work in find_held(made, "near:2", layout)] == [False, True, False]


def test_the_source_is_left_alone() -> None:
    made = noisy(YUV, 40, 30, 5, 3, 1)
    copies = [tuple(plane.copy() for plane in frame.planes) for frame in made]
    list(steadied(made, 2, YUV))
    for frame, copy in zip(made, copies, strict=True):
        assert all(map(np.array_equal, frame.planes, copy))
