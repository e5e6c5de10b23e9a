"""Transparency: pixels whose colour nobody sees, and colours that were multiplied by their alpha."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def peak_of(dtype: np.dtype[Any]) -> float:
    """The value of white, and of opaque: the largest code, 1 for float."""
    return float(np.iinfo(dtype).max) if dtype.kind == "u" else 1.0


def is_even(alpha: Array) -> bool:
    """Whether all pixels of H W are as transparent as the first, so that nothing is there to upscale."""
    return bool(alpha[0, 0] == alpha[-1, -1] and (alpha == alpha[0, 0]).all())


def bled(colour: Array, alpha: Array) -> Array:
    """H W C with the colour of wholly transparent pixels taken from the visible ones around them; alpha is H W.

    What is stored there is arbitrary, mostly black. A network sees some pixels far, and would draw it into the visible
    edge as a dark fringe. The colours spread by averaging from coarse to fine (S. Gortler et al., "The Lumigraph",
    1996, section 3.4).
    """
    hidden = alpha <= 0
    if not hidden.any() or hidden.all():
        return colour
    weight = alpha.astype(np.float32) / np.float32(peak_of(alpha.dtype))
    spread = _spread(colour.astype(np.float32) * weight[..., None], weight)
    if colour.dtype.kind == "u":
        spread = np.rint(spread)
    result = colour.copy()
    result[hidden] = spread[hidden].clip(0, peak_of(colour.dtype)).astype(colour.dtype)
    return result


def bled_planes(planes: tuple[Array, ...]) -> tuple[Array, ...]:
    """`bled` for the planes of a picture, chroma of any size, of which the last is alpha.

    Chroma counts as visible where any of the pixels is that it belongs to. What averaging gives is the same for YUV as
    for RGB, of which it is a linear function.
    """
    *colours, alpha = planes
    if alpha.all() or not alpha.any():
        return planes
    result: list[Array] = []
    for shape, group in groupby(colours, lambda plane: plane.shape):
        same = alpha.shape == shape
        seen = alpha if same else cv2.resize(alpha.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
        result.extend(np.moveaxis(bled(np.stack(list(group), axis=-1), seen), -1, 0))
    return (*map(np.ascontiguousarray, result), alpha)


def _spread(colour: Array, weight: Array) -> Array:
    """Colours, H W C and multiplied by their `weight`, made known everywhere: where it is 0 from half the size."""
    known = weight > 0
    own = colour / np.maximum(weight, 1e-6)[..., None]
    height, width = weight.shape
    if known.all() or height == width == 1:
        return own
    half = ((width + 1) // 2, (height + 1) // 2)
    coarse = _spread(_resized(colour, half, cv2.INTER_AREA), cv2.resize(weight, half, interpolation=cv2.INTER_AREA))
    return np.where(known[..., None], own, _resized(coarse, (width, height), cv2.INTER_LINEAR))


def _resized(colour: Array, size: tuple[int, int], kernel: int) -> Array:
    """H W C at `size` (width, height); OpenCV drops the last axis of a single channel."""
    return cv2.resize(colour, size, interpolation=kernel).reshape(size[1], size[0], -1)


def resized_alpha(alpha: Array, size: tuple[int, int], peak: float | None = None) -> Array:
    """H W at `size` (width, height), same dtype: Lanczos with 8 taps, the mean of the area where it becomes smaller.

    `peak` is the value of opaque; that of the dtype when not given.
    """
    smaller = size[0] < alpha.shape[1] or size[1] < alpha.shape[0]
    exact = alpha.astype(np.float32)
    result = cv2.resize(exact, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LANCZOS4)
    result = result.clip(0, peak_of(alpha.dtype) if peak is None else peak)
    return (np.rint(result) if alpha.dtype.kind == "u" else result).astype(alpha.dtype)


def unmultiplied(pixels: Array) -> Array:
    """H W C float32 whose last channel is alpha, the others multiplied by it, with colours that are not.

    Pixels without any alpha keep their colour: in renderings it is light that was added, such as a glow.
    """
    alpha = pixels[..., -1:]
    result = pixels.copy()
    np.divide(pixels[..., :-1], alpha, out=result[..., :-1], where=alpha > 0)
    return result


def multiplied(pixels: Array) -> Array:
    """The reverse of `unmultiplied`, but for pixels without any alpha, which become black."""
    result = pixels.copy()
    result[..., :-1] *= pixels[..., -1:]
    return result
