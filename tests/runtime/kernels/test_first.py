"""Planes to RGB beside `ToRGB`, what is said to have changed, and the first convolution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vidsr.frames import ColorTags, PixelLayout
from vidsr.runtime.kernels import coding
from vidsr.runtime.kernels.first import FAR, SIDES, first, first_eager, pack_first, to_rgb, to_rgb_eager
from vidsr.runtime.kernels.places import across, down, feature_map, whole
from vidsr.runtime.planes import ToRGB

CASES = {
    "420 8 left": (PixelLayout("yuv", 8, 1, 1), ColorTags(1, False, siting="left")),
    "420 10 topleft": (PixelLayout("yuv", 10, 1, 1), ColorTags(9, False, siting="topleft")),
    "420 8 full centre": (PixelLayout("yuv", 8, 1, 1), ColorTags(6, True, siting="center")),
    "422 10": (PixelLayout("yuv", 10, 1, 0), ColorTags(1, False, siting="left")),
    "411 8": (PixelLayout("yuv", 8, 2, 0), ColorTags(1, False, siting="left")),
    "444 16": (PixelLayout("yuv", 16), ColorTags(1, True)),
    "gray 9": (PixelLayout("gray", 9), ColorTags(2, False)),
    "rgb 8": (PixelLayout("rgb", 8), ColorTags(0, True)),
}


def random_planes(layout: PixelLayout, height: int, width: int, device: torch.device) -> tuple[Tensor, ...]:
    """Every code, legal or not."""
    sizes = layout.plane_sizes(width, height)
    rng = np.random.default_rng(0)
    codes = (rng.integers(0, layout.peak + 1, size).astype(layout.dtype) for size in sizes)
    return tuple(torch.from_numpy(plane).to(device) for plane in codes)


def empty_sides(height: int, width: int, device: torch.device) -> Tensor:
    return torch.full((across(width) * down(height), SIDES), -1, dtype=torch.int32, device=device)


@pytest.mark.parametrize(("layout", "color"), CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize(("height", "width"), [(18, 21)])
def test_planes_become_the_rgb_of_the_reference(device, layout, color, height, width):
    planes, code = random_planes(layout, height, width, device), coding.source(layout, color, device)
    rgb, twin = (torch.full((3, height, width), -1.0, device=device) for _ in range(2))
    sides, twin_sides = (empty_sides(height, width, device) for _ in range(2))
    to_rgb(planes, code, rgb, sides)
    to_rgb_eager(planes, code, twin, twin_sides)
    wanted = ToRGB(layout, color, device=device)(tuple(plane[None] for plane in planes))[0]
    assert float((rgb - wanted).abs().max()) < 1e-6
    assert float((rgb - twin).abs().max()) < 1e-6
    assert torch.equal(sides, twin_sides)
    assert int(sides[:, :4].min()) == 1  # all has changed


def test_floats_stay_as_they_are(device):
    rgb, given = torch.zeros(3, 17, 18, device=device), torch.rand(3, 17, 18).to(device)
    to_rgb(tuple(given), coding.floats(device), rgb, empty_sides(17, 18, device))
    assert torch.equal(rgb, given)


@pytest.mark.parametrize(("y", "x"), [(0, 0), (15, 16), (20, 34), (16, 31)])
def test_what_changed_is_told_by_its_distances(device, y, x):
    height, width = 21, 35
    given, sides = torch.rand(3, height, width).to(device), empty_sides(height, width, device)
    rgb = given.clone()
    given[1, y, x] = (given[1, y, x] + 0.5) % 1
    to_rgb(tuple(given), coding.floats(device), rgb, sides)
    up, left = y % 16 + 1, x % 16 + 1
    low, right = 17 - up, 17 - left
    corners = [max(up, left), max(up, right), max(low, left), max(low, right)]
    wanted = torch.full_like(sides, FAR)
    wanted[y // 16 * across(width) + x // 16] = torch.tensor([up, low, left, right, *corners], dtype=torch.int32)
    assert torch.equal(sides, wanted)
    to_rgb(tuple(given), coding.floats(device), rgb, sides)
    assert bool((sides == FAR).all()), "a held frame has changed"


@pytest.mark.parametrize(("dtype", "step"), [(torch.float16, 2**-10), (torch.bfloat16, 2**-7)])
def test_the_first_convolution_keeps_the_shades(device, dtype, step):
    height, width = 21, 35
    weight, bias, slope = torch.randn(48, 3, 3, 3) / 5, torch.randn(48) / 5, torch.rand(48)
    weight, bias, slope, rgb = (tensor.to(device) for tensor in (weight, bias, slope, torch.rand(3, height, width)))
    layer, segments = pack_first(weight, bias, slope, dtype), whole(height, width, 16, device)
    out = feature_map(height, width, 64, dtype, device)
    twin = out.clone()
    first(rgb, layer, out, segments, height, width)
    first_eager(rgb, layer, twin, segments, height, width)
    assert torch.allclose(out.float(), twin.float(), rtol=step, atol=step / 4)
    rgb, weight, bias, slope = (tensor.cpu() for tensor in (rgb, weight, bias, slope))  # cuDNN would round to TF32
    exact = functional.prelu(functional.conv2d(rgb[None], weight, bias, padding=1), slope)[0].permute(1, 2, 0)
    inner = out[1 : height + 1, 1 : width + 1, :48].float().cpu()
    # float32 but for the rounding of the result; float16 rounds what goes in, too
    slack = 2e-3 if dtype == torch.float16 else 2e-4
    assert float((inner - exact).abs().sub_(exact.abs() * step / 2).max()) < slack
