"""Distance in the features of VGG.

Source: J. Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", 2016; features before
the activations, and the weights of the layers, as in ESRGAN (2018) and Real-ESRGAN (2021).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from vidsr.errors import UsageError

from .base import Loss
from .context import LossContext
from .filters import unit
from .options import Perceptual
from .trunk import VGG

MINIMUM = 16
"""Pixels that four poolings leave one of."""

CRITERIA: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"l1": functional.l1_loss, "l2": functional.mse_loss}


def gram(x: Tensor) -> Tensor:
    """N C H W to N C C: products of all pairs of channels, averaged."""
    channels, height, width = x.shape[1:]
    flat = x.flatten(2)
    return flat @ flat.transpose(1, 2) / (channels * height * width)


class PerceptualLoss(Loss):
    """Sum over layers of their weight times the distance of features, and of Gram matrices where `style` is set."""

    def __init__(self, options: Perceptual) -> None:
        super().__init__(options)
        self.layers, self.style, self.unit = options.layers, options.style, options.unit
        self.criterion = CRITERIA[options.criterion]
        self.trunk = VGG(options.trunk, options.layers).load(options.weights, options.sha256, "perceptual")

    def distance(self, output: Tensor, target: Tensor, context: LossContext) -> Tensor:
        """Raises UsageError for pictures that the poolings leave nothing of."""
        if min(output.shape[-2:]) < MINIMUM:
            size = "x".join(map(str, output.shape[:-3:-1]))
            raise UsageError(f"loss perceptual: crops of {size} px, allowed are sides from {MINIMUM} px")
        with torch.no_grad():
            expected = self.trunk(target)
        seen = self.trunk(output)
        parts = [weight * self._compare(seen[name], expected[name]) for name, weight in self.layers.items()]
        return torch.stack(parts).sum()

    def _compare(self, seen: Tensor, expected: Tensor) -> Tensor:
        if self.unit:
            seen, expected = unit(seen), unit(expected)
        result = self.criterion(seen, expected)
        return result + self.style * self.criterion(gram(seen), gram(expected)) if self.style else result
