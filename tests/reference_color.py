"""Colour conversion in float64 NumPy, written from the standards for the tests to compare with.

Deliberately plain: a 3x3 matrix and its inverse, quantisation as H.273 prints it, and each resampler as a dense
matrix filled in a double loop from the definition of its kernel.
"""

from __future__ import annotations

from math import floor

import numpy as np
from numpy.typing import NDArray

from vidsr.frames import ColorTags, PixelLayout, Plane

Array = NDArray[np.float64]

KR_KB = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
"""BT.709-6 item 3.2, BT.601-7 section 2.5.1, BT.2020-2 table 4."""

POSITION = {"left": (0, 1), "center": (1, 1), "topleft": (0, 0), "top": (1, 0)}
"""H.273 figure of the chroma sample locations: 0 co-sited and 1 midway, (across, down)."""


def forward_matrix(matrix: int) -> Array:
    """3 3: R'G'B' to Y'CbCr, chroma in [-0.5, 0.5]."""
    kr, kb = KR_KB[matrix]
    luma = np.array([kr, 1 - kr - kb, kb])
    blue = (np.array([0, 0, 1]) - luma) / (2 * (1 - kb))
    red = (np.array([1, 0, 0]) - luma) / (2 * (1 - kr))
    return np.stack([luma, blue, red])


def dequantise(plane: Plane, depth: int, full: bool, chroma: bool) -> Array:
    """Codes to E'; the inverse of `quantise`."""
    code = plane.astype(np.float64)
    if full:
        return (code - (2 ** (depth - 1) if chroma else 0)) / (2**depth - 1)
    code = code / 2 ** (depth - 8)
    return (code - 128) / 224 if chroma else (code - 16) / 219


def quantise(values: Array, depth: int, full: bool, chroma: bool) -> NDArray[np.int64]:
    """H.273 equations 20 … 31, clipped to the codes that stand for nominal values."""
    if full:
        codes = np.floor((2**depth - 1) * values + 0.5 + (2 ** (depth - 1) if chroma else 0))
        return np.clip(codes, 0, 2**depth - 1).astype(np.int64)
    scale = 2 ** (depth - 8)
    codes = np.floor(scale * (224 * values + 128 if chroma else 219 * values + 16) + 0.5)
    return np.clip(codes, 16 * scale, (240 if chroma else 235) * scale).astype(np.int64)


def keys_cubic(distance: float, a: float = -0.5) -> float:
    """Keys 1981, equation 4."""
    s = abs(distance)
    if s <= 1:
        return (a + 2) * s**3 - (a + 3) * s**2 + 1
    if s < 2:
        return a * s**3 - 5 * a * s**2 + 8 * a * s - 4 * a
    return 0.0


def grow_matrix(size: int, small: int, factor: int, midway: int) -> Array:
    """size small: the kernel around where each output sample lies among the input samples."""
    weights = np.zeros((size, small))
    for row in range(size):
        place = (row - midway * (factor - 1) / 2) / factor
        for column in range(floor(place) - 4, floor(place) + 6):
            weights[row, min(max(column, 0), small - 1)] += keys_cubic(place - column)
    return weights


def shrink_matrix(size: int, factor: int, midway: int) -> Array:
    """size/factor size: the kernel, `factor` times wider, around where each chroma sample lies among luma samples."""
    if factor == 1:
        return np.eye(size)
    small = -(-size // factor)
    weights = np.zeros((small, size))
    for row in range(small):
        place = factor * row + midway * (factor - 1) / 2
        for column in range(floor(place) - 3 * factor, floor(place) + 3 * factor + 2):
            weights[row, min(max(column, 0), size - 1)] += keys_cubic((column - place) / factor)
    return weights / weights.sum(axis=1, keepdims=True)


def to_rgb(planes: tuple[Plane, ...], layout: PixelLayout, color: ColorTags) -> Array:
    """Planes (H W and h w) to 3 H W R'G'B' in [0, 1]."""
    full = bool(color.full_range)
    if layout.family != "yuv":
        values = [dequantise(plane, layout.depth, full, False) for plane in planes]
        return np.clip(np.stack(values * (3 // len(values))), 0, 1)
    luma = dequantise(planes[0], layout.depth, full, False)
    across, down = POSITION[color.siting or "left"]
    components = [luma]
    for plane in planes[1:]:
        chroma = dequantise(plane, layout.depth, full, True)
        tall = grow_matrix(luma.shape[0], chroma.shape[0], 1 << layout.log2_h, down)
        wide = grow_matrix(luma.shape[1], chroma.shape[1], 1 << layout.log2_w, across)
        components.append(tall @ chroma @ wide.T)
    inverse = np.linalg.inv(forward_matrix(color.matrix))
    return np.clip(np.einsum("rc,chw->rhw", inverse, np.stack(components)), 0, 1)


def from_rgb(rgb: Array, layout: PixelLayout, color: ColorTags) -> tuple[NDArray[np.int64], ...]:
    """3 H W R'G'B' in [0, 1] to planes of codes."""
    full = bool(color.full_range)
    if layout.family == "rgb":
        return tuple(quantise(plane, layout.depth, full, False) for plane in rgb)
    luma, *chroma = np.einsum("rc,chw->rhw", forward_matrix(color.matrix), rgb)
    planes = [quantise(luma, layout.depth, full, False)]
    if layout.family == "yuv":
        across, down = POSITION[color.siting or "left"]
        short = shrink_matrix(luma.shape[0], 1 << layout.log2_h, down)
        narrow = shrink_matrix(luma.shape[1], 1 << layout.log2_w, across)
        planes += [quantise(short @ plane @ narrow.T, layout.depth, full, True) for plane in chroma]
    return tuple(planes)
