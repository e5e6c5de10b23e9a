"""What is measured of every frame of a film once, on thumbnails: how much it differs from the one before, and how
much of it is of one brightness. What counts as a cut, as still or as black is decided later, from these numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidsr.frames import PixelLayout, Plane

SIZE = (64, 36)
"""Width and height of a thumbnail: a cell of a 1080p film is 30 pixels wide, a mouth that moves fills one."""

_BRIGHTNESSES = 32
"""Steps of brightness in which the commonest is looked for; AnimeSR's filter of black frames counts like this."""

Thumbnail = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Measures:
    """Of one frame, in codes of 8 bits."""

    change: float
    """Mean difference from the frame before, over cells and components; 0 for the first."""
    motion: float
    """Largest difference from the frame before, over cells and components; 0 for the first."""
    flat: float
    """Share of the cells that have the commonest brightness."""


def thumbnail(planes: tuple[Plane, ...], layout: PixelLayout) -> Thumbnail:
    """Planes to 3 (1 for gray) 36 64 float32, means over cells, in codes of 8 bits."""
    scale = np.float32(1 / (1 << (layout.depth - 8)))
    small: list[Any] = [cv2.resize(plane, SIZE, interpolation=cv2.INTER_AREA) for plane in planes]
    return np.stack(small).astype(np.float32) * scale


def measures(thumb: Thumbnail, before: Thumbnail | None) -> Measures:
    """The measures of a frame by its thumbnail and that of the one before it."""
    luma = thumb[0]  # of RGB it is red: what is of one brightness is so in every component
    counts = np.bincount((luma.astype(np.int64) * _BRIGHTNESSES // 256).clip(0, _BRIGHTNESSES - 1).ravel())
    flat = float(counts.max() / luma.size)
    if before is None:
        return Measures(0.0, 0.0, flat)
    difference = np.abs(thumb - before)
    return Measures(float(difference.mean()), float(difference.max()), flat)
