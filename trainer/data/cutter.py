"""From whole frames to a training sample: crop, mirror, turn and degrade, alike for the large and the small picture.

Frames here are T H W 3 uint8 RGB arrays. What is mirrored is mirrored before it is degraded, so that chroma siting,
interlacing and what a codec does along its macroblocks stay as they are in nature.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from vidsr.errors import InputError
from vidsr.frames import Box

from ..degrade.clip import degrade_clip
from ..degrade.options import DegradeOptions
from ..sample import Key

Frames = NDArray[np.uint8]
"""T H W 3, RGB."""


class View(Protocol):
    """Frames of one size, of which only what is asked for has to be made."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        ...

    def cut(self, box: Box) -> Frames:
        """What `box` covers."""
        ...


@dataclass(frozen=True)
class Whole:
    """A view of frames that are there already."""

    frames: Frames

    @property
    def size(self) -> tuple[int, int]:
        return self.frames.shape[1], self.frames.shape[2]

    def cut(self, box: Box) -> Frames:
        return self.frames[:, box.top : box.bottom, box.left : box.right]


@dataclass(frozen=True, slots=True)
class Turn:
    """One of the eight ways to lay a picture: mirrored left-right, then upside down, then rows become columns."""

    left_right: bool = False
    upside_down: bool = False
    transposed: bool = False

    @classmethod
    def drawn(cls, rng: np.random.Generator, hflip: bool, rotate: bool) -> Turn:
        """Each of what is allowed with probability 1/2, as in BasicSR."""
        coins = rng.random(3) < 0.5
        return cls(bool(hflip and coins[0]), bool(rotate and coins[1]), bool(rotate and coins[2]))

    def of(self, frames: Frames) -> Frames:
        if self.left_right:
            frames = frames[:, :, ::-1]
        if self.upside_down:
            frames = frames[:, ::-1]
        return frames.swapaxes(1, 2) if self.transposed else frames


@dataclass(frozen=True)
class Cutter:
    """How samples of one set are made."""

    scale: int
    gt_size: int
    degrade: DegradeOptions
    crop_pad: int = 400
    window: int | None = None
    hflip: bool = True
    rotate: bool = False
    tally: Counter[str] = field(default_factory=Counter, compare=False)
    """Codecs and their failures, counted in this process."""

    def single(self, view: View, key: Key) -> tuple[Frames, Frames | None]:
        """A (large, small) sample of frames that have no small twin.

        Under the classic degradation, which runs on the device, that is `crop_pad` (or `gt_size`, if larger) pixels
        square and None; otherwise `gt_size` square and the degraded crop.
        """
        turn = Turn.drawn(key.rng("turn"), self.hflip, self.rotate)
        rng = key.rng("crop")
        if self.degrade.kind != "video":
            side = max(self.gt_size, self.crop_pad)
            return turn.of(padded(view.cut(random_box(rng, view.size, side)), side)), None
        gt = turn.of(padded(view.cut(self._whole(rng, view.size)), self.gt_size))
        lq = degrade_clip(np.ascontiguousarray(gt), self.degrade, self.scale, key.rng("degrade"), self.tally)
        return self._aligned(rng, gt, lq)

    def pair(self, gt: Frames, lq: Frames, key: Key, name: str) -> tuple[Frames, Frames]:
        """A (large, small) sample of twins. Raises InputError for sizes that do not fit each other or the crop."""
        check_pair(gt.shape[1:3], lq.shape[1:3], self.scale, self.gt_size, name)
        large, small = self._aligned(key.rng("crop"), gt, lq)
        turn = Turn.drawn(key.rng("turn"), self.hflip, self.rotate)
        return turn.of(large), turn.of(small)

    def _whole(self, rng: np.random.Generator, size: tuple[int, int]) -> Box:
        """What is degraded of a frame: all of it, or a window, with sides that the scale divides."""
        height, width = (side // self.scale * self.scale or side for side in size)
        if self.window is None:
            return Box(0, 0, height, width)
        return random_box(rng, (height, width), self.window // self.scale * self.scale)

    def _aligned(self, rng: np.random.Generator, gt: Frames, lq: Frames) -> tuple[Frames, Frames]:
        """The same crop of both, placed on whole pixels of the small one."""
        small = random_box(rng, (lq.shape[1], lq.shape[2]), self.gt_size // self.scale)
        return Whole(gt).cut(small.times(self.scale)), Whole(lq).cut(small)


def random_box(rng: np.random.Generator, size: tuple[int, int], side: int) -> Box:
    """A square of `side` pixels anywhere in (height, width); all of a direction that is shorter."""
    height, width = (min(side, length) for length in size)
    top, left = int(rng.integers(size[0] - height + 1)), int(rng.integers(size[1] - width + 1))
    return Box(top, left, top + height, left + width)


def padded(frames: Frames, side: int) -> Frames:
    """At least `side` pixels high and wide; what lacks is mirrored at the bottom and right, as in the reference."""
    down, across = (max(0, side - length) for length in frames.shape[1:3])
    if not down and not across:
        return frames
    grown = [cv2.copyMakeBorder(frame, 0, down, 0, across, cv2.BORDER_REFLECT_101) for frame in frames]
    return np.stack(grown).astype(np.uint8, copy=False)


def check_pair(gt: tuple[int, ...], lq: tuple[int, ...], scale: int, gt_size: int, name: str) -> None:
    """Raise InputError unless (height, width) `gt` is `scale` times `lq` and holds a crop of `gt_size` pixels."""
    if gt != (lq[0] * scale, lq[1] * scale):
        what = f"the large picture has {_spoken(gt)} pixels, the small one {_spoken(lq)}"
        raise InputError(f"pair {name}: {what}; at scale {scale} that must be {_spoken([s * scale for s in lq])}")
    if min(gt) < gt_size:
        raise InputError(f"pair {name}: {_spoken(gt)} pixels are too few for crops of {gt_size}")


def _spoken(size: tuple[int, ...] | list[int]) -> str:
    return f"{size[1]}x{size[0]}"
