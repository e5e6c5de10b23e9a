"""Pictures that the metrics are compared on with the reference; made of whole numbers only, so that they are the
same to the bit everywhere.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

GOLDENS = Path(__file__).parent / "goldens" / "metrics.json"
"""What `python -m benchmarks.oracle_metrics` got from the reference."""

Picture = NDArray[np.uint8]
BORDERS = (0, 4)
CHANNELS = ("y", "rgb")


def drawing(height: int, width: int, seed: int, *, cells: bool = True) -> Picture:
    """H W 3 RGB: soft texture of several sizes; with `cells` also flat areas and sharp edges."""
    random = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.int64)
    for size, gain in ((2, 30), (5, 60), (17, 90), (48, 75)):
        coarse = random.integers(0, 256, (height // size + 2, width // size + 2, 3))
        picture += gain * _boxed(coarse.repeat(size, 0).repeat(size, 1), size // 2)[:height, :width] // 256
    chosen = random.random((height // 48 + 1, width // 48 + 1, 1)).repeat(48, 0).repeat(48, 1)[:height, :width] > 0.7
    return (np.where(chosen, picture // 64 * 64, picture) if cells else picture).astype(np.uint8)


def _boxed(values: NDArray[np.integer], reach: int) -> NDArray[np.int64]:
    """The mean, rounded down, of a square around each place; the picture repeats at its edges."""
    for axis in (0, 1):
        wide = np.pad(values, [(reach + 1, reach) if at == axis else (0, 0) for at in range(3)], mode="wrap")
        total = wide.astype(np.int64).cumsum(axis)
        ends, starts = np.split(total, [2 * reach + 1], axis)[1], np.split(total, [-2 * reach - 1], axis)[0]
        values = (ends - starts) // (2 * reach + 1)
    return values.astype(np.int64)


def noisy(picture: Picture, spread: int, seed: int) -> Picture:
    """With whole numbers from -spread to spread added."""
    added = np.random.default_rng(seed).integers(-spread, spread + 1, picture.shape)
    return np.clip(picture.astype(int) + added, 0, 255).astype(np.uint8)


def softened(picture: Picture, reach: int) -> Picture:
    """Blurred by a box."""
    return _boxed(picture, reach).astype(np.uint8)


def pairs() -> dict[str, tuple[Picture, Picture]]:
    """Output and ground truth."""
    first = drawing(70, 93, 1)
    brighter = np.clip(first.astype(int) + 9, 0, 255).astype(np.uint8)
    return {
        "noise": (noisy(first, 12, 2), first),
        "blur": (softened(first, 2), first),
        "brighter": (brighter, first),
        "other": (drawing(70, 93, 3), first),
        "one code": (noisy(first, 1, 4), first),
    }


def judged() -> dict[str, Picture]:
    """Pictures without a ground truth, of 96x96 blocks and a rest.

    None has areas of one colour: there the reference takes the statistics of its own rounding errors.
    """
    first = drawing(300, 400, 5, cells=False)
    return {"clean": first, "noise": noisy(first, 20, 6), "blur": softened(first, 2)}


@cache
def pristine_pictures() -> list[Picture]:
    """What the statistics for NIQE are made of; unlike each other, lest their covariance magnifies rounding."""
    drawings = [drawing(384, 480, seed, cells=False) for seed in range(20, 30)]
    return [noisy(softened(each, place % 3), 2 * place, place) for place, each in enumerate(drawings)]
