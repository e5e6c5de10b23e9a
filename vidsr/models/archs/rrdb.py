"""RRDBNet: residual-in-residual dense blocks, then two nearest-neighbour enlargements.

Source: X. Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks", 2018; the forms for scale 2
and 1 come with Real-ESRGAN (2021). Key names and order of layers are those of the released weights.
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

    The trunk always enlarges four times. For scale 2 and 1 the input is first made smaller, without loss, by moving
    2x2 or 4x4 pixels into channels. The layers run in the dtype of their weights.
    """

    def __init__(self, features: int = 64, blocks: int = 23, growth: int = 32, scale: int = 4) -> None:
        super().__init__()
        self.features, self.blocks, self.growth, self.scale = features, blocks, growth, scale
        self.multiple_of = 4 // scale

        def conv(inputs: int, outputs: int) -> nn.Conv2d:
            return nn.Conv2d(inputs, outputs, 3, padding=1)

        self.conv_first = conv(3 * self.multiple_of**2, features)
        self.body = nn.Sequential(*(ResidualDenseBlocks(features, growth) for _ in range(blocks)))
        self.conv_body = conv(features, features)
        self.conv_up1 = conv(features, features)
        self.conv_up2 = conv(features, features)
        self.conv_hr = conv(features, features)
        self.conv_last = conv(features, 3)

    def forward(self, rgb: Tensor) -> Tensor:
        small = functional.pixel_unshuffle(rgb, self.multiple_of).to(self.conv_first.weight.dtype)
        first = self.conv_first(small)
        x = first + self.conv_body(self.body(first))
        x = _act(self.conv_up1(functional.interpolate(x, scale_factor=2, mode="nearest")))
        x = _act(self.conv_up2(functional.interpolate(x, scale_factor=2, mode="nearest")))
        result: Tensor = self.conv_last(_act(self.conv_hr(x)))
        return result.float()

    @property
    def title(self) -> str:
        """The architecture and its hyper-parameters, for people."""
        return f"RRDBNet {self.features} features, {self.blocks} blocks, growth {self.growth}"

    @property
    def receptive_field(self) -> int:
        """Radius in input pixels.

        At the size of the trunk: 15 convolutions per block, conv_first and conv_body. Behind it three convolutions at
        four times the size and one at twice: together they reach across two trunk pixels, (3 / 2 + 1) / 2 rounded up,
        from a pixel at the edge of its cell towards that edge. A trunk pixel covers `multiple_of` input pixels.
        """
        return (15 * self.blocks + 2 + 2) * self.multiple_of

    @property
    def flops_per_pixel(self) -> int:
        """Twice the multiplications of all convolutions, per input pixel; later layers run 4 and 16 times as often."""
        often = {"conv_up1": 4, "conv_up2": 16, "conv_hr": 16, "conv_last": 16}
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
    (r"model\.3\.(\w+)", r"conv_up1.\1"),
    (r"model\.6\.(\w+)", r"conv_up2.\1"),
    (r"model\.8\.(\w+)", r"conv_hr.\1"),
    (r"model\.10\.(\w+)", r"conv_last.\1"),
    # ESRGAN as released later: names, but other ones.
    (r"RRDB_trunk\.(\d+)\.RDB(\d)\.conv(\d)\.(\w+)", r"body.\1.rdb\2.conv\3.\4"),
    (r"trunk_conv\.(\w+)", r"conv_body.\1"),
    (r"upconv([12])\.(\w+)", r"conv_up\1.\2"),
    (r"HRconv\.(\w+)", r"conv_hr.\1"),
)


def modern_name(key: str) -> str:
    """The name of a tensor in the newest releases, for its name in any release."""
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
    scale = {3: 4, 12: 2, 48: 1}.get(first.shape[1]) if first.ndim == 4 else None
    blocks = {int(found[1]) for key in state if (found := re.match(r"body\.(\d{1,6})\.rdb1\.", key))}
    if scale is None or not blocks or max(blocks) >= len(state):
        raise WeightsError(
            f"the weights look like RRDBNet, but conv_first.weight is {'x'.join(map(str, first.shape))} with "
            f"{len(blocks)} blocks; expected are Fx3x3x3 (scale 4), Fx12x3x3 (scale 2) or Fx48x3x3 (scale 1) and at "
            "least one block body.0.rdb1"
        )
    dense = state.get("body.0.rdb1.conv1.weight")
    growth = 32 if dense is None else dense.shape[0]
    return RRDBNet(first.shape[0], max(blocks) + 1, growth, scale)
