"""What is done with transparency outside of any network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vidsr.frames import PixelLayout
from vidsr.media.alpha import bled, bled_planes, is_even, resized_alpha

LAYOUTS = [PixelLayout("yuv", 8, 1, 1), PixelLayout("yuv", 10, 1, 0), PixelLayout("rgb", 12), PixelLayout("gray", 8)]


def picture(layout: PixelLayout, height: int, width: int) -> tuple[list[Any], Any]:
    """Planes of noise, and an alpha that is 0 in the right half."""
    rng = np.random.default_rng(0)
    sizes = layout.plane_sizes(width, height)
    planes = [rng.integers(1, layout.peak + 1, size).astype(layout.dtype) for size in sizes]
    alpha = rng.integers(1, layout.peak + 1, (height, width)).astype(layout.dtype)
    alpha[:, width // 2 :] = 0
    return planes, alpha


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [(16, 24), (17, 23), (2, 2)])
def test_only_hidden_samples_change_and_only_by_what_is_visible(layout: PixelLayout, size: tuple[int, int]) -> None:
    planes, alpha = picture(layout, *size)
    *colours, same = bled_planes((*planes, alpha))
    assert np.array_equal(same, alpha)
    for number, (before, after) in enumerate(zip(planes, colours, strict=True)):
        seen = -(-(size[1] // 2) >> (layout.log2_w if number else 0))  # the columns that belong to a visible pixel
        assert (after.dtype, after.shape) == (before.dtype, before.shape)
        np.testing.assert_array_equal(after[:, :seen], before[:, :seen])
        if after[:, seen:].size:
            assert before[:, :seen].min() <= after[:, seen:].min() <= after[:, seen:].max() <= before[:, :seen].max()


def test_hidden_samples_do_not_matter() -> None:
    layout = LAYOUTS[0]
    planes, alpha = picture(layout, 16, 24)
    others = [plane.copy() for plane in planes]
    others[0][:, 12:], others[1][:, 6:], others[2][:, 6:] = 255, 0, 255
    pairs = zip(bled_planes((*planes, alpha)), bled_planes((*others, alpha)), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("level", [0, 1, 255])
def test_nothing_is_done_where_all_or_nothing_is_visible(level: int) -> None:
    planes, _ = picture(LAYOUTS[0], 16, 24)
    given = (*planes, np.full((16, 24), level, np.uint8))
    assert bled_planes(given) is given


def test_planes_get_what_pixels_get() -> None:
    planes, alpha = picture(PixelLayout("rgb", 8), 31, 45)
    np.testing.assert_array_equal(
        np.dstack(bled_planes((*planes, alpha))[:3]), bled(np.dstack(planes), alpha), "as one picture"
    )


@pytest.mark.parametrize(("change", "even"), [(None, True), ((0, 0), False), ((7, 8), False), ((3, 4), False)])
def test_one_sample_makes_it_uneven(change: Any, even: bool) -> None:
    alpha = np.full((8, 9), 200, np.uint16)
    if change:
        alpha[change] += 1
    assert is_even(alpha) is even


def test_lanczos_does_not_go_beyond_opaque_of_ten_bits() -> None:
    alpha = np.zeros((16, 16), np.uint16)
    alpha[:, 8:] = 1023
    assert resized_alpha(alpha, (48, 48)).max() > 1023, "it would"
    large = resized_alpha(alpha, (48, 48), 1023)
    assert (large.max(), large.min()) == (1023, 0)
