"""The parts of a picture in which its versions differ most."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ..frames import Box
from .model import Picture

SIDE = 256
"""Pixels of a part, at most."""
LEAST = 64
"""Pixels of a part of small pictures, of which a third of the height is enough."""


def most_different(layers: Sequence[Picture], count: int, side: int = SIDE) -> tuple[Box, ...]:
    """At most `count` squares of `side` pixels, less in small pictures, that do not overlap, the most different first.

    The difference of a square is the mean, over its pixels, of the largest difference of any version from the first.
    Pictures that are equal everywhere have none.
    """
    height, width = layers[0].shape[:2]
    side = min(side, height, width, max(LEAST, min(height, width) // 3))
    differs = np.zeros((height, width), np.float32)
    for layer in layers[1:]:
        differs = np.maximum(differs, cv2.absdiff(layers[0], layer).max(axis=2))
    sums = cv2.integral(differs)
    means = (sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]) / side**2
    boxes = []
    for _ in range(count):
        top, left = np.unravel_index(int(means.argmax()), means.shape)
        if means[top, left] <= 1e-6:
            break
        boxes.append(Box(int(top), int(left), int(top) + side, int(left) + side))
        means[max(0, top - side + 1) : top + side, max(0, left - side + 1) : left + side] = 0
    return tuple(boxes)
