"""NIQE: Mittal, Soundararajan and Bovik, "Making a 'completely blind' image quality analyzer", 2013.

The statistics of pristine pictures are not part of this package: nobody's are right for all films, and those of the
authors are of photographs. `fit_folder` makes them of a folder; a file of theirs works too.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar
from zipfile import BadZipFile

import cv2
import numpy as np

from vidsr.errors import InputError
from vidsr.fs import Target
from vidsr.media.image_formats import FORMATS

from .frames import Array, Floats, as_clip, cropped, luma, mean_known
from .options import Better
from .options import Niqe as Options

BLOCK = 96
"""Pixels of a side of the blocks that statistics are taken of."""
SHARP = 0.75
"""Share of the sharpness of a picture's sharpest block that a block must have to be one of the pristine."""
FEATURES = 36
ROUNDING = 1e-9
"""In codes of 8 bits: smaller differences from the local mean are none. Drawings have areas of one colour, and the
shape of a distribution has no scale: it would be that of rounding errors."""
SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Neighbours whose products are looked at: to the right, below, and both diagonals."""
TAPS = np.array([-3, -9, 29, 111, 111, 29, -9, -3]) / 256
"""Half size by a cubic kernel (Keys, 1981, a = -0.5) made twice as wide, as MATLAB's imresize."""


@dataclass(frozen=True)
class Pristine:
    """The statistics of pictures without faults: mean, 36, and covariance, 36 36, of the features of their blocks."""

    mean: Floats
    covariance: Floats


class Niqe:
    """The distance from pristine pictures, 0 and up, lower is better; the mean over frames of a clip."""

    better: ClassVar[Better] = "lower"
    needs_gt, temporal = False, False

    def __init__(self, options: Options, border: int) -> None:
        self.name, self._border, self._pristine = options.name, border, load(options.model)

    def __call__(self, output: Array, gt: Array | None = None) -> float:
        """See `frames.Metric`; NaN where a picture has less than two blocks that are not flat."""
        planes = np.rint(luma(cropped(as_clip(output), self._border)))
        return mean_known([distance(features(plane), self._pristine) for plane in planes])


def distance(blocks: Floats, pristine: Pristine) -> float:
    """Of the features of blocks, N 36, to those of pristine pictures: equation 10 of the paper."""
    whole = blocks[~np.isnan(blocks).any(axis=1)]
    if len(whole) < 2:
        return math.nan
    apart = pristine.mean - whole.mean(axis=0)
    spread = (pristine.covariance + np.cov(whole, rowvar=False)) / 2
    return float(np.sqrt(apart @ np.linalg.pinv(spread) @ apart))


