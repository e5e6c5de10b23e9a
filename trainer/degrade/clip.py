"""READ THIS FIRST: a clip of good frames to a clip of bad ones, step by step, on whole frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from vidsr.errors import InputError

from .codec import codec
from .frames import chroma, composite, grain, lens, levels, motion, resample, still
from .pixels import Clip
from .video_options import AnyStep, OneOf, Shuffle, VideoChain
from .walk import chance, chosen

Work = Callable[[Clip, Any, np.random.Generator], Clip]

STEPS: dict[str, Work] = {
    "blur": lens.blur,
    "noise": grain.noise,
    "grain": grain.grain,
    "halo": lens.halo,
    "echo": lens.echo,
    "frame_blend": motion.frame_blend,
    "interlace": motion.interlace,
    "composite": composite.composite,
    "chroma_shift": chroma.chroma_shift,
    "siting": chroma.siting,
    "matrix": levels.matrix,
    "level_range": levels.level_range,
    "banding": levels.banding,
    "dither": levels.dither,
    "resize": resample.resize,
    "upscaled": resample.upscaled,
    "still": still.still,
}
"""What each kind of step does; `shrink` also needs the size to go to, and `codec` the tally."""


def degrade_clip(
    frames: Clip, chain: VideoChain, scale: int, rng: np.random.Generator, tally: Counter[str] | None = None
) -> Clip:
    """T H W 3 uint8 RGB to T h w 3 uint8 RGB, with h = H // scale and w = W // scale.

    Rows and columns beyond the largest multiple of `scale` are cut off first, at the bottom and the right, so pixel
    (x, y) of the result shows the pixels from (scale x, scale y) on. All draws come from `rng`: the same frames and
    the same state give the same bytes. `tally` counts codecs, and their failures, by name. Raises InputError for
    frames that are smaller than `scale` or of another shape or type.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not len(frames):
        raise InputError(f"frames to degrade are {frames.dtype} {frames.shape}, T H W 3 uint8 is needed")
    height, width = frames.shape[1] // scale, frames.shape[2] // scale
    if not height or not width:
        raise InputError(f"frames of {frames.shape[2]}x{frames.shape[1]} pixels are too small for scale {scale}")
    clip = np.ascontiguousarray(frames[:, : height * scale, : width * scale])
    works = STEPS | {
        "shrink": partial(resample.shrink, size=(width, height)),
        "codec": partial(codec, tally=Counter() if tally is None else tally),
    }
    for step in drawn(chain.steps, rng):
        clip = works[step.kind](clip, step, rng)
    return clip


def drawn(steps: Sequence[AnyStep], rng: np.random.Generator) -> Iterator[AnyStep]:
    """The single steps that happen to one clip, in order. Draws go on between them, as each is asked for."""
    for step in steps:
        if chance(rng, step.probability):
            yield from _unpacked(step, rng)


def _unpacked(step: AnyStep, rng: np.random.Generator) -> Iterator[AnyStep]:
    if isinstance(step, Shuffle):
        yield from drawn([step.steps[place] for place in rng.permutation(len(step.steps))], rng)
    elif isinstance(step, OneOf):
        place = chosen(rng, {place: inner.probability for place, inner in enumerate(step.steps)})
        yield from _unpacked(step.steps[place], rng)
    else:
        yield step
