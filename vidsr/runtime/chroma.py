"""Chroma planes to the size of the luma plane and back, each sample where its siting says it lies.

Both ways are separable polyphase filters of the Catmull-Rom cubic (R. Keys, "Cubic convolution interpolation", IEEE
ASSP 29, 1981, with a = -0.5): as it is when a plane grows, stretched by the factor when it shrinks, which makes it
the low-pass filter that keeps finer detail from aliasing. Beyond the edges the last sample is repeated.

A chroma sample j of a plane that is f times smaller lies at luma position f j when co-sited with the luma samples,
at f j + (f - 1) / 2 when centred among them. Sums over slices are used rather than a convolution: they are several
times faster on a CPU, and float32 everywhere (cuDNN may round a convolution to TF32, a whole code at 10 bits).
"""

from __future__ import annotations

from math import ceil, floor

from torch import Tensor
from torch.nn import functional

from ..frames import PixelLayout, Siting

_WIDTH, _HEIGHT = -1, -2
_Taps = list[tuple[int, float]]
"""(offset, weight) of each source sample; offsets count from the sample that the output sample belongs to."""


def upsample(planes: Tensor, layout: PixelLayout, siting: Siting | None, height: int, width: int) -> Tensor:
    """… h w to … height width (the luma size), float32."""
    across, down = _offsets(layout, siting)
    planes = _grow(planes, _WIDTH, 1 << layout.log2_w, across, width)
    return _grow(planes, _HEIGHT, 1 << layout.log2_h, down, height)


def downsample(planes: Tensor, layout: PixelLayout, siting: Siting | None) -> Tensor:
    """… H W to … h w, with h = H / 2**log2_h and w = W / 2**log2_w rounded up, float32."""
    across, down = _offsets(layout, siting)
    planes = _shrink(planes, _HEIGHT, 1 << layout.log2_h, down)
    return _shrink(planes, _WIDTH, 1 << layout.log2_w, across)


def _offsets(layout: PixelLayout, siting: Siting | None) -> tuple[float, float]:
    """Luma position (across, down) of chroma sample (0, 0). Raises ValueError when subsampled and not sited."""
    if siting is None and layout.log2_w + layout.log2_h:
        raise ValueError(f"the chroma siting of {layout} must be resolved before a conversion")
    across = 0.0 if siting in ("left", "topleft") else ((1 << layout.log2_w) - 1) / 2
    down = 0.0 if siting in ("top", "topleft") else ((1 << layout.log2_h) - 1) / 2
    return across, down


def _cubic(t: float) -> float:
    """Keys' kernel with a = -0.5 at distance `t`."""
    t = abs(t)
    if t < 1:
        return (1.5 * t - 2.5) * t * t + 1
    return ((-0.5 * t + 2.5) * t - 4) * t + 2 if t < 2 else 0.0


def _grow(x: Tensor, dim: int, factor: int, offset: float, size: int) -> Tensor:
    """`size` samples along `dim` from size / factor: output sample factor j + p is a sum around input sample j."""
    if factor == 1:
        return x
    shape = list(x.shape)
    shape[dim] = size
    grown = x.new_empty(shape)
    padded = _pad(x, dim, 2, 2)
    for phase in range(min(factor, size)):
        place = (phase - offset) / factor
        near = [near for near in range(floor(place) - 1, floor(place) + 3) if _cubic(place - near)]
        out = grown[..., phase::factor] if dim == _WIDTH else grown[..., phase::factor, :]
        _sum(padded, dim, 1, [(2 + n, _cubic(place - n)) for n in near], out)
    return grown


def _shrink(x: Tensor, dim: int, factor: int, offset: float) -> Tensor:
    """size / factor samples along `dim`, rounded up: output sample j is a sum around input sample factor j."""
    if factor == 1:
        return x
    reach = range(ceil(offset - 2 * factor), floor(offset + 2 * factor) + 1)
    weights = {n: _cubic((n - offset) / factor) for n in reach}
    taps = [(n, weight / sum(weights.values())) for n, weight in weights.items() if weight]
    before, after = -taps[0][0], taps[-1][0]
    shape = list(x.shape)
    shape[dim] = -(-shape[dim] // factor)
    out = x.new_empty(shape)
    _sum(_pad(x, dim, before, after), dim, factor, [(n + before, weight) for n, weight in taps], out)
    return out


def _pad(x: Tensor, dim: int, before: int, after: int) -> Tensor:
    """Repeat the first and last sample along `dim`."""
    return functional.pad(x, (before, after, 0, 0) if dim == _WIDTH else (0, 0, before, after), mode="replicate")


def _sum(x: Tensor, dim: int, step: int, taps: _Taps, out: Tensor) -> None:
    """out[j] = sum of weight * x[step * j + offset] over `taps`, along `dim`."""
    stop = step * (out.shape[dim] - 1) + 1
    for index, (offset, weight) in enumerate(taps):
        window = slice(offset, offset + stop, step)
        part = x[..., window] if dim == _WIDTH else x[..., window, :]
        if index == 0:
            out.copy_(part).mul_(weight)
        else:
            out.add_(part, alpha=weight)
