"""The end of a network: pixel shuffle, skip connection, and planes in the codes of the encoder.

The last convolution is run by `conv` as any other, with a slope of 1, and leaves its 3 s s values for each input pixel
in a feature map of the network's number format, as the eager network does. What is here reads them where pixel shuffle
would have moved them, adds the RGB of the input (each pixel repeated s times in both directions) in float32, limits it
to [0, 1] and writes codes.

Chroma is filtered over up to 4 samples of luma size in each direction (8 for 4:1:1), farther than the tile. So the one
kernel leaves B - Y and R - Y of luma size in float32, and a second one filters them. Traffic for x4 and 8-bit 4:2:0,
in bytes per input pixel: 96 + 96 for the feature map, 12 RGB, 2 * 128 differences, 24 planes = 484. To read the feature
map around each chroma sample instead would do with 240, but it puts every output pixel together 11 times: about 2000
instructions for a chroma sample, an estimated 0.6 ms for a frame of 1080p on an H200, where the bytes saved cost 0.12
ms. The differences are float32 because two bytes would miss codes at 10 bits.

Not finite values set a flag on the device; nobody waits for it here.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional

from .coding import FLOAT, RGB, YUV, Codes, Coding, Taps
from .places import FLAGS, Segments, across, inside, programs


def to_planes(
    detail: Tensor, rgb: Tensor, differences: Tensor, planes: tuple[Tensor, ...], coding: Coding, bad: Tensor,
    luma: Segments, chroma: Segments, scale: int,
) -> None:  # fmt: skip
    """Write codes into `planes` (sH sW, chroma smaller; uint8 or uint16) at the tiles `luma` and `chroma` of the input.

    `detail` is a feature map of 3 s s channels, `rgb` 3 H W float32, `differences` 2 sH sW float32, which for YUV keeps
    B - Y and R - Y from one call to the next. The equations are those of `planes.FromRGB`. With `coding.floats` the
    three planes get red, green and blue in float32, not clamped. `bad` (one int32) becomes 1 if any value is not finite
    and stays as it is otherwise.
    """
    full = (planes[0], *differences) if coding.family == YUV else (planes * 3)[:3]
    _launch_full(detail, rgb, full, coding, bad, luma, scale)
    if coding.family == YUV:
        _launch_chroma(differences, planes, coding, chroma, scale)


def to_planes_eager(
    detail: Tensor, rgb: Tensor, differences: Tensor, planes: tuple[Tensor, ...], coding: Coding, bad: Tensor,
    luma: Segments, chroma: Segments, scale: int,
) -> None:  # fmt: skip
    """The twin of `to_planes`."""
    shown = _shown(detail, rgb, scale)
    here = _enlarged(luma, rgb, scale)
    bad |= (~torch.isfinite(shown[:, here])).any().to(torch.int32)
    red, green, blue = shown if coding.family == FLOAT else shown.clamp(0, 1)
    y = coding.kr * red + (1 - coding.kr - coding.kb) * green + coding.kb * blue
    values = [red, green, blue] if coding.family in (RGB, FLOAT) else [y]
    for number, value in enumerate(values):
        _patch(planes[number], here, _coded(value, number, coding.luma, coding))
    if coding.family == YUV:
        differences[:, here] = torch.stack([blue - y, red - y])[:, here]
        _chroma_eager(differences, planes, coding, _enlarged(chroma, rgb, scale))


def _chroma_eager(differences: Tensor, planes: tuple[Tensor, ...], coding: Coding, here: Tensor) -> None:
    down, across_ = 1 << coding.layout.log2_h, 1 << coding.layout.log2_w
    for number, (value, weight) in enumerate(zip(differences, (coding.kb, coding.kr), strict=True), 1):
        small = _shrunk(_shrunk(value.T, coding.down, down).T, coding.across, across_)
        codes = _coded(small / (2 - 2 * weight), number, coding.chroma, coding)
        _patch(planes[number], here[::down, ::across_], codes)


def _shown(detail: Tensor, rgb: Tensor, scale: int) -> Tensor:
    """3 sH sW float32."""
    height, width = rgb.shape[1:]
    inner = detail[1 : height + 1, 1 : width + 1].float().permute(2, 0, 1)[None]
    base = rgb.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    return functional.pixel_shuffle(inner, scale)[0] + base


def _enlarged(segments: Segments, rgb: Tensor, scale: int) -> Tensor:
    """sH sW bool: the pixels of `segments`."""
    height, width = rgb.shape[1:]
    return inside(segments, height, width).repeat_interleave(scale, 0).repeat_interleave(scale, 1)


def _shrunk(value: Tensor, taps: Taps, factor: int) -> Tensor:
    """The last dimension filtered, every `factor`-th sample kept."""
    centre = torch.arange(0, value.shape[1], factor, device=value.device)
    sources = (centre[:, None] + taps.place).clamp(0, value.shape[1] - 1).long()
    return (value[:, sources] * taps.weight).sum(-1)


def _coded(value: Tensor, number: int, codes: Codes, coding: Coding) -> Tensor:
    """Values to int32 codes; floats stay what they are."""
    if coding.family == FLOAT:
        return value
    side = coding.bias.shape[1]
    rows, columns = (torch.arange(size, device=value.device) % side for size in value.shape)
    bias = coding.bias[number][rows[:, None], columns[None, :]]
    return (bias + value * codes.span).clamp(codes.low, codes.high).to(torch.int32)


def _patch(plane: Tensor, here: Tensor, codes: Tensor) -> None:
    """PyTorch does not index uint16; the bits of int16 are the same."""
    plane = plane.view(torch.int16) if plane.dtype == torch.uint16 else plane
    plane[here] = codes.to(plane.dtype)[here]


def _launch_full(
    detail: Tensor, rgb: Tensor, planes: tuple[Tensor, ...], coding: Coding, bad: Tensor, segments: Segments, scale: int
) -> None:
    height, width = rgb.shape[1:]
    kr, kb, codes = coding.kr, coding.kb, coding.luma
    grid = (programs(rgb.device, segments.limit * scale, 8),)
    _full[grid](
        detail, rgb, *(planes * 3)[:3], bad, segments.order, segments.count, coding.bias,
        kr, 1 - kr - kb, kb, float(codes.span), float(codes.low), float(codes.high),
        across(width), height, width, detail.shape[1], FAMILY=coding.family, S=scale, SIDE=coding.bias.shape[-1],
        COLUMNS=triton.next_power_of_2(16 * scale), num_warps=4, **FLAGS,
    )  # fmt: skip


def _launch_chroma(
    differences: Tensor, planes: tuple[Tensor, ...], coding: Coding, segments: Segments, scale: int
) -> None:
    height, width = planes[0].shape
    kr, kb, layout, codes = coding.kr, coding.kb, coding.layout, coding.chroma
    rows, columns = 16 * scale >> layout.log2_h, 16 * scale >> layout.log2_w
    grid = (programs(differences.device, segments.limit * -(-rows // 8), 8),)
    _chroma[grid](
        *differences, planes[1], planes[2], segments.order, segments.count, coding.bias,
        coding.across.place, coding.across.weight, coding.down.place, coding.down.weight,
        codes.span / (2 - 2 * kb), codes.span / (2 - 2 * kr), float(codes.low), float(codes.high),
        across(-(-width // scale)), height, width,
        HIGH=rows, WIDE=columns, COLUMNS=triton.next_power_of_2(columns), SIDE=coding.bias.shape[-1],
        LOG2_W=layout.log2_w, LOG2_H=layout.log2_h, ACROSS=coding.across.count, DOWN=coding.down.count,
        num_warps=4, **FLAGS,
    )  # fmt: skip


# Offsets of rows are 64 bits wide: an output of 8K with three planes of float32 has more than 2**31 bytes.


@triton.jit(do_not_specialize=["across", "height", "width", "pitch"])
def _full(
    detail: tl.tensor, rgb: tl.tensor, out0: tl.tensor, out1: tl.tensor, out2: tl.tensor, bad: tl.tensor,
    order: tl.tensor, count: tl.tensor, bias: tl.tensor,
    kr: tl.tensor, kg: tl.tensor, kb: tl.tensor, span: tl.tensor, low: tl.tensor, high: tl.tensor,
    across: tl.tensor, height: tl.tensor, width: tl.tensor, pitch: tl.tensor,
    FAMILY: tl.constexpr, S: tl.constexpr, SIDE: tl.constexpr, COLUMNS: tl.constexpr,
) -> None:  # fmt: skip
    """Planes of full size, for YUV the luma and both differences. Pieces of work are 16 output rows of a tile's 16 S.

    `height` and `width` are those of the input, `pitch` is pixels in a row of `detail` with its border.
    """
    pieces = tl.load(count) * S
    plane = height.to(tl.int64) * width
    for piece in range(tl.program_id(0), pieces, tl.num_programs(0)):
        tile = tl.load(order + piece // S)
        column = tl.arange(0, COLUMNS)[None, :]
        y = (tile // across * S + piece % S) * 16 + tl.arange(0, 16)[:, None]
        x = tile % across * (16 * S) + column
        seen = (y < height * S) & (x < width * S) & (column < 16 * S)
        fine, base = _places(detail, rgb, y, x, pitch, width, S)
        red = _value(fine, base, 0, plane, seen, S)
        green = _value(fine, base, 1, plane, seen, S)
        blue = _value(fine, base, 2, plane, seen, S)
        infinite = _infinite(red) | _infinite(green) | _infinite(blue)
        if tl.max(tl.max(infinite.to(tl.int32), 1), 0) > 0:
            tl.store(bad, 1)  # by any number of programs, all with the same value
        here = y.to(tl.int64) * (width * S) + x
        if FAMILY == 3:
            tl.store(out0 + here, red, seen)
            tl.store(out1 + here, green, seen)
            tl.store(out2 + here, blue, seen)
        else:
            red, green, blue = _limited(red, 0.0, 1.0), _limited(green, 0.0, 1.0), _limited(blue, 0.0, 1.0)
            if FAMILY == 2:
                _encode(out0 + here, red, 0, bias, y, x, seen, span, low, high, SIDE)
                _encode(out1 + here, green, 1, bias, y, x, seen, span, low, high, SIDE)
                _encode(out2 + here, blue, 2, bias, y, x, seen, span, low, high, SIDE)
            else:
                luma = red * kr + green * kg + blue * kb
                _encode(out0 + here, luma, 0, bias, y, x, seen, span, low, high, SIDE)
                if FAMILY == 0:
                    tl.store(out1 + here, blue - luma, seen)
                    tl.store(out2 + here, red - luma, seen)


@triton.jit(do_not_specialize=["across", "height", "width"])
def _chroma(
    blue: tl.tensor, red: tl.tensor, out1: tl.tensor, out2: tl.tensor,
    order: tl.tensor, count: tl.tensor, bias: tl.tensor,
    across_place: tl.tensor, across_weight: tl.tensor, down_place: tl.tensor, down_weight: tl.tensor,
    blue_span: tl.tensor, red_span: tl.tensor, low: tl.tensor, high: tl.tensor,
    across: tl.tensor, height: tl.tensor, width: tl.tensor,
    HIGH: tl.constexpr, WIDE: tl.constexpr, COLUMNS: tl.constexpr, SIDE: tl.constexpr,
    LOG2_W: tl.constexpr, LOG2_H: tl.constexpr, ACROSS: tl.constexpr, DOWN: tl.constexpr,
) -> None:  # fmt: skip
    """Chroma planes, filtered down first, then across, edges repeated. Pieces of work are 8 of a tile's HIGH rows.

    `height` and `width` are those of the luma plane, HIGH and WIDE the size of a tile in chroma samples.
    """
    bands = (HIGH + 7) // 8
    small_width = (width + (1 << LOG2_W) - 1) >> LOG2_W
    for piece in range(tl.program_id(0), tl.load(count) * bands, tl.num_programs(0)):
        tile = tl.load(order + piece // bands)
        row, column = piece % bands * 8 + tl.arange(0, 8)[:, None], tl.arange(0, COLUMNS)[None, :]
        y, x = tile // across * HIGH + row, tile % across * WIDE + column
        seen = ((y << LOG2_H) < height) & (x < small_width) & (row < HIGH) & (column < WIDE)
        total_blue, total_red = tl.zeros((8, COLUMNS), tl.float32), tl.zeros((8, COLUMNS), tl.float32)
        for a in range(ACROSS):
            source_x = (x << LOG2_W) + tl.load(across_place + a)
            source_x = tl.minimum(tl.maximum(source_x, 0), width - 1)
            line_blue, line_red = tl.zeros((8, COLUMNS), tl.float32), tl.zeros((8, COLUMNS), tl.float32)
            for b in range(DOWN):
                source_y = (y << LOG2_H) + tl.load(down_place + b)
                place = tl.minimum(tl.maximum(source_y, 0), height - 1).to(tl.int64) * width + source_x
                weight = tl.load(down_weight + b)
                line_blue += tl.load(blue + place, seen, 0.0) * weight
                line_red += tl.load(red + place, seen, 0.0) * weight
            weight = tl.load(across_weight + a)
            total_blue += line_blue * weight
            total_red += line_red * weight
        here = y.to(tl.int64) * small_width + x
        _encode(out1 + here, total_blue, 1, bias, y, x, seen, blue_span, low, high, SIDE)
        _encode(out2 + here, total_red, 2, bias, y, x, seen, red_span, low, high, SIDE)


@triton.jit
def _places(
    detail: tl.tensor, rgb: tl.tensor, y: tl.tensor, x: tl.tensor, pitch: tl.tensor, width: tl.tensor, S: tl.constexpr
) -> tuple[tl.tensor, tl.tensor]:
    """Where red of the output pixels (y, x) lies: the shuffled detail, and the input pixels under it."""
    row, column = y // S, x // S
    line = (row + 1).to(tl.int64) * pitch * (3 * S * S) + y % S * S
    return detail + line + (column + 1) * (3 * S * S) + x % S, rgb + row.to(tl.int64) * width + column


@triton.jit
def _value(
    fine: tl.tensor, base: tl.tensor, colour: tl.constexpr, plane: tl.tensor, seen: tl.tensor, S: tl.constexpr
) -> tl.tensor:
    """One colour at `_places`, not clamped; `plane` is the number of input pixels."""
    detail = tl.load(fine + colour * S * S, seen, 0.0).to(tl.float32)
    return detail + tl.load(base + colour * plane, seen, 0.0)


@triton.jit
def _limited(value: tl.tensor, low: tl.tensor, high: tl.tensor) -> tl.tensor:
    return tl.minimum(tl.maximum(value, low), high)


@triton.jit
def _infinite(value: tl.tensor) -> tl.tensor:
    """Whether a value is NaN or infinite: no comparison with NaN holds."""
    return (tl.abs(value) < float("inf")) == 0


@triton.jit
def _encode(
    place: tl.tensor, value: tl.tensor, number: tl.constexpr, bias: tl.tensor, y: tl.tensor, x: tl.tensor,
    seen: tl.tensor, span: tl.tensor, low: tl.tensor, high: tl.tensor, SIDE: tl.constexpr,
) -> None:  # fmt: skip
    """Round plane `number`'s value by its bias, limit it to legal codes and write it."""
    added = tl.load(bias + number * SIDE * SIDE + y % SIDE * SIDE + x % SIDE)
    code = _limited(added + value * span, low, high).to(tl.int32)
    tl.store(place, code.to(place.dtype.element_ty), seen)
