"""The inputs that the reference and trainer.degrade are both given. Nothing is stored but the reference's results
(goldens/, remade by benchmarks/oracle_degrade.py).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.degrade.draws import Draw, draw_all
from trainer.degrade.kernels import Kernel, gaussian, generalized, padded, plateau, sinc
from trainer.degrade.noise import NoiseDraw
from trainer.degrade.options import Classic
from trainer.sample import Key

GOLDENS = Path(__file__).parent / "goldens"

KERNELS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "iso": ("gaussian", 7, {"sigma": (0.2, 0.2), "angle": 0.0}),
    "iso wide": ("gaussian", 21, {"sigma": (3.0, 3.0), "angle": 0.0}),
    "aniso": ("gaussian", 15, {"sigma": (0.4, 2.5), "angle": -2.1}),
    "generalized": ("generalized", 13, {"sigma": (1.3, 1.3), "angle": 0.0, "beta": 0.5}),
    "generalized turned": ("generalized", 21, {"sigma": (2.9, 0.7), "angle": 0.6, "beta": 3.7}),
    "plateau": ("plateau", 9, {"sigma": (0.9, 0.9), "angle": 0.0, "beta": 1.0}),
    "plateau turned": ("plateau", 19, {"sigma": (0.3, 1.5), "angle": 3.0, "beta": 1.9}),
    "sinc": ("sinc", 7, {"cutoff": math.pi / 3}),
    "sinc large": ("sinc", 21, {"cutoff": math.pi / 5}),
    "sinc open": ("sinc", 13, {"cutoff": 3.1}),
}
"""Name: the function, the taps, and what else it takes."""

FUNCTIONS = {"gaussian": gaussian, "generalized": generalized, "plateau": plateau, "sinc": sinc}
TAPS = 21
FIELD = 160
"""Side of the fields that stand in for random pixels."""

QUALITIES = (30.0, 49.99, 95.0)
NOISES = [NoiseDraw("gaussian", 25.0, False), NoiseDraw("gaussian", 4.5, True)]
SHOTS = [NoiseDraw("poisson", 2.5, False), NoiseDraw("poisson", 0.3, True)]

_SEEDS = ((3, 4), (5, 2), (8, 4), (10, 4), (11, 2))
CHAINS = {f"chain {seed} x{scale}": (seed, scale) for seed, scale in _SEEDS}
"""Name: the seed of the draws, and the scale. Both orders, all pairs of noise families, and one without second blur."""
GT_SIZE = 64


def file_of(name: str) -> Path:
    """Where the golden of that name lies."""
    first = name.split()[0]
    return GOLDENS / {"chain": "chains.npz", "kernel": "kernels.npz", "jpeg": "jpeg.npz"}.get(first, "functions.npz")


def goldens() -> dict[str, NDArray[Any]]:
    """The reference's results."""
    found: dict[str, NDArray[Any]] = {}
    for path in sorted(GOLDENS.glob("*.npz")):
        with np.load(path) as loaded:
            found |= loaded
    return found


def made(name: str) -> Kernel:
    function, taps, others = KERNELS[name]
    return FUNCTIONS[function](taps, **others)  # type: ignore[operator, no-any-return]


def pictures(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """N 3 H W float32, multiples of 1/255: waves, edges and a little noise, each picture another."""
    rng = np.random.Generator(np.random.Philox(seed))
    down, across = np.mgrid[0:height, 0:width] / 16
    every = []
    for _ in range(count):
        a, b, c, level = rng.uniform(0.3, 2, 4)
        waves = [np.sin(a * down + b * across + phase) + 0.5 * (np.sin(c * across * down) > 0) for phase in (0, 1, 2)]
        every.append(0.25 * np.stack(waves) + 0.2 * level + 0.04 * rng.random((3, height, width)))
    codes = np.clip(np.rint(np.stack(every) * 255), 0, 255)
    return torch.from_numpy(codes.astype(np.float32)) / 255


def kernels(count: int) -> NDArray[np.float32]:
    """N 21 21."""
    return np.stack([padded(made(name), TAPS) for name in list(KERNELS)[2 : 2 + count]]).astype(np.float32)


def fields() -> dict[str, NDArray[np.float32]]:
    """3 FIELD FIELD each: numbers in place of random ones, nearly normal and uniform."""
    rng = np.random.Generator(np.random.Philox(7))
    uniform = rng.random((3, FIELD, FIELD), dtype=np.float32)
    return {"uniform": uniform, "normal": rng.random((4, 3, FIELD, FIELD), dtype=np.float32).sum(0) * 1.7 - 3.4}


class FixedFields:
    """The same numbers for every sample, call and place."""

    def __init__(self, draw: NoiseDraw | None = None, device: torch.device | None = None) -> None:
        self._fields = {name: torch.from_numpy(field).to(device or "cpu") for name, field in fields().items()}

    def normal(self, shape: tuple[int, int, int]) -> Tensor:
        return self._fields["normal"][: shape[0], : shape[1], : shape[2]]

    def poisson(self, rates: Tensor) -> Tensor:
        c, h, w = rates.shape
        return torch.floor(rates + self._fields["uniform"][:c, :h, :w])


def chain_options() -> Classic:
    return Classic(draws="batch", gt_size=GT_SIZE)


def chain_input(name: str) -> tuple[Tensor, list[Key], list[Draw]]:
    """Ground truth N 3 96 96, and the keys and draws of its samples."""
    seed, _ = CHAINS[name]
    keys = [Key(seed, 0, index) for index in range(3)]
    return pictures(3, 96, 96, seed), keys, draw_all(chain_options(), keys)
