"""Where pixels lie in the buffers of the kernels, and which of them a launch computes.

A feature map is (H' + 2) (W' + 2) F: rows of pixels of F channels each, so that what a dot product sums over is
contiguous. H' and W' are H and W rounded up to a whole number of segments. The pixel (y, x) of the frame lies at
[y + 1, x + 1]; everything else is zero and is never written: the zero padding of a convolution costs no mask, and
segments that hang over the frame read zeros.

Work comes as a list of segments, 16 pixels wide and 16 rows high (then called tiles) or higher. Segment i starts at
row i // across * rows and column i % across * 16. The list lies in device memory with its length before it: a launch
has as many programs as the device runs at once, each takes segments until the list is used up, and with an empty list
it returns at once. So the same launch computes whole frames, some tiles or nothing; the host never waits for a count,
and a CUDA graph replays it whatever changed.

Why 16: a row of 16 pixels of 64 channels in two bytes is 2 KB, long enough for full use of the memory bus; the
matrix units want 64 rows or more of a product, which are 4 such rows, of one tile or of several; and a change that
touches one pixel costs few pixels more than its reach. 8 would double the number of partly used rows, 32 computes
four times as much around a small change.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

TILE = 16
"""Width of a segment, and height of a tile, in input pixels."""

TALLEST = 64
"""Rows of the highest segment."""

ALIGNED = 4
"""Counts lie 4 int32 = 16 bytes apart: Triton compiles a kernel anew for a pointer of another alignment."""

FLAGS = {"enable_fp_fusion": True}
"""Options of every launch: a * b + c is rounded once. Said because Triton is about to change its default."""


@dataclass(frozen=True)
class Segments:
    """What a launch computes.

    `order` holds indices of segments, int32, at least one. Its first `count[0]` entries count; `count` is int32 on the
    same device. `rows` is the height of a segment, `limit` the number of entries that `count` never exceeds.
    """

    order: Tensor
    count: Tensor
    rows: int
    limit: int


def across(width: int) -> int:
    """Segments beside each other in a frame."""
    return -(-width // TILE)


def down(height: int, rows: int = TILE) -> int:
    """Segments above each other in a frame."""
    return -(-height // rows)


def whole(height: int, width: int, rows: int, device: torch.device) -> Segments:
    """All segments of a frame, in order of reading."""
    number = across(width) * down(height, rows)
    order = torch.arange(number, dtype=torch.int32, device=device)
    count = torch.full((ALIGNED,), number, dtype=torch.int32, device=device)
    return Segments(order, count, rows, number)


def feature_map(height: int, width: int, channels: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A feature map as described above, all zero."""
    return torch.zeros(map_shape(height, width, channels), dtype=dtype, device=device)


def map_shape(height: int, width: int, channels: int) -> tuple[int, int, int]:
    """Rows, columns and channels of a feature map with its border."""
    return down(height, TALLEST) * TALLEST + 2, across(width) * TILE + 2, channels


def inside(segments: Segments, height: int, width: int) -> Tensor:
    """H W bool: the pixels of `segments`. For the eager twins; waits for the device."""
    number = int(segments.count[0])
    marked = torch.zeros(down(height, segments.rows) * across(width), dtype=torch.bool, device=segments.order.device)
    marked[segments.order[:number].long()] = True
    marked = marked.view(-1, across(width)).repeat_interleave(segments.rows, 0).repeat_interleave(TILE, 1)
    return marked[:height, :width]


def programs(device: torch.device, limit: int, per_processor: int) -> int:
    """Size of a persistent grid: what the device runs at once, not more than `limit` pieces of work, at least one.

    Elsewhere than on CUDA, where Triton's interpreter runs one program after the other, 3: enough to share a list.
    """
    if device.type != "cuda":
        return max(1, min(limit, 3))
    processors = torch.cuda.get_device_properties(device).multi_processor_count
    return max(1, min(limit, int(processors) * per_processor))
