"""Planes out of FFmpeg's formats, sample by sample."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest

from vidsr.frames import PixelLayout
from vidsr.media.pixels import fill_frame, format_of, has_alpha, layout_of, planes_of

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


ALPHA = [
    "yuva420p", "yuva422p", "yuva444p", "yuva420p9le", "yuva422p10le", "yuva444p12le", "yuva420p16le", "gbrap",
    "gbrap10le", "gbrap14le", "gbrap16le", "ya8", "ya16le",
]  # fmt: skip
PACKED = [
    "rgba",
    "bgra",
    "argb",
    "abgr",
    "rgba64le",
    "rgba64be",
    "bgra64le",
    "ayuv",
    "vuya",
    "ayuv64le",
    "ya16be",
    "gbrap12be",
]


@pytest.mark.parametrize("name", [*ALPHA, *PACKED])
@pytest.mark.parametrize(("width", "height"), [(64, 64), (33, 17)])
def test_planes_with_transparency_come_back_sample_by_sample(name: str, width: int, height: int) -> None:
    layout = layout_of(name)
    assert layout.alpha
    rng = np.random.default_rng(0)
    sizes = layout.plane_sizes(width, height)
    assert sizes[-1] == sizes[0] == (height, width)
    planes = tuple(rng.integers(0, layout.peak + 1, size).astype(layout.dtype) for size in sizes)
    frame = fill_frame(planes, layout, width, height)
    assert frame.format.name == format_of(layout)
    if name in PACKED:
        frame = frame.reformat(format=name, threads=1)
    for before, after in zip(planes, planes_of(frame, layout), strict=True):
        np.testing.assert_array_equal(before, after)
    assert layout_of(format_of(layout)) == layout


def test_what_has_no_transparency_is_opaque() -> None:
    frame = random_frame("yuv420p10le", 33, 17, 10)
    layout = layout_of("yuv420p10le")
    *colours, alpha = planes_of(frame, PixelLayout("yuv", 10, 1, 1, alpha=True))
    assert (alpha == 1023).all()
    assert alpha.shape == (17, 33)
    assert all(map(np.array_equal, colours, planes_of(frame, layout)))


def test_a_palette_keeps_its_transparency() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (256, 4), dtype=np.uint8)
    places = np.arange(256, dtype=np.uint8).reshape(16, 16)
    frame = av.VideoFrame.from_ndarray((places, colours), format="pal8")
    assert has_alpha("pal8")
    planes = planes_of(frame, layout_of("pal8"))
    expected = frame.reformat(format="rgba", threads=1).to_ndarray()
    np.testing.assert_array_equal(np.dstack(planes), expected)
    assert len(np.unique(planes[3])) > 100
