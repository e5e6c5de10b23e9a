"""All choices of the classic chain for one sample, drawn before anything is computed.

The reference draws a part of them once per batch (`Plan`) and a part per sample; with `draws="sample"` every sample has
a plan of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..sample import Key
from .kernels import Kernel, draw_blur, draw_sinc, weighted
from .noise import NoiseDraw
from .options import Classic, Mode, Noise, Resize, Stage

Family = Literal["gaussian", "poisson"]


@dataclass(frozen=True, slots=True)
class StagePlan:
    """What the reference draws once per batch for a stage."""

    blurred: bool
    factor: float
    mode: Mode
    noise: Family | None
    gray_seed: int
    """Of gray Gaussian noise: the reference lays one pattern over the whole batch."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the reference draws once per batch."""

    first: StagePlan
    second: StagePlan
    mode: Mode
    jpeg_last: bool
    crop: tuple[float, float]


@dataclass(frozen=True, slots=True)
class StageDraw:
    """All choices of a stage."""

    kernel: Kernel | None
    """None does not blur."""
    factor: float
    mode: Mode
    noise: NoiseDraw | None
    quality: float | None
    """Of JPEG; None does not compress."""


@dataclass(frozen=True, slots=True)
class Draw:
    """All choices of a sample."""

    first: StageDraw
    second: StageDraw
    sinc: Kernel | None
    """Filter after the final resize."""
    mode: Mode
    """Of the final resize."""
    jpeg_last: bool
    """Whether the second JPEG comes after the final resize and filter, or before them."""
    crop: tuple[float, float]
    """Where the crop lies in the room that there is for it, down and across, in [0, 1)."""


def draw_all(options: Classic, keys: Sequence[Key]) -> list[Draw]:
    """The choices of every sample of a batch. With `draws="sample"` each depends on its own key only."""
    shared = _plan(options, keys[0].rng("degrade/plan")) if options.draws == "batch" else None
    return [_draw(options, shared or _plan(options, key.rng("degrade/plan")), key.rng("degrade")) for key in keys]


def _plan(options: Classic, rng: np.random.Generator) -> Plan:
    return Plan(
        first=_stage_plan(options.first, rng),
        second=_stage_plan(options.second, rng),
        mode=weighted(options.modes, rng),
        jpeg_last=rng.random() < options.jpeg_last,
        crop=(rng.random(), rng.random()),
    )


def _stage_plan(options: Stage, rng: np.random.Generator) -> StagePlan:
    return StagePlan(
        blurred=rng.random() < options.blur.probability,
        factor=_factor(options.resize, rng),
        mode=weighted(options.resize.modes, rng),
        noise=_family(options.noise, rng),
        gray_seed=int(rng.integers(2**63)),
    )


def _factor(options: Resize, rng: np.random.Generator) -> float:
    low, high = options.factor
    direction = weighted(options.directions, rng)
    return {"up": rng.uniform(1, high), "down": rng.uniform(low, 1), "keep": 1.0}[direction]


def _family(options: Noise, rng: np.random.Generator) -> Family | None:
    if rng.random() >= options.probability:
        return None
    return "gaussian" if rng.random() < options.gaussian else "poisson"


def _draw(options: Classic, plan: Plan, rng: np.random.Generator) -> Draw:
    return Draw(
        first=_stage(options.first, plan.first, rng),
        second=_stage(options.second, plan.second, rng),
        sinc=draw_sinc(options.sinc_sizes, rng) if rng.random() < options.sinc else None,
        mode=plan.mode,
        jpeg_last=plan.jpeg_last,
        crop=plan.crop,
    )


def _stage(options: Stage, plan: StagePlan, rng: np.random.Generator) -> StageDraw:
    compressed = rng.random() < options.jpeg.probability
    return StageDraw(
        kernel=draw_blur(options.blur, rng) if plan.blurred else None,
        factor=plan.factor,
        mode=plan.mode,
        noise=_noise(options.noise, plan, rng),
        quality=rng.uniform(*options.jpeg.quality) if compressed else None,
    )


def _noise(options: Noise, plan: StagePlan, rng: np.random.Generator) -> NoiseDraw | None:
    if plan.noise is None:
        return None
    level = rng.uniform(*(options.sigma if plan.noise == "gaussian" else options.poisson))
    return NoiseDraw(plan.noise, level, rng.random() < options.gray, int(rng.integers(2**63)), plan.gray_seed)
