"""Which tiles have to be computed again, found on the device.

After k convolutions of 3x3 a value depends on pixels up to k away in each direction. So layer k has to be computed in
the tiles with a changed pixel at a Chebyshev distance (the larger of the horizontal and the vertical one) of k or less,
and nowhere else: the rest of its output is what it was for the frame before. That is exact, because a tile is computed
by the same operations in the same order whatever else the list holds. DeltaCNN (M. Parger et al., CVPR 2022) does this
with a threshold; here it is zero.

The distance from a tile to the changes in the tile that lies a rows and b columns of tiles away needs eight numbers of
that tile, not its pixels: its changed pixels nearest to each side and each corner. For a > b the vertical distance
16 (a - 1) + 1 … 16 a is the larger one whatever the columns; for a = b the corner decides. `first.to_rgb` writes them.

The lists of all layers are nested, so one list serves all: tiles in order of their distance, and for each layer how
many of them count.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .first import FAR, SIDES
from .places import FLAGS, TILE, Segments

_BLOCK = 128


def distances(sides: Tensor, out: Tensor, across: int, radius: int) -> None:
    """Write into `out` (tiles int32) how far the nearest changed pixel lies, FAR if farther than `radius` pixels.

    `sides` is tiles x 8 as `first.to_rgb` writes it, `across` the number of tiles in a row. 0 means inside.
    """
    tiles = out.numel()
    _distances[(-(-tiles // _BLOCK),)](
        sides, out, across, tiles // across, radius, BLOCK=_BLOCK, REACH=_tiles(radius), num_warps=4, **FLAGS
    )


def distances_eager(sides: Tensor, out: Tensor, across: int, radius: int) -> None:
    """The twin of `distances`: the grid of tiles, shifted by every offset."""
    grid = sides.view(-1, across, SIDES)
    reach, (down, _, _) = _tiles(radius), grid.shape
    padded = grid.new_full((down + 2 * reach, across + 2 * reach, SIDES), FAR)
    padded[reach : reach + down, reach : reach + across] = grid
    nearest = torch.where(grid[..., 0] < FAR, 0, FAR)
    for a in range(-reach, reach + 1):
        for b in range(-reach, reach + 1):
            if a or b:
                there = padded[reach + a : reach + a + down, reach + b : reach + b + across, _side(a, b)]
                nearest = torch.minimum(nearest, TILE * (max(abs(a), abs(b)) - 1) + there)
    out.copy_(torch.where(nearest > radius, FAR, nearest).flatten())


def _side(a: int, b: int) -> int:
    """Which of a tile's eight numbers counts for a tile from which it lies `a` rows and `b` columns of tiles away."""
    if abs(a) > abs(b):
        return 0 if a > 0 else 1
    if abs(b) > abs(a):
        return 2 if b > 0 else 3
    return 4 + 2 * (a < 0) + (b < 0)


def _tiles(radius: int) -> int:
    """How many tiles away a change within `radius` pixels may lie."""
    return -(-radius // TILE)


def ordered(distance: Tensor, limits: Tensor, order: Tensor, counts: Tensor) -> None:
    """Write the tiles in order of their distance into `order` and how many are within each of `limits` into `counts`.

    Equal distances stay in reading order. `counts` is limits x 4 int32, of which the first of each four is used.
    """
    near = distance.clamp(max=2**15 - 1).to(torch.int16)  # half of the passes of a sort by digits
    order.copy_(torch.sort(near, stable=True).indices)
    counts[:, 0] = (distance[None, :] <= limits[:, None]).sum(1)


def segments(order: Tensor, count: Tensor) -> Segments:
    """The tiles of one layer; `count` is its row of `counts`."""
    return Segments(order, count, TILE, order.numel())


@triton.jit(do_not_specialize=["across", "down", "radius"])
def _distances(
    sides: tl.tensor, out: tl.tensor, across: tl.tensor, down: tl.tensor, radius: tl.tensor,
    BLOCK: tl.constexpr, REACH: tl.constexpr,
) -> None:  # fmt: skip
    """One program for BLOCK tiles."""
    tile = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    real = tile < across * down
    row, column = tile // across, tile % across
    nearest = tl.where(tl.load(sides + tile * 8, real, 1 << 20) < (1 << 20), 0, 1 << 20)
    for i in range((2 * REACH + 1) * (2 * REACH + 1)):
        a, b = i // (2 * REACH + 1) - REACH, i % (2 * REACH + 1) - REACH
        vertical, horizontal = tl.maximum(a, -a), tl.maximum(b, -b)
        corner = 4 + tl.where(a < 0, 2, 0) + tl.where(b < 0, 1, 0)
        straight = tl.where(vertical > horizontal, tl.where(a > 0, 0, 1), tl.where(b > 0, 2, 3))
        side = tl.where(vertical == horizontal, corner, straight)
        there = (
            real
            & (row + a >= 0)
            & (row + a < down)
            & (column + b >= 0)
            & (column + b < across)
            & (i != 2 * REACH * (REACH + 1))
        )
        near = tl.load(sides + (tile + a * across + b) * 8 + side, there, 1 << 20)
        nearest = tl.minimum(nearest, near + 16 * (tl.maximum(vertical, horizontal) - 1))
    tl.store(out + tile, tl.where(nearest > radius, 1 << 20, nearest), real)
