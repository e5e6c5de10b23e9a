"""Blur kernels of Real-ESRGAN: Gaussians, generalized Gaussians, plateaus, and sinc filters.

Every kernel is K x K float64, sums to 1, and is the same when turned by half a circle. Source: X. Wang et al.,
"Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data", 2021, sections 3.2 and 3.4.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from .options import Blur

Kernel = NDArray[np.float64]
Name = TypeVar("Name", bound=str)

SINC_CUTOFF = (math.pi / 3, math.pi)
SINC_CUTOFF_LARGE = (math.pi / 5, math.pi)
"""Radians per pixel; as a blur, a sinc filter of LARGE taps or more may go lower."""
LARGE = 13


def gaussian(size: int, sigma: tuple[float, float], angle: float = 0.0) -> Kernel:
    """exp(-d/2), where d is the squared distance in units of `sigma` along two axes turned by `angle` (radians)."""
    return _normalised(np.exp(-0.5 * _distance(size, sigma, angle)))


def generalized(size: int, sigma: tuple[float, float], angle: float, beta: float) -> Kernel:
    """exp(-d^beta/2) (Pascal et al., "Parameter estimation for multivariate generalized Gaussian distributions")."""
    return _normalised(np.exp(-0.5 * _distance(size, sigma, angle) ** beta))


def plateau(size: int, sigma: tuple[float, float], angle: float, beta: float) -> Kernel:
    """1 / (1 + d^beta)."""
    return _normalised(1 / (_distance(size, sigma, angle) ** beta + 1))


def sinc(size: int, cutoff: float) -> Kernel:
    """The ideal circular low-pass filter, c J1(c r) / (2 pi r), cut off at the kernel's edge: it rings.

    `cutoff` is in radians per pixel, at most pi.
    """
    axis = np.arange(size) - (size - 1) / 2
    radius = np.hypot(axis[:, None], axis)
    middle = radius == 0
    safe = np.where(middle, 1.0, radius)
    bessel = torch.special.bessel_j1(torch.from_numpy(cutoff * safe)).numpy()
    return _normalised(np.where(middle, cutoff**2 / (4 * math.pi), cutoff * bessel / (2 * math.pi * safe)))


def padded(kernel: Kernel, size: int) -> Kernel:
    """The kernel in the middle of `size` x `size` taps, zero around it."""
    return np.pad(kernel, (size - kernel.shape[0]) // 2)


def draw_blur(options: Blur, rng: np.random.Generator) -> Kernel:
    """A kernel of the family, as large as its taps; `options.probability` is not asked."""
    size = draw_size(options.sizes, rng)
    if rng.random() < options.sinc:
        return sinc(size, rng.uniform(*(SINC_CUTOFF if size < LARGE else SINC_CUTOFF_LARGE)))
    shape = weighted(options.kinds, rng)
    sigma, angle = _axes(options.sigma, round_=not shape.endswith("aniso"), rng=rng)
    if shape.startswith("generalized"):
        return generalized(size, sigma, angle, _either_side(options.beta_generalized, rng))
    if shape.startswith("plateau"):
        return plateau(size, sigma, angle, _either_side(options.beta_plateau, rng))
    return gaussian(size, sigma, angle)


def draw_sinc(sizes: tuple[int, int], rng: np.random.Generator) -> Kernel:
    """The filter after the final resize."""
    return sinc(draw_size(sizes, rng), rng.uniform(*SINC_CUTOFF))


def draw_size(sizes: tuple[int, int], rng: np.random.Generator) -> int:
    """An odd number, both ends included."""
    return int(rng.integers(sizes[0] // 2, sizes[1] // 2, endpoint=True)) * 2 + 1


def weighted(choices: Mapping[Name, float], rng: np.random.Generator) -> Name:
    """One of the names, by its weight; in the order of the mapping, from one uniform number."""
    ends = np.cumsum(list(choices.values()))
    return list(choices)[int(np.searchsorted(ends[:-1], rng.random() * ends[-1], side="right"))]


def _axes(limits: tuple[float, float], *, round_: bool, rng: np.random.Generator) -> tuple[tuple[float, float], float]:
    """Sigma along both axes, and the angle between the first of them and the horizontal."""
    first = rng.uniform(*limits)
    return ((first, first), 0.0) if round_ else ((first, rng.uniform(*limits)), rng.uniform(-math.pi, math.pi))


def _either_side(limits: tuple[float, float], rng: np.random.Generator) -> float:
    """Half of the draws below 1 and half above, however long the two sides are."""
    low, high = limits
    return rng.uniform(low, 1) if rng.random() < 0.5 else rng.uniform(1, high)


def _distance(size: int, sigma: tuple[float, float], angle: float) -> Kernel:
    """Squared Mahalanobis distance of every tap from the middle."""
    axis = np.arange(size) - (size - 1) / 2
    across, down = axis, axis[:, None]
    first = (across * math.cos(angle) + down * math.sin(angle)) / sigma[0]
    second = (down * math.cos(angle) - across * math.sin(angle)) / sigma[1]
    return np.asarray(first**2 + second**2)


def _normalised(kernel: Kernel) -> Kernel:
    return np.asarray(kernel / kernel.sum())
