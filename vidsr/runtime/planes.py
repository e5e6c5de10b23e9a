"""Planes to RGB and back, on the device, in float32.

The equations are those of ITU-T H.273 section 8.3 (BT.601, BT.709, BT.2020 non-constant luminance and their
relatives): with luma weights Kr, Kg, Kb summing to 1,

    Y = Kr R + Kg G + Kb B      Cb = (B - Y) / (2 - 2 Kb)      Cr = (R - Y) / (2 - 2 Kr)

on the gamma-coded values, quantised by `media.color.code_range`. Nothing here waits for the device.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..frames import Box, ColorTags, Orientation, PixelLayout
from ..media.color import BT709, RGB, UNSPECIFIED, code_range, luma_weights
from .chroma import downsample, upsample
from .dither import thresholds

_BAND = 1 << 18
"""Pixels converted at a time on a CPU: RGB in float32 takes 3 MB, and what lies between stays in the cache."""


class ToRGB:
    """Converts planes of one layout and resolved `color` to RGB. Raises InputError for unsupported matrices."""

    def __init__(self, layout: PixelLayout, color: ColorTags, *, device: torch.device | str) -> None:
        self.layout = layout
        self.color = _resolved(color)
        self.device = torch.device(device)
        self._luma = code_range(layout, self.color.full_range is True, chroma=False)
        self._chroma = code_range(layout, self.color.full_range is True, chroma=True)
        if layout.family == "yuv":
            self._weights = luma_weights(color.matrix)

    def __call__(self, planes: tuple[Tensor, ...]) -> Tensor:
        """Planes (N H W, and N h w for chroma; uint8 or uint16 on the device) to N 3 H W float32 RGB in [0, 1].

        Stored orientation is kept. Values outside of [0, 1], such as blacker than black, are clipped.
        """
        if self.layout.family == "yuv":
            return self._from_yuv(planes)
        components = [self._decode(plane, *self._luma) for plane in planes]
        return torch.stack(components * (3 // len(components)), dim=1).clamp_(0, 1)

    def _from_yuv(self, planes: tuple[Tensor, ...]) -> Tensor:
        luma = self._decode(planes[0], *self._luma)
        small = torch.stack([self._decode(plane, *self._chroma) for plane in planes[1:]])
        frames, height, width = luma.shape
        blue, red = upsample(small, self.layout, self.color.siting, height, width)
        kr, kb = self._weights
        kg = 1 - kr - kb
        rgb = torch.empty(frames, 3, height, width, device=self.device)
        torch.add(luma, red, alpha=2 - 2 * kr, out=rgb[:, 0])
        torch.add(luma, red, alpha=(2 * kr - 2) * kr / kg, out=rgb[:, 1]).add_(blue, alpha=(2 * kb - 2) * kb / kg)
        torch.add(luma, blue, alpha=2 - 2 * kb, out=rgb[:, 2])
        return rgb.clamp_(0, 1)

    def _decode(self, plane: Tensor, offset: int, span: int) -> Tensor:
        """Codes to values: float32, 0 at `offset`, 1 at `offset` + `span`."""
        return _to_float(plane).sub_(offset).mul_(1 / span)


class FromRGB:
    """Converts RGB to planes of one layout and resolved `color`. Raises InputError for unsupported matrices.

    Codes are rounded half up. With `dither`, for outputs of a lower depth than the picture has, the threshold of 1/2
    gives way to a fixed blue-noise matrix, another part of it for each plane: flat areas keep their mean, no code
    moves by a whole step, codes that are whole already stay, and equal pictures become equal planes.
    """

    def __init__(self, layout: PixelLayout, color: ColorTags, *, device: torch.device | str, dither: bool) -> None:
        self.layout = layout
        self.color = _resolved(color)
        self.device = torch.device(device)
        self.dither = dither
        no_matrix = layout.family == "gray" and color.matrix in (RGB, UNSPECIFIED)
        if layout.family != "rgb":
            self._weights = luma_weights(BT709 if no_matrix else color.matrix)
        self._halves: dict[int, Tensor] = {}
        self._thresholds: dict[int, Tensor] = {}

    def __call__(self, rgb: Tensor) -> tuple[Tensor, ...]:
        """N 3 H W float RGB to planes N H W (chroma N h w), uint8 up to 8 bits and uint16 above.

        Values are clipped to [0, 1] before the matrix, since whiter than white would come out tinted, and codes to the
        legal range: 16 … 235 and 16 … 240 at 8 bits when limited. The caller has made sure that all values are
        finite: a NaN has no code, and testing for it here would make the host wait.
        """
        frame = Box(0, 0, *rgb.shape[-2:])
        if rgb.device.type != "cpu" or frame.area <= _BAND:
            return self._converted(rgb)
        rows = -(-_BAND // frame.right // self._unit) * self._unit
        bands = [Box(top, 0, min(top + rows, frame.bottom), frame.right) for top in range(0, frame.bottom, rows)]
        parts = zip(*(self._piece(rgb, band) for band in bands), strict=True)
        return tuple(torch.cat([codes for _, codes in pieces], dim=-2) for pieces in parts)

    def _converted(self, rgb: Tensor) -> tuple[Tensor, ...]:
        rgb = rgb.float().clamp(0, 1)
        if self.layout.family == "rgb":
            return self._encode(rgb.unbind(1), first=0, chroma=False)
        kr, kb = self._weights
        red, green, blue = rgb.unbind(1)
        luma = torch.mul(red, kr).add_(green, alpha=1 - kr - kb).add_(blue, alpha=kb)
        if self.layout.family == "gray":
            return self._encode((luma,), first=0, chroma=False)
        differences = luma.new_empty(2, *luma.shape)
        torch.sub(blue, luma, out=differences[0])
        torch.sub(red, luma, out=differences[1])
        small = downsample(differences, self.layout, self.color.siting)
        scales = (1 / (2 - 2 * kb), 1 / (2 - 2 * kr))
        return (
            *self._encode((luma,), first=0, chroma=False),
            *self._encode(small.unbind(0), first=1, chroma=True, scales=scales),
        )

    def part(self, rgb: Tensor, box: Box) -> list[tuple[Box, Tensor]]:
        """What of the planes changes when `rgb`, N 3 H W, changes in `box`: of each plane the place, in its own
        samples, and the codes there, N h w; the same codes as those of the whole picture.
        """
        frame = Box(0, 0, *rgb.shape[-2:])
        return self._piece(rgb, box.grown(self._reach, frame).aligned(self._unit, frame))

    def _piece(self, rgb: Tensor, box: Box) -> list[tuple[Box, Tensor]]:
        """Of each plane the place of `box`, which begins and ends at multiples of `_unit`, and the codes there."""
        seen = box.grown(self._unit, Box(0, 0, *rgb.shape[-2:]))
        inner, pieces = box.within(seen), []
        for number, plane in enumerate(self._converted(seen.of(rgb))):
            down, across = (self.layout.log2_h, self.layout.log2_w) if number else (0, 0)
            pieces.append((box.shrunk(down, across), inner.shrunk(down, across).of(plane)))
        return pieces

    @property
    def _reach(self) -> int:
        """Luma samples around a pixel within which chroma samples depend on it, and some more."""
        return 8 << max(0, self.layout.log2_w - 1, self.layout.log2_h - 1)

    @property
    def _unit(self) -> int:
        """Where pieces may begin: chroma samples are whole there, and so is the matrix of the dither."""
        return 32 << max(self.layout.log2_w, self.layout.log2_h) if self.dither else self._reach

    def _encode(
        self, planes: tuple[Tensor, ...], first: int, chroma: bool, scales: tuple[float, ...] = (1.0, 1.0, 1.0)
    ) -> tuple[Tensor, ...]:
        """Values times `scales` to codes; `first` is the number of the first plane, `planes` are N H W."""
        offset, span = code_range(self.layout, self.color.full_range is True, chroma)
        low, high = (0, self.layout.peak) if self.color.full_range else _legal(offset, span, chroma)
        coded = []
        for number, (plane, scale) in enumerate(zip(planes, scales, strict=False), first):
            bias = self._bias(number, offset, plane.shape[-2], plane.shape[-1])
            codes = torch.add(bias, plane, alpha=span * scale).clamp_(low, high)
            coded.append(_to_codes(codes, self.layout.depth).contiguous())
        return tuple(coded)

    def _bias(self, number: int, offset: int, height: int, width: int) -> Tensor:
        """What is added before the fraction is cut off: a scalar, or H W thresholds, a part of the largest so far."""
        if not self.dither:
            if offset not in self._halves:
                self._halves[offset] = torch.tensor(offset + 0.5, device=self.device)  # once: it waits for the device
            return self._halves[offset]
        held = self._thresholds.get(number, torch.empty(0, 0))
        if held.shape[0] < height or held.shape[1] < width:
            size = max(height, held.shape[0]), max(width, held.shape[1])
            held = self._thresholds[number] = (_tiled_thresholds(number, *size) + offset).to(self.device)
        return held[:height, :width]


def resample(rgb: Tensor, height: int, width: int) -> Tensor:
    """N 3 H W float RGB to N 3 height width in [0, 1]; the tensor itself when it has that size already.

    Bicubic with a = -0.5, stretched when shrinking (antialiased), as in Pillow; overshoot is clipped.
    """
    if rgb.shape[-2:] == (height, width):
        return rgb
    if width == 1 < height:  # PyTorch's kernel repeats the first sample in a single column
        return resample(rgb.mT, width, height).mT
    size = (height, width)
    return functional.interpolate(rgb.float(), size, mode="bicubic", antialias=True).clamp_(0, 1)


def resample_part(final: Tensor, rgb: Tensor, box: Box, ratio: int) -> Box:
    """Bring `final`, which is `rgb` made `ratio` times smaller, up to date after a change of `rgb` in `box`; gives the
    part of `final` that changed, to the same values as `resample` of the whole.
    """
    frame = Box(0, 0, *final.shape[-2:])
    reach = 4  # the kernel is two output pixels wide on each side
    changed = box.aligned(ratio, Box(0, 0, *rgb.shape[-2:])).divided(ratio).grown(reach, frame)
    seen = changed.grown(reach, frame)
    small = resample(seen.times(ratio).of(rgb), seen.height, seen.width)
    changed.of(final).copy_(changed.within(seen).of(small))
    return changed


def orient(rgb: Tensor, orientation: Orientation) -> Tensor:
    """Stored N C H W to upright: mirrored left-right first, then turned clockwise; the tensor itself if upright."""
    if orientation.mirror:
        rgb = rgb.flip(-1)
    turns = orientation.turns % 4
    return torch.rot90(rgb, -turns, (-2, -1)).contiguous() if turns else rgb


def _resolved(color: ColorTags) -> ColorTags:
    """`color` itself. Raises ValueError if its range is unknown, because either guess would be silently wrong."""
    if color.full_range is None:
        raise ValueError(f"the range of {color} must be resolved before a conversion")
    return color


def _legal(offset: int, span: int, chroma: bool) -> tuple[int, int]:
    """Smallest and largest code of limited range."""
    return (offset - span // 2, offset + span // 2) if chroma else (offset, offset + span)


def _tiled_thresholds(number: int, height: int, width: int) -> Tensor:
    """The threshold matrix repeated over H W, shifted for each plane so that their errors do not add up."""
    tile = thresholds().roll((11 * number, 5 * number), (0, 1))
    side = tile.shape[0]
    return tile.repeat(-(-height // side), -(-width // side))[:height, :width].contiguous()


def _to_float(plane: Tensor) -> Tensor:
    """uint8 or uint16 to float32. Few kernels know uint16, so its bits are read as signed and the sign is undone."""
    if plane.dtype != torch.uint16:
        return plane.to(torch.float32)
    return plane.view(torch.int16).to(torch.int32).bitwise_and_(0xFFFF).to(torch.float32)


def _to_codes(codes: Tensor, depth: int) -> Tensor:
    """float32 to uint8 or uint16 without the fraction. Few kernels write uint16; the bits of int16 are the same."""
    if depth <= 8:
        return codes.to(torch.uint8)
    if depth == 16:  # codes from 32768 on do not fit in int16, but keep their low 16 bits on the way from int32
        codes = codes.to(torch.int32)
    return codes.to(torch.int16).view(torch.uint16)
