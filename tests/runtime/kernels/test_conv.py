"""`conv` beside its twin, PyTorch's convolution, and itself on lists of tiles."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vidsr.runtime.kernels.conv import Config, Packed, conv, conv_eager, pack
from vidsr.runtime.kernels.places import ALIGNED, TILE, Segments, across, down, feature_map, whole

HEIGHT, WIDTH = 24, 55
CONFIGS = {
    "taps 4": Config("taps", 4, warps=4, stages=3),
    "taps 16, channels 16": Config("taps", 16, channels=16, warps=8, stages=3),
    "walk 16, group 4": Config("walk", 16, group=4, warps=4),
    "walk 32, group 8, channels 16": Config("walk", 32, group=8, channels=16, warps=8),
}
UNTOUCHED = 7.0


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS.keys())
def config(request: pytest.FixtureRequest) -> Config:
    return request.param


def picture(features: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A feature map with a border of zeros."""
    x = feature_map(HEIGHT, WIDTH, features, dtype, device)
    x[1 : HEIGHT + 1, 1 : WIDTH + 1] = torch.randn(HEIGHT, WIDTH, features).to(device, dtype)
    return x


def parameters(outputs: int, inputs: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    weight = torch.randn(outputs, inputs, 3, 3) / (3 * inputs**0.5)
    return weight.to(device), torch.randn(outputs).to(device), torch.rand(outputs).to(device)


def tiles(indices: list[int], device: torch.device) -> Segments:
    """A list of tiles, followed by numbers that must not be read as such."""
    number = across(WIDTH) * down(HEIGHT)
    order = torch.full((number,), 10**6, dtype=torch.int32)
    order[: len(indices)] = torch.tensor(indices, dtype=torch.int32)
    count = torch.full((ALIGNED,), len(indices), dtype=torch.int32)
    return Segments(order.to(device), count.to(device), TILE, number)


def both(x: Tensor, layer: Packed, segments: Segments, config: Config, pixel: int) -> tuple[Tensor, Tensor]:
    """What the kernel and its twin make of a buffer full of `UNTOUCHED`."""
    out = feature_map(HEIGHT, WIDTH, pixel, x.dtype, x.device).fill_(UNTOUCHED)
    twin = out.clone()
    conv(x, layer, out, segments, HEIGHT, WIDTH, config)
    conv_eager(x, layer, twin, segments, HEIGHT, WIDTH)
    return out, twin


def assert_close(out: Tensor, twin: Tensor) -> None:
    """Equal but for the order of a sum: a unit or two in the last place of the rounded result."""
    step = 2**-10 if out.dtype == torch.float16 else 2**-7
    assert torch.allclose(out.float(), twin.float(), rtol=step, atol=step / 4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_whole_frame_is_as_the_twin_has_it(device, config, dtype):
    layer = pack(*parameters(32, 16, device), dtype)
    segments = whole(HEIGHT, WIDTH, config.segment_rows, device)
    assert_close(*both(picture(16, dtype, device), layer, segments, config, 32))


def test_the_twin_is_pytorchs_convolution(device):
    weight, bias, slope = parameters(48, 32, device)
    x = picture(32, torch.float16, device)
    out, _ = both(x, pack(weight, bias, slope, x.dtype), whole(HEIGHT, WIDTH, TILE, device), CONFIGS["taps 4"], 48)
    inner = x[1 : HEIGHT + 1, 1 : WIDTH + 1].float().permute(2, 0, 1)[None]
    wanted = functional.prelu(functional.conv2d(inner, weight.half().float(), bias, padding=1), slope)
    assert_close(out[1 : HEIGHT + 1, 1 : WIDTH + 1].permute(2, 0, 1)[None], wanted.half())
    out[1 : HEIGHT + 1, 1 : WIDTH + 1] = UNTOUCHED
    assert bool((out == UNTOUCHED).all()), "the border was written"


@pytest.mark.parametrize("indices", [[], [5], [7, 0, 3, 4, 2], list(range(8))], ids=str)
def test_only_the_tiles_of_the_list_are_written(device, config, indices):
    layer = pack(*parameters(16, 16, device), torch.float16)
    out, twin = both(picture(16, torch.float16, device), layer, tiles(indices, device), config, 16)
    assert_close(out, twin)
    assert torch.equal(out == UNTOUCHED, twin == UNTOUCHED)


def test_all_tiles_are_the_whole_frame_bit_for_bit(device, config):
    layer, x = pack(*parameters(16, 16, device), torch.float16), picture(16, torch.float16, device)
    frame, _ = both(x, layer, whole(HEIGHT, WIDTH, config.segment_rows, device), config, 16)
    shuffled = torch.randperm(across(WIDTH) * down(HEIGHT)).tolist()
    listed, _ = both(x, layer, tiles(shuffled, device), config, 16)
    assert torch.equal(frame, listed)


def test_channels_that_are_no_power_of_two(device, config):
    """The last layer of a network writes 27 or 48 values; 48 features are computed as 64."""
    layer, x = pack(*parameters(27, 48, device), torch.float16), picture(64, torch.float16, device)
    x[..., 48:] = 0
    assert_close(*both(x, layer, whole(HEIGHT, WIDTH, config.segment_rows, device), config, 27))
