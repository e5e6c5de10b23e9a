"""Multi-scale patch discriminator with spectral normalisation.

Source: P. Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", 2017 (the patches), and
Y. Wu et al., "AnimeSR: Learning Real-World Super-Resolution Models for Animation Videos", 2022 (several, on smaller
and smaller pictures); key names are those of AnimeSR.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from vidsr.errors import UsageError

from .spectral import SpectralConv2d

KERNEL = 4


class PatchDiscriminator(nn.Module):
    """N 3 H W to N 1 h w logits, of which each sees one patch: 70x70 px with three convolutions of stride 2.

    Between a convolution and its activation AnimeSR has room for another normalisation, which stays empty; it counts
    in the numbers of the layers.
    """

    def __init__(self, features: int, layers: int, widest: int) -> None:
        super().__init__()
        self.minimum = 3 * 2**layers
        widths = [features * min(2**number, widest) for number in range(layers + 1)]
        body: list[nn.Module] = [self._conv(3, widths[0], 2), nn.LeakyReLU(0.2)]
        for number, (inputs, outputs) in enumerate(pairwise(widths), 1):
            body += [self._conv(inputs, outputs, 2 if number < layers else 1), nn.Identity(), nn.LeakyReLU(0.2)]
        self.model = nn.Sequential(*body, self._conv(widths[-1], 1, 1))

    @staticmethod
    def _conv(inputs: int, outputs: int, stride: int) -> SpectralConv2d:
        return SpectralConv2d(inputs, outputs, KERNEL, stride, bias=True)

    def forward(self, rgb: Tensor) -> Tensor:
        """Raises UsageError for pictures in which no patch fits."""
        height, width = rgb.shape[-2:]
        if min(height, width) < self.minimum:
            raise UsageError(f"discriminator patch-sn: {width}x{height} px, allowed are sides from {self.minimum} px")
        result: Tensor = self.model(rgb)
        return result


class MultiScaleDiscriminator(nn.Module):
    """N 3 H W to a list of N 1 h w logits, one per discriminator, from the largest picture to the smallest."""

    def __init__(
        self, features: int = 64, layers: Sequence[int] = (3, 3, 3), downscale: bool = True, widest: int = 8
    ) -> None:
        super().__init__()
        self.downscale = downscale
        self.dis_list = nn.ModuleList(PatchDiscriminator(features, count, widest) for count in layers)

    def forward(self, rgb: Tensor) -> list[Tensor]:
        logits = []
        for number, network in enumerate(self.dis_list):
            if number and self.downscale:
                half = (rgb.shape[-2] // 2, rgb.shape[-1] // 2)
                rgb = functional.interpolate(rgb, size=half, mode="bilinear", align_corners=True)
            logits.append(network(rgb))
        return logits
