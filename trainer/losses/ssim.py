"""Structural similarity.

Sources: Z. Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", 2004, and
"Multi-Scale Structural Similarity for Image Quality Assessment", 2003. Channels are compared one by one, windows only
where they fit into the picture.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vidsr.errors import UsageError

from .base import Loss
from .context import LossContext
from .filters import gaussian, separable
from .options import MSSSIM, SSIM

C1, C2 = 0.01**2, 0.03**2
"""Of the paper, for pictures in [0, 1]."""

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the paper, from the finest to the coarsest scale."""

LEAST = 1e-4
"""Below it a factor of MS-SSIM is cut: opposite structures give negative ones, of which no power exists."""


def ssim_parts(x: Tensor, y: Tensor, taps: Tensor) -> tuple[Tensor, Tensor]:
    """SSIM and its factor of contrast and structure, N C each, of two N C H W in [0, 1]."""
    channels = x.shape[1]
    moments = separable(torch.cat([x, y, x * x, y * y, x * y], 1), taps)
    mean_x, mean_y, square_x, square_y, product = torch.split(moments, channels, 1)
    both = mean_x * mean_y
    squares = mean_x.square() + mean_y.square()
    structure = (2 * (product - both) + C2) / (square_x + square_y - squares + C2)
    similarity = structure * (2 * both + C1) / (squares + C1)
    return similarity.mean((2, 3)), structure.mean((2, 3))


class SSIMLoss(Loss):
    """1 - SSIM, in [0, 2]."""

    taps: Tensor
    scales = 1

    def __init__(self, options: SSIM | MSSSIM) -> None:
        super().__init__(options)
        self.register_buffer("taps", gaussian(options.window, options.sigma), persistent=False)

    def distance(self, output: Tensor, target: Tensor, context: LossContext) -> Tensor:
        """Raises UsageError for pictures in which the window does not fit."""
        least = len(self.taps) * 2 ** (self.scales - 1)
        height, width = output.shape[-2:]
        if min(height, width) < least:
            raise UsageError(
                f"loss {self.kind}: crops of {width}x{height} px, allowed are sides from {least} px",
                "take larger crops, a smaller window, or for ms-ssim fewer scales",
            )
        return 1 - self.similarity(output, target)

    def similarity(self, output: Tensor, target: Tensor) -> Tensor:
        return ssim_parts(output, target, self.taps)[0].mean()


class MSSSIMLoss(SSIMLoss):
    """1 - MS-SSIM, in [0, 1]. With fewer than five scales the weights of the finest ones are scaled to the sum 1."""

    def __init__(self, options: MSSSIM) -> None:
        super().__init__(options)
        self.scales = options.scales
        total = sum(SCALE_WEIGHTS[: self.scales]) if self.scales < len(SCALE_WEIGHTS) else 1  # the paper's: 1.0001
        self.powers = [power / total for power in SCALE_WEIGHTS[: self.scales]]

    def similarity(self, output: Tensor, target: Tensor) -> Tensor:
        result = torch.ones((), dtype=output.dtype, device=output.device)
        for scale, power in enumerate(self.powers, 1):
            whole, structure = ssim_parts(output, target, self.taps)
            factor = whole if scale == self.scales else structure
            result = result * factor.clamp(min=LEAST) ** power
            if scale < self.scales:
                output, target = _half(output), _half(target)
        return result.mean()


def _half(x: Tensor) -> Tensor:
    """Odd sides are filled with zeros, which count in no average."""
    padding = (x.shape[-2] % 2, x.shape[-1] % 2)
    return functional.avg_pool2d(x, 2, padding=padding, count_include_pad=False)
