"""3. Which pictures equal the one before in every sample, and with `near:T` which parts do to within T codes.

A picture that equals the one before needs no network. What of a changed picture must be computed is found behind the
conversion (`runtime.incremental`): exactly the same samples give exactly the same RGB.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..frames import PixelLayout, Plane, RawFrame, Work

BLOCK = 16
"""Side, in luma samples, of the blocks that `near:T` takes from the new picture or from the one before."""


def find_held(frames: Iterable[RawFrame], mode: str, layout: PixelLayout) -> Iterator[Work]:
    """Each frame with whether it is held: `exact`, `off` (none is), or `near:T`, which changes the frames first."""
    if mode.startswith("near:"):
        frames = steadied(frames, int(mode.removeprefix("near:")) << (layout.depth - 8), layout)
    before: RawFrame | None = None
    for frame in frames:
        yield Work(frame, mode != "off" and before is not None and _equal(frame, before))
        before = frame


def _equal(frame: RawFrame, before: RawFrame) -> bool:
    """Whether all samples agree; the middle line decides most cases in microseconds.

    A picture on the device equals only itself, shown again: to compare two, the host would wait for the device. What
    did not change between them is found there, by the runtimes that reuse it.
    """
    if frame.planes is before.planes:
        return True
    if not (isinstance(frame.planes, tuple) and isinstance(before.planes, tuple)):
        return False
    pairs = list(zip(frame.planes, before.planes, strict=True))
    middle = len(pairs[0][0]) // 2
    return np.array_equal(pairs[0][0][middle], pairs[0][1][middle]) and all(np.array_equal(a, b) for a, b in pairs)


def steadied(frames: Iterable[RawFrame], most: int, layout: PixelLayout) -> Iterator[RawFrame]:
    """The frames, with every block in which no sample differs by more than `most` codes from what is shown left as it
    is shown.

    Samples are compared with the ones that were shown, not with those of the frame before: slow changes add up until
    they are followed, so nothing drifts away by more than `most`.
    """
    shown: tuple[Plane, ...] = ()
    for frame in frames:
        assert isinstance(frame.planes, tuple), "--hwaccel cuda and near:T exclude each other"
        if shown and all(a.shape == b.shape for a, b in zip(shown, frame.planes, strict=True)):
            stale = _moved(shown, frame.planes, most, layout)
            shown = shown if not stale.any() else _updated(shown, frame.planes, stale, layout)
        else:
            shown = frame.planes
        yield replace(frame, planes=shown)


def _moved(shown: tuple[Plane, ...], planes: tuple[Plane, ...], most: int, layout: PixelLayout) -> NDArray[np.bool_]:
    """The blocks in which a sample of any plane differs by more than `most`, rows x columns."""
    pairs = enumerate(zip(shown, planes, strict=True))
    moved = [_any_in_blocks(cv2.absdiff(old, new) > most, _block(number, layout)) for number, (old, new) in pairs]
    return functools.reduce(np.logical_or, moved)


def _any_in_blocks(samples: NDArray[np.bool_], block: tuple[int, int]) -> NDArray[np.bool_]:
    (height, width), (down, across) = samples.shape, block
    rows, columns = -(-height // down), -(-width // across)
    padded = np.pad(samples, ((0, rows * down - height), (0, columns * across - width)))
    return np.asarray(padded.reshape(rows, down, columns, across).any((1, 3)))


def _updated(
    shown: tuple[Plane, ...], planes: tuple[Plane, ...], stale: NDArray[np.bool_], layout: PixelLayout
) -> tuple[Plane, ...]:
    """New planes: those of the frame in `stale` blocks, what was shown elsewhere."""

    def mixed(number: int, old: Plane, new: Plane) -> NDArray[Any]:
        down, across = _block(number, layout)
        mask = stale.repeat(down, 0)[: new.shape[0]].repeat(across, 1)[:, : new.shape[1]]
        return np.where(mask, new, old)

    return tuple(mixed(number, old, new) for number, (old, new) in enumerate(zip(shown, planes, strict=True)))


def _block(number: int, layout: PixelLayout) -> tuple[int, int]:
    """(height, width) of a block in the samples of plane `number`."""
    if number not in (1, 2) or layout.family != "yuv":
        return BLOCK, BLOCK
    return BLOCK >> layout.log2_h, BLOCK >> layout.log2_w
