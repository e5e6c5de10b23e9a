"""Which parts of a picture a change can reach, as rectangles of tiles. Pure integers.

A 3x3 convolution carries a change one pixel farther, so layer k of a stack differs from the picture before at most
within k pixels of a changed one. The idea is that of DeltaCNN (M. Parger et al., CVPR 2022) with a threshold of zero,
which makes it exact.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from ..frames import Box

TILE = 8
"""Side of a tile in pixels. Smaller ones follow a change more closely; rectangles of them become more, and costlier."""

FAR = 1 << 30
"""Distance of a tile in a picture without any change."""

_WORTH = 8
"""Tiles computed for nothing that a rectangle less is worth: measured, a call costs as much as 500 pixels."""

_GAP = 2
"""Tiles between two runs of a row that are computed for nothing, to have one run."""

Mask = NDArray[np.bool_]


def distances(changed: Mask) -> NDArray[np.int32]:
    """Of every tile, the Chebyshev distance in pixels to the nearest changed pixel of H W; FAR when there is none."""
    height, width = changed.shape
    rows, columns = -(-height // TILE), -(-width // TILE)
    if not changed.any():
        return np.full((rows, columns), FAR, np.int32)
    pixels = cv2.distanceTransform((~changed).view(np.uint8), cv2.DIST_C, 3)
    padded = np.pad(pixels, ((0, rows * TILE - height), (0, columns * TILE - width)), constant_values=FAR)
    nearest: NDArray[np.int32] = padded.reshape(rows, TILE, columns, TILE).min((1, 3)).astype(np.int32)
    return nearest


def rectangles(active: Mask, height: int, width: int) -> list[Box]:
    """The active tiles of a picture of `height` by `width` pixels, as few rectangles in pixels.

    A rectangle may hold some tiles that are not active where that saves another one, and may overlap its neighbour.
    """
    done: list[Box] = []
    growing: list[Box] = []  # in tiles, down to the row above
    for row, runs in enumerate(_runs(active)):
        reached = []
        for left, right in runs:
            above = next((box for box in growing if _waste(box, left, right) <= _WORTH), None)
            if above is None:
                reached.append(Box(row, left, row + 1, right))
            else:
                growing.remove(above)
                reached.append(Box(above.top, min(left, above.left), row + 1, max(right, above.right)))
        done += growing
        growing = reached
    return [_pixels(box, height, width) for box in done + growing]


def _runs(active: Mask) -> list[list[tuple[int, int]]]:
    """Of every row its runs of active tiles as (left, right); those that are near each other are one."""
    rows, columns = np.nonzero(np.diff(active, axis=1, prepend=False, append=False))
    runs: list[list[tuple[int, int]]] = [[] for _ in active]
    for row, left, right in zip(rows[::2].tolist(), columns[::2].tolist(), columns[1::2].tolist(), strict=True):
        if runs[row] and left - runs[row][-1][1] <= _GAP:
            runs[row][-1] = (runs[row][-1][0], right)
        else:
            runs[row].append((left, right))
    return runs


def _waste(above: Box, left: int, right: int) -> int:
    """Tiles that joining a run below to the rectangle `above` computes for nothing."""
    across = max(right, above.right) - min(left, above.left)
    return across * (above.height + 1) - above.width * above.height - (right - left)


def _pixels(box: Box, height: int, width: int) -> Box:
    return Box(box.top * TILE, box.left * TILE, min(box.bottom * TILE, height), min(box.right * TILE, width))


def bands(box: Box, pixels: int) -> Iterator[Box]:
    """A rectangle cut into bands of whole rows of about `pixels` pixels, so that what they need fits in a cache."""
    step = max(1, pixels // box.width)
    for top in range(box.top, box.bottom, step):
        yield Box(top, box.left, min(top + step, box.bottom), box.right)
