"""The generator of StyleGAN2 in plain operations, as GFPGAN 1.2 and later use it for a decoder.

Sources: T. Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020; the layout of the weights
released with GFPGAN (X. Wang et al., CVPR 2021), whose convolutions come after a bilinear resize.

Shape letters: N faces, C channels, H W pixels, L latents (one for each modulated convolution), S features of a style.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log2
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-8


def doubled(x: Tensor) -> Tensor:
    """N C H W to N C 2H 2W, bilinear."""
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class UnitNorm(nn.Module):
    """N S, each style divided by its root mean square."""

    def forward(self, style: Tensor) -> Tensor:
        return style * torch.rsqrt(style.square().mean(1, keepdim=True) + EPSILON)


class ModulatedConv2d(nn.Module):
    """A convolution whose weights a style scales, by input channel, for every face of the batch apart."""

    def __init__(
        self, inputs: int, outputs: int, side: int, style: int, *, demodulate: bool = True, up: bool = False
    ) -> None:
        super().__init__()
        self.demodulate, self.up = demodulate, up
        self.modulation = nn.Linear(style, inputs)
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, side, side) / (inputs * side * side) ** 0.5)
        nn.init.ones_(self.modulation.bias)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """N C H W and N S to N C' H W, of twice the size if `up`."""
        count, outputs, side = len(x), self.weight.shape[1], self.weight.shape[-1]
        weight = self.weight * self.modulation(style)[:, None, :, None, None]
        if self.demodulate:
            weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + EPSILON)
        x = doubled(x) if self.up else x
        grouped = functional.conv2d(
            x.reshape(1, -1, *x.shape[2:]), weight.reshape(-1, *weight.shape[2:]), padding=side // 2, groups=count
        )
        return grouped.view(count, outputs, *grouped.shape[2:])


class StyleConv(nn.Module):
    """A modulated convolution, noise, a bias and an activation."""

    def __init__(self, inputs: int, outputs: int, style: int, *, up: bool = False) -> None:
        super().__init__()
        self.modulated_conv = ModulatedConv2d(inputs, outputs, 3, style, up=up)
        self.weight = nn.Parameter(torch.zeros(1))
        self.bias = nn.Parameter(torch.zeros(1, outputs, 1, 1))

    def forward(self, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        out = self.modulated_conv(x, style) * 2**0.5 + self.weight * noise + self.bias
        return functional.leaky_relu(out, 0.2)


class ToRGB(nn.Module):
    """Features to a picture, added to that of the resolution before."""

    def __init__(self, inputs: int, style: int) -> None:
        super().__init__()
        self.modulated_conv = ModulatedConv2d(inputs, 3, 1, style, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor, style: Tensor, before: Tensor | None = None) -> Tensor:
        rgb: Tensor = self.modulated_conv(x, style) + self.bias
        return rgb if before is None else rgb + doubled(before)


class ConstantInput(nn.Module):
    """What the generator begins with, learnt."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, channels, 4, 4))

    def forward(self, count: int) -> Tensor:
        return self.weight.expand(count, -1, -1, -1)


def channels_at(multiplier: int, narrow: float = 1.0) -> dict[int, int]:
    """Channels by side in pixels."""
    full = {4: 512, 8: 512, 16: 512, 32: 512}
    full |= {64: 256 * multiplier, 128: 128 * multiplier, 256: 64 * multiplier, 512: 32 * multiplier}
    return {side: int(channels * narrow) for side, channels in (full | {1024: 16 * multiplier}).items()}


class StyleGAN2Decoder(nn.Module):
    """Latents and conditions to a picture. The second half of the channels is scaled and shifted by the conditions.

    The noise is that of the checkpoint's buffers, not fresh at each call: the same face gives the same pixels, so that
    a film does not flicker.
    """

    style_conv: ClassVar[type[nn.Module]] = StyleConv
    to_rgb: ClassVar[type[nn.Module]] = ToRGB

    def __init__(self, side: int = 512, style: int = 512, multiplier: int = 2, narrow: float = 1.0) -> None:
        super().__init__()
        channels, levels = channels_at(multiplier, narrow), int(log2(side))
        self.latents = 2 * levels - 2
        self.style_mlp = nn.Sequential(UnitNorm(), *self.mapping(style))  # for drawn styles
        self.constant_input = ConstantInput(channels[4])
        self.style_conv1 = self.style_conv(channels[4], channels[4], style)
        self.to_rgb1 = self.to_rgb(channels[4], style)
        self.style_convs, self.to_rgbs = nn.ModuleList(), nn.ModuleList()
        before = channels[4]
        for level in range(3, levels + 1):
            width = channels[2**level]
            self.style_convs.append(self.style_conv(before, width, style, up=True))
            self.style_convs.append(self.style_conv(width, width, style))
            self.to_rgbs.append(self.to_rgb(width, style))
            before = width
        self.noises = nn.Module()
        for layer in range(2 * (levels - 2) + 1):
            extent = 2 ** ((layer + 5) // 2)
            self.noises.register_buffer(f"noise{layer}", torch.randn(1, 1, extent, extent))

    @staticmethod
    def mapping(style: int) -> Iterator[nn.Module]:
        """The eight layers from a drawn style to a latent."""
        for _ in range(8):
            yield nn.Linear(style, style)
            yield nn.LeakyReLU(0.2)

    def forward(self, latents: Tensor, scales: Sequence[Tensor], shifts: Sequence[Tensor]) -> Tensor:
        """N L S, and conditions for each resolution from 8 pixels on, to N 3 H W in about [-1, 1]."""
        noise = [getattr(self.noises, f"noise{layer}") for layer in range(len(self.style_convs) + 1)]
        x = self.style_conv1(self.constant_input(len(latents)), latents[:, 0], noise[0])
        rgb: Tensor = self.to_rgb1(x, latents[:, 1])
        for level, to_rgb in enumerate(self.to_rgbs):
            at = 1 + 2 * level
            x = self.style_convs[2 * level](x, latents[:, at], noise[at])
            x = conditioned(x, scales[level], shifts[level])
            x = self.style_convs[2 * level + 1](x, latents[:, at + 1], noise[at + 1])
            rgb = to_rgb(x, latents[:, at + 2], rgb)
        return rgb


def conditioned(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """N C H W with the second half of its channels scaled and shifted (a half spatial feature transform)."""
    kept, changed = x.chunk(2, 1)
    return torch.cat([kept, changed * scale + shift], 1)
