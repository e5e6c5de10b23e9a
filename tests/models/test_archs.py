"""The networks against a second, plain writing of the same equations, and against the published figures."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vidsr.models.archs.compact import Activation, SRVGGNetCompact
from vidsr.models.archs.rrdb import RRDBNet

State = dict[str, Tensor]
ZOO = {  # name: network, parameters, multiplications per input pixel
    "animevideov3": (lambda: SRVGGNetCompact(64, 16, 4), 621_424, 619_200),
    "general-x4v3": (lambda: SRVGGNetCompact(64, 32, 4), 1_213_296, 1_209_024),
    "animevideo-v2-x2": (lambda: SRVGGNetCompact(64, 16, 2), 600_652, 598_464),
    "x4plus": (lambda: RRDBNet(64, 23, 32, 4), 16_697_987, 17_926_848),
    "x4plus-anime": (lambda: RRDBNet(64, 6, 32, 4), 4_467_779, 5_706_432),
    "x2plus": (lambda: RRDBNet(64, 23, 32, 2), 16_703_171, 4_483_008),
}


def conv(state: State, name: str, x: Tensor) -> Tensor:
    return functional.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)


def act(state: State, name: str, x: Tensor, kind: Activation) -> Tensor:
    if kind == "prelu":
        slopes = state[f"{name}.weight"].reshape(1, -1, 1, 1)
        return torch.where(x > 0, x, slopes * x)
    return torch.where(x > 0, x, (0.0 if kind == "relu" else 0.1) * x)


def plain_compact(state: State, x: Tensor, convolutions: int, scale: int, kind: Activation) -> Tensor:
    y = x
    for index in range(convolutions + 1):
        y = act(state, f"body.{2 * index + 1}", conv(state, f"body.{2 * index}", y), kind)
    y = conv(state, f"body.{2 * convolutions + 2}", y)
    n, _, height, width = x.shape
    shuffled = y.reshape(n, 3, scale, scale, height, width).permute(0, 1, 4, 2, 5, 3)
    repeated = x.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    return shuffled.reshape(n, 3, height * scale, width * scale) + repeated


def leaky(x: Tensor) -> Tensor:
    return torch.maximum(x, 0.2 * x)


def plain_rrdb(state: State, x: Tensor, blocks: int, scale: int) -> Tensor:
    u = 4 // scale
    n, _, height, width = x.shape
    x = x.reshape(n, 3, height // u, u, width // u, u).permute(0, 1, 3, 5, 2, 4).flatten(1, 3)
    first = y = conv(state, "conv_first", x)
    for block in range(blocks):
        outer = y
        for rdb in (1, 2, 3):
            inner, seen = y, y
            for index in range(1, 5):
                seen = torch.cat([seen, leaky(conv(state, f"body.{block}.rdb{rdb}.conv{index}", seen))], 1)
            y = inner + 0.2 * conv(state, f"body.{block}.rdb{rdb}.conv5", seen)
        y = outer + 0.2 * y
    y = first + conv(state, "conv_body", y)
    for name in ("conv_up1", "conv_up2"):
        y = leaky(conv(state, name, y.repeat_interleave(2, 2).repeat_interleave(2, 3)))
    return conv(state, "conv_last", leaky(conv(state, "conv_hr", y)))


@pytest.mark.parametrize("kind", ["prelu", "relu", "leakyrelu"])
@pytest.mark.parametrize(("features", "convolutions", "scale"), [(8, 3, 4), (5, 0, 1), (4, 2, 3)])
def test_compact_equals_the_plain_writing(features: int, convolutions: int, scale: int, kind: Activation) -> None:
    torch.manual_seed(1)
    network = SRVGGNetCompact(features, convolutions, scale, kind).eval()
    rgb = torch.rand(2, 3, 9, 7)
    expected = plain_compact(network.state_dict(), rgb, convolutions, scale, kind)
    assert float((network(rgb) - expected).detach().abs().max()) < 1e-5


@pytest.mark.parametrize(("scale", "blocks"), [(4, 2), (2, 1), (1, 1)])
def test_rrdb_equals_the_plain_writing(scale: int, blocks: int) -> None:
    torch.manual_seed(2)
    network = RRDBNet(8, blocks, 4, scale).eval()
    for tensor in network.parameters():  # far from the small start, so that every path counts
        torch.nn.init.normal_(tensor, std=0.15)
    rgb = torch.rand(2, 3, 8, 12)
    expected = plain_rrdb(network.state_dict(), rgb, blocks, scale).detach()
    assert float(expected.max()) > 0.1
    assert float((network(rgb) - expected).detach().abs().max()) < 1e-5 * float(expected.abs().max())


@pytest.mark.parametrize("name", ZOO)
def test_sizes_are_the_published_ones(name: str) -> None:
    make, parameters, multiplications = ZOO[name]
    with torch.device("meta"):
        network = make()
    assert sum(tensor.numel() for tensor in network.parameters()) == parameters
    assert network.flops_per_pixel == 2 * multiplications


@pytest.mark.parametrize("name", ZOO)
def test_scale_and_dtype_are_what_the_output_shows(name: str) -> None:
    network = ZOO[name][0]().eval().to(torch.bfloat16)
    with torch.inference_mode():
        out = network(torch.rand(1, 3, 8, 4))
    assert out.shape == (1, 3, 8 * network.scale, 4 * network.scale)
    assert out.dtype == torch.float32
    assert torch.isfinite(out).all()


def test_the_skip_of_a_bf16_body_keeps_all_bits() -> None:
    network = SRVGGNetCompact(4, 1, 2).eval()
    for tensor in network.parameters():
        torch.nn.init.zeros_(tensor)
    rgb = torch.rand(1, 3, 5, 5)
    out = network.to(torch.bfloat16)(rgb)
    assert torch.equal(out[..., ::2, ::2], rgb)


def reach(network: torch.nn.Module, scale: int, size: int, at: int) -> int:
    """How far, in input pixels, the output pixels of input pixel (at, at) see."""
    rgb = torch.rand(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    small = network.double()
    detail = small.forward(rgb)[..., at * scale : (at + 1) * scale, at * scale : (at + 1) * scale]
    (gradient,) = torch.autograd.grad(detail.sum(), rgb)
    rows = gradient.abs().sum((0, 1, 3)).nonzero().flatten()
    return max(at - int(rows.min()), int(rows.max()) - at)


@pytest.mark.parametrize(
    ("network", "scale", "size"),
    [
        (SRVGGNetCompact(4, 3, 2, "leakyrelu"), 2, 25),
        (RRDBNet(2, 1, 2, 4), 4, 51),
        (RRDBNet(2, 1, 2, 2), 2, 100),
        (RRDBNet(2, 1, 2, 1), 1, 200),
        (RRDBNet(2, 1, 2, 1, 0), 1, 51),
        (RRDBNet(2, 1, 2, 2, 1), 2, 51),
        (RRDBNet(2, 1, 2, 8, 3), 8, 51),
    ],
)
def test_the_receptive_field_is_reached_and_not_exceeded(
    network: SRVGGNetCompact | RRDBNet, scale: int, size: int
) -> None:
    torch.manual_seed(3)
    for tensor in network.parameters():
        torch.nn.init.normal_(tensor, mean=0.5, std=0.2)
    seen = [reach(network, scale, size, size // 2 + offset) for offset in range(network.multiple_of)]
    assert max(seen) == network.receptive_field


def test_dense_blocks_start_small() -> None:
    torch.manual_seed(4)
    layer = RRDBNet(64, 1, 32).body[0].rdb1.conv1
    assert float(layer.bias.detach().abs().max()) == 0
    assert float(layer.weight.detach().std()) == pytest.approx(0.1 * (2 / (64 * 9)) ** 0.5, rel=0.05)