def features(plane: Floats) -> Floats:
    """N 36: what describes each block of `plane`, H W in codes of 8 bits; NaN where a block is flat.

    Raises InputError for pictures that are smaller than a block.
    """
    rows, columns = (side // BLOCK for side in plane.shape)
    if not rows or not columns:
        raise InputError(f"metric niqe: {plane.shape[1]}x{plane.shape[0]} pixels are fewer than a block of 96x96")
    large = plane[: rows * BLOCK, : columns * BLOCK]
    scales = [_describe(_normalised(large)[0], BLOCK), _describe(_normalised(_halved(large))[0], BLOCK // 2)]
    return np.concatenate(scales, axis=1)


def _normalised(plane: Floats) -> tuple[Floats, Floats]:
    """The plane with local mean 0 and deviation 1, and the local deviation: equations 1 to 3 of the paper."""
    kernel = cv2.getGaussianKernel(7, 7 / 6)
    mean, square = (
        np.asarray(cv2.sepFilter2D(part, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE), np.float64)
        for part in (plane, plane**2)
    )
    deviation = np.sqrt(np.abs(square - mean**2))
    apart = plane - mean
    apart[np.abs(apart) < ROUNDING] = 0
    return apart / (deviation + 1), deviation


def _halved(plane: Floats) -> Floats:
    """Half as large; beyond the edges the picture is mirrored. H and W are even."""
    blurred = cv2.sepFilter2D(plane, -1, TAPS, TAPS, anchor=(3, 3), borderType=cv2.BORDER_REFLECT)
    return np.asarray(blurred, np.float64)[::2, ::2]


def _describe(plane: Floats, size: int) -> Floats:
    """N 18: shape and width of the values of each block, and of the products of neighbours in it."""
    blocks = _blocks(plane, size)
    alpha, left, right = _asymmetric(blocks)
    parts = [alpha, (left + right) / 2]
    for shift in SHIFTS:
        alpha, left, right = _asymmetric(blocks * np.roll(blocks, shift, axis=(1, 2)))
        inverse = 1 / alpha
        mean = (right - left) * np.exp(_log_gamma(2 * inverse) - _log_gamma(inverse))
        parts += [alpha, mean, left, right]
    return np.stack(parts, axis=1)


def _blocks(plane: Floats, size: int) -> Floats:
    """N size size."""
    rows, columns = (side // size for side in plane.shape)
    return plane.reshape(rows, size, columns, size).swapaxes(1, 2).reshape(-1, size, size)


def _asymmetric(blocks: Floats) -> tuple[Floats, Floats, Floats]:
    """Shape and both widths of the asymmetric generalised Gaussian of each block, by its moments.

    After Lasmar, Stitou and Berthoumieu, "Multiscale skewed heavy tailed model for texture analysis", 2009, with their
    table of shapes from 0.2 to 10.
    """
    shapes, ratios = _table()
    left, right = (_deviation(blocks, side) for side in (blocks < 0, blocks > 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        skew = left / right
        peak = np.abs(blocks).mean(axis=(1, 2)) ** 2 / (blocks**2).mean(axis=(1, 2))
        ratio = peak * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    alpha = shapes[np.argmin((ratios - ratio[:, None]) ** 2, axis=1)]
    width = np.exp((_log_gamma(1 / alpha) - _log_gamma(3 / alpha)) / 2)
    return alpha, left * width, right * width


def _deviation(blocks: Floats, chosen: Array) -> Floats:
    """Root mean square of the chosen values of each block; NaN where there are none."""
    with np.errstate(invalid="ignore"):
        root: Floats = np.sqrt((blocks**2 * chosen).sum(axis=(1, 2)) / chosen.sum(axis=(1, 2)))
    return root


@cache
def _table() -> tuple[Floats, Floats]:
    """Shapes, and the ratio of squared mean to variance that each has."""
    shapes = np.arange(0.2, 10.001, 0.001)
    inverse = 1 / shapes
    return shapes, np.exp(2 * _log_gamma(2 * inverse) - _log_gamma(inverse) - _log_gamma(3 * inverse))


def _log_gamma(values: Floats) -> Floats:
    return np.array([math.lgamma(value) for value in values])


def fit(pictures: Iterable[Array]) -> Pristine:
    """The statistics of pristine pictures, each H W 3 uint8 or float in [0, 1] RGB, of their sharp blocks.

    Raises InputError when they have too few of them to tell a covariance.
    """
    found = [np.empty((0, FEATURES))]
    for picture in pictures:
        plane = np.rint(luma(as_clip(picture)))[0]
        blocks, sharpness = features(plane), _sharpness(plane)
        found.append(blocks[sharpness > SHARP * sharpness.max()])
    known = np.concatenate(found)
    known = known[~np.isnan(known).any(axis=1)]
    if len(known) <= FEATURES:
        raise InputError(
            f"niqe: the pictures have {len(known)} sharp blocks of 96x96, more than {FEATURES} are needed",
            "give more pictures, or larger ones",
        )
    return Pristine(known.mean(axis=0), np.cov(known, rowvar=False))


def fit_folder(folder: Path) -> Pristine:
    """The statistics of the pictures in a folder and in those inside it, as `fit` makes them."""
    from ..data.pictures import read_pixels

    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in FORMATS and path.is_file()]
    return fit(map(read_pixels, files))


def _sharpness(plane: Floats) -> Floats:
    """N: the mean of the local deviation in each block."""
    rows, columns = (side // BLOCK for side in plane.shape)
    _, deviation = _normalised(plane[: rows * BLOCK, : columns * BLOCK])
    return np.asarray(_blocks(deviation, BLOCK).mean(axis=(1, 2)))


def save(path: Path, pristine: Pristine) -> None:
    """Write `.npz` with `mu` and `cov`. Raises OutputError."""
    with Target(path, overwrite=True) as target:
        with target.path.open("wb") as file:
            np.savez(file, mu=pristine.mean, cov=pristine.covariance)
        target.commit()


def load(path: Path) -> Pristine:
    """The statistics in an `.npz` of ours, or in one with the names that BasicSR uses. Raises InputError."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            prefix = "_pris_param" if "mu_pris_param" in file else ""
            mean, covariance = (np.asarray(file[f"{name}{prefix}"], np.float64) for name in ("mu", "cov"))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InputError(f"metric niqe: {path} holds no statistics: {error}", "docs/training.md: NIQE") from error
    if mean.size != FEATURES or covariance.shape != (FEATURES, FEATURES):
        raise InputError(
            f"metric niqe: {path} holds {mean.size} means and covariances of shape {covariance.shape}, "
            f"expected are {FEATURES} and ({FEATURES}, {FEATURES})"
        )
    return Pristine(mean.reshape(-1), covariance)
