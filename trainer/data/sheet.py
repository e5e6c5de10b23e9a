"""Samples to look at, as a picture: what the network gets beside what it is to make of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vidsr.fs import write_atomically
from vidsr.media.image_files.header import Metadata, Quality
from vidsr.media.image_formats import PNG
from vidsr.media.images import Picture, encoded

from ..sample import Key, Sample
from .build import SampleSource
from .sampling import key_at

GAP = 8
"""Pixels between two pictures."""
MOST_FRAMES = 3
"""Of a clip: the first, one in the middle, the last."""

Degrade = Callable[[torch.Tensor, Sequence[Key]], tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]]
"""The classic degradation: N 3 H W float32 RGB to (LQ, GT, sharpened GT), cropped; see `trainer.degrade.classic`."""


def write_sheet(
    source: SampleSource, path: Path, *, count: int, seed: int, degrade: Degrade | None = None
) -> tuple[str, ...]:
    """Write `count` samples to a PNG, one a row: LQ, enlarged without any smoothing, then GT, frame by frame.

    They are the first samples that a run of this seed uses. Samples without LQ go through `degrade`. Gives the names
    of the samples, from top to bottom. Raises InputError for bad data, OutputError where the file cannot be written.
    """
    samples = [source.get(key_at(seed, place, len(source))) for place in range(count)]
    rows = [_row(*_both(sample, degrade)) for sample in samples]
    sheet = _stacked([_padded(row, max(row.shape[1] for row in rows)) for row in rows], axis=0)
    picture = Picture(sheet, Metadata(), PNG)
    write_atomically(path, encoded(picture, PNG, Quality()).data)
    return tuple(sample.name for sample in samples)


def _both(sample: Sample, degrade: Degrade | None) -> tuple[torch.Tensor, torch.Tensor]:
    """(LQ T 3 h w, GT T 3 H W), uint8."""
    if sample.lq is not None:
        return sample.lq, sample.gt
    if degrade is None:
        return sample.gt, sample.gt
    gt = sample.gt.float().div(255)
    lq, large, _ = degrade(gt, [sample.key] * len(gt))
    return _codes(lq), _codes(large)


def _codes(rgb: torch.Tensor) -> torch.Tensor:
    return rgb.detach().cpu().clamp(0, 1).mul(255).round().to(torch.uint8)


def _row(lq: torch.Tensor, gt: torch.Tensor) -> NDArray[np.uint8]:
    """The frames of one sample, side by side, H W 3."""
    size = gt.shape[-1], gt.shape[-2]
    chosen = sorted({0, len(gt) // 2, len(gt) - 1})[:MOST_FRAMES]
    pictures = []
    for frame in chosen:
        small = cv2.resize(_array(lq[frame]), size, interpolation=cv2.INTER_NEAREST)
        pictures += [small.astype(np.uint8, copy=False), _array(gt[frame])]
    return _stacked(pictures, axis=1)


def _array(frame: torch.Tensor) -> NDArray[np.uint8]:
    return np.ascontiguousarray(frame.permute(1, 2, 0).numpy())


def _stacked(pictures: Sequence[NDArray[np.uint8]], axis: int) -> NDArray[np.uint8]:
    """Pictures in a row (axis 1) or a column (axis 0), white between them."""
    shape = list(pictures[0].shape)
    shape[axis] = GAP
    between = np.full(shape, 255, np.uint8)
    parts = [part for picture in pictures for part in (between, picture)][1:]
    return np.concatenate(parts, axis)


def _padded(row: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    return np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255)
