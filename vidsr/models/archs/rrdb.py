"""RRDBNet: residual-in-residual dense blocks, then nearest-neighbour enlargements, two in all official releases.

Source: X. Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks", 2018; the forms for scale 2
and 1 that make the input smaller first come with Real-ESRGAN (2021), those with another number of enlargements from
people who trained the first release for other scales. Key names and order of layers are those of the released weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import WeightsError

SLOPE = 0.2
"""Of every leaky ReLU."""

SHARE = 0.2
"""Part of a block's result that is added to its input."""

MOST_STAGES = 4
"""Enlargements by two that are looked for: scale 16."""


def _act(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, SLOPE)


def _dense_conv(inputs: int, outputs: int) -> nn.Conv2d:
    """A convolution that starts near zero: deep residual trunks train only when they start near the identity."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight)
    with torch.no_grad():
        layer.weight.mul_(0.1)
        if layer.bias is not None:
            layer.bias.zero_()
    return layer


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees all results before it. N F h w to N F h w."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.conv1 = _dense_conv(features, growth)
        self.conv2 = _dense_conv(features + growth, growth)
        self.conv3 = _dense_conv(features + 2 * growth, growth)
        self.conv4 = _dense_conv(features + 3 * growth, growth)
        self.conv5 = _dense_conv(features + 4 * growth, features)

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen.append(_act(layer(torch.cat(seen, 1))))
        result: Tensor = self.conv5(torch.cat(seen, 1)) * SHARE + x
        return result


class ResidualDenseBlocks(nn.Module):
    """Three dense blocks and a residual connection around them."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (DenseBlock(features, growth) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.rdb3(self.rdb2(self.rdb1(x))) * SHARE + x
        return result


