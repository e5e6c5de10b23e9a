"""Planes out of FFmpeg's formats, sample by sample."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest

from vidsr.media.pixels import layout_of, planes_of

SIZES = [(328, 186), (1922, 270), (64, 64), (33, 17)]
"""Some have lines that libswscale splits badly over threads."""


def samples(plane: Any, height: int, width: int, dtype: Any) -> np.ndarray[Any, Any]:
    return np.frombuffer(memoryview(plane), dtype).reshape(-1, plane.line_size // np.dtype(dtype).itemsize)[
        :height, :width
    ]


def random_frame(name: str, width: int, height: int, depth: int, shift: int = 0) -> av.VideoFrame:
    rng = np.random.default_rng(width)
    frame = av.VideoFrame(width, height, name)
    for plane in frame.planes:
        dtype = np.uint8 if depth == 8 else np.uint16
        count = plane.buffer_size // np.dtype(dtype).itemsize
        plane.update((rng.integers(0, 1 << depth, count) << shift).astype(dtype).tobytes())
    return frame


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize(
    ("name", "depth"),
    [("gbrap", 8), ("gbrap10le", 10), ("gbrap12le", 12), ("gbrap16le", 16), ("yuva420p", 8), ("yuva444p10le", 10)],
)
def test_transparency_changes_nothing_of_the_colours(name: str, depth: int, width: int, height: int) -> None:
    frame, layout = random_frame(name, width, height, depth), layout_of(name).colours
    order = (2, 0, 1) if layout.family == "rgb" else (0, 1, 2)
    for plane, index, size in zip(planes_of(frame, layout), order, layout.plane_sizes(width, height), strict=True):
        assert np.array_equal(plane, samples(frame.planes[index], *size, layout.dtype))


@pytest.mark.parametrize(("width", "height"), [size for size in SIZES if size[0] % 2 == size[1] % 2 == 0])
@pytest.mark.parametrize(("name", "depth"), [("nv12", 8), ("p010le", 10), ("p210le", 10), ("p410le", 10)])
def test_planes_that_lie_side_by_side_are_taken_apart_exactly(name: str, depth: int, width: int, height: int) -> None:
    shift = 0 if depth == 8 else 16 - depth
    frame, layout = random_frame(name, width, height, depth, shift), layout_of(name)
    (_, luma), small = layout.plane_sizes(width, height)[0], layout.plane_sizes(width, height)[1]
    both = samples(frame.planes[1], small[0], small[1] * 2, layout.dtype) >> shift
    expected = samples(frame.planes[0], height, luma, layout.dtype) >> shift, both[:, ::2], both[:, 1::2]
    for _ in range(5):  # a race shows itself now and then
        assert all(map(np.array_equal, planes_of(frame, layout), expected))
