"""What can be measured of pictures: PSNR, brightness, displacement; for the tests and for benchmarks/acceptance.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from vidsr.media.pixels import layout_of, planes_of

Picture = NDArray[Any]
"""H W, one plane."""


def planes(path: Path) -> Iterator[tuple[Picture, ...]]:
    """The planes of every picture."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield planes_of(frame, layout_of(frame.format.name))


def psnr(pairs: Iterable[tuple[Picture, Picture]], peak: int) -> float:
    """dB over all samples of all pairs; infinite when they are equal."""
    squares = samples = 0.0
    for a, b in pairs:
        squares += float(((a.astype(np.float64) - b) ** 2).sum())
        samples += a.size
    return float(10 * np.log10(peak**2 * samples / squares)) if squares else float("inf")


def shrunk(plane: Picture, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """`plane` averaged over areas down to `shape` (H, W), float32."""
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(plane.astype(np.float32), size, interpolation=cv2.INTER_AREA), np.float32)


def displacement(before: Picture, after: Picture) -> tuple[float, float]:
    """How far the content of `after` lies right of and below that of `before` (both H W), in pixels.

    Least squares over the whole plane of after = gain * before - dx * d/dx - dy * d/dy + offset (Lucas and Kanade
    1981), so that other brightness or contrast is not taken for movement. True for movements below a pixel.
    """
    smooth = cv2.GaussianBlur(before.astype(np.float64), (0, 0), 1.5)
    moved = cv2.GaussianBlur(after.astype(np.float64), (0, 0), 1.5)
    inner = (slice(8, -8), slice(8, -8))
    down, right = (slope[inner].ravel() for slope in np.gradient(smooth))
    terms = np.stack([right, down, smooth[inner].ravel(), np.ones(right.size)], axis=1)
    found = np.linalg.lstsq(terms, moved[inner].ravel(), rcond=None)[0]
    return -float(found[0]), -float(found[1])
