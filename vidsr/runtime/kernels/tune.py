"""Which configuration of `conv` is the fastest on this device for this size, by trying.

Nothing is taken from tables of other devices: the candidates are what the device can hold, each is compiled, run on a
real frame's buffers with random numbers in them (zeros run faster than pictures) and timed with CUDA events; the
smallest median wins. That takes a second or two and is done once in a process for a device, number of channels, number
format and class of size; Triton keeps what it compiled on disk.

`triton.autotune` is not used: it would time inside of a graph capture, and it empties the cache between runs, although
a layer finds its input in the cache that the layer before it left there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import median

import torch
from triton.errors import TritonError

from ...errors import DeviceError
from .conv import Config

REPEATS, LAUNCHES = 7, 4
"""Measurements, and launches in each: a single one would measure the host."""

MARGIN = 1.1
"""How much faster the other of the two kernels must be: they differ in rounding, so noise should not choose."""

_CHOSEN: dict[tuple[object, ...], Config] = {}

_TAPS = (
    Config("taps", rows=8, warps=8, stages=3, per_processor=2),
    Config("taps", rows=8, warps=4, stages=3, per_processor=2),
    Config("taps", rows=16, warps=8, stages=3),
    Config("taps", rows=4, warps=4, stages=3, per_processor=4),
)
_WALKS = tuple(Config("walk", rows=rows, group=8, warps=8, stages=2) for rows in (64, 32, 16))


def candidates(device: torch.device, channels: int) -> tuple[Config, ...]:
    """Configurations worth trying for layers of `channels` (a power of two).

    `walk` is for Hopper, whose matrix units read weights from shared memory; before it they would have to fit in
    registers. With 128 channels nine slices do not fit into shared memory at once: a program computes 32 channels.
    """
    hopper = device.type == "cuda" and torch.cuda.get_device_capability(device)[0] == 9
    walks = _WALKS if hopper else ()
    if channels > 64:
        walks = tuple(replace(config, group=4, warps=4, channels=32) for config in walks)
        return (*walks, *(replace(config, channels=64, per_processor=1) for config in _TAPS))
    return (*walks, *_TAPS)


def fastest(
    device: torch.device, channels: int, dtype: torch.dtype, tiles: int, attempt: Callable[[Config], None]
) -> Config:
    """The candidate whose `attempt` (one layer over a frame of `tiles` tiles) takes the least time.

    Elsewhere than on CUDA the first candidate. Raises DeviceError if none can be compiled for the device.
    """
    options = candidates(device, channels)
    if device.type != "cuda":
        return options[0]
    key = (torch.cuda.get_device_name(device), channels, dtype, tiles.bit_length())
    if key not in _CHOSEN:
        times = {config: time for config in options if (time := _time(attempt, config)) is not None}
        if not times:
            raise DeviceError(
                f"no kernel of runtime fused fits {key[0]} with {channels} channels", "use --runtime eager"
            )
        margins = {config: 1 if config.kernel == options[0].kernel else MARGIN for config in times}
        _CHOSEN[key] = min(times, key=lambda config: times[config] * margins[config])
    return _CHOSEN[key]


def _time(attempt: Callable[[Config], None], config: Config) -> float | None:
    """Milliseconds of LAUNCHES launches, None for what the device cannot hold."""
    try:
        attempt(config)
    except TritonError:  # such as too much shared memory
        return None
    attempt(config)
    return median(_once(attempt, config) for _ in range(REPEATS))


def _once(attempt: Callable[[Config], None], config: Config) -> float:
    start = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch's stubs
    end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    start.record()
    for _ in range(LAUNCHES):
        attempt(config)
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end))
