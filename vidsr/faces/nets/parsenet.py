"""ParseNet: which pixel of a face is skin, hair, background …

Source: the layout of the weights that facexlib releases (after C. Chen et al., "Progressive Semantic-Aware Style
Transformation for Blind Face Restoration", CVPR 2021).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

Scale = Literal["none", "down", "up"]
CLASSES = 19


class _Norm(nn.Module):
    """Only a name around the batch normalisation, which the weights have."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(x)
        return out


class ConvLayer(nn.Module):
    """A 3 x 3 convolution over a mirrored border, of twice or half the size if asked; with normalisation or a bias."""

    def __init__(self, inputs: int, outputs: int, scale: Scale = "none", *, norm: bool, active: bool) -> None:
        super().__init__()
        self.scale, self.active = scale, active
        self.conv2d = nn.Conv2d(inputs, outputs, 3, stride=2 if scale == "down" else 1, bias=not norm)
        self.norm = _Norm(outputs) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        if self.scale == "up":
            x = functional.interpolate(x, scale_factor=2, mode="nearest")
        out: Tensor = self.conv2d(functional.pad(x, (1, 1, 1, 1), mode="reflect"))
        out = self.norm(out) if self.norm else out
        return functional.leaky_relu(out, 0.2) if self.active else out


class ResidualBlock(nn.Module):
    """Two layers, and the input added, through a layer of its own where sizes change."""

    def __init__(self, inputs: int, outputs: int, scale: Scale = "none") -> None:
        super().__init__()
        plain = scale == "none" and inputs == outputs
        self.shortcut_func = None if plain else ConvLayer(inputs, outputs, scale, norm=False, active=False)
        first: Scale = "up" if scale == "up" else "none"
        second: Scale = "down" if scale == "down" else "none"
        self.conv1 = ConvLayer(inputs, outputs, first, norm=True, active=True)
        self.conv2 = ConvLayer(outputs, outputs, second, norm=True, active=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv2(self.conv1(x))
        return out + (x if self.shortcut_func is None else self.shortcut_func(x))


class ParseNet(nn.Module):
    """N 3 512 512 RGB in [-1, 1] to N 19 512 512, a score for each class.

    The state dict is that of the released file.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (64, 128, 256, 256, 256)
        downs = [ResidualBlock(a, b, "down") for a, b in pairwise(widths)]
        ups = [ResidualBlock(b, a, "up") for a, b in reversed(list(pairwise(widths)))]
        self.encoder = nn.Sequential(ConvLayer(3, 64, norm=False, active=False), *downs)
        self.body = nn.Sequential(*(ResidualBlock(256, 256) for _ in range(10)))
        self.decoder = nn.Sequential(*ups)
        self.out_img_conv = ConvLayer(64, 3, norm=False, active=False)  # a by-product of its training
        self.out_mask_conv = ConvLayer(64, CLASSES, norm=False, active=False)

    def forward(self, faces: Tensor) -> Tensor:
        features = self.encoder(faces)
        scores: Tensor = self.out_mask_conv(self.decoder(features + self.body(features)))
        return scores
