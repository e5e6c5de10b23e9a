"""What all losses share: their precision, their weight, and networks in them that never learn."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from .context import LossContext
from .options import Target


class Weighted(Protocol):
    """The part of the options that every loss has."""

    @property
    def kind(self) -> str: ...
    @property
    def weight(self) -> float: ...
    @property
    def on(self) -> Target: ...


class Frozen(nn.Module):
    """A module that measures: always in eval mode, without gradients for its own weights."""

    def train(self, mode: bool = True) -> Frozen:
        """Stays in eval mode: `train` on something that holds it must not change what is measured."""
        return super().train(False)


class Loss(Frozen):
    """Base of the losses. Call it with a LossContext.

    `kind` and `on` are those of the options; `weight` is applied in the call.
    """

    may_rest = False
    """Whether there are batches in which it rightly is zero and teaches nothing."""

    def __init__(self, options: Weighted) -> None:
        super().__init__()
        self.kind, self.weight, self.on = options.kind, options.weight, options.on

    def forward(self, context: LossContext) -> Tensor:
        """`weight` times the distance: a scalar float32, whatever autocast says (float64 for a float64 output)."""
        with torch.autocast(context.output.device.type, enabled=False):
            output, target = full(context.output), full(context.target(self.on)).detach()
            return self.weight * self.distance(output, target, context)

    def distance(self, output: Tensor, target: Tensor, context: LossContext) -> Tensor:
        """A scalar; `output` and `target` are B 3 H W in full precision."""
        raise NotImplementedError


def full(x: Tensor) -> Tensor:
    """In float32; float64 stays, for checks of gradients."""
    return x if x.dtype == torch.float64 else x.float()
