"""Faces in the way of a frame: batches that go through the network, each beside what it was made of."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from torch import Tensor

from ..frames import Batch, Box
from .enhance import FaceEnhancer
from .film import Film

Upscale = Callable[[Iterable[Batch]], Iterator[Batch]]
"""Gives one batch for each that it takes, in order, as `Inference.upscaled` does."""


def with_faces(batches: Iterable[Batch], upscale: Upscale, faces: FaceEnhancer | Film) -> Iterator[Batch]:
    """`upscale(batches)`, with faces restored: pictures for themselves, or frames of a film in order.

    Batches of films keep their `boxes`, and get the places besides where faces changed.
    """
    sources: deque[Tensor | None] = deque()

    def noted() -> Iterator[Batch]:
        for batch in batches:
            sources.append(batch.rgb)
            yield batch

    for batch in upscale(noted()):
        source = sources.popleft()
        yield batch if source is None or batch.rgb is None else _restored(batch, source, batch.rgb, faces)


def _restored(batch: Batch, source: Tensor, upscaled: Tensor, faces: FaceEnhancer | Film) -> Batch:
    if isinstance(faces, FaceEnhancer):
        return replace(batch, rgb=faces(source, upscaled), boxes=None)
    rgb, changed = faces(source, upscaled)
    boxes: tuple[Box, ...] | None = batch.boxes
    if boxes is not None:
        boxes = (*boxes, *(box for row in changed for box in row))
    return replace(batch, rgb=rgb, boxes=boxes)
