"""Arrays as the metrics take them, and the parts of them that are compared.

Shapes: T frames, H W pixels. A clip is T H W 3, a picture H W 3; RGB in gamma-coded values, uint8 or float in [0, 1].
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vidsr.errors import InputError

from .options import Better

Array = NDArray[Any]
Floats = NDArray[np.float64]

LUMA = np.array([65.481, 128.553, 24.966])
"""ITU-R BT.601-7 in limited range, codes of 8 bits for R, G, B in [0, 1]; the offset is 16. As MATLAB's rgb2ycbcr."""


class Metric(Protocol):
    """A measure of a picture or a clip."""

    @property
    def name(self) -> str:
        """As in tables."""

    @property
    def better(self) -> Better:
        """Which way is better."""

    @property
    def needs_gt(self) -> bool:
        """Whether it compares with a ground truth."""

    @property
    def temporal(self) -> bool:
        """Whether it needs two frames or more."""

    def __call__(self, output: Array, gt: Array | None = None) -> float:
        """The value for `output`, T H W 3 or H W 3, uint8 or float in [0, 1]; `gt` is of the same shape.

        NaN where there is nothing to measure, such as motion in a single frame. Raises InputError for arrays that are
        no pictures, or of two sizes.
        """


def as_clip(array: Array) -> Floats:
    """T H W 3 float64 in [0, 1]. Raises InputError for other shapes, dtypes and values."""
    clip = array[None] if array.ndim == 3 else array
    if clip.ndim != 4 or clip.shape[-1] != 3 or not clip.size:
        raise InputError(f"metric: an array of shape {array.shape} is not allowed, expected H W 3 or T H W 3")
    if clip.dtype == np.uint8:
        return clip.astype(np.float64) / 255
    if clip.dtype.kind != "f":
        raise InputError(f"metric: an array of {array.dtype} is not allowed, expected uint8 or float in [0, 1]")
    low, high = float(clip.min()), float(clip.max())
    if not (low >= 0 and high <= 1):  # false for NaN too
        raise InputError(f"metric: values from {low:g} to {high:g} are not allowed, floats are in [0, 1]")
    return clip.astype(np.float64)


def as_pair(output: Array, gt: Array | None) -> tuple[Floats, Floats]:
    """Both as clips. Raises InputError when `gt` is missing or of another shape."""
    if gt is None:
        raise InputError("metric: a ground truth is needed, none is given")
    first, second = as_clip(output), as_clip(gt)
    if first.shape != second.shape:
        raise InputError(f"metric: output has shape {output.shape}, ground truth {gt.shape}; equal ones are expected")
    return first, second


def cropped(clip: Floats, border: int) -> Floats:
    """Without `border` pixels at each side. Raises InputError when nothing is left."""
    height, width = clip.shape[1:3]
    if 2 * border >= min(height, width):
        raise InputError(f"metric: a border of {border} leaves nothing of {width}x{height}")
    return clip[:, border : height - border, border : width - border]


def luma(clip: Floats) -> Floats:
    """T H W: Y of BT.601 in codes of 8 bits, 16 to 235, not rounded."""
    return np.asarray(clip @ LUMA + 16)


def channels(clip: Floats, channel: str) -> Floats:
    """T H W C in codes of 8 bits: luma for "y", else all three."""
    return luma(clip)[..., None] if channel == "y" else clip * 255


def mean_known(values: list[float]) -> float:
    """The mean of those that could be measured; NaN when there are none."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
