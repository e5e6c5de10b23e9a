"""Resizing as torch's `interpolate` does it (area, bilinear, bicubic with a = -0.75; no antialiasing), also for a
canvas whose pictures go to different sizes by different filters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from .canvas import Canvas, Size
from .options import Mode

Taps = tuple[NDArray[np.int64], NDArray[np.float32]]
"""For every output place: which input places it takes, and how much of each. Both are L K."""

CUBIC = -0.75
"""Slope of the bicubic kernel at 1, as in torch and OpenCV."""


@dataclass(frozen=True, slots=True)
class Resampling:
    """Where a picture goes: to `size`, or by `factor` (which then also sets the distance of the taps, as in torch)."""

    mode: Mode
    size: Size | None = None
    factor: float | None = None

    def output(self, size: Size) -> Size:
        """Height and width that a picture of `size` comes to."""
        if self.factor is None:
            assert self.size is not None
            return self.size
        height, width = (max(1, math.floor(length * self.factor)) for length in size)
        return height, width


def resize(canvas: Canvas, targets: Sequence[Resampling]) -> Canvas:
    """Every picture to its own target. Values may leave [0, 1] with bicubic."""
    sizes = tuple(target.output(size) for target, size in zip(targets, canvas.sizes, strict=True))
    if canvas.full and len(set(targets)) == 1:
        return Canvas(_interpolated(canvas.pixels, targets[0], sizes[0]), sizes)
    height, width = (max(lengths) for lengths in zip(*sizes, strict=True))
    rows, columns = ([], [])  # type: tuple[list[Taps], list[Taps]]
    for target, before, after in zip(targets, canvas.sizes, sizes, strict=True):
        rows.append(taps(before[0], after[0], target.mode, target.factor))
        columns.append(taps(before[1], after[1], target.mode, target.factor))
    down = _matrices(rows, height, canvas.pixels.shape[-2], canvas.pixels.device)
    across = _matrices(columns, width, canvas.pixels.shape[-1], canvas.pixels.device)
    return Canvas(down[:, None] @ canvas.pixels @ across[:, None].transpose(-1, -2), sizes)


def _interpolated(pixels: Tensor, target: Resampling, size: Size) -> Tensor:
    if size == tuple(pixels.shape[-2:]) and target.factor in (None, 1):
        return pixels
    corners = None if target.mode == "area" else False
    if target.factor is None or min(pixels.shape[-2:]) * target.factor < 1:
        return functional.interpolate(pixels, size=size, mode=target.mode, align_corners=corners)
    return functional.interpolate(pixels, scale_factor=target.factor, mode=target.mode, align_corners=corners)


def taps(before: int, after: int, mode: Mode, factor: float | None = None) -> Taps:
    """The filter along one axis, from `before` to `after` pixels. Weights of a row sum to 1."""
    if mode == "area":
        return _area(before, after)
    step = np.float32(1 / factor if factor is not None and before * factor >= 1 else before / after)
    place = (np.arange(after, dtype=np.float32) + np.float32(0.5)) * step - np.float32(0.5)
    if mode == "bilinear":
        place = np.maximum(place, 0)
    whole = np.floor(place)
    part = place - whole
    weights = _linear(part) if mode == "bilinear" else _cubic(part)
    first = 0 if mode == "bilinear" else -1
    index = whole.astype(np.int64)[:, None] + np.arange(first, first + weights.shape[1])
    return index.clip(0, before - 1), weights


def _area(before: int, after: int) -> Taps:
    """The mean of all pixels that an output pixel touches, each counted fully (adaptive average pooling)."""
    number = np.arange(after)
    start, end = number * before // after, -(-(number + 1) * before // after)
    index = start[:, None] + np.arange((end - start).max())
    used = index < end[:, None]
    weights = used / (end - start)[:, None]
    return index.clip(0, before - 1), weights.astype(np.float32)


def _linear(part: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.stack([1 - part, part], axis=1)


def _cubic(part: NDArray[np.float32]) -> NDArray[np.float32]:
    """Keys' kernel at distances 1 + t, t, 1 - t, 2 - t."""
    near, far = np.stack([part, 1 - part]), np.stack([1 + part, 2 - part])
    inner = ((CUBIC + 2) * near - (CUBIC + 3)) * near * near + 1
    outer = ((CUBIC * far - 5 * CUBIC) * far + 8 * CUBIC) * far - 4 * CUBIC
    return np.stack([outer[0], inner[0], inner[1], outer[1]], axis=1).astype(np.float32)


def _matrices(every: Sequence[Taps], outputs: int, inputs: int, device: torch.device) -> Tensor:
    """N outputs inputs: the filters as matrices. Taps go to the device sparse and are spread out there.

    One tap at a time: two may fall on the same place at a border, and a GPU adds such pairs in any order.
    """
    count = max(index.shape[1] for index, _ in every)
    index = np.zeros((len(every), outputs, count), np.int64)
    weights = np.zeros(index.shape, np.float32)
    for number, (sources, values) in enumerate(every):
        index[number, : sources.shape[0], : sources.shape[1]] = sources
        weights[number, : values.shape[0], : values.shape[1]] = values
    dense = torch.zeros(len(every), outputs, inputs, device=device)
    places, parts = torch.from_numpy(index).to(device), torch.from_numpy(weights).to(device)
    for place, part in zip(torch.split(places, 1, dim=2), torch.split(parts, 1, dim=2), strict=True):
        dense.scatter_add_(2, place, part)
    return dense
