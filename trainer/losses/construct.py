"""From options to a loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .anime import AnimeLoss
from .base import Loss
from .consistency import ConsistencyLoss
from .dists import DISTSLoss
from .frequency import FFTLoss, FocalFrequencyLoss
from .ldl import LDLLoss
from .lpips import LPIPSLoss
from .options import LossOptions
from .perceptual import PerceptualLoss
from .pixel import CharbonnierLoss, HuberLoss, L1Loss
from .ssim import MSSSIMLoss, SSIMLoss
from .temporal import TemporalLoss

KINDS: dict[str, Callable[[Any], Loss]] = {
    "l1": L1Loss, "charbonnier": CharbonnierLoss, "huber": HuberLoss, "ssim": SSIMLoss, "ms-ssim": MSSSIMLoss,
    "fft": FFTLoss, "focal-frequency": FocalFrequencyLoss, "perceptual": PerceptualLoss, "anime": AnimeLoss,
    "lpips": LPIPSLoss, "dists": DISTSLoss, "ldl": LDLLoss, "consistency": ConsistencyLoss, "temporal": TemporalLoss,
}  # fmt: skip


def construct(options: LossOptions, device: torch.device | str) -> Loss:
    """See `trainer.losses.build`."""
    loss = KINDS[options.kind](options)
    loss.requires_grad_(False).eval().to(device)
    return loss
