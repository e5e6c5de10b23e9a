"""Draws: single values, and parameters that change slowly over the frames of a clip."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

K = TypeVar("K")


def uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    """A value of [lowest, highest]."""
    return float(rng.uniform(*bounds))


def log_uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    """A value of [lowest, highest], both above 0, each octave as likely as another."""
    return math.exp(rng.uniform(math.log(bounds[0]), math.log(bounds[1])))


def whole(rng: np.random.Generator, bounds: tuple[int, int]) -> int:
    """A whole number of lowest … highest, both included."""
    return int(rng.integers(bounds[0], bounds[1] + 1))


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True with `probability`; draws one number in any case, so that what follows does not depend on it."""
    return bool(rng.random() < probability)


def chosen(rng: np.random.Generator, weights: Mapping[K, float]) -> K:
    """One key of `weights`, as likely as its weight says."""
    bars = np.cumsum(list(weights.values()))
    return list(weights)[int(np.searchsorted(bars, rng.random() * bars[-1], side="right"))]


def walk(rng: np.random.Generator, bounds: tuple[float, float], step: float, frames: int) -> NDArray[np.float64]:
    """`frames` values in `bounds`: the first is uniform, each next one differs by at most `step`.

    Parameters that wander, rather than stand still or jump, are what RealBasicVSR trains with (Chan et al., 2022).
    """
    low, high = bounds
    values = np.empty(frames)
    values[0] = rng.uniform(low, high)
    for index, move in enumerate(rng.uniform(-step, step, frames - 1), 1):
        values[index] = np.clip(values[index - 1] + move, low, high)
    return values
