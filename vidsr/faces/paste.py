"""Restored faces back into their pictures: each within its own rectangle, on the device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..frames import Box
from .align import SIDE
from .warp import Matrix, Mode, composed, inverted, magnification, moved, reach, reduced, resized, sampled

SEEN = Box(8, 8, SIDE - 8, SIDE - 8)
"""The part of an aligned face that may be shown: masks are 0 outside, 2 pixels more for what samples look at."""

_CELL = 16
"""Pixels of an aligned face over which colours are averaged before they are compared."""

_CONTRAST = (0.8, 1.25)
"""Bounds of what contrast is multiplied by."""

Scale = float | tuple[float, float]
"""How many times larger a picture is than the one that faces were found in; (across, down) where they differ."""


def _enlarging(scale: Scale) -> Matrix:
    return resized(*(scale if isinstance(scale, tuple) else (scale, scale)))


def rectangle(matrix: Matrix, scale: Scale, height: int, width: int) -> Box:
    """The pixels that `paste` may change in a picture of that size; empty for a face beside the picture.

    `matrix` takes the pixels of the picture in which the face was found to those of the aligned face.
    """
    return reach(composed(_enlarging(scale), inverted(matrix)), SEEN, Box(0, 0, height, width))


def paste(frame: Tensor, face: Tensor, matrix: Matrix, mask: Tensor, scale: Scale = 1.0) -> Tensor:
    """Put `face`, 3 512 512, into `frame`, 3 sH sW, both RGB in [0, 1]; `mask` 512 512 says how much of it is seen.

    `frame` itself is changed, within `rectangle`, and given back. Bicubic where the face becomes larger, else bilinear,
    and averaged first where it becomes less than half as large. The reference puts faces half a pixel of the
    larger picture too far right and down; here they lie where they were.
    """
    box = rectangle(matrix, scale, *frame.shape[-2:])
    if not box.area:
        return frame
    forth = composed(_enlarging(scale), inverted(matrix))
    both = torch.cat([face, mask[None]]).to(frame.dtype)
    larger = magnification(forth)
    small, back = reduced(both, 1 / larger)
    to_small = inverted(composed(forth, back))
    mode: Mode = "bicubic" if larger > 1 else "bilinear"
    shown = sampled(small, moved(to_small, box.left, box.top), box.height, box.width, mode).clamp_(0, 1)
    place = box.of(frame)
    place.lerp_(shown[:3], shown[3:])
    return frame


def matched(faces: Tensor, references: Tensor, masks: Tensor) -> Tensor:
    """`faces` with the colours of `references`, both N 3 512 512 RGB in [0, 1], as seen through `masks` N 512 512.

    Mean and deviation of each channel become those of the reference (E. Reinhard et al., "Color Transfer between
    Images", 2001). They are taken of averages over 16 x 16 pixels: the sharper face is to keep its sharper details. The
    deviation changes by a quarter at most.
    """
    small, wanted, weights = (functional.avg_pool2d(item, _CELL) for item in (faces, references, masks[:, None]))
    weights = weights.clamp_min(1e-6)
    weights = weights / weights.sum((2, 3), keepdim=True)
    (mean, deviation), (goal, spread) = (_moments(item, weights) for item in (small, wanted))
    contrast = (spread / deviation).clamp(*_CONTRAST)
    return (faces * contrast).add_(goal - mean * contrast).clamp_(0, 1)


def _moments(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel, N C 1 1; never quite 0, which nothing can be divided by."""
    mean = (values * weights).sum((2, 3), keepdim=True)
    return mean, ((values - mean).square() * weights).sum((2, 3), keepdim=True).sqrt() + 1e-3
