"""6. Cutting a frame into tiles and seaming them again, as pure integers.

A tile is a core, which ends up in the output, and a border of `overlap` pixels around it, clamped to the frame. With an
overlap of at least the network's receptive field the seamed result is that of the whole frame, pixel for pixel: what
the missing context spoils lies in the border, and at the edge of the frame both see the same zero padding.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..frames import Box, Tile


def tiles(height: int, width: int, side: int, overlap: int, multiple: int = 1) -> Iterator[Tile]:
    """Tiles that cover H W once, row by row, with cores of at most `side` pixels; `side` 0 gives one tile.

    The cores of a row are equal to within `multiple`, so that their shapes repeat. Padded boxes start at multiples of
    `multiple`, the size rule of networks that begin with a pixel unshuffle.
    """
    for top, bottom in _spans(height, side, multiple):
        for left, right in _spans(width, side, multiple):
            padded = Box(
                max(0, top - overlap) // multiple * multiple,
                max(0, left - overlap) // multiple * multiple,
                min(height, bottom + overlap),
                min(width, right + overlap),
            )
            yield Tile(Box(top, left, bottom, right), padded)


def _spans(length: int, side: int, multiple: int) -> Iterator[tuple[int, int]]:
    """[0, length) cut into equal parts of at most `side`, each but the last a multiple of `multiple`."""
    count = -(-length // side) if side else 1
    step = -(-length // (count * multiple)) * multiple
    for start in range(0, length, step):
        yield start, min(start + step, length)
