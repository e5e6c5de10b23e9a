"""Differences of pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .base import Loss
from .context import LossContext
from .options import Charbonnier, Huber


class L1Loss(Loss):
    """Mean |d|."""

    def distance(self, output: Tensor, target: Tensor, context: LossContext) -> Tensor:
        return functional.l1_loss(output, target)


class CharbonnierLoss(Loss):
    """Mean sqrt(d² + eps).

    Source: W. Lai et al., "Deep Laplacian Pyramid Networks for Fast and Accurate Super-Resolution", 2017.
    """

    def __init__(self, options: Charbonnier) -> None:
        super().__init__(options)
        self.eps = options.eps

    def distance(self, output: Tensor, target: Tensor, context: LossContext) -> Tensor:
        return torch.sqrt((output - target).square() + self.eps).mean()


class HuberLoss(Loss):
    """Mean of d²/2 where |d| < delta, else delta (|d| - delta/2)."""

    def __init__(self, options: Huber) -> None:
        super().__init__(options)
        self.delta = options.delta

    def distance(self, output: Tensor, target: Tensor, context: LossContext) -> Tensor:
        return functional.huber_loss(output, target, delta=self.delta)
