"""What a loss may look at."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vidsr.errors import UsageError

from .options import Target


@dataclass(frozen=True, slots=True)
class LossContext:
    """One step of the generator. Pictures are RGB, [0, 1] nominal, outputs not clamped.

    Frames of clips lie in the batch: B = N T, sample by sample, and in each from the first frame to the last.
    """

    output: Tensor
    """B 3 H W, of any floating type, with its graph."""
    gt: Tensor
    """B 3 H W float32."""
    lq: Tensor
    """B 3 h w float32, the input of the generator."""
    gt_usm: Tensor | None = None
    """B 3 H W float32, the sharpened ground truth."""
    ema_output: Tensor | None = None
    """B 3 H W, of the averaged network for the same input."""
    frames: int = 1
    """T, the length of the clips."""
    iteration: int = 0
    """From 1 on."""

    def target(self, on: Target) -> Tensor:
        """What the output is compared with. Raises UsageError where it was not made."""
        if on == "gt":
            return self.gt
        if self.gt_usm is None:
            raise UsageError("on: usm is not allowed here, no sharpened ground truth was made for this batch")
        return self.gt_usm
