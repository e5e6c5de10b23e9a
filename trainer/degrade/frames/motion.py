"""Times mixed up: frames blended with their neighbours, and fields of two times in a frame."""

from __future__ import annotations

import cv2
import numpy as np

from ..pixels import Clip, Frame, rounded
from ..step_options import FrameBlend, Interlace
from ..walk import chance, chosen, uniform


def frame_blend(clip: Clip, options: FrameBlend, rng: np.random.Generator) -> Clip:
    """Mixes with the next frame, once in a while or always; or trails. A clip of one frame stays as it is."""
    share, period = uniform(rng, options.share), round(uniform(rng, options.period))
    trails, phase = chance(rng, options.trails), int(rng.integers(period))
    return _trails(clip, share) if trails else _mixed(clip, share, period, phase)


def _trails(clip: Clip, share: float) -> Clip:
    """A recursive filter over time, as temporal noise reduction without motion detection."""
    memory, frames = clip[0].astype(np.float32), []
    for frame in clip:
        memory = share * memory + (1 - share) * frame
        frames.append(rounded(memory))
    return np.stack(frames)


def _mixed(clip: Clip, share: float, period: int, phase: int) -> Clip:
    frames = clip.copy()
    for index, (now, following) in enumerate(zip(clip, _following(clip), strict=True)):
        if index % period == phase:
            frames[index] = cv2.addWeighted(now, 1 - share, following, share, 0)
    return frames


def _following(clip: Clip) -> Clip:
    """The frame after each; after the last one comes the one before it, and a single frame follows itself."""
    return np.concatenate([clip[1:], clip[-2:-1] if len(clip) > 1 else clip])


def interlace(clip: Clip, options: Interlace, rng: np.random.Generator) -> Clip:
    """The even or odd lines of the frames come from the frames that follow; then one way of deinterlacing.

    In 3:2 pulldown the third and fourth of five frames hold two times.
    """
    late = 0 if chance(rng, options.bottom_first) else 1
    telecine, phase = chance(rng, options.telecine), int(rng.integers(5))
    how = chosen(rng, options.deinterlacing)
    turns = chance(rng, options.alternating)
    frames = []
    for index, (now, following) in enumerate(zip(clip, _following(clip), strict=True)):
        combed = not telecine or (index + phase) % 5 in (2, 3)
        woven = _woven(now, following, late) if combed else now
        frames.append(_deinterlaced(woven, how, index % 2 if turns else 1 - late))
    return np.stack(frames)


def _woven(now: Frame, following: Frame, late: int) -> Frame:
    frame = now.copy()
    frame[late::2] = following[late::2]
    return frame


def _deinterlaced(frame: Frame, how: str, field: int) -> Frame:
    """`field` is the parity of the lines that bob and linear keep."""
    if how == "weave" or len(frame) < 3:
        return frame
    if how == "blend":
        taps = np.array([[0.25], [0.5], [0.25]], np.float32)
        return np.asarray(cv2.filter2D(frame, -1, taps, borderType=cv2.BORDER_REPLICATE), np.uint8)
    lines = np.arange(len(frame))
    kept = lines[lines % 2 == field]
    above = np.clip(lines - (lines % 2 != field), kept[0], kept[-1])
    if how == "bob":
        return np.asarray(frame[above])
    below = np.clip(lines + (lines % 2 != field), kept[0], kept[-1])
    return np.asarray(cv2.addWeighted(frame[above], 0.5, frame[below], 0.5, 0), np.uint8)
