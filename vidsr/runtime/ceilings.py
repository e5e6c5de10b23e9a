"""What a device can do at most, measured through the library that the networks use: floors for every other number."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

import torch
from torch.nn import functional

from .device import DTYPES, has_fast_bf16

FEATURES = 64
"""Channels of the convolution that is measured: those of the body of SRVGGNetCompact and RRDBNet."""

SHAPES = ((1, 90, 160), (1, 180, 320), (1, 360, 640), (1, 720, 1280), (4, 180, 320))
"""N, H, W of the feature maps that are tried: some fit into a cache, some fill the device."""

SAMPLE = 0.005
"""Seconds that one sample lasts at least, so that the clock and the wait for the device do not show."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The best of several shapes, in TFLOP/s (median over repetitions), and that shape as words."""

    tflops: float
    shape: str


def precisions(device: torch.device) -> tuple[str, ...]:
    """The number formats that the device multiplies in hardware."""
    if device.type == "cpu":
        return ("fp32", "bf16") if has_fast_bf16(device) else ("fp32",)
    return ("fp32", "fp16", "bf16") if has_fast_bf16(device) else ("fp32", "fp16")


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def samples(work: Callable[[], object], device: torch.device, seconds: float) -> list[float]:
    """Seconds of one call of `work`, measured again and again for `seconds`, three times at least.

    The first calls are not counted. Calls of less than SAMPLE are timed in groups, the device being waited for once
    at the end of each group, as in a pipeline that never waits.
    """
    work()
    synchronize(device)
    group = math.ceil(SAMPLE / max(_timed(work, device, 1), 1e-7))
    taken: list[float] = []
    until = time.perf_counter() + seconds
    while len(taken) < 3 or time.perf_counter() < until:
        taken.append(_timed(work, device, group))
    return taken


def _timed(work: Callable[[], object], device: torch.device, calls: int) -> float:
    begun = time.perf_counter()
    for _ in range(calls):
        work()
    synchronize(device)
    return (time.perf_counter() - begun) / calls


@torch.inference_mode()
def convolution(
    device: torch.device, precision: str, shapes: Iterable[tuple[int, int, int]] = SHAPES, seconds: float = 0.3
) -> Ceiling:
    """The peak of the 3x3 convolution of 64 to 64 channels, channels last; `shapes` are N, H, W, `seconds` for each."""
    return max((_convolution(device, precision, shape, seconds) for shape in shapes), key=lambda found: found.tflops)


def convolution_work(device: torch.device, precision: str, shape: tuple[int, int, int]) -> Callable[[], object]:
    """One 3x3 convolution of 64 to 64 channels as a call; `shape` is N, H, W."""
    n, height, width = shape
    dtype, last = DTYPES[precision], torch.channels_last
    x = torch.rand(n, FEATURES, height, width, device=device).to(dtype).contiguous(memory_format=last)
    weight = torch.rand(FEATURES, FEATURES, 3, 3, device=device).to(dtype).contiguous(memory_format=last)
    bias = torch.zeros(FEATURES, device=device, dtype=dtype)
    return lambda: functional.conv2d(x, weight, bias, padding=1)


def convolution_flops(shape: tuple[int, int, int]) -> int:
    """Twice the multiplications of `convolution_work`."""
    return 2 * 9 * FEATURES * FEATURES * math.prod(shape)


def _convolution(device: torch.device, precision: str, shape: tuple[int, int, int], seconds: float) -> Ceiling:
    taken = median(samples(convolution_work(device, precision, shape), device, seconds))
    return Ceiling(convolution_flops(shape) / taken / 1e12, "x".join(map(str, (shape[0], FEATURES, *shape[1:]))))


@torch.inference_mode()
def matmul(device: torch.device, precision: str, sizes: Iterable[int], seconds: float = 0.3) -> Ceiling:
    """The peak of the product of two square matrices of these sizes."""
    found = []
    for size in sizes:
        a, b = (torch.rand(size, size, device=device).to(DTYPES[precision]) for _ in range(2))
        taken = median(samples(lambda a=a, b=b: a @ b, device, seconds))  # type: ignore[misc]
        found.append(Ceiling(2 * size**3 / taken / 1e12, f"{size}x{size}x{size}"))
    return max(found, key=lambda ceiling: ceiling.tflops)


def copy_bandwidth(device: torch.device, nbytes: int = 128 << 20, seconds: float = 0.3) -> float:
    """GB/s (1e9) of a copy within the memory of the device, bytes read and bytes written added."""
    source = torch.zeros(nbytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * nbytes / median(samples(lambda: target.copy_(source), device, seconds)) / 1e9
