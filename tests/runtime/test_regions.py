"""What a change can reach, as tiles and rectangles."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vidsr.frames import Box
from vidsr.runtime.regions import FAR, TILE, bands, distances, rectangles


@given(st.integers(1, 70), st.integers(1, 90), st.lists(st.tuples(st.integers(0, 69), st.integers(0, 89)), max_size=4))
def test_the_distance_of_a_tile_is_that_of_its_nearest_pixel(
    height: int, width: int, points: list[tuple[int, int]]
) -> None:
    changed = np.zeros((height, width), bool)
    inside = [(row % height, column % width) for row, column in points]
    for row, column in inside:
        changed[row, column] = True
    found = distances(changed)
    assert found.shape == (-(-height // TILE), -(-width // TILE))
    for (i, j), distance in np.ndenumerate(found):
        rows, columns = np.mgrid[i * TILE : min(height, (i + 1) * TILE), j * TILE : min(width, (j + 1) * TILE)]
        near = [np.maximum(abs(rows - row), abs(columns - column)).min() for row, column in inside]
        assert distance == min(near, default=FAR)


@given(
    arrays.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))), st.integers(1, TILE), st.integers(1, TILE)
)
def test_rectangles_hold_every_active_tile_and_stay_inside(active: np.ndarray, more_h: int, more_w: int) -> None:
    height, width = (active.shape[0] - 1) * TILE + more_h, (active.shape[1] - 1) * TILE + more_w
    covered = np.zeros((height, width), bool)
    boxes = rectangles(active, height, width)
    for box in boxes:
        assert 0 <= box.top < box.bottom <= height
        assert 0 <= box.left < box.right <= width
        covered[box.top : box.bottom, box.left : box.right] = True
    wanted = active.repeat(TILE, 0).repeat(TILE, 1)[:height, :width]
    assert covered[wanted].all()
    assert len(boxes) <= active.sum()
    if not active.any():
        assert boxes == []


def test_a_rectangle_is_one_and_joining_wastes_little() -> None:
    active = np.zeros((8, 10), bool)
    active[2:6, 3:7] = True
    assert rectangles(active, 64, 80) == [Box(16, 24, 48, 56)]
    active[:] = True
    assert rectangles(active, 60, 75) == [Box(0, 0, 60, 75)]
    active[:] = False
    active[0, 0] = active[7, 9] = True
    assert len(rectangles(active, 64, 80)) == 2


@given(st.integers(0, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 600))
def test_bands_cover_a_box_once(top: int, height: int, width: int, pixels: int) -> None:
    box = Box(top, 5, top + height, 5 + width)
    parts = list(bands(box, pixels))
    assert [part.top for part in parts] == [box.top, *(part.bottom for part in parts[:-1])]
    assert parts[-1].bottom == box.bottom
    assert all((part.left, part.right) == (box.left, box.right) for part in parts)
    assert all(part.area <= max(pixels, width) for part in parts)
