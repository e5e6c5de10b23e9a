"""5. Distinct pictures grouped into batches; held ones ride along; nothing is reordered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch

from ..frames import Batch

MAX_HELD = 64
"""Held pictures that one batch may carry, so that a long still does not delay what was computed before it."""


def group(singles: Iterable[Batch], size: int) -> Iterator[Batch]:
    """Batches of up to `size` distinct pictures out of batches of one, in the same order."""
    waiting: list[Batch] = []
    distinct = 0
    for single in singles:
        fresh = single.rgb is not None
        if waiting and (distinct + fresh > size or len(waiting) >= size + MAX_HELD):
            yield _join(waiting)
            waiting, distinct = [], 0
        waiting.append(single)
        distinct += fresh
        if distinct == size == 1:
            yield _join(waiting)
            waiting, distinct = [], 0
    if waiting:
        yield _join(waiting)


def _join(singles: list[Batch]) -> Batch:
    """One batch of many; a held picture shows the last distinct one before it, row -1 being the batch before."""
    rows: list[int] = []
    for single in singles:
        last = rows[-1] if rows else -1
        rows.append(last if single.rgb is None else last + 1)
    rgb = [single.rgb for single in singles if single.rgb is not None]
    frames = tuple(frame for single in singles for frame in single.frames)
    return Batch(frames, tuple(rows), torch.cat(rgb) if len(rgb) > 1 else next(iter(rgb), None))
