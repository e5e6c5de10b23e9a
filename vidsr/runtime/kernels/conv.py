"""3x3 convolution, bias and PReLU in one launch: an implicit GEMM over NHWC feature maps (see `places`).

Operands are float16 or bfloat16, sums float32, rounded once at the end. ReLU is a slope of 0, no activation one of 1.

Two kernels do it; their results differ by the order of a sum. Which is faster is measured, not believed (`tune`).

* `taps`: a program holds one block of pixels of one tile and adds up nine products of a shifted block and a 3x3
  kernel's slice (F x F). Every activation is read nine times, every weight once for each block. Fits anywhere.
* `walk`: a program keeps all nine slices in shared memory and walks down a strip of several segments side by side,
  one row at a time. A row of the input, in three horizontal shifts, is multiplied by all nine slices: by three for the
  row of the output above it, which is finished then, by three for its own, by three for the one below. Activations are
  read three times, and (rows + 2) / rows for the two rows around a segment, weights once for each program.

  That matters on Hopper: 64 x 64 products of fp16 leave it 18 cycles for each pixel and layer, in which an L2 cache of
  about 40 bytes per cycle and multiprocessor delivers 720 bytes. `taps` wants 9 x 128 + 288 of them, `walk`
  3 x 128 x 18 / 16 = 432 or less. The price: two rows of products in each segment are thrown away, 1/9 of 18 or 1/33
  of 66, and two additions for each output. Products start from zero and are added to what the rows before left: sums
  that took turns as accumulators would make the compiler wait after each of the 36 matrix instructions of a row,
  because accumulators of unfinished ones may not move (seen in the machine code for compute capability 9.0).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional

from .places import FLAGS, TILE, Segments, across, inside, programs


@dataclass(frozen=True)
class Config:
    """How a launch is cut into programs.

    `rows` is, for `taps`, the rows of a tile that a program computes at once (4, 8 or 16); for `walk`, the height of a
    segment of whole frames (16, 32 or 64; changed tiles always have 16). `group` is the number of segments side by side
    in a strip (`walk` only), `channels` how many of the output channels a program computes, 0 for all.
    """

    kernel: str
    rows: int
    group: int = 1
    channels: int = 0
    warps: int = 4
    stages: int = 2
    per_processor: int = 1

    @property
    def segment_rows(self) -> int:
        """Height of the segments of whole frames."""
        return self.rows if self.kernel == "walk" else TILE


@dataclass(frozen=True)
class Packed:
    """A layer's parameters as the kernels want them.

    `weight` is 9 K N in the number format of the network: for each tap, row by row, input by output channels, with
    zeros where F is filled up to a power of two; `bias` and `slope` are N, float32. `outputs` is the number of channels
    that are written.
    """

    weight: Tensor
    bias: Tensor
    slope: Tensor
    outputs: int


def padded(channels: int) -> int:
    """The next power of two, at least 16: what Triton multiplies."""
    return max(16, 1 << (channels - 1).bit_length())


def pack(weight: Tensor, bias: Tensor | None, slope: Tensor | float, dtype: torch.dtype) -> Packed:
    """A convolution's weight (N K 3 3), bias (N) and slope (N, or one number) for the kernels, on its device."""
    outputs, inputs = weight.shape[:2]
    taps = weight.detach().float().permute(2, 3, 1, 0).reshape(9, inputs, outputs)
    taps = functional.pad(taps, (0, padded(outputs) - outputs, 0, padded(inputs) - inputs)).to(dtype).contiguous()
    return Packed(taps, *padded_vectors(outputs, bias, slope, weight.device), outputs)


