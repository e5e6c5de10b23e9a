"""How much of a frame fits into memory at once."""

from __future__ import annotations

import math
import os
import sys

import torch

from ..models.descriptor import Descriptor

SHARE = 0.6
"""Part of the free memory that the activations of one pass may take; the rest is for frames, queues and others."""

UNSHUFFLED = ("RRDB", "ONNX")
"""Beginnings of the titles of networks whose layers may run at the size of the output."""

FALLBACK = 2 << 30
"""Bytes assumed free where the system does not tell."""


def free_bytes(device: torch.device) -> int:
    """Free memory of the device, in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    return _free_host_bytes()


def _free_host_bytes() -> int:
    if sys.platform.startswith("linux"):
        with open("/proc/meminfo", encoding="ascii") as lines:  # noqa: PTH123
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):
        return FALLBACK


def bytes_per_pixel(descriptor: Descriptor, itemsize: int) -> int:
    """An upper bound of the peak bytes per input pixel of one pass.

    Compact networks hold three feature maps of 64 channels and the float32 output several times; RRDB networks hold
    three feature maps of 64 channels at the size of the output and some at that of the input. Resident memory measured
    on a CPU, against this bound: animevideov3 684 of 1248 in bf16 and 779 of 1728 in fp32, x4plus-anime 8098 of 8192
    and 15358 of 15616.
    """
    out = descriptor.scale**2 * 3 * 4 * 4
    if descriptor.arch.startswith(UNSHUFFLED):
        return out + (3 * 64 * descriptor.scale**2 + 10 * 64) * itemsize
    return out + (3 * 64 + 3 * descriptor.scale**2) * itemsize


def tile_side(descriptor: Descriptor, itemsize: int, height: int, width: int, overlap: int, free: int) -> int:
    """Side of the largest square tile, with its overlap, that fits in `free` bytes; 0 when the whole frame fits."""
    pixels = int(free * SHARE) // bytes_per_pixel(descriptor, itemsize)
    if height * width <= pixels:
        return 0
    return max(64, math.isqrt(pixels) - 2 * overlap)
