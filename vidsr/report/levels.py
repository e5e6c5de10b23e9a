"""Faults of the whole film: levels that moved (range) and colours that went through the wrong matrix.

Both are judged by all pictures together, so that an error of one code stands out from the noise of a codec.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..media.color import BT709, BT2020NC, SMPTE170M, SMPTE240M, matrix_name
from .forms import Form, Matrix, rgb_of

SIZE = (64, 36)
"""Blocks across and down whose means are compared, at most."""
BLOCK = 8
"""Pixels of the side of a block at least."""
PARTS = 4
"""Parts of a code to which differences are counted."""
FEWEST = 16
"""Blocks of a level below which it says nothing."""
SHARE = 0.1
"""Share of the blocks whose level has to have moved."""
MOVED = 0.5
"""Codes by which a level has to have moved."""
WIDEST = 24
"""Codes of 8 bits beyond which differences are counted as one."""
EXPLAINED = 0.3
"""What another matrix may leave of the squared error that some matrix can explain."""
VISIBLE = 0.5
"""Error in codes of 8 bits that some matrix has to explain before one is looked for."""


@dataclass
class Levels:
    """How often each difference occurs at each level of a plane, luma or green, of `depth` bits.

    What is counted are means of blocks: detail that a codec or a network changes leaves them as they are, while the
    differences of single samples lean towards the middle wherever detail is lost.
    """

    depth: int
    _counts: NDArray[np.int64] = field(init=False)
    """256 levels of 8 bits, differences -reach … reach in parts of a code."""

    def __post_init__(self) -> None:
        self._reach = PARTS * WIDEST << (self.depth - 8)
        self._counts = np.zeros((256, 2 * self._reach + 1), np.int64)

    def add(self, first: NDArray[Any], second: NDArray[Any]) -> None:
        """Count one picture, planes H W in codes."""
        one, two = (shrunk(plane, first.shape) for plane in (first, second))
        apart = np.clip(np.rint((two - one) * PARTS), -self._reach, self._reach).astype(np.int64) + self._reach
        level = np.rint(one / (1 << (self.depth - 8))).astype(np.int64)
        place = level * self._counts.shape[1] + apart
        self._counts += np.bincount(place, minlength=self._counts.size).reshape(self._counts.shape)

    def curve(self) -> dict[int, float]:
        """The median difference, in codes of `depth` bits, at each level of 8 bits that occurs often enough."""
        totals = self._counts.sum(axis=1)
        middle = (self._counts.cumsum(axis=1) * 2 >= totals[:, None]).argmax(axis=1) - self._reach
        return {int(level): float(middle[level]) / PARTS for level in np.flatnonzero(totals >= FEWEST)}

    def moved(self, black: int, white: int) -> tuple[float, float] | None:
        """By how many codes the levels `black` and `white`, in codes, are off, if levels moved, on a line through all.

        That is, if the median of enough of them is off by MOVED or more, and by more than single blocks scatter.
        """
        curve = self.curve()
        levels = np.array(list(curve), np.int64)
        if not levels.size:
            return None
        middle, counts = np.array(list(curve.values())), self._counts[levels]
        weights = counts.sum(axis=1)
        values = np.arange(-self._reach, self._reach + 1) / PARTS
        mean = counts @ values / weights
        scatter = np.sqrt(np.maximum(0, counts @ values**2 / weights - mean**2))
        off = (np.abs(middle) >= MOVED) & (np.abs(middle) > scatter)
        if weights[off].sum() < SHARE * weights.sum():
            return None
        slope, start = (0.0, mean[0])
        if len(levels) > 1:
            slope, start = np.polyfit(levels, mean, 1, w=np.sqrt(weights))
        unit = 1 << (self.depth - 8)
        return float(slope * black / unit + start), float(slope * white / unit + start)


def shrunk(plane: NDArray[Any], luma: tuple[int, int]) -> NDArray[np.float64]:
    """The means of blocks in a row, as many of any plane: SIZE of them, but none smaller than BLOCK pixels of the plane
    of `luma`, (height, width)."""
    size = tuple(max(1, min(most, side // BLOCK)) for most, side in zip(SIZE, luma[::-1], strict=True))
    small = cv2.resize(plane.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray(small.astype(np.float64).ravel())


@dataclass
class Colours:
    """Moments of the components of both films, from which the error after any matrix follows."""

    form: Form
    _count: int = 0
    _moments: NDArray[np.float64] = field(default_factory=lambda: np.zeros((6, 6)))

    def add(self, first: tuple[NDArray[Any], ...], second: tuple[NDArray[Any], ...]) -> None:
        """Take in one picture: planes of both films in codes of `form`."""
        values = np.stack([*self._components(first), *self._components(second)])
        self._moments += values @ values.T
        self._count += values.shape[1]

    def _components(self, planes: tuple[NDArray[Any], ...]) -> list[NDArray[np.float64]]:
        return [
            (shrunk(plane, planes[0].shape) - low) / span
            for plane, (low, span) in zip(planes, self.form.ranges(), strict=True)
        ]

    def error(self, turn: Matrix) -> float:
        """Root of the mean squared error in codes of 8 bits that is left if the first film went through `turn`."""
        one, mixed, two = self._moments[:3, :3], self._moments[3:, :3], self._moments[3:, 3:]
        left = np.trace(two) - 2 * np.trace(turn @ mixed.T) + np.trace(turn @ one @ turn.T)
        return float(np.sqrt(max(0.0, left) / max(1, self._count) / 3)) * 255

    def mixed_up(self) -> tuple[str, str] | None:
        """(matrix that was meant, matrix that was taken), if that explains most of the difference of colours."""
        one, mixed = self._moments[:3, :3], self._moments[3:, :3]
        noise = self.error(mixed @ np.linalg.pinv(one)) ** 2  # that of the matrix of least squares
        plain = self.error(np.eye(3)) ** 2 - noise
        if plain < VISIBLE**2:
            return None
        errors = {pair: self.error(self._turn(*pair)) ** 2 - noise for pair in permutations(_CANDIDATES, 2)}
        best = min(errors, key=errors.__getitem__)
        return (matrix_name(best[0]), matrix_name(best[1])) if errors[best] < EXPLAINED * plain else None

    def _turn(self, meant: int, taken: int) -> Matrix:
        """What becomes of components that were made by `meant` and are read by `taken`, in the terms of `form`."""
        if self.form.layout.family == "rgb":
            return rgb_of(taken) @ np.linalg.inv(rgb_of(meant))
        return np.linalg.inv(rgb_of(meant)) @ rgb_of(taken)


_CANDIDATES = (BT709, SMPTE170M, SMPTE240M, BT2020NC)
