from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tests.trainer.degrade import cases
from trainer.degrade.canvas import Canvas
from trainer.degrade.options import Mode
from trainer.degrade.resize import Resampling, resize, taps

MODES: tuple[Mode, ...] = ("area", "bilinear", "bicubic")
CORNERS = {"area": None, "bilinear": False, "bicubic": False}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("factor", [0.15, 0.37, 0.5, 0.98, 1.0, 1.17, 1.5])
def test_a_factor_resizes_as_torch_does_alone_and_on_a_shared_canvas(mode: Mode, factor: float) -> None:
    pixels = cases.pictures(2, 40, 33)
    expected = functional.interpolate(pixels, scale_factor=factor, mode=mode, align_corners=CORNERS[mode])
    alone = resize(Canvas.of(pixels), [Resampling(mode, factor=factor)] * 2)
    assert alone.sizes == (tuple(expected.shape[-2:]),) * 2
    assert torch.allclose(alone.pixels, expected, atol=1e-6)
    other = Resampling("bilinear", size=(61, 9))
    shared = resize(Canvas.of(pixels), [Resampling(mode, factor=factor), other])
    height, width = shared.sizes[0]
    assert (height, width) == alone.sizes[0]
    assert torch.allclose(shared.pixels[0, :, :height, :width], expected[0], atol=2e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(7, 50), (40, 33), (90, 5), (1, 1)])
def test_a_size_is_reached_as_torch_does_it_from_a_part_of_a_canvas(mode: Mode, size: tuple[int, int]) -> None:
    pixels = cases.pictures(2, 40, 33)
    canvas = Canvas(pixels, ((40, 33), (17, 21)))
    made = resize(canvas, [Resampling(mode, size=size)] * 2)
    part = pixels[1:, :, :17, :21]
    expected = functional.interpolate(part, size=size, mode=mode, align_corners=CORNERS[mode])
    assert made.sizes == (size, size)
    assert torch.allclose(made.pixels[1:], expected, atol=2e-6)


def test_keeping_the_size_keeps_the_bits() -> None:
    canvas = Canvas.of(cases.pictures(1, 12, 12))
    for mode in MODES:
        assert torch.equal(resize(canvas, [Resampling(mode, factor=1.0)]).pixels, canvas.pixels)


def test_a_picture_never_vanishes() -> None:
    canvas = Canvas.of(cases.pictures(1, 5, 30))
    made = resize(canvas, [Resampling("bicubic", factor=0.15)])
    assert made.sizes == ((1, 4),)
    assert torch.isfinite(made.pixels).all()


@pytest.mark.parametrize("mode", MODES)
def test_weights_of_a_place_sum_to_one(mode: Mode) -> None:
    for before, after in ((40, 7), (7, 40), (13, 13)):
        index, weights = taps(before, after, mode)
        assert weights.sum(1) == pytest.approx(1, abs=1e-5)
        assert index.min() >= 0
        assert index.max() < before
