"""8. RGB at its final size, back to planes on the host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

from ..frames import Batch, Plane, UpscaledFrame
from ..runtime.planes import FromRGB, resample


def to_planes(
    batches: Iterable[Batch], converter: FromRGB, size: tuple[int, int], padded: tuple[int, int]
) -> Iterator[UpscaledFrame]:
    """Every picture of the batches with its own pts; held pictures share the planes of the one they repeat.

    `size` is the final (width, height); `padded` the one the encoder gets, up to a pixel or so larger where its pixel
    format needs even sides; the edge is repeated there.
    """
    shown: tuple[Plane, ...] = ()
    for batch in batches:
        done = [] if batch.rgb is None else [_finish(row, converter, size, padded) for row in torch.split(batch.rgb, 1)]
        for frame, row in zip(batch.frames, batch.rows, strict=True):
            shown = done[row] if row >= 0 else shown
            yield UpscaledFrame(shown, frame.pts, frame.duration)


def _finish(rgb: Tensor, converter: FromRGB, size: tuple[int, int], padded: tuple[int, int]) -> tuple[Plane, ...]:
    """1 3 sH sW RGB to planes of the padded size in host memory."""
    rgb = resample(rgb, size[1], size[0])
    right, down = padded[0] - size[0], padded[1] - size[1]
    if right or down:
        rgb = functional.pad(rgb, (0, right, 0, down), mode="replicate")
    return tuple(plane[0].cpu().numpy() for plane in converter(rgb))
