"""Faces of a film: followed from frame to frame, calm, and restored again only where their pixels changed."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from ..frames import Box
from .enhance import FaceEnhancer, Placed, put, ratio
from .face import Face
from .paste import rectangle
from .restore import TOGETHER
from .track import Tracker

KEPT = 64
"""Persons whose last restored face is kept, 4 MB each."""

_THUMBNAIL = 16
"""Sides of the small pictures by which cuts are seen."""
_CUT = 0.12
"""Mean difference of two of them, of 1, from which on there is a cut between."""

Row = list[Placed]
"""The faces of one frame, in the order in which they are put back."""


class Film:
    """Faces of one film, whose frames come in order. `enhancer` may serve several films.

    A face whose pixels are those that it was restored from stays as it was, bit for bit: neither its landmarks, which
    other parts of a frame may disturb, nor the network are asked again.
    """

    def __init__(self, enhancer: FaceEnhancer) -> None:
        self.enhancer, self.number = enhancer, 0
        """The number of the next frame, for those who keep faces."""
        self._tracker = Tracker()
        self._known: dict[int, Placed] = {}
        self._thumbnail: Tensor | None = None
        self._before: list[tuple[Placed, Box]] = []

    def __call__(self, source: Tensor, upscaled: Tensor) -> tuple[Tensor, list[tuple[Box, ...]]]:
        """The next frames, N 3 sH sW, with the faces that were found in `source`, N 3 H W, RGB in [0, 1].

        A new tensor, or `upscaled` itself where there is no face; and, for each frame, where its faces make it differ
        from the frame before, in pixels of the result.
        """
        rows = self.follow(source)
        result = upscaled.clone() if any(rows) else upscaled
        changed = []
        for at, group in _groups(rows):
            self._restore(group, self.number + at)
            for number, row in enumerate(group, at):
                for placed in row:
                    put(placed, result[number], ratio(source, upscaled))
                changed.append(self._changed(row, result, ratio(source, upscaled)))
        self.number += len(rows)
        return result, changed

    def follow(self, source: Tensor) -> list[Row]:
        """The faces of the next frames, N 3 H W, without restoring them: what a segment of a film looks back with."""
        return [self._followed(frame) for frame in source]

    def _followed(self, frame: Tensor) -> Row:
        height, width = frame.shape[-2:]
        faces = self._tracker.update(self.enhancer.find(frame), self._is_cut(frame))
        row = [self._placed(frame, face) for face in self.enhancer.chosen(faces, height, width)]
        for placed in row:
            self._known.pop(placed.face.track, None)
            self._known[placed.face.track] = placed
        while len(self._known) > max(KEPT, len(row)):
            self._known.pop(next(iter(self._known)))
        return row

    def _placed(self, frame: Tensor, face: Face) -> Placed:
        known = self._known.get(face.track)
        if known is not None and torch.equal(known.box.of(frame), known.pixels):
            return known
        placed = self.enhancer.placed(frame, face, robust=False)
        placed.pixels = placed.pixels.clone()  # the frame is not ours, and larger
        return placed

    def _is_cut(self, frame: Tensor) -> bool:
        small = functional.adaptive_avg_pool2d(frame, _THUMBNAIL)
        before, self._thumbnail = self._thumbnail, small
        return before is not None and bool((small - before).abs().mean() > _CUT)

    def _restore(self, rows: list[Row], number: int) -> None:
        """Those that are not restored yet, all together."""
        missing = {id(placed): (placed, number + at) for at, row in reversed(list(enumerate(rows))) for placed in row}
        fresh = [pair for pair in reversed(missing.values()) if pair[0].shown is None]
        self.enhancer.restore([placed for placed, _ in fresh], [number for _, number in fresh])

    def _changed(self, row: Row, result: Tensor, scale: tuple[float, float]) -> tuple[Box, ...]:
        """Where faces are that were not there before, and where some were that are not there now."""
        height, width = result.shape[-2:]
        now = [(placed, rectangle(placed.matrix, scale, height, width)) for placed in row]
        before, self._before = self._before, now
        old, new = {id(placed) for placed, _ in before}, {id(placed) for placed, _ in now}
        moved = [box for placed, box in before if id(placed) not in new]
        return (*moved, *(box for placed, box in now if id(placed) not in old))


def _groups(rows: list[Row]) -> Iterator[tuple[int, list[Row]]]:
    """Rows with about as many faces as are restored together, and the number of the first."""
    start, count = 0, 0
    for end, row in enumerate(rows, 1):
        count += len(row)
        if count >= TOGETHER or end == len(rows):
            yield start, rows[start:end]
            start, count = end, 0
