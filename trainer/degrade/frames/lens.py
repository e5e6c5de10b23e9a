"""Blur, halos and echoes: what linear filters do to a frame, wanted or not."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np

from ..kernels import Kernel, gaussian, generalized, plateau, sinc
from ..pixels import Clip, Frame, rounded
from ..step_options import Blur, Echo, Halo, Shape
from ..walk import chance, chosen, uniform, walk

_LARGEST = 21
"""Pixels: the kernels of AnimeSR; wider ones are cut off there."""


def blur(clip: Clip, options: Blur, rng: np.random.Generator) -> Clip:
    """One shape of kernel, whose width, direction and exponent wander."""
    shape = chosen(rng, options.shapes)
    kernels = _kernels(shape, options, rng, len(clip))
    return np.stack([_filtered(frame, kernel) for frame, kernel in zip(clip, kernels, strict=True)])


def _kernels(shape: Shape, options: Blur, rng: np.random.Generator, count: int) -> Iterator[Kernel]:
    """One kernel per frame."""
    if shape == "sinc":
        return (sinc(_LARGEST, cutoff) for cutoff in walk(rng, options.cutoff, options.exponent_walk, count))
    bounds = options.elongated if shape.endswith("aniso") else options.sigma
    along, across = (walk(rng, bounds, options.walk, count) for _ in range(2))
    angles = walk(rng, (-math.pi, math.pi), options.turn, count)
    sigmas = list(zip(along, across if shape.endswith("aniso") else along, strict=True))
    if shape in ("iso", "aniso"):
        return (gaussian(_taps(max(sigma)), sigma, angle) for sigma, angle in zip(sigmas, angles, strict=True))
    family = generalized if shape.startswith("generalized") else plateau
    limits = options.beta_generalized if shape.startswith("generalized") else options.beta_plateau
    betas = walk(rng, limits, options.exponent_walk, count)
    return (family(_LARGEST, *values) for values in zip(sigmas, angles, betas, strict=True))


def _filtered(frame: Frame, kernel: Kernel) -> Frame:
    """OpenCV multiplies spectra when the kernel is large; a round Gaussian is quicker as two passes."""
    vertical, horizontal = kernel.sum(axis=1), kernel.sum(axis=0)
    if np.allclose(np.outer(vertical, horizontal), kernel, atol=1e-9):
        return np.asarray(cv2.sepFilter2D(frame, -1, horizontal, vertical), np.uint8)
    return np.asarray(cv2.filter2D(frame, -1, kernel), np.uint8)


def _taps(sigma: float) -> int:
    """The odd number that holds ± 3 sigma."""
    return min(_LARGEST, 2 * math.ceil(3 * sigma) + 1)


def halo(clip: Clip, options: Halo, rng: np.random.Generator) -> Clip:
    """Unsharp masking without a threshold; the mask's differences are clipped only where codes end."""
    radius, amount = uniform(rng, options.radius), uniform(rng, options.amount)
    size = 2 * math.ceil(3 * radius) + 1
    window = (size, 1) if chance(rng, options.horizontal) else (size, size)
    return np.stack([_sharpened(frame, window, radius, amount) for frame in clip])


def _sharpened(frame: Frame, window: tuple[int, int], radius: float, amount: float) -> Frame:
    mask = cv2.GaussianBlur(frame, window, radius)
    return np.asarray(cv2.addWeighted(frame, 1 + amount, mask, -amount, 0), np.uint8)


def echo(clip: Clip, options: Echo, rng: np.random.Generator) -> Clip:
    """A delayed copy added; the receiver's gain control keeps flat areas as they were."""
    delay, gain = uniform(rng, options.delay) * clip.shape[2], uniform(rng, options.gain)
    softness = max(uniform(rng, options.softness), 0.05)
    return np.stack([_echoed(frame, delay, gain, softness) for frame in clip])


def _echoed(frame: Frame, delay: float, gain: float, softness: float) -> Frame:
    height, width = frame.shape[:2]
    soft = cv2.GaussianBlur(frame.astype(np.float32), (2 * math.ceil(3 * softness) + 1, 1), softness)
    move = np.array([[1, 0, delay], [0, 1, 0]], np.float32)
    late = cv2.warpAffine(soft, move, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return rounded((frame + gain * late) / (1 + gain))
