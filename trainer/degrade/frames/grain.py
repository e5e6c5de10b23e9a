"""Noise and film grain, new in every frame."""

from __future__ import annotations

import math

import cv2
import numpy as np

from ..pixels import Clip, Floats, Frame, rounded, to_ycc
from ..step_options import Grain, Noise
from ..walk import chance, uniform, walk


def noise(clip: Clip, options: Noise, rng: np.random.Generator) -> Clip:
    """Gaussian or Poisson noise, gray or coloured, whose strength wanders."""
    gray = chance(rng, options.gray)
    if chance(rng, options.poisson):
        scales = walk(rng, options.scale, options.scale_walk, len(clip))
        return np.stack([_shot(frame, float(scale), gray, rng) for frame, scale in zip(clip, scales, strict=True)])
    sigmas = walk(rng, options.sigma, options.walk, len(clip))
    shape = (*clip.shape[1:3], 1 if gray else 3)
    fields = (np.float32(sigma) * rng.standard_normal(shape, np.float32) for sigma in sigmas)
    return np.stack([rounded(frame + field) for frame, field in zip(clip, fields, strict=True)])


def _shot(frame: Frame, scale: float, gray: bool, rng: np.random.Generator) -> Frame:
    """Noise whose variance is `scale` squared times the code, as in Real-ESRGAN for frames of many codes."""
    light = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None] if gray else frame
    difference = rng.poisson(light) - light.astype(np.float32)
    return rounded(frame + scale * difference)


def grain(clip: Clip, options: Grain, rng: np.random.Generator) -> Clip:
    """Correlated noise times 2 sqrt(Y (1 - Y)): grains that cover a share Y of an area vary like that."""
    size, chroma = uniform(rng, options.size), uniform(rng, options.chroma)
    strengths = walk(rng, options.strength, options.walk, len(clip))
    return np.stack(
        [_grained(frame, float(strength), size, chroma, rng) for frame, strength in zip(clip, strengths, strict=True)]
    )


def _grained(frame: Frame, strength: float, size: float, chroma: float, rng: np.random.Generator) -> Frame:
    luma = cv2.transform(frame, to_ycc()[:1]).astype(np.float32)[..., None] / 255
    blotches = grain_field(frame.shape[:2], 1, size, rng)
    if chroma:
        coloured = grain_field(frame.shape[:2], 3, size, rng)
        blotches = blotches + chroma * (coloured - cv2.transform(coloured, to_ycc()[:1])[..., None])
    return rounded(frame + strength * 2 * np.sqrt(luma * (1 - luma)) * blotches)


def grain_field(shape: tuple[int, ...], channels: int, size: float, rng: np.random.Generator) -> Floats:
    """H W channels float32: Gaussian noise blurred by `size`, of standard deviation 1."""
    field = rng.standard_normal((*shape[:2], channels), np.float32)
    if size > 0.05:
        taps = cv2.getGaussianKernel(2 * math.ceil(3 * size) + 1, size).astype(np.float32)
        taps /= np.sqrt(np.sum(taps**2))
        field = np.asarray(cv2.sepFilter2D(field, -1, taps, taps), np.float32)
    return field.reshape(*shape[:2], channels)
