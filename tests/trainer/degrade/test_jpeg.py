from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.trainer.degrade import cases
from tests.trainer.degrade.comparisons import results
from trainer.degrade.canvas import Canvas
from trainer.degrade.jpeg import compress, jpeg


def psnr(first: Tensor, second: Tensor) -> float:
    return float(-10 * torch.log10((first - second).square().mean()))


@pytest.mark.parametrize("name", ["jpeg", "jpeg differentiable"])
def test_the_picture_is_the_reference_s(name: str) -> None:
    apart = (results()[name] - torch.from_numpy(cases.goldens()[name])).abs()
    assert apart.mean() < 1e-6
    assert (apart < 1e-5).float().mean() > 0.99  # a coefficient in the middle between two steps may round otherwise


@pytest.mark.parametrize("quality", [20, 50, 80, 95])
def test_it_loses_what_libjpeg_loses(quality: int) -> None:
    picture = cases.pictures(1, 64, 64, 3)
    bgr = (picture[0].permute(1, 2, 0).numpy()[..., ::-1] * 255).round().astype(np.uint8)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    theirs = torch.from_numpy(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].copy()).permute(2, 0, 1)[None] / 255
    mine = jpeg(picture, torch.tensor([float(quality)]))
    assert psnr(mine, picture) == pytest.approx(psnr(theirs, picture), abs=1.5)


def test_more_quality_loses_less() -> None:
    picture = cases.pictures(1, 48, 48)
    losses = [psnr(jpeg(picture, torch.tensor([quality])), picture) for quality in (5.0, 30.0, 60.0, 90.0, 100.0)]
    assert losses == sorted(losses)
    assert np.isfinite(losses).all()


def test_each_picture_has_its_own_quality() -> None:
    pictures, qualities = cases.pictures(3, 40, 24), torch.tensor([10.0, 60.0, 95.0])
    together = jpeg(pictures, qualities)
    for number in range(3):
        alone = jpeg(pictures[number : number + 1], qualities[number : number + 1])
        assert torch.allclose(together[number], alone[0], atol=1e-5)


def test_pictures_of_several_sizes_are_compressed_as_if_alone() -> None:
    pixels = cases.pictures(3, 40, 50)
    sizes, qualities = ((40, 50), (17, 23), (33, 16)), (40.0, 70.0, None)
    together = compress(Canvas(pixels, sizes), qualities).pixels
    for number, (height, width) in enumerate(sizes[:2]):
        part = pixels[number : number + 1, :, :height, :width]
        alone = jpeg(part, torch.tensor([qualities[number]]))
        assert torch.allclose(together[number, :, :height, :width], alone[0], atol=1e-5)
    assert torch.equal(together[2], pixels[2])


def test_values_outside_are_cut_first() -> None:
    canvas = Canvas.of(cases.pictures(1, 16, 16) * 3 - 1)
    assert torch.equal(compress(canvas, [50.0]).pixels, jpeg(canvas.pixels.clamp(0, 1), torch.tensor([50.0])))


def test_only_the_differentiable_one_has_a_gradient_of_its_own() -> None:
    picture = cases.pictures(1, 16, 16).requires_grad_()
    target = cases.pictures(1, 16, 16, 8)
    (jpeg(picture, torch.tensor([40.0]), differentiable=True) - target).square().sum().backward()
    assert picture.grad is not None
    smooth = picture.grad.abs().mean()
    picture.grad = None
    (jpeg(picture, torch.tensor([40.0])) - target).square().sum().backward()
    assert smooth > 1e-3
    assert picture.grad.abs().max() == 0
