"""What travels between the steps of a video degradation: whole frames in 8 bits, as between real devices."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Clip = NDArray[np.uint8]
"""T H W 3 uint8 RGB."""
Frame = NDArray[np.uint8]
"""H W 3 uint8 RGB."""
Floats = NDArray[np.float32]

BT601 = (0.299, 0.114)
BT709 = (0.2126, 0.0722)
"""(Kr, Kb) of ITU-R BT.601 and BT.709; Kg is 1 - Kr - Kb."""


def rounded(values: NDArray[Any]) -> Frame:
    """Values in 0 … 255, H W 3, to codes, rounded to the nearest, those beyond to the ends.

    Cutting the fraction off would darken every step by half a code. OpenCV does it in one pass, NumPy in three.
    """
    packed = np.ascontiguousarray(values)
    return np.asarray(cv2.addWeighted(packed, 1, packed, 0, 0, dtype=cv2.CV_8U), np.uint8)


def to_ycc(weights: tuple[float, float] = BT601) -> Floats:
    """The 3 x 3 matrix from RGB to (Y, Cb, Cr), Y in the unit of RGB and Cb, Cr in ± half of it (ITU-T H.273)."""
    kr, kb = weights
    luma = np.array([kr, 1 - kr - kb, kb])
    blue, red = np.array([0, 0, 1]) - luma, np.array([1, 0, 0]) - luma
    return np.stack([luma, blue / (2 - 2 * kb), red / (2 - 2 * kr)]).astype(np.float32)


def to_rgb(weights: tuple[float, float] = BT601) -> Floats:
    """The inverse of `to_ycc`."""
    return np.linalg.inv(to_ycc(weights).astype(np.float64)).astype(np.float32)
