"""Whether a fast way of running a network may be trusted: the first frame is compared with float32.

Only a piece of the frame is compared, the one with the most detail, and only float32 is computed for it: what the fast
way gave is there already. The piece has a margin that is computed and not compared, so that its cut edges do not
count. It is the receptive field where that fits; of networks that see farther, an edge is felt far less than they see.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ..events import Emit, FellBack, Notice
from ..frames import Box
from ..models.descriptor import Descriptor
from .interface import Runtime

LEAST = 50.0
"""dB of the fast result against float32, peak 1, both clamped to [0, 1]: errors below one code of 8 bits."""

SIDE = 132
"""Of the piece, margin included, in input pixels: 1.9 % of a 720p frame."""

MARGIN = 48
"""Largest margin. See docs/runtimes.md for what the edge of a piece does to networks that see farther."""

_verdicts: dict[tuple[str, ...], float] = {}
"""dB by weights, runtime, number format and device; for this process."""


def check_precision(
    runtime: Runtime,
    descriptor: Descriptor,
    reference: Callable[[], Runtime],
    rgb: Tensor,
    result: Tensor,
    emit: Emit,
) -> Runtime:
    """`runtime` where it may be trusted, else `reference()`, the network in float32 on the same device; told.

    `rgb` is N 3 H W float32 RGB in [0, 1] and `result` what `runtime` gave for it, N 3 sH sW; the first frame is
    compared. Eager float32 is the reference itself.
    """
    if runtime.name == "eager" and runtime.precision == "fp32":
        return runtime
    key = (descriptor.sha256, descriptor.arch, runtime.name, runtime.precision, str(runtime.device))
    safe = None
    if key not in _verdicts:
        safe = reference()
        _verdicts[key] = decibels(descriptor, safe, rgb[:1], result[:1])
        emit(Notice(f"{_shown(runtime)} is {_verdicts[key]:.1f} dB from fp32 on the first frame", "detail"))
    if _verdicts[key] >= LEAST:
        return runtime
    reason = f"{_shown(runtime)} is {_verdicts[key]:.1f} dB from fp32 with {descriptor.name}, expected is {LEAST:g}"
    emit(FellBack(_shown(runtime), "fp32", reason))
    return safe or reference()


def forget() -> None:
    """Forget all verdicts."""
    _verdicts.clear()


def decibels(descriptor: Descriptor, reference: Runtime, rgb: Tensor, result: Tensor) -> float:
    """PSNR, in dB with peak 1, of `result`, 1 3 sH sW, against `reference` on the most detailed piece of `rgb`,
    1 3 H W; NaN where either has a NaN. Both are clamped to [0, 1] first.
    """
    piece, core = choose_piece(rgb, descriptor)
    exact = reference(_cut(fitted(rgb, descriptor), piece).contiguous())
    expected = _cut(exact, core.within(piece).times(descriptor.scale)).clamp(0, 1)
    seen = _cut(result, core.times(descriptor.scale)).clamp(0, 1)
    error = float((seen.double() - expected.double()).square().mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def choose_piece(rgb: Tensor, descriptor: Descriptor) -> tuple[Box, Box]:
    """The piece to compute, in pixels of `fitted(rgb)`, and the core of it to compare, in pixels of `rgb`, 1 3 H W.

    The core has the largest variance of all its places. The piece obeys the network's size rule.
    """
    height, width = fitted(rgb, descriptor).shape[-2:]
    step = descriptor.multiple_of
    cell = math.lcm(8, step)
    margin = -(-min(descriptor.receptive_field, MARGIN) // step) * step
    core = _most_varied(rgb, max(cell, (SIDE - 2 * margin) // cell * cell), cell)
    bottom, right = (-(-(end + margin) // step) * step for end in (core.bottom, core.right))
    return Box(max(0, core.top - margin), max(0, core.left - margin), min(height, bottom), min(width, right)), core


def _most_varied(rgb: Tensor, side: int, cell: int) -> Box:
    """The square of `side` pixels, or less in a smaller frame, of most variance, on a grid of `cell` pixels."""
    height, width = (min(side, length) for length in rgb.shape[-2:])
    cells = (height // cell, width // cell)
    if not all(cells):
        return Box(0, 0, height, width)
    shade = rgb.mean(1, keepdim=True)
    moments = functional.avg_pool2d(torch.cat([shade, shade.square()], 1), cell)
    moments = functional.avg_pool2d(moments, cells, stride=1)[0]
    variance = moments[1] - moments[0].square()
    row, column = divmod(int(variance.argmax()), variance.shape[1])
    return Box(row * cell, column * cell, row * cell + height, column * cell + width)


def fitted(rgb: Tensor, descriptor: Descriptor) -> Tensor:
    """N 3 H W with right and bottom mirrored, or repeated in tiny frames, up to the network's size rule."""
    height, width = rgb.shape[-2:]
    step, least = descriptor.multiple_of, descriptor.minimum
    down = max(least, -(-height // step) * step) - height
    right = max(least, -(-width // step) * step) - width
    if not down and not right:
        return rgb
    return functional.pad(rgb, (0, right, 0, down), mode="reflect" if down < height and right < width else "replicate")


def _cut(picture: Tensor, box: Box) -> Tensor:
    return picture[..., box.top : box.bottom, box.left : box.right]


def _shown(runtime: Runtime) -> str:
    return f"{runtime.name} {runtime.precision}"
