"""How much two pictures differ. Planes are H W in codes of one depth, integers or float32."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[Any]
Floats = NDArray[np.float32]

WINDOW, SIGMA = 11, 1.5
BLOCK = 16
STILL = 1.0
"""Mean change in codes of 8 bits below which a block stands still: less than a decoder's noise."""


def mse(first: Plane, second: Plane) -> float:
    """Mean squared difference in codes."""
    apart = cv2.absdiff(first, second) if first.dtype == second.dtype else cv2.absdiff(_floats(first), _floats(second))
    flat = apart.ravel()
    return float(np.einsum("i,i->", flat, flat, dtype=np.float64)) / flat.size


def psnr(error: float, peak: int) -> float:
    """dB of a mean squared error; infinite where there is none. As FFmpeg's filter of that name has it."""
    return 10 * math.log10(peak**2 / error) if error else math.inf


def ssim(first: Plane, second: Plane, peak: int) -> float:
    """Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004, with the window,
    the constants and the crop of the authors' program; in [-1, 1], NaN below 11x11.

    Values are moved towards 0 first, so that float32 is exact enough: to 1e-4.
    """
    if min(first.shape) < WINDOW:
        return math.nan
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    middle = np.float32((peak + 1) / 2)
    x, y = _floats(first) - middle, _floats(second) - middle
    mean_x, mean_y = _blurred(x), _blurred(y)
    spread = _blurred(x * x) + _blurred(y * y) - mean_x * mean_x - mean_y * mean_y
    common = _blurred(x * y) - mean_x * mean_y
    mean_x += middle
    mean_y += middle
    luminance = (2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)
    return float((luminance * (2 * common + c2) / (spread + c2)).mean(dtype=np.float64))


def _blurred(plane: Floats) -> Floats:
    kernel = cv2.getGaussianKernel(WINDOW, SIGMA).astype(np.float32)
    half = WINDOW // 2
    return np.asarray(cv2.sepFilter2D(plane, cv2.CV_32F, kernel, kernel), np.float32)[half:-half, half:-half]


def flicker(before: tuple[Plane, Plane], now: tuple[Plane, Plane], depth: int) -> float:
    """The change of the second picture beyond that of the first, in codes of 8 bits, where the first stands still.

    `before` and `now` are the planes of both films at two moments. The mean, over blocks of 16x16 in which the first
    changes by less than STILL, of max(0, |change of the second| - |change of the first|): the still blocks of Fan et
    al., JVT-E070, 2002, the difference of changes of Yang, Boyce and Stein, 2008. NaN when nothing stands still.
    """
    unit = float(1 << (depth - 8))
    theirs, ours = (cv2.absdiff(_floats(then), _floats(plane)) for then, plane in zip(before, now, strict=True))
    still = _blocks(theirs) < STILL * unit
    beyond = _blocks(np.maximum(ours - theirs, np.float32(0)))[still]
    return float(beyond.mean(dtype=np.float64)) / unit if beyond.size else math.nan


def _blocks(plane: Plane) -> Floats:
    """Means of blocks; rests at the right and bottom are left out, unless the picture is smaller than a block."""
    high, wide = (min(BLOCK, side) for side in plane.shape)
    rows, columns = plane.shape[0] // high, plane.shape[1] // wide
    whole = plane[: rows * high, : columns * wide]
    return np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)


def drift(first: Plane, second: Plane, depth: int) -> float:
    """By how many codes of 8 bits the mean of the second plane lies above that of the first."""
    means = [cv2.mean(plane)[0] for plane in (first, second)]
    return float(means[1] - means[0]) / (1 << (depth - 8))


def _floats(plane: Plane) -> Floats:
    return plane.astype(np.float32)
