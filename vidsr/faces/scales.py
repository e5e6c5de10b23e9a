"""Faces of all sizes from a detector that knows those of 16 to 500 pixels: a picture is looked at twice.

The first look is at the picture itself, at a size within bounds; it has the say on small faces. On a face that is
larger than its anchors a detector sees parts of it, as faces with high scores. So the second look is at a quarter of
the size of the first, with a border around it for faces that reach out of the picture, and has the say on large ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .face import Face

LARGEST = 1280
"""Pixels of the longer side at the first look; a larger picture is made smaller."""
ENLARGED = 640
"""A smaller picture is made larger, up to this and to TWICE its size: so faces of 10 pixels are found."""
TWICE = 2.0
COARSE = 4
"""How many times smaller the second look is."""
BORDER = 0.25
"""Of the second look, as a part of its longer side, on each side."""
SMALL_UP_TO, LARGE_FROM = 400, 256
"""Sides of faces, in pixels of the first look, up to which the first and from which the second look has the say."""
HIDDEN = 0.5
"""A small face of which a large one covers this part is part of it."""

Pixels = NDArray[np.float32]


def first_size(height: int, width: int, largest: int = LARGEST) -> tuple[int, int]:
    """Height and width at the first look."""
    longer = max(height, width)
    factor = min(largest / longer, max(1.0, min(TWICE, ENLARGED / longer)))
    return max(1, round(height * factor)), max(1, round(width * factor))


def border_of(height: int, width: int) -> int:
    """Pixels around the second look of this size."""
    return round(max(height, width) * BORDER)


def placed(
    points: NDArray[np.floating], size: tuple[float, float], picture: tuple[int, int], border: int = 0
) -> Pixels:
    """… 2, x y in a look of `size` (height, width, without its border), in pixels of the picture.

    Whole numbers are centres of pixels, in both.
    """
    factor = np.array([picture[1] / size[1], picture[0] / size[0]])
    found: Pixels = ((points - border + 0.5) * factor - 0.5).astype(np.float32)
    return found


def distinct(boxes: Pixels, scores: Pixels, overlap: float) -> list[int]:
    """Which of the boxes N 4 are no other view of a better one, best first (non-maximum suppression).

    Two boxes are views of one face when what they share is more than `overlap` of what they cover together.
    """
    rest, kept = np.argsort(-scores, kind="stable"), []
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    while rest.size:
        best, rest = int(rest[0]), rest[1:]
        kept.append(best)
        common = shared(boxes[best], boxes[rest])
        rest = rest[common <= overlap * (areas[best] + areas[rest] - common)]
    return kept


def shared(box: Pixels, others: Pixels) -> Pixels:
    """Pixels that the box has in common with each of the others N 4."""
    corner, end = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    extent: Pixels = np.clip(end - corner, 0, None).prod(1)
    return extent


def merged(first: Sequence[Face], second: Sequence[Face], factor: float) -> list[Face]:
    """The faces of both looks, best first; `factor` is the size of the first look over that of the picture."""
    large = [face for face in second if side(face) * factor >= LARGE_FROM]
    covers = np.array([face.box for face in large], np.float32).reshape(-1, 4)
    small = [face for face in first if side(face) * factor <= SMALL_UP_TO and not _is_hidden(face, covers)]
    return sorted([*large, *small], key=lambda face: -face.score)


def _is_hidden(face: Face, covers: Pixels) -> bool:
    box = np.array(face.box, np.float32)
    area = (box[2] - box[0]) * (box[3] - box[1])
    return bool((shared(box, covers) > HIDDEN * area).any())


def face_of(box: Pixels, score: float, landmarks: Pixels) -> Face:
    """A face from box 4, in its order, and landmarks 5 2."""
    left, top, right, bottom = (float(value) for value in box)
    return Face((left, top, right, bottom), float(score), landmarks)


def side(face: Face) -> float:
    """The longer side of its box, in pixels."""
    left, top, right, bottom = face.box
    return max(right - left, bottom - top)
