"""Pictures moved by an affine map, on their device, and only where they are wanted.

A map is a 2 3 matrix that takes pixel coordinates x y 1 to others; whole numbers are the centres of pixels, as in
OpenCV. It is on the host: nothing here waits for the device.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..frames import Box

Matrix = NDArray[np.float64]
"""2 3."""
Mode = Literal["bilinear", "bicubic"]


def composed(outer: Matrix, inner: Matrix) -> Matrix:
    """The map that does `inner` first and `outer` then."""
    return np.asarray(outer @ np.vstack([inner, [0, 0, 1]]), np.float64)


def inverted(matrix: Matrix) -> Matrix:
    """The way back. Raises numpy's LinAlgError for a map that has none."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def resized(across: float, down: float) -> Matrix:
    """The map from a pixel to the same place of a picture that is so many times larger: edges stay at edges."""
    return np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2]], np.float64)


def magnification(matrix: Matrix) -> float:
    """How many times longer lengths become; the mean of all directions where they differ."""
    return float(abs(np.linalg.det(matrix[:, :2])) ** 0.5)


def reach(matrix: Matrix, box: Box, outer: Box, margin: int = 2) -> Box:
    """The pixels of `outer` on which those of `box` come to lie, with `margin` around for what samples look at."""
    corners = np.array([[x, y, 1] for x in (box.left, box.right - 1) for y in (box.top, box.bottom - 1)], np.float64)
    (left, top), (right, bottom) = np.floor((matrix @ corners.T).min(1)), np.ceil((matrix @ corners.T).max(1))
    ends = [
        np.clip(value, -1e6, 1e6) for value in (top - margin, left - margin, bottom + margin + 1, right + margin + 1)
    ]
    found = Box(*(int(end) for end in ends))
    top, left = max(found.top, outer.top), max(found.left, outer.left)
    return Box(top, left, max(top, min(found.bottom, outer.bottom)), max(left, min(found.right, outer.right)))


def reduced(picture: Tensor, times: float) -> tuple[Tensor, Matrix]:
    """C H W averaged over squares, before it is made `times` smaller, and the map from it to the picture as it was.

    Sampling alone would look at some of the pixels only, and what it leaves out flickers when a face moves.
    """
    side = max(1, int(times))
    if side == 1:
        return picture, resized(1, 1)
    small = functional.avg_pool2d(picture[None], side, ceil_mode=True, count_include_pad=False)[0]
    return small, resized(side, side)


def sampled(picture: Tensor, matrix: Matrix, height: int, width: int, mode: Mode = "bilinear") -> Tensor:
    """C H W to C height width: each pixel is that of `picture` where `matrix` takes it; 0 outside of the picture."""
    sides = np.array([picture.shape[-1], picture.shape[-2]], np.float64)
    across, down, start = 2 * matrix[:, 0] / sides, 2 * matrix[:, 1] / sides, (2 * matrix[:, 2] + 1) / sides - 1
    columns = torch.arange(width, device=picture.device, dtype=torch.float32)
    rows = torch.arange(height, device=picture.device, dtype=torch.float32)[:, None]
    grid = picture.new_empty((height, width, 2), dtype=torch.float32)
    for axis in (0, 1):
        torch.add(rows * down[axis] + start[axis], columns, alpha=float(across[axis]), out=grid[..., axis])
    return functional.grid_sample(picture[None], grid[None], mode, padding_mode="zeros", align_corners=False)[0]


def moved(matrix: Matrix, right: float, down: float) -> Matrix:
    """`matrix` for coordinates that are counted from the point (right, down)."""
    return composed(matrix, np.array([[1, 0, right], [0, 1, down]], np.float64))
