"""Locally discriminative learning: details stay, artefacts are punished.

Source: J. Liang et al., "Details or Artifacts: A Locally Discriminative Learning Approach to Realistic Image
Super-Resolution", 2022. A place is an artefact where the error varies much, and the averaged network has less of it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vidsr.errors import UsageError

from .base import Loss, full
from .context import LossContext
from .options import LDL

TINY = 1e-12
"""Under the root: its derivative at zero, for errors that are the same all over, is not finite."""


def local_variance(x: Tensor, window: int) -> Tensor:
    """Unbiased, in a square around every pixel, of B 1 H W mirrored at its edges."""
    padded = functional.pad(x, (window // 2,) * 4, mode="reflect")
    return padded.unfold(2, window, 1).unfold(3, window, 1).var((-1, -2))


def artefacts(output: Tensor, target: Tensor, averaged: Tensor, window: int) -> Tensor:
    """B 1 H W, from 0: how much of an artefact each pixel is. Gradients go through it, as in the authors' code."""
    error = (target - output).abs().sum(1, keepdim=True)
    averaged_error = (target - averaged).abs().sum(1, keepdim=True)
    overall = (error.var((1, 2, 3), keepdim=True) + TINY) ** 0.2
    return torch.where(error < averaged_error, 0, overall * local_variance(error, window))


class LDLLoss(Loss):
    """Mean absolute difference, times the map of artefacts: zero where the averaged network is worse all over."""

    may_rest = True

    def __init__(self, options: LDL) -> None:
        super().__init__(options)
        self.window = options.window

    def distance(self, output: Tensor, target: Tensor, context: LossContext) -> Tensor:
        """Raises UsageError without the averaged network, and for pictures smaller than the window."""
        if context.ema_output is None:
            raise UsageError("loss ldl needs the averaged network, and this run has none", "turn ema on")
        if min(output.shape[-2:]) < self.window:
            size = "x".join(map(str, output.shape[:-3:-1]))
            raise UsageError(f"loss ldl: crops of {size} px, allowed are sides from {self.window} px")
        averaged = full(context.ema_output.detach())
        return (artefacts(output, target, averaged, self.window) * (output - target).abs()).mean()
