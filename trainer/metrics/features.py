"""Distance in the features of a network that others trained: the losses of `trainer.losses` as measures."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..losses import build
from ..losses.context import LossContext
from .frames import Array, as_pair
from .options import Better, Features


class FeatureDistance:
    """0 when equal; the mean over frames, or over every `every`-th."""

    better: ClassVar[Better] = "lower"
    needs_gt, temporal = True, False

    def __init__(self, options: Features, device: torch.device) -> None:
        self.name, self._device, self._every = options.name, device, options.every
        self._loss = build(options.by, device)

    @torch.inference_mode()
    def __call__(self, output: Array, gt: Array | None = None) -> float:
        """See `frames.Metric`. Frames go through the network one by one: it needs hundreds of times their memory."""
        pairs = list(zip(*as_pair(output, gt), strict=True))[:: self._every]
        return float(np.mean([self._distance(self._tensor(first), self._tensor(second)) for first, second in pairs]))

    def _distance(self, output: Tensor, gt: Tensor) -> float:
        return float(self._loss.distance(output, gt, LossContext(output, gt, gt)))

    def _tensor(self, frame: Array) -> Tensor:
        """1 3 H W float32."""
        return torch.from_numpy(frame).to(self._device, torch.float32).permute(2, 0, 1)[None]
