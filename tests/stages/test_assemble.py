"""Pictures patched where they changed have the codes of pictures converted as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vidsr.frames import Batch, Box, ColorTags, PixelLayout, RawFrame, UpscaledFrame
from vidsr.runtime.planes import FromRGB
from vidsr.runtime.transfer import Downloader
from vidsr.stages import assemble


def to_planes(
    batches: Iterable[Batch], converter: FromRGB, size: tuple[int, int], padded: tuple[int, int]
) -> Iterator[UpscaledFrame]:
    return assemble.to_planes(batches, converter, size, padded, Downloader(torch.device("cpu")))


LAYOUTS = [
    PixelLayout("yuv", 8, 1, 1),
    PixelLayout("yuv", 10, 1, 1),
    PixelLayout("yuv", 8, 1, 0),
    PixelLayout("yuv", 8, 2, 0),
    PixelLayout("yuv", 12, 0, 0),
    PixelLayout("rgb", 8),
    PixelLayout("gray", 16),
]


@pytest.mark.parametrize("dither", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("siting", ["left", "center", "topleft"])
@settings(max_examples=6, deadline=None)
@given(st.data())
def test_patches_have_the_codes_of_the_whole(
    layout: PixelLayout, siting: str, dither: bool, data: st.DataObject
) -> None:
    height, width = data.draw(st.integers(1, 150)), data.draw(st.integers(1, 230))
    ratio = data.draw(st.sampled_from([1, 1, 2, 3]))
    color = ColorTags(matrix=0 if layout.family == "rgb" else 1, full_range=False, siting=siting)  # type: ignore[arg-type]
    once, every = (FromRGB(layout, color, device="cpu", dither=dither) for _ in range(2))
    size = (width, height)
    rgb = torch.rand(1, 3, height * ratio, width * ratio)
    batches, wholes = [], []
    for pts in range(4):
        box = None
        if pts:
            top, left = data.draw(st.integers(0, height * ratio - 1)), data.draw(st.integers(0, width * ratio - 1))
            bottom = data.draw(st.integers(top + 1, height * ratio))
            right = data.draw(st.integers(left + 1, width * ratio))
            box = Box(top, left, bottom, right)
            box.of(rgb).copy_(torch.rand(1, 3, box.height, box.width))
        frame = RawFrame((), pts)
        batches.append(Batch((frame,), (0,), rgb.clone(), None if box is None else (box,)))
        wholes.append(Batch((frame,), (0,), rgb.clone()))
    patched = list(to_planes(batches, once, size, size))
    for seen, wanted in zip(patched, to_planes(wholes, every, size, size), strict=True):
        assert all(map(np.array_equal, seen.planes, wanted.planes))


def test_a_picture_that_was_handed_out_is_not_changed_later() -> None:
    converter = FromRGB(PixelLayout("yuv", 8, 1, 1), ColorTags(1, False, siting="left"), device="cpu", dither=False)
    rgb = torch.rand(1, 3, 64, 64)

    def batches():
        yield Batch((RawFrame((), 0),), (0,), rgb)
        Box(3, 3, 9, 9).of(rgb).zero_()
        yield Batch((RawFrame((), 1),), (0,), rgb, (Box(3, 3, 9, 9),))

    made = to_planes(batches(), converter, (64, 64), (64, 64))
    first = next(made)
    copies = [plane.copy() for plane in first.planes]
    second = next(made)
    assert all(map(np.array_equal, first.planes, copies))
    assert not np.array_equal(first.planes[0], second.planes[0])


def test_nothing_changed_means_nothing_converted() -> None:
    converter = FromRGB(PixelLayout("yuv", 8, 1, 1), ColorTags(1, False, siting="left"), device="cpu", dither=False)
    rgb = torch.rand(1, 3, 32, 32)
    batches = [Batch((RawFrame((), 0),), (0,), rgb), Batch((RawFrame((), 1),), (0,), rgb, ())]
    first, second = to_planes(batches, converter, (32, 32), (32, 32))
    assert all(map(np.array_equal, first.planes, second.planes))


@pytest.mark.parametrize(("size", "padded"), [((61, 45), (62, 46)), ((48, 48), (48, 48)), ((100, 80), (100, 80))])
def test_other_sizes_are_made_as_a_whole(size: tuple[int, int], padded: tuple[int, int]) -> None:
    color = ColorTags(1, False, siting="left")
    once, every = (FromRGB(PixelLayout("yuv", 8, 1, 1), color, device="cpu", dither=False) for _ in range(2))
    first = torch.rand(1, 3, 45, 61)
    second = first.clone()
    Box(7, 7, 20, 20).of(second).zero_()
    changes = [Batch((RawFrame((), 0),), (0,), first), Batch((RawFrame((), 1),), (0,), second, (Box(7, 7, 20, 20),))]
    wholes = [Batch((RawFrame((), n),), (0,), rgb) for n, rgb in enumerate((first, second))]
    pairs = zip(to_planes(changes, once, size, padded), to_planes(wholes, every, size, padded), strict=True)
    for seen, wanted in pairs:
        assert all(map(np.array_equal, seen.planes, wanted.planes))


def test_patches_of_many_sizes_take_no_more_memory() -> None:
    """The matrix of a dither is kept once for each plane, not once for each size."""
    converter = FromRGB(PixelLayout("yuv", 8, 1, 1), ColorTags(1, False, siting="left"), device="cpu", dither=True)
    rgb = torch.rand(1, 3, 128, 192)
    for height, width in ((1, 1), (70, 20), (5, 130), (128, 192), (40, 40)):
        converter.part(rgb, Box(0, 0, height, width))
    held = sum(matrix.numel() for matrix in converter._thresholds.values())
    assert held <= 3 * 128 * 192
