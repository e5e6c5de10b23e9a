"""GFPGANv1Clean: a U-Net that steers a StyleGAN2 generator, for faces of 512 x 512 pixels.

Source: X. Wang et al., "Towards Real-World Blind Face Restoration with Generative Facial Prior", CVPR 2021, and the
layout of the weights released as 1.2, 1.3 and 1.4.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import log2
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional

from .stylegan2 import StyleGAN2Decoder, channels_at


def _active(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, 0.2)


class ResBlock(nn.Module):
    """Two convolutions with a resize by `factor` between them, and the resized input added."""

    def __init__(self, inputs: int, outputs: int, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.conv1 = nn.Conv2d(inputs, inputs, 3, padding=1)
        self.conv2 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out = _active(self.conv2(self._resized(_active(self.conv1(x)))))
        skipped: Tensor = self.skip(self._resized(x))
        return out + skipped

    def _resized(self, x: Tensor) -> Tensor:
        return functional.interpolate(x, scale_factor=self.factor, mode="bilinear", align_corners=False)


class _Conv(nn.Conv2d):
    """A convolution and its activation."""

    def forward(self, x: Tensor) -> Tensor:
        return _active(super().forward(x))


def _conv(inputs: int, outputs: int, side: int) -> nn.Module:
    return _Conv(inputs, outputs, side, padding=side // 2)


def _condition(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(inputs, outputs, 3, padding=1)
    )


class GFPGANv1Clean(nn.Module):
    """N 3 512 512 RGB in [-1, 1] to the same, restored. The state dict is that of the released files.

    The encoder's last features become latents, the decoder's features the conditions of the generator.
    """

    side = 512
    conv: ClassVar[Callable[..., Any]] = staticmethod(_conv)
    block: ClassVar[Callable[..., Any]] = ResBlock
    plain: ClassVar[Callable[..., Any]] = nn.Conv2d
    linear: ClassVar[Callable[..., Any]] = nn.Linear
    condition: ClassVar[Callable[..., Any]] = staticmethod(_condition)
    decoder: ClassVar[Callable[..., Any]] = StyleGAN2Decoder

    def __init__(self, side: int = 512, style: int = 512, multiplier: int = 2, narrow: float = 1.0) -> None:
        super().__init__()
        levels = int(log2(side))
        own = channels_at(multiplier, narrow * 0.5)
        full = channels_at(multiplier, narrow)
        self.style, self.latents = style, 2 * levels - 2
        self.conv_body_first = self.conv(3, own[side], 1)
        sides = [2**level for level in range(levels, 1, -1)]
        pairs = list(pairwise(sides))
        self.conv_body_down = nn.ModuleList(self.block(own[a], own[b], 0.5) for a, b in pairs)
        self.final_conv = self.conv(own[4], own[4], 3)
        ups = [(b, a) for a, b in reversed(pairs)]
        self.conv_body_up = nn.ModuleList(self.block(own[a], own[b], 2) for a, b in ups)
        self.toRGB = nn.ModuleList(self.plain(own[b], 3, 1) for _, b in ups)  # for the losses of its training
        self.final_linear = self.linear(own[4] * 16, self.latents * style)
        self.stylegan_decoder = self.decoder(side, style, multiplier, narrow)
        self.condition_scale = nn.ModuleList(self.condition(own[b], full[b] // 2) for _, b in ups)
        self.condition_shift = nn.ModuleList(self.condition(own[b], full[b] // 2) for _, b in ups)

    def forward(self, faces: Tensor) -> Tensor:
        x = self.conv_body_first(faces)
        skips = []
        for down in self.conv_body_down:
            x = down(x)
            skips.append(x)
        x = self.final_conv(x)
        latents = self.final_linear(x.flatten(1)).view(len(x), self.latents, self.style)
        scales, shifts = [], []
        for up, scale, shift in zip(self.conv_body_up, self.condition_scale, self.condition_shift, strict=True):
            x = up(x + skips.pop())
            scales.append(scale(x))
            shifts.append(shift(x))
        restored: Tensor = self.stylegan_decoder(latents, scales, shifts)
        return restored
