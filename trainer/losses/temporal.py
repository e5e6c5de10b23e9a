"""Consistency over time: the output moves as the ground truth moves, and is at rest where that one is.

Flicker is a change that the ground truth does not have. Differences of frames need no optical flow, which is least
sure of itself on flat areas and lines, that is on drawings.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vidsr.errors import UsageError

from .base import Loss
from .context import LossContext
from .options import Temporal


class TemporalLoss(Loss):
    """Mean over spans of the mean absolute difference between changes of the output and of the target."""

    def __init__(self, options: Temporal) -> None:
        super().__init__(options)
        self.spans = options.spans

    def distance(self, output: Tensor, target: Tensor, context: LossContext) -> Tensor:
        """Raises UsageError for clips that are too short."""
        longest = max(self.spans)
        if context.frames <= longest:
            raise UsageError(
                f"loss temporal: clips of {context.frames} frames, allowed are those from {longest + 1} frames",
                "set frames of the data, or take shorter spans",
            )
        difference = output - target
        clips = difference.view(-1, context.frames, *difference.shape[1:])
        changes = [clips[:, span:] - clips[:, :-span] for span in self.spans]
        return torch.stack([functional.l1_loss(change, torch.zeros_like(change)) for change in changes]).mean()