def padded_vectors(
    outputs: int, bias: Tensor | None, slope: Tensor | float, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Bias and slope as float32 vectors, filled up with zeros."""
    vectors = torch.zeros(2, padded(outputs), device=device)
    vectors[0, :outputs] = 0.0 if bias is None else bias.detach()
    vectors[1, :outputs] = slope.detach() if isinstance(slope, Tensor) else slope
    return vectors[0], vectors[1]


def conv(x: Tensor, layer: Packed, out: Tensor, segments: Segments, height: int, width: int, config: Config) -> None:
    """Write the layer's output at `segments` into `out`; all else in it stays.

    `x` is a feature map of K channels, `out` one of N channels, or of the `outputs` that are real; neither may be the
    other. `segments` have 16 rows, or `config.segment_rows` for whole frames.
    """
    inputs, outputs = layer.weight.shape[1:]
    block = min(outputs, config.channels or outputs)
    walks = config.kernel == "walk"
    pieces = -(-segments.limit // config.group) if walks else segments.limit * (TILE // config.rows)
    shape = {"ROWS": segments.rows, "GROUP": config.group} if walks else {"ROWS": config.rows}
    grid = (programs(x.device, pieces, config.per_processor), outputs // block)
    (_walk if walks else _taps)[grid](
        x, layer.weight, layer.bias, layer.slope, out, segments.order, segments.count,
        across(width), height, width, x.shape[1], out.shape[1], outputs=layer.outputs, pixel=out.shape[2],
        K=inputs, N=outputs, BLOCK=block, STAGES=config.stages, num_warps=config.warps, **FLAGS, **shape,
    )  # fmt: skip


def conv_eager(x: Tensor, layer: Packed, out: Tensor, segments: Segments, height: int, width: int) -> None:
    """The twin of `conv`: the same buffers and lists, in float32 and rounded once."""
    inputs, outputs = layer.weight.shape[1:]
    weight = layer.weight.float().view(3, 3, inputs, outputs).permute(3, 2, 0, 1)
    picture = x[: height + 2, : width + 2].float().permute(2, 0, 1)[None]
    sums = functional.conv2d(picture, weight, layer.bias)[0, : layer.outputs]
    values = functional.prelu(sums[None], layer.slope[: layer.outputs])[0].permute(1, 2, 0).to(out.dtype)
    here = inside(segments, height, width)
    out[1 : height + 1, 1 : width + 1, : layer.outputs][here] = values[here]


# The arguments of both kernels: `x_pitch` and `out_pitch` are pixels in a row of the buffers with their borders,
# `pixel` the channels of a pixel of `out`, `outputs` how many of them are written. Offsets of rows are 64 bits wide: a
# feature map of 8K has more than 2**31 elements.


@triton.jit(do_not_specialize=["across", "height", "width", "x_pitch", "out_pitch"])
def _taps(
    x: tl.tensor, weight: tl.tensor, bias: tl.tensor, slope: tl.tensor, out: tl.tensor,
    order: tl.tensor, count: tl.tensor, across: tl.tensor, height: tl.tensor, width: tl.tensor,
    x_pitch: tl.tensor, out_pitch: tl.tensor, outputs: tl.constexpr, pixel: tl.constexpr,
    K: tl.constexpr, N: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr, STAGES: tl.constexpr,
) -> None:  # fmt: skip
    """Pieces of work are ROWS rows of a tile; a program takes every num_programs-th of them."""
    pieces = tl.load(count) * (16 // ROWS)
    m = tl.arange(0, 16 * ROWS)
    k = tl.arange(0, K)
    n = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    bias_n, slope_n = tl.load(bias + n)[None, :], tl.load(slope + n)[None, :]
    slices = weight + k[:, None] * N + n[None, :]
    for piece in range(tl.program_id(0), pieces, tl.num_programs(0)):
        tile = tl.load(order + piece // (16 // ROWS))
        y = tile // across * 16 + piece % (16 // ROWS) * ROWS + m // 16
        column = tile % across * 16 + m % 16
        window = x + (y.to(tl.int64) * x_pitch + column)[:, None] * K + k[None, :]
        total = tl.zeros((16 * ROWS, BLOCK), tl.float32)
        for tap in tl.range(0, 9, num_stages=STAGES):
            shifted = tl.load(window + (tap // 3 * x_pitch + tap % 3) * K)
            total = tl.dot(shifted, tl.load(slices + tap * (K * N)), total)
        finish(total, bias_n, slope_n, out, y, column, n, height, width, out_pitch, outputs, pixel)


@triton.jit(do_not_specialize=["across", "height", "width", "x_pitch", "out_pitch"])
def _walk(
    x: tl.tensor, weight: tl.tensor, bias: tl.tensor, slope: tl.tensor, out: tl.tensor,
    order: tl.tensor, count: tl.tensor, across: tl.tensor, height: tl.tensor, width: tl.tensor,
    x_pitch: tl.tensor, out_pitch: tl.tensor, outputs: tl.constexpr, pixel: tl.constexpr,
    K: tl.constexpr, N: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr, GROUP: tl.constexpr,
    STAGES: tl.constexpr,
) -> None:  # fmt: skip
    """Pieces of work are GROUP segments of ROWS rows; a program takes every num_programs-th of them."""
    total = tl.load(count)
    if tl.program_id(0) * GROUP >= total:
        return  # before the weights are read
    m = tl.arange(0, 16 * GROUP)
    k = tl.arange(0, K)
    n = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    bias_n, slope_n = tl.load(bias + n)[None, :], tl.load(slope + n)[None, :]
    slices = weight + k[:, None] * N + n[None, :]
    w0, w1, w2 = tl.load(slices), tl.load(slices + K * N), tl.load(slices + 2 * K * N)
    w3, w4, w5 = tl.load(slices + 3 * K * N), tl.load(slices + 4 * K * N), tl.load(slices + 5 * K * N)
    w6, w7, w8 = tl.load(slices + 6 * K * N), tl.load(slices + 7 * K * N), tl.load(slices + 8 * K * N)
    nothing = tl.zeros((16 * GROUP, BLOCK), tl.float32)
    for first in range(tl.program_id(0) * GROUP, total, tl.num_programs(0) * GROUP):
        place = first + m // 16
        segment = tl.load(order + tl.minimum(place, total - 1))  # past the end: the last one again, not written
        y = tl.where(place < total, segment // across * ROWS, height)
        column = segment % across * 16 + m % 16
        row = x + ((segment // across * ROWS).to(tl.int64) * x_pitch + column)[:, None] * K + k[None, :]
        one, two = nothing, nothing  # sums of the products of one row, and of two, for the output rows they belong to
        for j in tl.range(0, ROWS + 2, num_stages=STAGES):  # the input row y + j - 1
            x0, x1, x2 = tl.load(row), tl.load(row + K), tl.load(row + 2 * K)
            three = two + _three(x0, x1, x2, w6, w7, w8, nothing)
            two = one + _three(x0, x1, x2, w3, w4, w5, nothing)
            one = _three(x0, x1, x2, w0, w1, w2, nothing)
            # for j = 0 and 1 the finished row lies above the segment
            done = tl.where(j >= 2, y + j - 2, height)
            finish(three, bias_n, slope_n, out, done, column, n, height, width, out_pitch, outputs, pixel)
            row += x_pitch * K


@triton.jit
def _three(
    x0: tl.tensor, x1: tl.tensor, x2: tl.tensor, w0: tl.tensor, w1: tl.tensor, w2: tl.tensor, start: tl.tensor
) -> tl.tensor:
    """The products of a row of pixels, in three horizontal shifts, with a row of a 3x3 kernel."""
    return tl.dot(x2, w2, tl.dot(x1, w1, tl.dot(x0, w0, start)))


@triton.jit
def finish(
    total: tl.tensor, bias: tl.tensor, slope: tl.tensor, out: tl.tensor, y: tl.tensor, column: tl.tensor, n: tl.tensor,
    height: tl.tensor, width: tl.tensor, out_pitch: tl.tensor, outputs: tl.constexpr, pixel: tl.constexpr,
) -> None:  # fmt: skip
    """Bias, PReLU, rounding; writes what lies in the frame. `y` and `column` are those of the rows of `total`."""
    total += bias
    total = tl.where(total > 0, total, total * slope)
    place = ((y + 1).to(tl.int64) * out_pitch + column + 1)[:, None] * pixel + n[None, :]
    written = ((y < height) & (column < width))[:, None] & (n < outputs)[None, :]
    tl.store(out + place, total.to(out.dtype.element_ty), mask=written)
