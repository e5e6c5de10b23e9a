"""Between our planes and the semi-planar surfaces of NVDEC and NVENC, on the device.

NV12 (8 bits) and P010 (10 bits, in the high bits of 16) are a luma plane H W and a chroma plane h w 2 with U and V side
by side. Our planes are three, with the value in the low bits. Tensors come and go as DLPack capsules, so that PyAV's
frames and PyTorch's tensors share memory without either knowing the other.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from ..frames import DevicePicture

_PITCH = 256
"""Samples at whose multiples the lines of a surface begin, as in the surfaces that FFmpeg makes itself."""


def planes_from_device(picture: DevicePicture) -> tuple[Tensor, ...]:
    """Y, U and V of `picture` as 1 H W and 1 h w tensors in memory of their own, uint8 or uint16, value in low bits.

    The copy is one pass through device memory, given to the current stream. It is what lets the picture go: PyTorch
    frees borrowed memory when the last tensor dies, without regard to kernels that still read it.
    """
    luma, chroma = (from_dlpack(capsule) for capsule in picture.capsules())
    views = (luma, chroma[..., 0], chroma[..., 1])
    return tuple(_lowered(view.unsqueeze(0), picture.depth) for view in views)


def _lowered(plane: Tensor, depth: int) -> Tensor:
    """A contiguous copy with the value in the low bits. Few kernels know uint16, so its bits are shifted as int16."""
    if plane.dtype == torch.uint8:
        return plane.clone(memory_format=torch.contiguous_format)
    bits = plane.view(torch.int16).clone(memory_format=torch.contiguous_format)
    return bits.bitwise_right_shift_(16 - depth).bitwise_and_((1 << depth) - 1).view(torch.uint16)


def surface(planes: tuple[Tensor, ...], depth: int) -> tuple[Tensor, Tensor]:
    """Y, U and V (H W and h w, uint8 or uint16, 4:2:0) as the luma H W and chroma h w 2 planes of NV12 or P010.

    Both are parts of one allocation, chroma right behind luma: FFmpeg registers only the luma pointer with NVENC, which
    looks for the chroma where an NV12 surface of that pitch has it. Raises ValueError for odd sizes, which neither
    format has.
    """
    height, width = planes[0].shape
    pitch = -(-width // _PITCH) * _PITCH
    if height % 2 or width % 2 or planes[1].shape != (height // 2, width // 2):
        raise ValueError(f"a semi-planar surface needs even sides and 4:2:0, not {[tuple(p.shape) for p in planes]}")
    whole = torch.empty(height * 3 // 2, pitch, dtype=planes[0].dtype, device=planes[0].device)[:, :width]
    luma, chroma = whole[:height], whole[height:].view(height // 2, width // 2, 2)
    for part, plane in zip((luma, chroma[..., 0], chroma[..., 1]), planes, strict=True):
        _raise_into(part, plane, depth)
    return luma, chroma


def _raise_into(part: Tensor, plane: Tensor, depth: int) -> None:
    """Copy `plane`, its value moved to the high bits where there are 16."""
    if plane.dtype == torch.uint8:
        part.copy_(plane)
    else:
        torch.bitwise_left_shift(plane.view(torch.int16), 16 - depth, out=part.view(torch.int16))
