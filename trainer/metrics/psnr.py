"""Peak signal-to-noise ratio."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .frames import Array, as_pair, channels, cropped
from .options import Better
from .options import Psnr as Options


class Psnr:
    """dB with peak 255, of luma or RGB; the mean over frames of a clip, infinite when a frame has no difference.

    Luma is not rounded and its peak is 255, as in MATLAB's programs for super-resolution and in BasicSR
    (`calculate_psnr`), so that figures compare with those of papers.
    """

    better: ClassVar[Better] = "higher"
    needs_gt, temporal = True, False

    def __init__(self, options: Options, border: int) -> None:
        self.name, self._channel, self._border = options.name, options.channel, border

    def __call__(self, output: Array, gt: Array | None = None) -> float:
        """In dB; see `frames.Metric`."""
        first, second = (channels(cropped(clip, self._border), self._channel) for clip in as_pair(output, gt))
        errors = ((first - second) ** 2).mean(axis=(1, 2, 3))
        with np.errstate(divide="ignore"):
            return float((10 * np.log10(255**2 / errors)).mean())
