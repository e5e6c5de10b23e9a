"""Consistency with the input: what is smooth and large in it stays as it is.

Ours; GANs drift in colour and brightness, which other trainers hold by the distance of averages or of blurred
pictures. Noise, artefacts and details are above the low-pass filter and do not count.
"""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional

from vidsr.errors import UsageError

from .base import Loss, full
from .context import LossContext
from .filters import gaussian, separable
from .options import Consistency


class ConsistencyLoss(Loss):
    """Mean absolute difference of the low-passed input and the low-passed output, averaged down to its size."""

    taps: Tensor

    def __init__(self, options: Consistency) -> None:
        super().__init__(options)
        self.radius = math.ceil(3 * options.sigma)
        self.register_buffer("taps", gaussian(2 * self.radius + 1, options.sigma), persistent=False)

    def distance(self, output: Tensor, target: Tensor, context: LossContext) -> Tensor:
        """Raises UsageError for an input of another shape, or one that the filter does not fit into."""
        small = full(context.lq).detach()
        height, width = small.shape[-2:]
        if output.shape[-2] % height or output.shape[-1] % width:
            raise UsageError(f"loss consistency: the output is no multiple of the input's {width}x{height} px")
        if min(height, width) <= self.radius:
            raise UsageError(
                f"loss consistency: inputs of {width}x{height} px, allowed are sides above {self.radius} px",
                "take larger crops or a smaller sigma",
            )
        scale = (output.shape[-2] // height, output.shape[-1] // width)
        difference = functional.avg_pool2d(output, scale) - small
        padded = functional.pad(difference, (self.radius,) * 4, mode="reflect")
        return separable(padded, self.taps).abs().mean()
