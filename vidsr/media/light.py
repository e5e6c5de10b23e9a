"""Between linear light, which float pictures hold, and the codes that networks and screens expect.

Up to white the curve is that of sRGB (IEC 61966-2-1). Lights brighter than white go on logarithmically from there, with
the slope that the curve has at white, so that detail in them is not cut off.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .alpha import peak_of

Array = NDArray[Any]

_SLOPE = 1.055 / 2.4
"""Of the curve at white."""


def coded(light: Array) -> Array:
    """Linear light to codes, float32: [0, 1] to [0, 1], brighter to more. Negative light becomes none."""
    light = np.maximum(light, 0, dtype=np.float32)
    low = light * np.float32(12.92)
    middle = np.float32(1.055) * np.power(light.clip(0.0031308, 1), np.float32(1 / 2.4)) - np.float32(0.055)
    high = 1 + np.float32(_SLOPE) * np.log(np.maximum(light, 1))
    return np.where(light <= 0.0031308, low, np.where(light <= 1, middle, high)).astype(np.float32)


def light(codes: Array) -> Array:
    """The reverse of `coded`."""
    codes = codes.astype(np.float32)
    low = codes / np.float32(12.92)
    middle = np.power((codes.clip(0, 1) + np.float32(0.055)) / np.float32(1.055), np.float32(2.4))
    high = np.exp((np.maximum(codes, 1) - 1) / np.float32(_SLOPE))
    return np.where(codes <= 0.04045, low, np.where(codes <= 1, middle, high)).astype(np.float32)


def to_codes(pixels: Array, wanted: np.dtype[Any]) -> Array:
    """Linear light, H W or H W C with straight alpha, to whole codes of sRGB; brighter than white is clipped."""
    exact = _colours(pixels, coded).clip(0, 1)
    return np.rint(exact * peak_of(wanted)).astype(wanted)


def to_light(pixels: Array) -> Array:
    """Whole codes of sRGB to linear light, float32; alpha stays as it is."""
    return _colours(pixels.astype(np.float32) / np.float32(peak_of(pixels.dtype)), light)


def _colours(pixels: Array, curve: Any) -> Array:
    """The curve on all channels but alpha."""
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return np.asarray(curve(pixels))
    return np.dstack([curve(pixels[..., :-1]), pixels[..., -1:]])
