"""Weights and pictures from a seed, the same with every version of every library."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

COMPACT = [(8, 3, scale, act) for scale in (1, 2, 3, 4) for act in ("prelu", "relu", "leakyrelu")]
"""Features, convolutions, scale, activation."""
RRDB = [(8, 2, 4, scale) for scale in (1, 2, 4)]
"""Features, blocks, growth, scale."""


def numbers(name: str, shape: tuple[int, ...]) -> Array:
    """Weights of a tensor: their size keeps that of what passes through, so that every layer counts."""
    fan = int(np.prod(shape[1:])) or 1
    size = 1 / fan**0.5 if len(shape) == 4 else 0.1
    random = np.random.RandomState(zlib.crc32(name.encode()))
    return (random.standard_normal(shape) * size).astype(np.float32)


def picture() -> Array:
    """1 3 8 12 in [0, 1]."""
    return np.random.RandomState(3).random_sample((1, 3, 8, 12)).astype(np.float32)
