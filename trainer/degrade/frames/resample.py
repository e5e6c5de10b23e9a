"""Changes of size, as scalers of programs and of training code make them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import cv2
import numpy as np

from ..pixels import Clip, Floats, Frame, rounded
from ..step_options import Filter, Resize, Shrink, Upscaled
from ..walk import chance, chosen, uniform

_OPENCV = {
    "nearest": cv2.INTER_NEAREST_EXACT, "area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4,
}  # fmt: skip
_REACH = {"bilinear": 1.0, "bicubic": 2.0, "lanczos": 3.0}
"""Half the width of the kernels, in samples."""
_ROWS = 32
"""Output rows computed at a time: of a banded matrix only a narrow part is touched."""


def resize(clip: Clip, options: Resize, rng: np.random.Generator) -> Clip:
    """Both sides times a factor."""
    factor = uniform(rng, options.factor)
    return _drawn(clip, _times(clip, factor), options.filters, options.antialias, rng)


def upscaled(clip: Clip, options: Upscaled, rng: np.random.Generator) -> Clip:
    """Smaller without aliasing, as masters are made, and back to the same size."""
    small = _drawn(clip, _times(clip, uniform(rng, options.factor)), options.down, 1.0, rng)
    return _drawn(small, (clip.shape[2], clip.shape[1]), options.up, 0.0, rng)


def shrink(clip: Clip, options: Shrink, rng: np.random.Generator, size: tuple[int, int]) -> Clip:
    """To `size`, (width, height)."""
    return _drawn(clip, size, options.filters, options.antialias, rng)


def _times(clip: Clip, factor: float) -> tuple[int, int]:
    return max(1, round(clip.shape[2] * factor)), max(1, round(clip.shape[1] * factor))


def _drawn(
    clip: Clip, size: tuple[int, int], filters: Mapping[Filter, float], antialias: float, rng: np.random.Generator
) -> Clip:
    how, smooth = chosen(rng, filters), chance(rng, antialias)
    return np.stack([resampled(frame, size, how, antialias=smooth) for frame in clip])


def resampled(frame: Frame, size: tuple[int, int], how: Filter, *, antialias: bool) -> Frame:
    """`frame` at `size`, (width, height), sample centres aligned at the edges of the picture."""
    width, height = size
    if (height, width) == frame.shape[:2]:
        return frame
    if not antialias or how not in _REACH:
        return np.asarray(cv2.resize(frame, size, interpolation=_OPENCV[how]), np.uint8)
    rows = _banded(_matrix(frame.shape[0], height, how), frame.reshape(frame.shape[0], -1).astype(np.float32))
    turned = np.ascontiguousarray(rows.reshape(height, -1, 3).swapaxes(0, 1)).reshape(frame.shape[1], -1)
    columns = _banded(_matrix(frame.shape[1], width, how), turned)
    return rounded(columns.reshape(width, height, 3).swapaxes(0, 1))


def _banded(matrix: Floats, values: Floats) -> Floats:
    """`matrix` @ `values` where each row of the matrix is zero but for a few neighbours."""
    parts = []
    for top in range(0, len(matrix), _ROWS):
        block = matrix[top : top + _ROWS]
        used = np.flatnonzero(block.any(axis=0))
        parts.append(block[:, used[0] : used[-1] + 1] @ values[used[0] : used[-1] + 1])
    return np.concatenate(parts)


@lru_cache(maxsize=32)
def _matrix(before: int, after: int, how: str) -> Floats:
    """after x before: a kernel stretched by the factor when it shrinks, so that finer detail does not alias; weights
    beyond the edges fall to the last sample."""
    stretch = max(1.0, before / after)
    centres = (np.arange(after) + 0.5) * before / after - 0.5
    reach = math.ceil(_REACH[how] * stretch)
    taps = np.floor(centres)[:, None].astype(int) + np.arange(-reach, reach + 2)
    shares = _kernel(how, (taps - centres[:, None]) / stretch)
    matrix = np.zeros((after, before), np.float32)
    lines = np.broadcast_to(np.arange(after)[:, None], taps.shape)
    np.add.at(matrix, (lines, np.clip(taps, 0, before - 1)), shares / shares.sum(axis=1, keepdims=True))
    return matrix


def _kernel(
    how: str, t: np.ndarray[tuple[int, int], np.dtype[np.float64]]
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The tent; Keys' cubic with a = -0.5; Lanczos' windowed sinc of three lobes."""
    t = np.abs(t)
    if how == "bilinear":
        return np.maximum(1 - t, 0)
    if how == "lanczos":
        return np.where(t < 3, np.sinc(t) * np.sinc(t / 3), 0)
    near, far = (1.5 * t - 2.5) * t * t + 1, ((-0.5 * t + 2.5) * t - 4) * t + 2
    return np.where(t < 1, near, np.where(t < 2, far, 0))
