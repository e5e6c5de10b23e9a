"""Several sets in one run, by probability."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..sample import Key


class Mix:
    """Which set each sample of an epoch comes from, and the how-manieth of that set in the epoch it is.

    An epoch holds of each set its share of the samples, give or take one, in random order. What is beyond whole
    samples is decided by systematic sampling, so that over many epochs every set has exactly its share, however small.
    """

    def __init__(self, weights: Sequence[float], length: int) -> None:
        self.shares = tuple(weight / sum(weights) for weight in weights)
        self.length = length

    def draw(self, key: Key) -> tuple[int, int]:
        """(set, rank within the set) of the sample that `key` names."""
        sets, ranks = _epoch(key.seed, key.epoch, self.shares, self.length)
        return int(sets[key.index]), int(ranks[key.index])


@lru_cache(maxsize=2)
def _epoch(
    seed: int, epoch: int, shares: tuple[float, ...], length: int
) -> tuple[NDArray[np.int16], NDArray[np.int32]]:
    """Sets and ranks of all samples of an epoch: two, because batches and workers cross from one to the next."""
    rng = Key(seed, epoch, 0).rng("mix")
    bounds = np.rint(np.cumsum(shares) * length + (rng.random() - 0.5)).astype(np.int64)
    bounds[-1] = length
    counts = np.diff(bounds.clip(0, length), prepend=0)
    sets = np.repeat(np.arange(len(shares), dtype=np.int16), counts)
    rng.shuffle(sets)
    ranks = np.empty(length, np.int32)
    for number, count in enumerate(counts):
        ranks[sets == number] = np.arange(count)
    return sets, ranks
