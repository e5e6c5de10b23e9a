"""Where clips of a film may begin: inside one scene, on frames worth learning from. Pure, on an index's numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .index import DAMAGED, INTERLACED, OTHER, VideoIndex

HARD, SOFT, RATIO, NEAR = 30.0, 6.0, 3.0, 2
"""A cut is a change of HARD codes, or one of SOFT codes that is RATIO times the mean of the NEAR changes on each side.

After the adaptive detector of PySceneDetect, which looks at the ratio for what a fast pan is not: alone. Only frames
that move count as neighbours, since in animation drawn on twos and threes a frame that moves stands among still ones.
"""
STILL = 3.0
"""A frame in which no cell of the thumbnail moves by this many codes repeats the one before."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What clips are wanted, see `VideoData`. `still` tells whether still ones are."""

    frames: int = 1
    stride: tuple[int, ...] = (1,)
    still: bool = False
    scene_threshold: float = 1.0
    flat_share: float = 0.95
    start: float = 0.0
    end: float | None = None
    skip: tuple[tuple[float, float], ...] = ()

    @property
    def span(self) -> int:
        """Frames of the film that the longest clip covers."""
        return (self.frames - 1) * max(self.stride) + 1


@dataclass(frozen=True, eq=False)
class Starts:
    """Where clips of one film may begin."""

    frames: NDArray[np.int64]
    """Numbers of frames, rising."""
    ends: NDArray[np.int64]
    """Of each, the number of the frame behind its scene, or behind what of it may be used."""

    def __len__(self) -> int:
        return len(self.frames)


def cuts(frames: NDArray[Any], threshold: float = 1.0) -> NDArray[np.bool_]:
    """Of each frame, whether a new scene begins with it."""
    change = frames["change"].astype(np.float64)
    found = change >= HARD * threshold
    moving = np.flatnonzero(frames["motion"] >= STILL)
    values = np.pad(change[moving], NEAR, constant_values=np.nan)
    around = [values[offset : offset + len(moving)] for offset in range(2 * NEAR + 1) if offset != NEAR]
    if len(moving) > 1:
        alone = change[moving] >= RATIO * np.nanmean(np.stack(around), axis=0)
        found[moving] |= alone & (change[moving] >= SOFT * threshold)
    return found


def usable(index: VideoIndex, rules: Rules) -> NDArray[np.bool_]:
    """Of each frame, whether it may be part of a clip."""
    frames = index.frames
    whole = frames["marks"] & (DAMAGED | INTERLACED | OTHER) == 0
    seconds = (frames["pts"] - frames["pts"][0]) * float(index.time_base)
    end = rules.end if rules.end is not None else np.inf
    inside = (seconds >= rules.start) & (seconds < end)
    for begin, until in rules.skip:
        inside &= (seconds < begin) | (seconds >= until)
    shown: NDArray[np.bool_] = whole & inside & (frames["flat"] < rules.flat_share)
    return shown


def starts(index: VideoIndex, rules: Rules) -> Starts:
    """All frames at which a clip may begin, whatever stride is drawn for it."""
    frames = index.frames
    good = usable(index, rules)
    begins = good & (cuts(frames, rules.scene_threshold) | ~np.concatenate([[False], good[:-1]]))
    ends = _ends(good, begins)
    numbers = np.arange(len(frames))
    possible = good & (ends - numbers >= rules.span)
    if not rules.still:
        moves = frames["motion"] >= STILL
        possible &= moves | begins
        if rules.frames > 1:
            shortest = (rules.frames - 1) * min(rules.stride)
            before = np.concatenate([[0], np.cumsum(moves)])
            last = np.minimum(numbers + shortest + 1, len(frames))
            possible &= before[last] > before[numbers + 1]
    chosen = np.flatnonzero(possible)
    return Starts(chosen, ends[chosen])


def _ends(good: NDArray[np.bool_], begins: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Of each frame, the number of the first one behind it that is not good or begins another scene."""
    count = len(good)
    stops = np.where(begins | ~good, np.arange(count), count)
    behind = np.concatenate([np.minimum.accumulate(stops[::-1])[::-1], [count]])
    ends: NDArray[np.int64] = behind[1:]
    return ends


def excuse(index: VideoIndex, rules: Rules) -> str:
    """Why no clip of a film can be drawn, as the end of a sentence."""
    frames = index.frames
    interlaced, damaged = index.count(INTERLACED), index.count(DAMAGED)
    if interlaced > len(frames) // 2:
        return f"{interlaced} of its {len(frames)} frames are interlaced; deinterlace it first"
    if damaged > len(frames) // 2:
        return f"{damaged} of its {len(frames)} frames are damaged"
    scenes = int(cuts(frames, rules.scene_threshold).sum()) + 1
    cut = rules.start or rules.end is not None or rules.skip
    rest = ", within what start, end and skip leave" if cut else ""
    wanted = f"{rules.span} frames that are not blank or still{rest}"
    return f"its {len(frames)} frames in {scenes} scenes hold none of {wanted}"
