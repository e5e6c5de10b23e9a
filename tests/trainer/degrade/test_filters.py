from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.trainer.degrade import cases
from tests.trainer.degrade.comparisons import results
from trainer.degrade.canvas import Canvas
from trainer.degrade.filters import Usm, blur, fast_length, filter2d, mirrored
from trainer.degrade.options import Sharpen


@pytest.mark.parametrize("name", ["filter", "usm"])
def test_the_result_is_the_reference_s(name: str) -> None:
    assert results()[name].numpy() == pytest.approx(cases.goldens()[name], abs=3e-6)


def test_borders_are_mirrored_as_numpy_does_it_at_each_picture_s_own_size() -> None:
    pixels = cases.pictures(3, 9, 12)
    canvas = Canvas(pixels, ((9, 12), (5, 4), (1, 7)))
    made = mirrored(canvas, 15)
    assert made.shape == (3, 3, 39, 42)
    for number, (height, width) in enumerate(canvas.sizes):
        expected = np.pad(pixels[number, :, :height, :width].numpy(), ((0, 0), (15, 15), (15, 15)), mode="reflect")
        assert np.array_equal(made[number, :, : height + 30, : width + 30].numpy(), expected)


def test_pictures_of_several_sizes_are_filtered_as_if_alone() -> None:
    pixels, kernels = cases.pictures(3, 40, 48), torch.from_numpy(cases.kernels(3))
    sizes = ((40, 30), (23, 48), (12, 9))
    together = filter2d(Canvas(pixels, sizes), kernels).pixels
    for number, (height, width) in enumerate(sizes):
        alone = filter2d(Canvas.of(pixels[number : number + 1, :, :height, :width]), kernels[number : number + 1])
        assert torch.allclose(together[number, :, :height, :width], alone.pixels[0], atol=2e-6)


def test_pictures_without_kernel_stay_as_they_are() -> None:
    canvas = Canvas.of(cases.pictures(3, 24, 24))
    made = blur(canvas, [None, cases.made("sinc"), None]).pixels
    assert torch.equal(made[0], canvas.pixels[0])
    assert torch.equal(made[2], canvas.pixels[2])
    assert not torch.allclose(made[1], canvas.pixels[1], atol=1e-3)
    assert blur(canvas, [None] * 3) is canvas


def test_kernels_of_different_sizes_go_together() -> None:
    canvas = Canvas.of(cases.pictures(2, 30, 30))
    together = blur(canvas, [cases.made("sinc"), cases.made("sinc large")]).pixels
    alone = blur(Canvas.of(canvas.pixels[:1]), [cases.made("sinc")]).pixels
    assert torch.allclose(together[:1], alone, atol=2e-6)


def test_transforms_have_lengths_without_large_factors() -> None:
    assert [fast_length(length) for length in (1, 7, 97, 420, 421, 622)] == [2, 8, 100, 432, 432, 640]


def test_sharpening_makes_edges_steeper_and_leaves_flat_parts() -> None:
    edge = torch.full((1, 3, 64, 64), 0.3)
    edge[..., 32:] = 0.7
    sharp = Usm(Sharpen())(edge)
    assert sharp[0, 0, 30, 31] < 0.27
    assert sharp[0, 0, 30, 32] > 0.73
    assert torch.allclose(sharp[..., 60], edge[..., 60], atol=5e-3)
    faint = 0.5 + (edge - 0.5) * 0.1  # a step of 10 codes: every difference is below the threshold
    assert torch.allclose(Usm(Sharpen())(faint), faint, atol=1e-6)


def test_sharpening_does_not_depend_on_the_other_pictures() -> None:
    pixels = cases.pictures(3, 60, 52)
    usm = Usm(Sharpen())
    assert torch.equal(usm(pixels)[1:2], usm(pixels[1:2]))
