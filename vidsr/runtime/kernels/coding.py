"""The numbers of a colour conversion, worked out once on the host, so that kernels only multiply and add.

They are those of `runtime.planes`, `runtime.chroma` and `runtime.dither`, which are the reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

import torch
from torch import Tensor

from ...frames import ColorTags, PixelLayout
from ...media import color as h273
from ..chroma import _cubic, _offsets
from ..planes import _legal, _resolved, _tiled_thresholds

YUV, GRAY, RGB, FLOAT = 0, 1, 2, 3
"""Families of planes as kernels know them."""

_FAMILIES = {"yuv": YUV, "gray": GRAY, "rgb": RGB}


@dataclass(frozen=True)
class Codes:
    """How the codes of one kind of plane are made: code = value * `span` + `offset`, between `low` and `high`."""

    offset: int
    span: int
    low: int
    high: int


@dataclass(frozen=True)
class Taps:
    """A polyphase filter along one dimension: source sample `first + place[phase, t]` with `weight[phase, t]`.

    `place` is int32, `weight` float32, both phases x taps on the device; unused taps weigh 0.
    """

    place: Tensor
    weight: Tensor

    @property
    def count(self) -> int:
        return int(self.place.shape[1])

    def reach(self) -> int:
        """The farthest source sample with a weight, from the one that the output sample belongs to. Waits."""
        return int(self.place[self.weight != 0].abs().max())


@dataclass(frozen=True)
class Coding:
    """A pixel layout and its resolved colour as numbers.

    `across` and `down` are the filters of the chroma planes: those that enlarge them for a source, that shrink them
    for a target. `kr` and `kb` are the luma weights (0 for RGB). `bias` is planes x side x side float32: what is added
    to value * span before the fraction is cut off, 1/2 or thresholds, and the offset.
    """

    layout: PixelLayout
    family: int
    luma: Codes
    chroma: Codes
    kr: float
    kb: float
    across: Taps
    down: Taps
    bias: Tensor

    @property
    def reach(self) -> int:
        """How many samples of luma size a chroma sample looks far, in either direction."""
        return max(self.across.reach(), self.down.reach())


def source(layout: PixelLayout, color: ColorTags, device: torch.device) -> Coding:
    """For planes to RGB. Raises InputError for unsupported matrices, ValueError for what is not resolved."""
    sited = _offsets(layout, color.siting)
    across, down = (
        _growing(1 << shift, offset, device)
        for shift, offset in zip((layout.log2_w, layout.log2_h), sited, strict=True)
    )
    weights = h273.luma_weights(color.matrix) if layout.family == "yuv" else (0.0, 0.0)
    return _coding(layout, color, weights, across, down, torch.zeros(1, 1, 1, device=device))


def target(layout: PixelLayout, color: ColorTags, device: torch.device, *, dither: bool) -> Coding:
    """For RGB to planes. Raises InputError for unsupported matrices, ValueError for what is not resolved."""
    sited = _offsets(layout, color.siting)
    across, down = (
        _shrinking(1 << shift, offset, device)
        for shift, offset in zip((layout.log2_w, layout.log2_h), sited, strict=True)
    )
    gray = layout.family == "gray" and color.matrix in (h273.RGB, h273.UNSPECIFIED)
    weights = (0.0, 0.0) if layout.family == "rgb" else h273.luma_weights(h273.BT709 if gray else color.matrix)
    return _coding(layout, color, weights, across, down, _bias(layout, color, dither).to(device))


def floats(device: torch.device) -> Coding:
    """For planes that are red, green and blue in float32 already, as source or target: nothing is converted."""
    as_is, one = Codes(0, 1, 0, 1), _shrinking(1, 0.0, device)
    return Coding(PixelLayout("rgb"), FLOAT, as_is, as_is, 0.0, 0.0, one, one, torch.zeros(1, 1, 1, device=device))


def _coding(
    layout: PixelLayout, color: ColorTags, weights: tuple[float, float], across: Taps, down: Taps, bias: Tensor
) -> Coding:
    luma, chroma = (_codes(layout, color, chroma=chroma) for chroma in (False, True))
    return Coding(layout, _FAMILIES[layout.family], luma, chroma, *weights, across, down, bias)


def _codes(layout: PixelLayout, color: ColorTags, *, chroma: bool) -> Codes:
    full = _resolved(color).full_range is True
    offset, span = h273.code_range(layout, full, chroma)
    low, high = (0, layout.peak) if full else _legal(offset, span, chroma)
    return Codes(offset, span, low, high)


def _bias(layout: PixelLayout, color: ColorTags, dither: bool) -> Tensor:
    """Thresholds and offsets of three planes: 3 32 32, or 3 1 1 without dithering."""
    side = 32 if dither else 1
    half = torch.full((1, 1), 0.5)
    kinds = (False, layout.family == "yuv", layout.family == "yuv")
    planes = [_tiled_thresholds(number, side, side) if dither else half for number in range(3)]
    return torch.stack(
        [plane + _codes(layout, color, chroma=kind).offset for plane, kind in zip(planes, kinds, strict=True)]
    )


def _growing(factor: int, offset: float, device: torch.device) -> Taps:
    """Taps of `chroma._grow`, one phase for each of `factor` output samples."""
    phases = []
    for phase in range(factor):
        place = (phase - offset) / factor
        phases.append([(n, _cubic(place - n)) for n in range(floor(place) - 1, floor(place) + 3) if _cubic(place - n)])
    return _table(phases, device)


def _shrinking(factor: int, offset: float, device: torch.device) -> Taps:
    """Taps of `chroma._shrink`; there is one phase."""
    if factor == 1:
        return _table([[(0, 1.0)]], device)
    reach = range(ceil(offset - 2 * factor), floor(offset + 2 * factor) + 1)
    weights = {n: _cubic((n - offset) / factor) for n in reach}
    return _table([[(n, weight / sum(weights.values())) for n, weight in weights.items() if weight]], device)


def _table(phases: list[list[tuple[int, float]]], device: torch.device) -> Taps:
    most = max(map(len, phases))
    filled = [taps + [(0, 0.0)] * (most - len(taps)) for taps in phases]
    place = torch.tensor([[n for n, _ in taps] for taps in filled], dtype=torch.int32, device=device)
    return Taps(place, torch.tensor([[w for _, w in taps] for taps in filled], dtype=torch.float32, device=device))
