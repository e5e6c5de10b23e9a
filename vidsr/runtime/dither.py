"""A fixed threshold matrix for ordered dithering.

Source: R. Ulichney, "The void-and-cluster method for dither array generation", Proc. SPIE 1913, 1993. Its patterns
have no low frequencies, so they are seen far less than those of a Bayer matrix of the same size.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

_SIGMA = 1.5
"""Radius of the Gaussian that measures crowding, in pixels; the value of the paper."""


@cache
def thresholds(side: int = 32) -> Tensor:
    """side side float32, every value of (k + 0.5) / side**2 once: fractions above it round up. Treat as read-only.

    `side` is a power of two of at least 8. The same on every machine: the energies are integers.
    """
    bell = _bell(side)
    start = _start(side, bell)
    count = int(start.sum())
    ranks = torch.zeros(side, side, dtype=torch.int64)

    pattern, energy = start.clone(), _energy(start, bell)
    for rank in reversed(range(count)):  # take the starting points away, most crowded first
        row, column = _extreme(energy, pattern, crowded=True)
        _flip(pattern, energy, bell, row, column)
        ranks[row, column] = rank

    pattern, energy = start.clone(), _energy(start, bell)
    for rank in range(count, side * side):  # fill the largest void each time
        row, column = _extreme(energy, pattern, crowded=False)
        _flip(pattern, energy, bell, row, column)
        ranks[row, column] = rank
    return (ranks.to(torch.float32) + 0.5) / (side * side)


def _bell(side: int) -> Tensor:
    """side side int64: a periodic Gaussian around (0, 0), scaled to 2**20."""
    distance = torch.arange(side, dtype=torch.float64)
    distance = torch.minimum(distance, side - distance) ** 2
    bell = torch.exp(-(distance[:, None] + distance[None, :]) / (2 * _SIGMA**2))
    return (bell * 2**20).round().to(torch.int64)


def _start(side: int, bell: Tensor) -> Tensor:
    """A tenth of the points, moved from clusters to voids until that changes nothing: an even pattern to begin with."""
    pattern = torch.zeros(side * side, dtype=torch.bool)
    pattern[torch.arange(side * side // 10) * 7919 % (side * side)] = True  # an odd step visits each place once
    pattern = pattern.view(side, side)
    energy = _energy(pattern, bell)
    while True:
        cluster = _extreme(energy, pattern, crowded=True)
        _flip(pattern, energy, bell, *cluster)
        void = _extreme(energy, pattern, crowded=False)
        _flip(pattern, energy, bell, *void)
        if void == cluster:
            return pattern


def _energy(pattern: Tensor, bell: Tensor) -> Tensor:
    """How crowded each place is: the sum of the bells around all points of `pattern`."""
    energy = torch.zeros_like(bell)
    for row, column in pattern.nonzero().tolist():
        energy += bell.roll((row, column), (0, 1))
    return energy


def _extreme(energy: Tensor, pattern: Tensor, crowded: bool) -> tuple[int, int]:
    """The most crowded point, or the emptiest place without one."""
    place = int(energy.masked_fill(~pattern, -1).argmax() if crowded else energy.masked_fill(pattern, 2**62).argmin())
    return divmod(place, energy.shape[1])


def _flip(pattern: Tensor, energy: Tensor, bell: Tensor, row: int, column: int) -> None:
    """Set or clear one point and keep the energy true to it."""
    sign = -1 if pattern[row, column] else 1
    pattern[row, column] = ~pattern[row, column]
    energy.add_(bell.roll((row, column), (0, 1)), alpha=sign)
