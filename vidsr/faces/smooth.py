"""Landmarks without the jitter of detection.

By the 1 € filter (G. Casiez et al., CHI 2012): the faster something moves, the less it is smoothed and lags behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Filter:
    """A 1 € filter. Frequencies are in cycles per frame; speeds in sizes of the face per frame."""

    least: float
    """Cutoff for what stands still."""
    slope: float
    """By how much the cutoff grows with speed."""
    speed: float = 0.08
    """Cutoff for the speed itself."""

    def last(self, seen: Flags, values: Points, sizes: Points) -> Points:
        """The last of the values T M N of M faces in T frames, smoothed with those before it; M N.

        `seen` T M says where there is a value, `sizes` M is that of the faces. Values that are all equal come out as
        they are, bit for bit.
        """
        smooth, speed = np.zeros(values.shape[1:]), np.zeros(values.shape[1:])
        latest = np.full(len(sizes), -1)
        for time, (new, value) in enumerate(zip(seen, values, strict=True)):
            known, gap = latest >= 0, time - latest
            away = value - smooth
            faster = speed + _weight(self.speed, gap) * (away / gap[:, None] - speed)
            moving = np.sqrt(np.square(faster).mean(1)) / sizes
            nearer = smooth + _weight(self.least + self.slope * moving, gap) * away
            speed = np.where((new & known)[:, None], faster, speed)
            smooth = np.where(new[:, None], np.where(known[:, None], nearer, value), smooth)
            latest = np.where(new, time, latest)
        return smooth


def _weight(cutoff: float | Points, gap: NDArray[np.int_]) -> Points:
    """Of new values so many frames after the last, in a low-pass filter with this cutoff; M 1."""
    grown = 2 * np.pi * cutoff * gap
    weight: Points = (grown / (grown + 1))[:, None]
    return weight


PLACE = Filter(least=0.04, slope=10.0)
"""For the middle of the landmarks, which moves with the head and has little jitter."""
SHAPE = Filter(least=0.04, slope=5.0)
"""For the landmarks around their middle, which have most of the jitter."""


def smoothed(seen: Flags, landmarks: Points, sizes: Points) -> NDArray[np.float32]:
    """Landmarks M 5 2 of M faces in the last of T frames, from those T M 5 2 in all frames where the faces were `seen`,
    T M; `sizes` M is that of the faces, in pixels.
    """
    middle = landmarks.mean(2)
    shape = (landmarks - middle[:, :, None]).reshape(*seen.shape, 10)
    place, around = PLACE.last(seen, middle, sizes), SHAPE.last(seen, shape, sizes)
    return (place[:, None] + around.reshape(-1, 5, 2)).astype(np.float32)
