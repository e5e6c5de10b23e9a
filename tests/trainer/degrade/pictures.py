"""Small clips for the tests of degradations, drawn here."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import TypeAdapter

from trainer.degrade.clip import STEPS
from trainer.degrade.pixels import Clip
from trainer.degrade.video_options import AnyStep


def scene(frames: int = 3, height: int = 48, width: int = 64, *, speed: int = 4) -> Clip:
    """T H W 3 uint8 RGB: a coloured disc that moves by `speed` pixels a frame before a gradient with fine stripes."""
    y, x = np.mgrid[:height, :width]
    backdrop = np.stack([x * 160 // width + 40, y * 160 // height + 40, (x + y) % 97 + 80], axis=2)
    backdrop[: height // 4] += (x[: height // 4] % 4 < 2)[..., None] * 40
    clip = np.repeat(backdrop[None], frames, axis=0)
    for index, frame in enumerate(clip):
        frame[(x - width // 4 - speed * index) ** 2 + (y - height // 2) ** 2 < (height // 5) ** 2] = (220, 40, 50)
    return clip.astype(np.uint8)


def plain(colour: tuple[int, int, int], frames: int = 2, height: int = 40, width: int = 56) -> Clip:
    """A clip of one colour."""
    return np.full((frames, height, width, 3), colour, np.uint8)


def grays(frames: int = 2, height: int = 40, width: int = 56) -> Clip:
    """A clip of smooth and sharp grays: R = G = B everywhere."""
    return np.repeat(scene(frames, height, width)[..., 1:2], 3, axis=3)


def options(kind: str, **values: Any) -> Any:
    """Options of a step that always happens."""
    return TypeAdapter(AnyStep).validate_python({"kind": kind, "probability": 1.0, **values})


def degraded(clip: Clip, kind: str, seed: int = 0, **values: Any) -> Clip:
    """The clip after one step."""
    return STEPS[kind](clip, options(kind, **values), np.random.default_rng(seed))


def psnr(one: Clip, other: Clip) -> float:
    """dB, over all samples."""
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2)))


def chroma(clip: Clip) -> np.ndarray[Any, np.dtype[np.float64]]:
    """How far each pixel is from gray: the largest difference between its channels."""
    return np.ptp(clip.astype(float), axis=3)
