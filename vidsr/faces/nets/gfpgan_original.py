"""GFPGANv1: the network of the paper, in the layout of StyleGAN2's own operations, which its first release has.

The graph is that of `gfpgan`; its layers scale their weights while they run (equalised learning rate), leave
activations larger by the square root of two, and resample with the filter (1, 3, 3, 1) before or after convolutions of
stride 2.

Sources: X. Wang et al., CVPR 2021; T. Karras et al., CVPR 2020.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from .gfpgan import GFPGANv1Clean
from .stylegan2 import EPSILON, StyleGAN2Decoder, ToRGB

ROOT = 2**0.5
TAPS = (1.0, 3.0, 3.0, 1.0)


def smoothed(x: Tensor, before: int, after: int, gain: float = 1.0) -> Tensor:
    """N C H W through the filter TAPS in both directions, padded with zeros."""
    taps = torch.tensor(TAPS, dtype=x.dtype, device=x.device)
    kernel = torch.outer(taps, taps) / taps.sum() ** 2 * gain
    padded = functional.pad(x, (before, after, before, after))
    return functional.conv2d(padded, kernel.expand(x.shape[1], 1, 4, 4), groups=x.shape[1])


def widened(x: Tensor) -> Tensor:
    """N C H W to N C 2H 2W: zeros between the samples, then the filter."""
    count, channels, height, width = x.shape
    spaced = x.new_zeros(count, channels, height, 2, width, 2)
    spaced[:, :, :, 0, :, 0] = x
    return smoothed(spaced.view(count, channels, 2 * height, 2 * width), 2, 1, gain=4)


class FusedActivation(nn.Module):
    """A bias, then the activation times the square root of two."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(x + self.bias.view(1, -1, 1, 1), 0.2) * ROOT


class ScaledActivation(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(x, 0.2) * ROOT


class EqualConv2d(nn.Conv2d):
    """A convolution whose weights are divided by the root of its fan-in while it runs."""

    def forward(self, x: Tensor) -> Tensor:
        scale = (self.weight[0].numel()) ** -0.5
        return functional.conv2d(x, self.weight * scale, self.bias, self.stride, self.padding)


class EqualLinear(nn.Linear):
    def __init__(self, inputs: int, outputs: int, rate: float = 1.0) -> None:
        super().__init__(inputs, outputs)
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias * self.rate
        return functional.linear(x, self.weight * (self.rate * self.in_features**-0.5), bias)


class _Smooth(nn.Module):
    """The filter before a convolution of stride 2 and `side`."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.pad = (2 + side - 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        return smoothed(x, self.pad, self.pad)


def conv_layer(inputs: int, outputs: int, side: int, *, down: bool = False, active: bool = True) -> nn.Sequential:
    layers: list[nn.Module] = [_Smooth(side)] if down else []
    layers.append(EqualConv2d(inputs, outputs, side, 2 if down else 1, 0 if down else side // 2, bias=False))
    return nn.Sequential(*layers, *([FusedActivation(outputs)] if active else []))


class ConvUp(nn.Module):
    """A bilinear resize to twice the size, then a convolution."""

    def __init__(self, inputs: int, outputs: int, side: int, *, active: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, side, side))
        self.activation = FusedActivation(outputs) if active else None

    def forward(self, x: Tensor) -> Tensor:
        x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        weight = self.weight * self.weight[0].numel() ** -0.5
        out = functional.conv2d(x, weight, padding=self.weight.shape[-1] // 2)
        return out if self.activation is None else self.activation(out)


class ResBlock(nn.Module):
    """Two convolutions, the second with a resize by `factor`, and the resized input added; divided by the root of 2."""

    def __init__(self, inputs: int, outputs: int, factor: float) -> None:
        super().__init__()
        self.conv1 = conv_layer(inputs, inputs, 3)
        if factor > 1:
            self.conv2: nn.Module = ConvUp(inputs, outputs, 3)
            self.skip: nn.Module = ConvUp(inputs, outputs, 1, active=False)
        else:
            self.conv2 = conv_layer(inputs, outputs, 3, down=True)
            self.skip = conv_layer(inputs, outputs, 1, down=True, active=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv2(self.conv1(x)) + self.skip(x)
        return out / ROOT


class ModulatedConv2d(nn.Module):
    """As in `stylegan2`, with equalised weights; twice the size by a transposed convolution and the filter."""

    def __init__(
        self, inputs: int, outputs: int, side: int, style: int, *, demodulate: bool = True, up: bool = False
    ) -> None:
        super().__init__()
        self.demodulate, self.up = demodulate, up
        self.modulation = EqualLinear(style, inputs)
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, side, side))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        count, (_, outputs, inputs, side, _) = len(x), self.weight.shape
        scale = (inputs * side * side) ** -0.5
        weight = self.weight * scale * self.modulation(style)[:, None, :, None, None]
        if self.demodulate:
            weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + EPSILON)
        grouped = x.reshape(1, -1, *x.shape[2:])
        if self.up:
            turned = weight.transpose(1, 2).reshape(-1, outputs, side, side)
            out = smoothed(functional.conv_transpose2d(grouped, turned, stride=2, groups=count), 1, 1, gain=4)
        else:
            out = functional.conv2d(grouped, weight.reshape(-1, inputs, side, side), padding=side // 2, groups=count)
        return out.view(count, outputs, *out.shape[2:])


class StyleConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, style: int, *, up: bool = False) -> None:
        super().__init__()
        self.modulated_conv = ModulatedConv2d(inputs, outputs, 3, style, up=up)
        self.weight = nn.Parameter(torch.zeros(1))
        self.activate = FusedActivation(outputs)

    def forward(self, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        out: Tensor = self.activate(self.modulated_conv(x, style) + self.weight * noise)
        return out


class FirToRGB(ToRGB):
    """The picture of the resolution before is widened by the filter."""

    def __init__(self, inputs: int, style: int) -> None:
        super().__init__(inputs, style)
        self.modulated_conv = ModulatedConv2d(inputs, 3, 1, style, demodulate=False)  # type: ignore[assignment]

    def forward(self, x: Tensor, style: Tensor, before: Tensor | None = None) -> Tensor:
        rgb: Tensor = self.modulated_conv(x, style) + self.bias
        return rgb if before is None else rgb + widened(before)


class Decoder(StyleGAN2Decoder):
    """StyleGAN2's generator in its own operations."""

    style_conv = StyleConv
    to_rgb = FirToRGB

    @staticmethod
    def mapping(style: int) -> Iterator[nn.Module]:
        return (EqualLinear(style, style, rate=0.01) for _ in range(8))


def _condition(inputs: int, outputs: int) -> nn.Sequential:
    first, second = EqualConv2d(inputs, inputs, 3, padding=1), EqualConv2d(inputs, outputs, 3, padding=1)
    return nn.Sequential(first, ScaledActivation(), second)


class GFPGANv1(GFPGANv1Clean):
    """N 3 512 512 RGB in [-1, 1] to the same, restored. The state dict is that of the released file."""

    conv = staticmethod(conv_layer)
    block = ResBlock
    plain = EqualConv2d
    linear = EqualLinear
    condition = staticmethod(_condition)
    decoder = Decoder

    def __init__(self, side: int = 512, style: int = 512, multiplier: int = 1, narrow: float = 1.0) -> None:
        super().__init__(side, style, multiplier, narrow)
