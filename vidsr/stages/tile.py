"""6. Cutting a frame into tiles and seaming them again, as pure integers.

A tile is a core, which ends up in the output, and a border of `overlap` pixels around it, clamped to the frame. With an
overlap of at least the network's receptive field the seamed result is that of the whole frame, pixel for pixel: what
the missing context spoils lies in the border, and at the edge of the frame both see the same zero padding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels: rows top … bottom-1, columns left … right-1."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    def times(self, scale: int) -> Box:
        return Box(self.top * scale, self.left * scale, self.bottom * scale, self.right * scale)

    def within(self, outer: Box) -> Box:
        """This box in the coordinates of `outer`."""
        return Box(
            self.top - outer.top, self.left - outer.left, self.bottom - outer.top, self.right - outer.left
        )


@dataclass(frozen=True, slots=True)
class Tile:
    """`padded` is what the network sees, `core` the part of it that is kept; both in pixels of the frame."""

    core: Box
    padded: Box


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
