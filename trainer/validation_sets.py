"""What is validated on: pairs of what the network gets and what it should make of it.

Frames are T H W 3 uint8 RGB arrays, T = 1 for pictures.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vidsr.errors import InputError, UsageError
from vidsr.events import Emit, ignore
from vidsr.frames import Box
from vidsr.media.image_formats import FORMATS

from .config import Config
from .data.clips import ClipView
from .data.film import Film
from .data.index import index_of
from .data.pictures import read_pixels
from .degrade.options import Classic
from .degrade.video_options import VideoChain
from .metrics.options import PictureSet, ValidationSet, VideoSet
from .sample import Key

Frames = NDArray[np.uint8]

AT_ONCE = 8
"""Frames of a clip that go through the classic degradation together."""


@dataclass(frozen=True)
class Item:
    """A picture, or some frames of a film."""

    set: str
    name: str
    lq: Frames
    """T h w 3."""
    gt: Frames | None
    """T H W 3, `scale` times as large; None where there is no ground truth."""


def items(options: ValidationSet, config: Config, emit: Emit = ignore) -> Iterator[Item]:
    """The items of a set, one after another, the same at every call.

    Raises InputError for files that cannot be used or do not fit each other, UsageError where input has to be made of
    the ground truth and the run has no degradation.
    """
    found = _of_pictures(options) if isinstance(options, PictureSet) else _of_video(options, emit)
    for name, lq, gt in found:
        yield _finished(Item(options.name, name, _empty() if lq is None else lq, gt), lq is None, config)


def _empty() -> Frames:
    return np.empty((0, 0, 0, 3), np.uint8)


def _finished(item: Item, degrade: bool, config: Config) -> Item:
    """With its input made where there is none, and checked."""
    if degrade:
        return _degraded(item, config)
    if item.gt is not None and item.gt.shape[1:3] != tuple(config.scale * side for side in item.lq.shape[1:3]):
        large, small = (f"{frames.shape[2]}x{frames.shape[1]}" for frames in (item.gt, item.lq))
        raise InputError(
            f"validation set {item.set}, {item.name}: gt has {large} pixels and lq {small}, scale is {config.scale}"
        )
    return item


def _degraded(item: Item, config: Config) -> Item:
    """The item with the input that the run's degradations make of its ground truth, by a key of its own: no sample of
    training has its epoch."""
    assert item.gt is not None, "options ask for one of both"
    key = Key(config.seed, -1, zlib.crc32(f"{item.set}/{item.name}".encode()))
    height, width = (side // config.scale * config.scale for side in item.gt.shape[1:3])
    gt = np.ascontiguousarray(item.gt[:, :height, :width])
    if isinstance(config.degrade, VideoChain):
        from .degrade.clip import degrade_clip

        return Item(item.set, item.name, degrade_clip(gt, config.degrade, config.scale, key.rng("validation")), gt)
    if isinstance(config.degrade, Classic):
        return Item(item.set, item.name, *_classic(gt, config.degrade, config.scale, key))
    raise UsageError(
        f"validation set {item.set}: lq is missing, and the run has no degradation to make it of gt", "give lq"
    )


def _classic(gt: Frames, options: Classic, scale: int, key: Key) -> tuple[Frames, Frames]:
    """(lq, gt): the largest square that fits, as the chain of training makes it.

    AT_ONCE frames at a time, for each takes some hundred MB at 1080p; one key has one draw, so only the noise repeats.
    """
    from .degrade.classic import Degrader

    chosen = options.model_copy(update={"gt_size": min(gt.shape[1:3])})
    degrader = Degrader(chosen, scale, "cpu")
    parts = [gt[first : first + AT_ONCE] for first in range(0, len(gt), AT_ONCE)]
    made = [degrader.degrade(torch.from_numpy(part).permute(0, 3, 1, 2)[None] / 255, [key]) for part in parts]
    small, large = (np.concatenate([_frames(pair[side]) for pair in made]) for side in (0, 1))
    return small, large


def _frames(clip: torch.Tensor) -> Frames:
    """… 3 H W float in [0, 1] to T H W 3."""
    codes = clip.flatten(0, -4).permute(0, 2, 3, 1).mul(255).round()
    return np.ascontiguousarray(codes.byte().numpy())


def _of_pictures(options: PictureSet) -> Iterator[tuple[str, Frames | None, Frames | None]]:
    lq = _pictures_in(options.lq, options) if options.lq else {}
    gt = _pictures_in(options.gt, options) if options.gt else {}
    lone = sorted(lq.keys() ^ gt.keys()) if lq and gt else []
    if lone:
        raise InputError(f"validation set {options.name}: {lone[0]} is not in both of {options.gt} and {options.lq}")
    for name in sorted(lq or gt)[: options.limit]:
        yield name, _picture(lq.get(name)), _picture(gt.get(name))


def _picture(path: Path | None) -> Frames | None:
    return None if path is None else read_pixels(path)[None]


def _pictures_in(path: Path, options: PictureSet) -> dict[str, Path]:
    """Pictures by their names without endings; a file is called `picture`, so that a pair may have two names."""
    if path.is_file():
        return {"picture": path}
    found = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in FORMATS and file.is_file()]
    if not found:
        raise InputError(f"validation set {options.name}: there are no pictures in {path}")
    return {file.relative_to(path).with_suffix("").as_posix(): file for file in found}


def _of_video(options: VideoSet, emit: Emit) -> Iterator[tuple[str, Frames | None, Frames | None]]:
    lq, gt = (_frames_of(path, options, emit) if path else None for path in (options.lq, options.gt))
    if lq is not None and gt is not None and len(lq) != len(gt):
        raise InputError(
            f"validation set {options.name}: lq has {len(lq)} frames from {options.start:g} s on, gt {len(gt)}"
        )
    yield f"{options.start:g}s", lq, gt


def _frames_of(path: Path, options: VideoSet, emit: Emit) -> Frames:
    """The frames from `start` on, upright; fewer where the film ends before."""
    index = index_of(path, emit)
    times = index.frames["pts"] * float(index.time_base)
    first = int(np.searchsorted(times, times[0] + options.start - 1e-6))
    last = min(first + options.frames, len(times)) - 1
    if last < first:
        raise InputError(f"validation set {options.name}: {path} ends before {options.start:g} s")
    with closing(Film(path, index)) as film:
        view = ClipView(film.stretch(first, last), index)
    return view.cut(Box(0, 0, *view.size))
