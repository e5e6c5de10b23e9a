"""Which sample is which: positions in an endless run, orders that visit everything once, lanes that share a decode.

All of it is arithmetic on the key, so any process can make any sample, and a run continues anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..sample import Key


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run stands. All processes of a run share one count, so it may go on with another number of them."""

    samples: int = 0
    """Samples that were used so far."""

    def advanced(self, count: int) -> Position:
        return Position(self.samples + count)


def key_at(seed: int, place: int, epoch_length: int) -> Key:
    """The key of sample `place` of a run, counted from 0 over all epochs."""
    epoch, index = divmod(place, epoch_length)
    return Key(seed, epoch, index)


@lru_cache(maxsize=16)
def order(seed: int, epoch: int, name: str, count: int) -> NDArray[np.int64]:
    """A permutation of `count` items; `name` keeps the orders of several sets apart. Not to be written to."""
    permuted = Key(seed, epoch, 0).rng(f"order/{name}").permutation(count)
    permuted.setflags(write=False)
    return permuted


def item_at(key: Key, turn: int, name: str, count: int) -> int:
    """The item of `count` that comes at `turn` of the key's epoch: each once before any comes again."""
    again, place = divmod(turn, count)
    return int(order(key.seed, key.epoch, f"{name}/{again}", count)[place])


@dataclass(frozen=True, slots=True)
class Lanes:
    """Decoding once, cropping often: `reuse` samples share one item, and `count` items are shared in turn.

    Samples 0 … count - 1 use items 0 … count - 1, the next `count` the same ones again, and so on; after `reuse`
    rounds come new ones. Samples of one lane go to one process, whose cache then holds what they need.
    """

    count: int
    reuse: int

    def turn(self, rank: int) -> int:
        """The number of the item that sample `rank` uses."""
        return rank // (self.count * self.reuse) * self.count + rank % self.count

    def lane(self, rank: int) -> int:
        return rank % self.count


ALONE = Lanes(1, 1)
"""Every sample uses an item of its own."""
