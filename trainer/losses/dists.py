"""Distance of structure and texture.

Source: K. Ding et al., "Image Quality Assessment: Unifying Structure and Texture Similarity", 2020. The trunk is
torchvision's VGG16 with the root of blurred squares in place of the largest value; both files are the users'.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidsr.errors import UsageError

from ..weights import Published, fit, load
from .base import Frozen, Loss
from .context import LossContext
from .options import DISTS
from .trunk import VGG, WIDTHS

FILE = Published(
    "dists-weights.pt",
    "f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218",
    "the wheel of dists-pytorch 0.1 on PyPI, where it is DISTS_pytorch/weights.pt",
)
TAPS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
CHANNELS = (3, *WIDTHS)
"""Of the picture itself and of the taps."""

C = 1e-6
"""Keeps the ratios finite where a channel is zero all over."""

MINIMUM = 16


class RootPool(nn.Module):
    """Square root of the squares, blurred with 1 2 1 in both directions, of every second pixel."""

    taps: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 2.0, 1.0]) / 4
        kernel = (taps[:, None] * taps).expand(channels, 1, 3, 3).clone()
        self.register_buffer("taps", kernel, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        blurred = functional.conv2d(x.square(), self.taps.to(x), stride=2, padding=1, groups=x.shape[1])
        return torch.sqrt(blurred + 1e-12)


class Shares(Frozen):
    """The learned weights of texture (alpha) and structure (beta), per channel."""

    def __init__(self) -> None:
        super().__init__()
        shape = (1, sum(CHANNELS), 1, 1)
        self.alpha, self.beta = nn.Parameter(torch.zeros(shape)), nn.Parameter(torch.zeros(shape))


class DISTSLoss(Loss):
    """Mean over pictures of 1 - similarity, in about [0, 1]."""

    def __init__(self, options: DISTS) -> None:
        super().__init__(options)
        self.trunk = VGG("vgg16", TAPS, RootPool).load(options.trunk, options.trunk_sha256, "dists", "trunk")
        self.shares = Shares()
        fit(self.shares, load(FILE, options.weights, options.sha256, "dists"), "loss dists")

    def distance(self, output: Tensor, target: Tensor, context: LossContext) -> Tensor:
        """Raises UsageError for pictures that the poolings leave nothing of."""
        if min(output.shape[-2:]) < MINIMUM:
            size = "x".join(map(str, output.shape[:-3:-1]))
            raise UsageError(f"loss dists: crops of {size} px, allowed are sides from {MINIMUM} px")
        with torch.no_grad():
            expected = [target, *self.trunk(target).values()]
        pairs = zip([output, *self.trunk(output).values()], expected, strict=True)
        texture, structure = zip(*(_similarity(x, y) for x, y in pairs), strict=True)
        alpha, beta = self.shares.alpha.to(output), self.shares.beta.to(output)
        weighted = alpha[..., 0, 0] * torch.cat(texture, 1) + beta[..., 0, 0] * torch.cat(structure, 1)
        return (1 - weighted.sum(1) / (alpha.sum() + beta.sum())).mean()


def _similarity(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Of the means and of the structures of two N C H W, N C each.

    The covariance is that of centred features: the difference of two large means would drown in rounding on areas of
    one colour, where the variances are nearly zero.
    """
    mean_x, mean_y = x.mean((2, 3), keepdim=True), y.mean((2, 3), keepdim=True)
    texture = (2 * mean_x * mean_y + C) / (mean_x.square() + mean_y.square() + C)
    x, y = x - mean_x, y - mean_y
    variances = x.square().mean((2, 3)) + y.square().mean((2, 3))
    structure = (2 * (x * y).mean((2, 3)) + C) / (variances + C)
    return texture[..., 0, 0], structure
