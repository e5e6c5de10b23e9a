"""SSIM: Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np

from vidsr.errors import InputError

from .frames import Array, Floats, as_pair, channels, cropped
from .options import Better
from .options import Ssim as Options

WINDOW, SIGMA = 11, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


class Ssim:
    """In [-1, 1], 1 when equal; the mean over frames, and over channels where there are three.

    Window, constants and the crop to places where the whole window lies inside are those of the authors' program, which
    BasicSR's `calculate_ssim` follows too.
    """

    better: ClassVar[Better] = "higher"
    needs_gt, temporal = True, False

    def __init__(self, options: Options, border: int) -> None:
        self.name, self._channel, self._border = options.name, options.channel, border

    def __call__(self, output: Array, gt: Array | None = None) -> float:
        """See `frames.Metric`."""
        first, second = (channels(cropped(clip, self._border), self._channel) for clip in as_pair(output, gt))
        if min(first.shape[1:3]) < WINDOW:
            raise InputError(
                f"metric ssim: {first.shape[2]}x{first.shape[1]} pixels are fewer than its window of 11x11"
            )
        planes = zip(_planes(first), _planes(second), strict=True)
        return float(np.mean([similarity(a, b).mean() for a, b in planes]))


def _planes(clip: Floats) -> list[Floats]:
    """Each channel of each frame, H W."""
    return [frame[..., channel] for frame in clip for channel in range(frame.shape[-1])]


def similarity(first: Floats, second: Floats) -> Floats:
    """The map of similarity of two planes, H W in codes of 8 bits, where the window fits: H-10 W-10."""
    mean1, mean2 = _blurred(first), _blurred(second)
    spread1 = _blurred(first**2) - mean1**2
    spread2 = _blurred(second**2) - mean2**2
    common = _blurred(first * second) - mean1 * mean2
    luminance = (2 * mean1 * mean2 + C1) / (mean1**2 + mean2**2 + C1)
    structure: Floats = luminance * (2 * common + C2) / (spread1 + spread2 + C2)
    return structure


def _blurred(plane: Floats) -> Floats:
    kernel = cv2.getGaussianKernel(WINDOW, SIGMA)
    half = WINDOW // 2
    blurred = np.asarray(cv2.sepFilter2D(plane, -1, kernel, kernel), np.float64)
    return blurred[half:-half, half:-half]
