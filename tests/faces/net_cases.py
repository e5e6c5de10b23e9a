"""Networks for faces with weights and inputs made by a formula, the same here and where the reference runs.

Needs numpy alone: `benchmarks.oracle_faces_server` imports it beside the packages that are compared with.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent
OUTPUTS = FOLDER / "goldens_nets.npz"
"""Samples of what the packages' networks make of `CASES`."""
SHAPES = FOLDER / "goldens_nets.json"
"""Keys and shapes of the packages' networks at the sizes of the released weights."""

SMALL = {"side": 64, "style": 32, "multiplier": 1, "narrow": 0.25}
CASES: dict[str, tuple[int, int, int]] = {
    "gfpgan": (2, 64, 64),
    "gfpgan-original": (2, 64, 64),
    "restoreformer": (1, 64, 64),
    "parsenet": (1, 96, 96),
    "retinaface-resnet50": (1, 90, 124),
    "retinaface-mobile": (2, 90, 124),
}
"""Pictures, height and width of the inputs; the first two are networks of the sizes in SMALL, the others whole ones."""
SAMPLES = 2048

Floats = NDArray[np.float32]


def noise(name: str, count: int) -> Floats:
    """Numbers in [-1, 1) that look random, and are the same on every machine: hashes of the name and of 0, 1, 2 …"""
    hashed = np.arange(count, dtype=np.uint32)
    hashed *= np.uint32(2654435761)
    hashed += np.uint32(zlib.crc32(name.encode()))
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        hashed ^= hashed >> np.uint32(shift)
        hashed *= np.uint32(factor)
    return np.asarray((hashed >> np.uint32(8)) / np.float32(1 << 23) - 1, np.float32)


def weights(name: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[Any]]:
    """A state dict with these keys and shapes, whose network neither dies out nor grows without bounds."""
    equalised = name == "gfpgan-original"  # it divides its weights by the root of their fan-in while it runs
    return {key: _weight(key, tuple(shape), equalised) for key, shape in shapes.items()}


def _weight(key: str, shape: tuple[int, ...], equalised: bool) -> NDArray[Any]:
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    values = noise(key, math.prod(shape)).reshape(shape)
    if key.endswith("running_var"):
        return 1 + values / 2
    if len(shape) > 1 and "noise" not in key and "constant" not in key:
        fan_in = 1 if equalised else math.prod(shape[-3:] if len(shape) > 2 else shape[1:])
        return values * np.float32(math.sqrt(3 / fan_in))
    is_scale = (key.endswith("weight") and len(shape) == 1 and shape[0] > 1) or key.endswith("modulation.bias")
    return values / 4 + (1 if is_scale else 0)


def inputs(name: str) -> Floats:
    """N 3 H W: in [-1, 1], or codes less their mean for detectors."""
    count, height, width = CASES[name]
    values = noise(f"input of {name}", count * 3 * height * width).reshape(count, 3, height, width)
    smooth = (values + np.roll(values, 1, 3) + np.roll(values, 1, 2) + np.roll(values, 2, 3)) / 4
    return np.asarray(smooth * (120 if name.startswith("retinaface") else 1), np.float32)


def sampled(values: NDArray[np.floating]) -> Floats:
    """At most SAMPLES of all values, evenly spread."""
    flat = np.ascontiguousarray(values, np.float32).ravel()
    return flat[np.linspace(0, flat.size - 1, min(SAMPLES, flat.size)).astype(np.int64)]
