"""What happens to code values: too few of them, or taken for what they are not."""

from __future__ import annotations

import cv2
import numpy as np

from ..pixels import BT601, BT709, Clip, Floats, Frame, rounded, to_rgb, to_ycc
from ..step_options import Banding, Dither, LevelRange, Matrix
from ..walk import chance, uniform


def banding(clip: Clip, options: Banding, rng: np.random.Generator) -> Clip:
    """Luma and both chroma rounded to few levels; grays stay gray."""
    step = 255 / (round(uniform(rng, options.levels)) - 1)
    return np.stack([_banded(frame, step) for frame in clip])


def _banded(frame: Frame, step: float) -> Frame:
    ycc = cv2.transform(frame.astype(np.float32), to_ycc())
    return rounded(cv2.transform(np.rint(ycc / step) * step, to_rgb()))


def dither(clip: Clip, options: Dither, rng: np.random.Generator) -> Clip:
    """Few levels per channel; which of two neighbouring levels a pixel takes is decided by a threshold, so that the
    mean over an area stays."""
    last = round(uniform(rng, options.levels)) - 1
    bayer = chance(rng, options.bayer)
    fixed = _tiled(bayer_matrix(), *clip.shape[1:3])
    frames = []
    for frame in clip:
        thresholds = fixed if bayer else rng.random((*frame.shape[:2], 1), np.float32)
        frames.append(rounded(np.floor(frame * np.float32(last / 255) + thresholds) * np.float32(255 / last)))
    return np.stack(frames)


def bayer_matrix() -> Floats:
    """8 8 float32: thresholds in (0, 1) (Bayer, "An optimum method for two-level rendition", 1973)."""
    matrix = np.zeros((1, 1))
    for _ in range(3):
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    return ((matrix + 0.5) / 64).astype(np.float32)


def _tiled(matrix: Floats, height: int, width: int) -> Floats:
    """H W 1: `matrix` repeated over a frame."""
    return np.tile(matrix, (-(-height // 8), -(-width // 8)))[:height, :width, None]


def matrix(clip: Clip, options: Matrix, rng: np.random.Generator) -> Clip:
    """Chroma weighted by one system and undone by the other: greens and reds shift, grays stay."""
    was, taken = (BT601, BT709) if chance(rng, options.as_709) else (BT709, BT601)
    mistake = to_rgb(taken) @ to_ycc(was)
    return np.stack([_transformed(frame, mistake) for frame in clip])


def level_range(clip: Clip, options: LevelRange, rng: np.random.Generator) -> Clip:
    """H.273: limited luma is 16 + 219 Y, limited chroma 128 + 224 C; full range is 255 of either."""
    mistake = range_mistake(crushed=chance(rng, options.crushed))
    return np.stack([_transformed(frame, mistake) for frame in clip])


def range_mistake(*, crushed: bool) -> Floats:
    """3 4 float32: the affine map of RGB codes when full range is taken for limited (`crushed`), or the reverse."""
    gains = np.array([255 / 219, 255 / 224, 255 / 224]) if crushed else np.array([219 / 255, 224 / 255, 224 / 255])
    linear = to_rgb() @ np.diag(gains) @ to_ycc()
    offset = -16 * 255 / 219 if crushed else 16.0
    return np.column_stack([linear, np.full(3, offset)]).astype(np.float32)


def _transformed(frame: Frame, affine: Floats) -> Frame:
    return rounded(cv2.transform(frame.astype(np.float32), affine))
