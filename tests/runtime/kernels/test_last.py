"""The end of a network beside `FromRGB`, in every layout; what is patched; what is told."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vidsr.frames import ColorTags, PixelLayout
from vidsr.runtime.kernels import coding
from vidsr.runtime.kernels.coding import Coding
from vidsr.runtime.kernels.last import to_planes, to_planes_eager
from vidsr.runtime.kernels.places import ALIGNED, Segments, feature_map, whole
from vidsr.runtime.planes import FromRGB

HEIGHT, WIDTH = 18, 19
CASES = {
    "420 8 left x1": (PixelLayout("yuv", 8, 1, 1), ColorTags(1, False, siting="left"), 1),
    "420 10 topleft x2": (PixelLayout("yuv", 10, 1, 1), ColorTags(9, False, siting="topleft"), 2),
    "420 8 full centre x1": (PixelLayout("yuv", 8, 1, 1), ColorTags(6, True, siting="center"), 1),
    "422 8 x1": (PixelLayout("yuv", 8, 1, 0), ColorTags(1, False, siting="left"), 1),
    "422 10 x2": (PixelLayout("yuv", 10, 1, 0), ColorTags(1, False, siting="left"), 2),
    "411 8 x1": (PixelLayout("yuv", 8, 2, 0), ColorTags(1, False, siting="left"), 1),
    "420 8 left x3": (PixelLayout("yuv", 8, 1, 1), ColorTags(1, False, siting="left"), 3),
    "410 8 x1": (PixelLayout("yuv", 8, 2, 2), ColorTags(1, False, siting="left"), 1),
    "444 16 x4": (PixelLayout("yuv", 16), ColorTags(1, True), 4),
    "gray 9 x2": (PixelLayout("gray", 9), ColorTags(2, False), 2),
    "rgb 8 x3": (PixelLayout("rgb", 8), ColorTags(0, True), 3),
}


def detail_of(scale: int, device: torch.device) -> Tensor:
    detail = feature_map(HEIGHT, WIDTH, 3 * scale**2, torch.float16, device)
    detail[1 : HEIGHT + 1, 1 : WIDTH + 1] = torch.randn(HEIGHT, WIDTH, 3 * scale**2).to(device, torch.float16) / 5
    return detail


def shown(detail: Tensor, rgb: Tensor, scale: int) -> Tensor:
    """1 3 sH sW, as the network itself puts it together."""
    inner = detail[1 : HEIGHT + 1, 1 : WIDTH + 1].float().permute(2, 0, 1)[None]
    return functional.pixel_shuffle(inner, scale) + functional.interpolate(rgb[None], scale_factor=scale)


def empty(code: Coding, scale: int, device: torch.device) -> tuple[Tensor, ...]:
    dtype = torch.uint8 if code.layout.depth <= 8 else torch.uint16
    sizes = code.layout.plane_sizes(WIDTH * scale, HEIGHT * scale)
    return tuple(torch.full(size, 3, dtype=dtype, device=device) for size in sizes)


def listed(indices: list[int], device: torch.device) -> Segments:
    count = torch.full((ALIGNED,), len(indices), dtype=torch.int32, device=device)
    return Segments(torch.tensor([*indices, 99], dtype=torch.int32, device=device), count, 16, 4)


def differences_of(rgb: Tensor, scale: int) -> Tensor:
    """Something for what an earlier frame left."""
    return torch.full((2, rgb.shape[1] * scale, rgb.shape[2] * scale), 0.1, device=rgb.device)


def run(detail: Tensor, rgb: Tensor, code: Coding, luma: Segments, chroma: Segments, scale: int):
    """Planes of the kernel and of its twin, both with what they say of not finite values."""
    device = rgb.device
    results = []
    for function in (to_planes, to_planes_eager):
        planes, bad = empty(code, scale, device), torch.zeros(1, dtype=torch.int32, device=device)
        function(detail, rgb, differences_of(rgb, scale), planes, code, bad, luma, chroma, scale)
        results.append((tuple(plane.to(torch.int32) for plane in planes), bad.item()))
    return results


@pytest.mark.parametrize(("layout", "color", "scale"), CASES.values(), ids=CASES.keys())
def test_planes_are_those_of_the_reference(device, layout, color, scale):
    dither = layout.depth in (8, 16)
    detail, rgb = detail_of(scale, device), torch.rand(3, HEIGHT, WIDTH).to(device)
    code, segments = coding.target(layout, color, device, dither=dither), whole(HEIGHT, WIDTH, 16, device)
    (planes, bad), (twin, twin_bad) = run(detail, rgb, code, segments, segments, scale)
    wanted = FromRGB(layout, color, device=device, dither=dither)(shown(detail, rgb, scale))
    assert bad == twin_bad == 0
    unequal = 0
    for mine, its, reference in zip(planes, twin, wanted, strict=True):
        difference = (mine - reference[0].to(torch.int32)).abs()
        assert int(difference.max()) <= 1
        assert int((mine - its).abs().max()) <= 1
        unequal += int(difference.count_nonzero())
    assert unequal <= 0.002 * sum(plane.numel() for plane in planes)  # ties, rounded in another order


def test_floats_are_not_clamped(device):
    detail, rgb = detail_of(2, device), torch.rand(3, HEIGHT, WIDTH).to(device)
    out, bad = torch.zeros(3, 2 * HEIGHT, 2 * WIDTH, device=device), torch.zeros(1, dtype=torch.int32, device=device)
    segments = whole(HEIGHT, WIDTH, 16, device)
    to_planes(detail, rgb, differences_of(rgb, 2), tuple(out), coding.floats(device), bad, segments, segments, 2)
    assert torch.equal(out, shown(detail, rgb, 2)[0])
    assert float(out.min()) < 0
    assert float(out.max()) > 1


@pytest.mark.parametrize(("luma", "chroma"), [([], []), ([0], [2, 0]), ([3], [1])], ids=str)
@pytest.mark.parametrize("case", ["422 8 x1", "410 8 x1", "420 8 left x3"])
def test_only_the_tiles_of_the_lists_are_patched(device, case, luma, chroma):
    """4:1:0 has tiles of 4 x 4 chroma samples, x3 of 24 x 24: neither fills the blocks of the kernel."""
    layout, color, scale = CASES[case]
    code = coding.target(layout, color, device, dither=False)
    detail, rgb = detail_of(scale, device), torch.rand(3, HEIGHT, WIDTH).to(device)
    (planes, _), (twin, _) = run(detail, rgb, code, listed(luma, device), listed(chroma, device), scale)
    for mine, its in zip(planes, twin, strict=True):
        assert int((mine - its).abs().max()) <= 1
        assert torch.equal(mine == 3, its == 3)  # legal codes start at 16


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("tile", [0, 3])
def test_what_is_not_finite_is_told_where_it_was_computed(device, value, tile):
    detail, rgb = detail_of(1, device), torch.rand(3, HEIGHT, WIDTH).to(device)
    detail[HEIGHT, WIDTH, 2] = value  # the last pixel, in tile 3
    code = coding.target(PixelLayout("gray"), ColorTags(1, True), device, dither=False)
    bad = torch.zeros(1, dtype=torch.int32, device=device)
    planes, luma, chroma = empty(code, 1, device), listed([tile], device), listed([], device)
    to_planes(detail, rgb, differences_of(rgb, 1), planes, code, bad, luma, chroma, 1)
    assert bad.item() == (tile == 3)