class RRDBNet(nn.Module):
    """N 3 H W to N 3 sH sW float32, RGB, [0, 1] nominal, not clamped; H and W are multiples of `multiple_of`.

    The trunk enlarges `stages` times by two. For scales below 2**stages the input is first made smaller, without loss,
    by moving pixels into channels. The layers run in the dtype of their weights.
    """

    def __init__(self, features: int = 64, blocks: int = 23, growth: int = 32, scale: int = 4, stages: int = 2) -> None:
        super().__init__()
        self.features, self.blocks, self.growth, self.scale, self.stages = features, blocks, growth, scale, stages
        self.multiple_of = int(2**stages // scale)

        def conv(inputs: int, outputs: int) -> nn.Conv2d:
            return nn.Conv2d(inputs, outputs, 3, padding=1)

        self.conv_first = conv(3 * self.multiple_of**2, features)
        self.body = nn.Sequential(*(ResidualDenseBlocks(features, growth) for _ in range(blocks)))
        self.conv_body = conv(features, features)
        for name in self.enlargements:
            self.add_module(name, conv(features, features))
        self.conv_hr = conv(features, features)
        self.conv_last = conv(features, 3)

    @property
    def enlargements(self) -> list[str]:
        """Names of the convolutions that follow an enlargement, in order."""
        return [f"conv_up{number}" for number in range(1, self.stages + 1)]

    def forward(self, rgb: Tensor) -> Tensor:
        small = functional.pixel_unshuffle(rgb, self.multiple_of).to(self.conv_first.weight.dtype)
        first = self.conv_first(small)
        x = first + self.conv_body(self.body(first))
        for name in self.enlargements:
            x = _act(self.get_submodule(name)(functional.interpolate(x, scale_factor=2, mode="nearest")))
        result: Tensor = self.conv_last(_act(self.conv_hr(x)))
        return result.float()

    @property
    def title(self) -> str:
        """The architecture and its hyper-parameters, for people."""
        told = "" if self.stages == 2 else f", {self.stages} enlargements"
        return f"RRDBNet {self.features} features, {self.blocks} blocks, growth {self.growth}{told}"

    @property
    def receptive_field(self) -> int:
        """Radius in input pixels.

        At the size of the trunk: 15 convolutions per block, conv_first and conv_body. Behind it two convolutions at the
        size of the output and one at the size after each enlargement. A pixel at the edge of its cell sees farthest:
        going back through an enlargement, r pixels beyond that edge are r / 2 rounded up of the smaller picture. A
        trunk pixel covers `multiple_of` input pixels.
        """
        reach = 2
        for _ in self.enlargements:
            reach = -(-(reach + 1) // 2)
        return (15 * self.blocks + 2 + reach) * self.multiple_of

    @property
    def flops_per_pixel(self) -> int:
        """Twice the multiplications of all convolutions, per input pixel; each enlargement makes four times as many."""
        often: dict[str, int] = {name: 4**number for number, name in enumerate(self.enlargements, 1)}
        often |= dict.fromkeys(("conv_hr", "conv_last"), int(4**self.stages))
        total = sum(
            layer.weight.numel() * often.get(name, 1)
            for name, layer in self.named_modules()
            if isinstance(layer, nn.Conv2d)
        )
        return 2 * total // self.multiple_of**2


OLD_NAMES = (
    # ESRGAN as first released (2018): one numbered list of layers.
    (r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.(\w+)", r"body.\1.rdb\2.conv\3.\4"),
    (r"model\.1\.sub\.\d+\.(weight|bias)", r"conv_body.\1"),
    (r"model\.0\.(\w+)", r"conv_first.\1"),
    # ESRGAN as released later: names, but other ones.
    (r"RRDB_trunk\.(\d+)\.RDB(\d)\.conv(\d)\.(\w+)", r"body.\1.rdb\2.conv\3.\4"),
    (r"trunk_conv\.(\w+)", r"conv_body.\1"),
    (r"upconv(\d)\.(\w+)", r"conv_up\1.\2"),
    (r"HRconv\.(\w+)", r"conv_hr.\1"),
)


def modern(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict under the names of the newest releases; as it is when it is no RRDBNet of any release.

    ESRGAN+ has one more convolution in each block, and is another network.
    """
    first = {"conv_first.weight", "model.1.sub.0.RDB1.conv1.0.weight"} & state.keys()
    if not first or any(".conv1x1." in key for key in state):
        return dict(state)
    tail = _numbered_tail(state)
    return {_modern_name(key, tail): value for key, value in state.items()}


def _numbered_tail(state: Mapping[str, Tensor]) -> dict[str, str]:
    """In the numbered list an enlargement takes three places (3, 6, …); then follow conv_hr and, two on, conv_last."""
    places = sorted({int(found[1]) for key in state if (found := re.fullmatch(r"model\.(\d{1,2})\.weight", key))})
    places = [place for place in places if place > 1]
    if len(places) < 2:
        return {}
    names = [f"conv_up{number}" for number in range(1, len(places) - 1)]
    return {f"model.{place}": name for place, name in zip(places, [*names, "conv_hr", "conv_last"], strict=True)}


def _modern_name(key: str, tail: Mapping[str, str]) -> str:
    layer, _, kind = key.rpartition(".")
    if layer in tail:
        return f"{tail[layer]}.{kind}"
    for pattern, name in OLD_NAMES:
        if found := re.fullmatch(pattern, key):
            return found.expand(name)
    return key


def matches(state: Mapping[str, Tensor]) -> bool:
    """Whether the (modern) names are those of this network."""
    return "conv_first.weight" in state


def recover(state: Mapping[str, Tensor]) -> RRDBNet:
    """The network, without weights, that a state dict belongs to. Raises WeightsError when the shapes make no sense."""
    first = state["conv_first.weight"]
    stages = sum(f"conv_up{number}.weight" in state for number in range(1, MOST_STAGES + 1))
    smaller = {3 * 4**step: 2**step for step in range(stages + 1)}.get(first.shape[1]) if first.ndim == 4 else None
    blocks = {int(found[1]) for key in state if (found := re.match(r"body\.(\d{1,6})\.rdb1\.", key))}
    if smaller is None or not blocks or max(blocks) >= len(state):
        raise WeightsError(
            f"the weights look like RRDBNet, but conv_first.weight is {'x'.join(map(str, first.shape))} with "
            f"{len(blocks)} blocks and {stages} enlargements; expected are Fx3x3x3, or with two enlargements Fx12x3x3 "
            "(scale 2) or Fx48x3x3 (scale 1), and at least one block body.0.rdb1"
        )
    dense = state.get("body.0.rdb1.conv1.weight")
    growth = 32 if dense is None else dense.shape[0]
    return RRDBNet(first.shape[0], max(blocks) + 1, growth, 2**stages // smaller, stages)
