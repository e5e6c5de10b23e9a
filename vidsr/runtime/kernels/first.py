"""Planes to RGB with a list of what changed, and the first convolution, which reads that RGB.

Two kernels, not one: the interpolated chroma of a pixel is wanted nine times by the convolution and once more by the
skip connection at the end, and RGB has to be kept anyway to see what changed. It stays on the device and costs 12 bytes
per pixel each way, 2 % of what one layer of 64 channels moves.

The first convolution reads the picture itself. Its shades do not fit into the 8 bits of a bfloat16, so with bfloat16
values and weights are each split into a rounded part and the rest: high * high + high * low + low * high is nearly
float32 (`runtime.eager` keeps that layer in float32 for the same reason). float16 holds all shades of 10 bits.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional

from .coding import YUV, Coding
from .conv import Packed, finish, padded, padded_vectors
from .places import FLAGS, TILE, Segments, across, down, inside, programs

FAR = 1 << 20
"""The distance to a change when there is none."""

SIDES = 8
"""Numbers for each tile that say how far its changes lie from its sides and corners; see `changes`."""


def to_rgb(planes: tuple[Tensor, ...], coding: Coding, rgb: Tensor, sides: Tensor) -> None:
    """Write planes (H W, chroma h w; for `coding.floats` float32) as RGB into `rgb`, 3 H W float32.

    What `rgb` held is taken to be the frame before; a pixel has changed when any of its three values differs. `sides`
    (tiles x 8 int32) gets the distances of the changed pixels from outside of their tile. The equations are those of
    `planes.ToRGB`, values are in [0, 1].
    """
    height, width = rgb.shape[1:]
    grid = (across(width) * down(height),)
    first, second, third = planes if len(planes) == 3 else planes * 3
    kr, kb = coding.kr, coding.kb
    kg = (1 - kr - kb) or 1.0
    matrix = (2 - 2 * kr, (2 * kr - 2) * kr / kg, (2 * kb - 2) * kb / kg, 2 - 2 * kb)
    scales = (coding.luma.offset, 1 / coding.luma.span, coding.chroma.offset, 1 / coding.chroma.span)
    filters = (coding.across.place, coding.across.weight, coding.down.place, coding.down.weight)
    _to_rgb[grid](
        first, second, third, rgb, sides, *filters, *map(float, (*scales, *matrix)), across(width), height, width,
        FAMILY=coding.family, LOG2_W=coding.layout.log2_w, LOG2_H=coding.layout.log2_h,
        ACROSS=coding.across.count, DOWN=coding.down.count, num_warps=4, **FLAGS,
    )  # fmt: skip


def to_rgb_eager(planes: tuple[Tensor, ...], coding: Coding, rgb: Tensor, sides: Tensor) -> None:
    """The twin of `to_rgb`."""
    height, width = rgb.shape[1:]
    kinds = (coding.luma, *[coding.chroma if coding.family == YUV else coding.luma] * 2)
    values = [(_floats(plane) - kind.offset) / kind.span for plane, kind in zip(planes, kinds, strict=False)]
    colours = _matrixed(values, coding, height, width) if coding.family == YUV else values * (3 // len(values))
    new = torch.stack(colours).clamp_(0, 1)
    sides.copy_(_sides((new != rgb).any(0)))
    rgb.copy_(new)


def _floats(plane: Tensor) -> Tensor:
    return plane if plane.is_floating_point() else plane.to(torch.int32).to(torch.float32)


def _matrixed(values: list[Tensor], coding: Coding, height: int, width: int) -> list[Tensor]:
    blue, red = (
        _filtered(_filtered(value, 1, coding, width).transpose(0, 1), 0, coding, height).transpose(0, 1)
        for value in values[1:]
    )
    kr, kb = coding.kr, coding.kb
    kg = 1 - kr - kb
    green = values[0] + (2 * kr - 2) * kr / kg * red + (2 * kb - 2) * kb / kg * blue
    return [values[0] + (2 - 2 * kr) * red, green, values[0] + (2 - 2 * kb) * blue]


def _filtered(value: Tensor, dim: int, coding: Coding, size: int) -> Tensor:
    """The last dimension enlarged to `size` by gathering every tap."""
    taps = coding.across if dim == 1 else coding.down
    phases = taps.place.shape[0]
    place = torch.arange(size, device=value.device)
    sources = (place // phases)[:, None] + taps.place[place % phases]
    return (value[:, sources.clamp(0, value.shape[1] - 1).long()] * taps.weight[place % phases]).sum(-1)


def _sides(changed: Tensor) -> Tensor:
    """H W bool to tiles x 8 int32: up, down, left, right, up-left, up-right, down-left, down-right."""
    height, width = changed.shape
    padding = (0, across(width) * TILE - width, 0, down(height) * TILE - height)
    tiles = functional.pad(changed, padding).view(down(height), TILE, across(width), TILE).transpose(1, 2)
    forth = torch.arange(1, TILE + 1, device=changed.device, dtype=torch.int32)
    rows, columns = forth[:, None].expand(TILE, TILE), forth[None, :].expand(TILE, TILE)
    back_rows, back_columns = TILE + 1 - rows, TILE + 1 - columns
    ways = [rows, back_rows, columns, back_columns] + [
        torch.maximum(vertical, across_) for vertical in (rows, back_rows) for across_ in (columns, back_columns)
    ]
    far = torch.tensor(FAR, dtype=torch.int32, device=changed.device)
    return torch.stack([torch.where(tiles, way, far).amin((2, 3)).flatten() for way in ways], 1)


def pack_first(weight: Tensor, bias: Tensor | None, slope: Tensor | float, dtype: torch.dtype) -> Packed:
    """The first convolution (F 3 3 3, PyTorch's order) for `first`: 27 values filled up to 32, times F.

    With bfloat16 another such block follows, which holds what rounding left over.
    """
    outputs = weight.shape[0]
    rows = weight.detach().float().permute(2, 3, 1, 0).reshape(27, outputs)
    rows = functional.pad(rows, (0, padded(outputs) - outputs, 0, 5))
    high = rows.to(dtype)
    blocks = [high, (rows - high.float()).to(dtype)] if _splits(dtype) else [high]
    return Packed(torch.cat(blocks), *padded_vectors(outputs, bias, slope, weight.device), outputs)


def _splits(dtype: torch.dtype) -> bool:
    return dtype == torch.bfloat16


def first(rgb: Tensor, layer: Packed, out: Tensor, segments: Segments, height: int, width: int) -> None:
    """Write the first layer's output at `segments` (tiles of 16 rows) of `rgb` (3 H W float32) into `out`."""
    grid = (programs(rgb.device, 2 * segments.limit, 4),)
    _first[grid](
        rgb, layer.weight, layer.bias, layer.slope, out, segments.order, segments.count,
        across(width), height, width, out.shape[1], outputs=layer.outputs, pixel=out.shape[2],
        N=layer.weight.shape[1], SPLIT=_splits(out.dtype), num_warps=4, num_stages=2, **FLAGS,
    )  # fmt: skip


def first_eager(rgb: Tensor, layer: Packed, out: Tensor, segments: Segments, height: int, width: int) -> None:
    """The twin of `first`, in float32 and rounded once."""
    blocks = layer.weight.float().view(-1, 32, layer.weight.shape[1])[:, :27].contiguous()
    kernels = blocks.view(len(blocks), 3, 3, 3, -1).permute(0, 4, 3, 1, 2)
    high = rgb.to(out.dtype).float()
    sums = functional.conv2d(high[None], kernels.sum(0), layer.bias, padding=1)
    if _splits(out.dtype):
        sums += functional.conv2d((rgb - high).to(out.dtype).float()[None], kernels[0], padding=1)
    values = functional.prelu(sums, layer.slope)[0, : layer.outputs].permute(1, 2, 0).to(out.dtype)
    here = inside(segments, height, width)
    out[1 : height + 1, 1 : width + 1, : layer.outputs][here] = values[here]


@triton.jit(do_not_specialize=["across", "height", "width"])
def _to_rgb(
    first: tl.tensor, second: tl.tensor, third: tl.tensor, rgb: tl.tensor, sides: tl.tensor,
    across_place: tl.tensor, across_weight: tl.tensor, down_place: tl.tensor, down_weight: tl.tensor,
    luma_offset: tl.tensor, luma_scale: tl.tensor, chroma_offset: tl.tensor, chroma_scale: tl.tensor,
    red_red: tl.tensor, green_red: tl.tensor, green_blue: tl.tensor, blue_blue: tl.tensor,
    across: tl.tensor, height: tl.tensor, width: tl.tensor,
    FAMILY: tl.constexpr, LOG2_W: tl.constexpr, LOG2_H: tl.constexpr, ACROSS: tl.constexpr, DOWN: tl.constexpr,
) -> None:  # fmt: skip
    """One program for each tile. A tile of RGB is read and written by this program alone, so in place is safe."""
    tile = tl.program_id(0)
    row = tl.arange(0, 16)[:, None]
    column = tl.arange(0, 16)[None, :]
    y = tile // across * 16 + row
    x = tile % across * 16 + column
    seen = (y < height) & (x < width)
    here = y.to(tl.int64) * width + x
    luma = (tl.load(first + here, seen, 0).to(tl.float32) - luma_offset) * luma_scale
    if FAMILY == 0:
        filters = (across_place, across_weight, down_place, down_weight)
        scale = (chroma_offset, chroma_scale)
        cb = _enlarged(second, filters, scale, y, x, seen, height, width, LOG2_W, LOG2_H, ACROSS, DOWN)
        cr = _enlarged(third, filters, scale, y, x, seen, height, width, LOG2_W, LOG2_H, ACROSS, DOWN)
        red, green, blue = luma + cr * red_red, luma + cr * green_red + cb * green_blue, luma + cb * blue_blue
    elif FAMILY == 1:
        red, green, blue = luma, luma, luma
    else:
        green = (tl.load(second + here, seen, 0).to(tl.float32) - luma_offset) * luma_scale
        blue = (tl.load(third + here, seen, 0).to(tl.float32) - luma_offset) * luma_scale
        red = luma
    plane = height.to(tl.int64) * width
    changed = _replaced(rgb + here, red, seen)
    changed |= _replaced(rgb + plane + here, green, seen)
    changed |= _replaced(rgb + 2 * plane + here, blue, seen)
    up, down, left, right = row + 1 + 0 * column, 16 - row + 0 * column, column + 1 + 0 * row, 16 - column + 0 * row
    tl.store(sides + tile * 8, _nearest(changed, up))
    tl.store(sides + tile * 8 + 1, _nearest(changed, down))
    tl.store(sides + tile * 8 + 2, _nearest(changed, left))
    tl.store(sides + tile * 8 + 3, _nearest(changed, right))
    tl.store(sides + tile * 8 + 4, _nearest(changed, tl.maximum(up, left)))
    tl.store(sides + tile * 8 + 5, _nearest(changed, tl.maximum(up, right)))
    tl.store(sides + tile * 8 + 6, _nearest(changed, tl.maximum(down, left)))
    tl.store(sides + tile * 8 + 7, _nearest(changed, tl.maximum(down, right)))


@triton.jit
def _enlarged(
    plane: tl.tensor, filters: tl.tensor, scale: tl.tensor, y: tl.tensor, x: tl.tensor, seen: tl.tensor,
    height: tl.tensor, width: tl.tensor,
    LOG2_W: tl.constexpr, LOG2_H: tl.constexpr, ACROSS: tl.constexpr, DOWN: tl.constexpr,
) -> tl.tensor:  # fmt: skip
    """Chroma at luma places: across in each of the rows that the filter down wants; edges are repeated."""
    small_height = (height + (1 << LOG2_H) - 1) >> LOG2_H
    small_width = (width + (1 << LOG2_W) - 1) >> LOG2_W
    phase_x, phase_y = x & ((1 << LOG2_W) - 1), y & ((1 << LOG2_H) - 1)
    total = tl.zeros((16, 16), tl.float32)
    for b in range(DOWN):
        source_y = (y >> LOG2_H) + tl.load(filters[2] + phase_y * DOWN + b)
        source_y = tl.minimum(tl.maximum(source_y, 0), small_height - 1).to(tl.int64) * small_width
        line = tl.zeros((16, 16), tl.float32)
        for a in range(ACROSS):
            source_x = (x >> LOG2_W) + tl.load(filters[0] + phase_x * ACROSS + a)
            source_x = tl.minimum(tl.maximum(source_x, 0), small_width - 1)
            code = tl.load(plane + source_y + source_x, seen, 0).to(tl.float32)
            line += (code - scale[0]) * scale[1] * tl.load(filters[1] + phase_x * ACROSS + a)
        total += line * tl.load(filters[3] + phase_y * DOWN + b)
    return total


@triton.jit
def _replaced(place: tl.tensor, value: tl.tensor, seen: tl.tensor) -> tl.tensor:
    """Write a value, limited to [0, 1], where it differs from what is there; says where."""
    value = tl.minimum(tl.maximum(value, 0.0), 1.0)
    changed = seen & (tl.load(place, seen, 0.0) != value)
    tl.store(place, value, changed)
    return changed


@triton.jit
def _nearest(changed: tl.tensor, distance: tl.tensor) -> tl.tensor:
    """The smallest distance where `changed`; FAR if nowhere."""
    return tl.min(tl.min(tl.where(changed, distance, 1 << 20), 1), 0)


@triton.jit(do_not_specialize=["across", "height", "width", "out_pitch"])
def _first(
    rgb: tl.tensor, weight: tl.tensor, bias: tl.tensor, slope: tl.tensor, out: tl.tensor,
    order: tl.tensor, count: tl.tensor, across: tl.tensor, height: tl.tensor, width: tl.tensor,
    out_pitch: tl.tensor, outputs: tl.constexpr, pixel: tl.constexpr, N: tl.constexpr, SPLIT: tl.constexpr,
) -> None:  # fmt: skip
    """Pieces of work are 8 rows of a tile: 128 pixels. `k` counts row, column and colour of the 3x3 window."""
    pieces = tl.load(count) * 2
    m, n, k = tl.arange(0, 128), tl.arange(0, N), tl.arange(0, 32)
    tap, colour = k // 3, k % 3
    weights = weight + k[:, None] * N + n[None, :]
    high_weights = tl.load(weights)
    bias_n, slope_n = tl.load(bias + n)[None, :], tl.load(slope + n)[None, :]
    for piece in range(tl.program_id(0), pieces, tl.num_programs(0)):
        tile = tl.load(order + piece // 2)
        y = tile // across * 16 + piece % 2 * 8 + m // 16
        x = tile % across * 16 + m % 16
        row, column = y[:, None] + tap[None, :] // 3 - 1, x[:, None] + tap[None, :] % 3 - 1
        seen = (row >= 0) & (row < height) & (column >= 0) & (column < width) & (k < 27)[None, :]
        place = (colour[None, :].to(tl.int64) * height + row) * width + column
        value = tl.load(rgb + place, seen, 0.0)
        high = value.to(out.dtype.element_ty)
        total = tl.dot(high, high_weights)
        if SPLIT:
            total = tl.dot(high, tl.load(weights + 32 * N), total)
            total = tl.dot((value - high.to(tl.float32)).to(out.dtype.element_ty), high_weights, total)
        finish(total, bias_n, slope_n, out, y, x, n, height, width, out_pitch, outputs, pixel)
