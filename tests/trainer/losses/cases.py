"""Cases in which the losses and discriminators are compared with the reference, and their pictures and weights.

Needs numpy alone: benchmarks/oracle_losses_server.py makes the same pictures and weights where the reference is. They
come from RandomState, whose numbers never change.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

GOLDENS = Path(__file__).with_name("goldens.npz")
DISCRIMINATOR_GOLDENS = Path(__file__).parent.parent / "nets" / "goldens.npz"

LOSSES: dict[str, dict[str, Any]] = {
    "l1": {"kind": "l1"},
    "charbonnier": {"kind": "charbonnier", "eps": 1e-6, "weight": 0.7},
    "ssim": {"kind": "ssim"},
    "ms-ssim": {"kind": "ms-ssim", "window": 3},
    "fft": {"kind": "fft"},
    "fft plain": {"kind": "fft", "norm": "backward", "weight": 0.1},
    "focal": {"kind": "focal-frequency", "weight": 2.0},
    "focal patches": {"kind": "focal-frequency", "alpha": 0.5, "patches": 2, "log": True, "whole_batch": True},
    "ldl": {"kind": "ldl"},
    "perceptual": {"kind": "perceptual"},
    "perceptual vgg16": {
        "kind": "perceptual", "trunk": "vgg16", "layers": {"relu1_2": 0.5, "conv4_3": 2.0}, "style": 9.0,
    },
    "anime": {"kind": "anime", "weight": 0.5},
    "lpips alex": {"kind": "lpips", "net": "alex"},
    "lpips vgg": {"kind": "lpips", "net": "vgg"},
    "lpips st-alex": {"kind": "lpips", "net": "st-alex"},
    "lpips st-vgg": {"kind": "lpips", "net": "st-vgg"},
    "dists": {"kind": "dists"},
}  # fmt: skip
"""Options by name of the case."""

GAN: dict[str, dict[str, Any]] = {
    "vanilla": {"kind": "vanilla"},
    "vanilla smooth": {"kind": "vanilla", "real": 0.9, "fake": 0.1, "weight": 0.3},
    "lsgan": {"kind": "lsgan", "weight": 1.0},
    "hinge": {"kind": "hinge"},
    "relativistic": {"kind": "relativistic", "weight": 0.005},
}

DISCRIMINATORS: dict[str, dict[str, Any]] = {
    "unet-sn": {"kind": "unet-sn", "features": 4},
    "unet-sn plain": {"kind": "unet-sn", "features": 4, "skip": False},
    "patch-sn": {"kind": "patch-sn", "features": 4},
    "patch-sn depths": {"kind": "patch-sn", "features": 4, "layers": (1, 4), "downscale": False, "widest": 4},
    "vgg-style 128": {"kind": "vgg-style", "features": 2, "size": 128},
    "vgg-style 256": {"kind": "vgg-style", "features": 2, "size": 256},
}
RELEASED: dict[str, dict[str, Any]] = {
    "unet-sn": {"kind": "unet-sn"},
    "patch-sn": {"kind": "patch-sn"},
    "vgg-style 128": {"kind": "vgg-style"},
    "vgg-style 256": {"kind": "vgg-style", "size": 256},
}
"""As they are in the reference's files; compared are names and shapes."""

SIDES = {"unet-sn": 32, "unet-sn plain": 32, "patch-sn": 96, "patch-sn depths": 64, "vgg-style 256": 256}
"""Of the pictures for discriminators; 128 for the other."""


def uniform(name: str, shape: tuple[int, ...], low: float, high: float) -> Array:
    """float32 in [low, high), the same for the same name everywhere and always."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    return (low + (high - low) * random.random_sample(shape)).astype(np.float32)


def pictures(name: str, side: int = 48) -> dict[str, Array]:
    """`gt`, `output` and `ema`, 2 3 S S float32 in [0, 1]: blocks of one colour, the same with errors."""
    coarse = uniform(f"{name} gt", (2, 3, side // 4, side // 4), 0, 1)
    gt = coarse.repeat(4, 2).repeat(4, 3)
    error, other = (uniform(f"{name} {part}", gt.shape, -0.2, 0.2) for part in ("error", "other"))
    return {"gt": gt, "output": np.clip(gt + error, 0, 1), "ema": np.clip(gt + other, 0, 1)}


def side(name: str) -> int:
    """Of the pictures for a loss: five scales of MS-SSIM take more, networks are slow."""
    return 64 if name == "ms-ssim" else 32


def weights(name: str, shape: tuple[int, ...]) -> Array:
    """Values for a tensor of a state dict, at a scale that keeps features alive through all layers."""
    kind = name.rpartition(".")[2]
    if kind == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if kind in ("weight_u", "weight_v"):
        vector = uniform(name, shape, -1, 1)
        return vector / np.linalg.norm(vector)
    if kind in ("weight", "weight_orig") and len(shape) > 1 and not name.startswith("lin"):
        reach = (6 / np.prod(shape[1:])) ** 0.5  # variance 2 / inputs
        return uniform(name, shape, -reach, reach)
    positive = {"running_var": (0.5, 1.5), "weight": (0.5, 1.5), "alpha": (0, 0.2), "beta": (0, 0.2)}
    return uniform(name, shape, *positive.get(kind, (-0.1, 0.1)))


def logits(name: str, scale: int) -> Array:
    """2 1 h h float32 of a discriminator, at the first, second or third scale."""
    size = 8 >> scale
    return uniform(f"{name} {scale}", (2, 1, size, size), -2, 2)


def kept(gradient: Array) -> Array:
    """The part of a gradient that is stored."""
    return gradient[..., ::4, ::4].astype(np.float32)
