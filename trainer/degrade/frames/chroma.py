"""Colour beside its place: delayed, smeared, or sited wrongly."""

from __future__ import annotations

import math
from typing import get_args

import cv2
import numpy as np

from vidsr.frames import Siting as Place

from ..pixels import Clip, Frame, rounded, to_rgb, to_ycc
from ..step_options import ChromaShift, Siting
from ..walk import chance, uniform, walk
from ..yuv import Yuv


def chroma_shift(clip: Clip, options: ChromaShift, rng: np.random.Generator) -> Clip:
    """Chroma moved by fractions of pixels and blurred along the line; luma stays."""
    bleed = uniform(rng, options.bleed)
    across = walk(rng, options.across, options.walk, len(clip))
    down = walk(rng, options.down, options.walk, len(clip))
    return np.stack([_shifted(frame, x, y, bleed) for frame, x, y in zip(clip, across, down, strict=True)])


def _shifted(frame: Frame, across: float, down: float, bleed: float) -> Frame:
    height, width = frame.shape[:2]
    ycc = cv2.transform(frame.astype(np.float32), to_ycc())
    move = np.array([[1, 0, across], [0, 1, down]], np.float32)
    chroma = cv2.warpAffine(ycc[..., 1:], move, (width, height), borderMode=cv2.BORDER_REPLICATE)
    if bleed > 0.1:
        chroma = cv2.GaussianBlur(chroma, (2 * math.ceil(3 * bleed) + 1, 1), bleed)
    ycc[..., 1:] = chroma
    return rounded(cv2.transform(ycc, to_rgb()))


def siting(clip: Clip, options: Siting, rng: np.random.Generator) -> Clip:
    """4:2:0 written with its chroma at one place and read as if it were at another; perhaps twice."""
    places = [str(place) for place in rng.permutation(get_args(Place))[:2]]
    written, read = (Yuv(siting=_place(name)) for name in places)
    times = 2 if chance(rng, options.again) else 1
    return np.stack([_misread(frame, written, read, times) for frame in clip])


def _place(name: str) -> Place:
    return next(place for place in get_args(Place) if place == name)


def _misread(frame: Frame, written: Yuv, read: Yuv, times: int) -> Frame:
    for _ in range(times):
        frame = read.frame(written.planes(frame))
    return frame
