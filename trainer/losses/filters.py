"""Small filters that several losses share."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def gaussian(size: int, sigma: float) -> Tensor:
    """`size` float32 values with sum 1."""
    place = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    values = torch.exp(-(place**2) / (2 * sigma**2))
    return (values / values.sum()).float()


def separable(x: Tensor, taps: Tensor) -> Tensor:
    """N C H W filtered with `taps` along both sides, channel by channel, only where the filter fits in."""
    channels, size = x.shape[1], len(taps)
    kernel = taps.to(x).expand(channels, 1, size)
    x = functional.conv2d(x, kernel[..., None], groups=channels)
    return functional.conv2d(x, kernel[..., None, :], groups=channels)


def unit(x: Tensor, floor: float = 1e-10) -> Tensor:
    """N C H W divided by its length over C.

    The floor lies under the root too: its derivative at zero, where black pictures put whole areas, is not finite.
    """
    length = torch.sqrt(x.square().sum(1, keepdim=True) + floor**2)
    return x / (length + floor)
