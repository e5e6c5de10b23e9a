"""JPEG without its entropy coder: what it loses is lost here too, batched on the device, with a quality per sample.

Source: Shin and Song, "JPEG-resistant adversarial images" (DiffJPEG), 2017; ITU-T T.81 Annex K for the tables. Chroma
is halved by averaging and doubled by repeating; borders are filled up to whole blocks with black, as in the reference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from .canvas import Canvas

BLOCK = 8
MCU = 16
"""Side of the square that 4:2:0 codes together."""

LUMA_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
CHROMA_CORNER = ((17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99))
"""The low frequencies; all others are divided by 99."""

TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))
"""JFIF, full range."""


def compress(canvas: Canvas, qualities: Sequence[float | None]) -> Canvas:
    """Every picture cut to [0, 1] and compressed at its own quality (1 to 100, any real number); with None as it is."""
    chosen = {number: quality for number, quality in enumerate(qualities) if quality is not None}
    if not chosen:
        return canvas
    pictures = canvas.take(list(chosen))
    pixels = pictures.pixels.clamp(0, 1)
    if not pictures.full:
        pixels = pixels * pictures.inside()
    return canvas.put(list(chosen), pictures.replaced(jpeg(pixels, pixels.new_tensor(list(chosen.values())))))


def jpeg(pixels: Tensor, quality: Tensor, *, differentiable: bool = False) -> Tensor:
    """N 3 H W float32 RGB in [0, 1], in and out; `quality` is N.

    With `differentiable`, rounding has the slope 3 (x - round(x))^2 in place of zero.
    """
    height, width = pixels.shape[-2:]
    whole = functional.pad(pixels, (0, -width % MCU, 0, -height % MCU))
    luma, chroma = _to_planes(whole)
    scale = quality_scale(quality).view(-1, 1, 1)
    luma = _quantised(luma, _table("luma", pixels.device) * scale, differentiable)
    chroma = _quantised(chroma, _table("chroma", pixels.device) * scale, differentiable)
    return _to_pixels(luma, chroma)[..., :height, :width]


def quality_scale(quality: Tensor) -> Tensor:
    """libjpeg's rule from quality to the factor on its tables: 50 is 1, 100 is 0."""
    return torch.where(quality < 50, 5000 / quality, 200 - 2 * quality) / 100


def round_smoothly(values: Tensor) -> Tensor:
    """Rounded, with a gradient: round(x) + (x - round(x))^3."""
    whole = values.round()
    return whole + (values - whole) ** 3


def _to_planes(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """N 1 H W luma and N 2 H/2 W/2 chroma, in codes around zero."""
    ycc = _mixed(pixels * 255, TO_YCC)
    return ycc[:, :1] - 128, functional.avg_pool2d(ycc[:, 1:], 2)


def _to_pixels(luma: Tensor, chroma: Tensor) -> Tensor:
    """The inverse of `_to_planes`, cut to [0, 1]."""
    large = chroma.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    return _mixed(torch.cat([luma + 128, large], dim=1), TO_RGB).clamp(0, 255) / 255


def _mixed(planes: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    """A colour transform of N 3 H W."""
    return (planes.new_tensor(matrix) @ planes.flatten(2)).view_as(planes)


def _quantised(planes: Tensor, steps: Tensor, differentiable: bool) -> Tensor:
    """N C H W through the cosine transform of its blocks, rounded to multiples of `steps` (N 1 64), and back.

    Steps below 1 do not exist in JPEG; up to quality 95 there are none, and at 100 the reference divides by zero.
    """
    steps = steps.clamp(min=1)
    rounded = round_smoothly if differentiable else torch.round
    transform = _transform(planes.device)
    coefficients = _blocks(planes) @ transform.T
    return _merged(rounded(coefficients / steps) * steps @ transform, planes.shape)


def _blocks(planes: Tensor) -> Tensor:
    """N C H W as N B 64: blocks in rows, pixels of a block in rows."""
    n, c, h, w = planes.shape
    cut = planes.view(n, c, h // BLOCK, BLOCK, w // BLOCK, BLOCK)
    return cut.transpose(3, 4).reshape(n, -1, BLOCK * BLOCK)


def _merged(blocks: Tensor, shape: torch.Size) -> Tensor:
    n, c, h, w = shape
    cut = blocks.view(n, c, h // BLOCK, w // BLOCK, BLOCK, BLOCK)
    return cut.transpose(3, 4).reshape(n, c, h, w)


@cache
def _transform(device: torch.device) -> Tensor:
    """64 x 64, orthonormal: the two-dimensional cosine transform of a block written as one row."""
    place = torch.arange(BLOCK, dtype=torch.float64)
    line = torch.cos((2 * place + 1) * place[:, None] * math.pi / (2 * BLOCK)) / 2
    line[0] /= math.sqrt(2)
    return torch.kron(line, line).float().to(device)


@cache
def _table(plane: str, device: torch.device) -> Tensor:
    """64 steps at quality 50; the luma table is transposed, as in the reference."""
    steps = torch.full((BLOCK, BLOCK), 99.0)
    if plane == "luma":
        steps[:] = torch.tensor(LUMA_TABLE, dtype=torch.float32).T
    else:
        steps[:4, :4] = torch.tensor(CHROMA_CORNER, dtype=torch.float32).T
    return steps.flatten().to(device)
