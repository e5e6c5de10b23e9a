"""From options to metrics."""

from __future__ import annotations

from typing import assert_never

import torch

from . import options as named
from .features import FeatureDistance
from .frames import Metric
from .niqe import Niqe
from .psnr import Psnr
from .ssim import Ssim
from .temporal import Flicker, Tof, WarpingError


def build(options: named.MetricOptions, scale: int = 0, device: torch.device | None = None) -> Metric:
    """The metric. `scale` is the border that is left out where the options name none, `device` that of networks.

    Raises InputError or WeightsError when a file that it needs cannot be used.
    """
    match options:
        case named.Psnr():
            return Psnr(options, _border(options.border, scale))
        case named.Ssim():
            return Ssim(options, _border(options.border, scale))
        case named.Features():
            return FeatureDistance(options, device or torch.device("cpu"))
        case named.Niqe():
            return Niqe(options, _border(options.border, scale))
        case named.WarpingError():
            return WarpingError(options)
        case named.Tof():
            return Tof(options)
        case named.Flicker():
            return Flicker(options)
        case _:
            assert_never(options)


def _border(given: int | None, scale: int) -> int:
    return scale if given is None else given
