"""What parts of a configuration ask of each other, as far as it can be seen without touching a file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from vidsr.models.builtin import builtin

from .data.options import LmdbData, PairedData, VideoData
from .degrade.options import Classic
from .losses.options import LDL, MSSSIM, SSIM, Consistency, FocalFrequency, LossOptions, Temporal
from .nets.options import PatchSN, UNetSN, VGGStyle

if TYPE_CHECKING:
    from .config import Config


LEAST = {"perceptual": 16, "dists": 16, "anime": 32, "lpips": 32}
"""Sides of which the poolings of a network leave one pixel."""


def clashes(config: Config) -> list[str]:
    """One sentence for each contradiction."""
    rules = (_names, _sizes, _losses, _degradation, _clips, _adversary, _times)
    return [fault for rule in rules for fault in rule(config)]


def _names(config: Config) -> Iterator[str]:
    """A built-in name always stands for its own weights, so `vidsr upscale --model NAME` would not find these."""
    own = {"name": config.name}
    if config.export and config.export.name:
        own = {"export.name": config.export.name}
    for key, name in own.items():
        if config.export and (known := builtin().find(name)) is not None:
            yield f"{key}: {name} is the name of a built-in model ({known.purpose}), take another"


def _sizes(config: Config) -> Iterator[str]:
    sizes = {option.gt_size for option in config.data}
    if len(sizes) > 1:
        yield f"data: the sets differ in gt_size ({', '.join(map(str, sorted(sizes)))}), one batch has one"
    for place, option in enumerate(config.data):
        if option.gt_size % config.scale:
            yield f"data.{place}.gt_size: {option.gt_size} is no multiple of the scale {config.scale}"


def _losses(config: Config) -> Iterator[str]:
    size = min(option.gt_size for option in config.data)
    for place, loss in enumerate(config.losses):
        if size < (least := least_side(loss, config.scale)):
            yield f"losses.{place}: {loss.kind} needs a gt_size of {least} or more, data has {size}"
        if isinstance(loss, FocalFrequency) and size % loss.patches:
            yield f"losses.{place}.patches: {loss.patches} does not divide the gt_size of data, {size}"


def least_side(loss: LossOptions, scale: int) -> int:
    """Of the crops of ground truth that a loss can be computed on, in pixels."""
    if isinstance(loss, MSSSIM):
        return loss.window << (loss.scales - 1)  # one halving from each scale to the next
    if isinstance(loss, SSIM | LDL):
        return loss.window
    if isinstance(loss, Consistency):
        return scale * (math.ceil(3 * loss.sigma) + 1)
    return LEAST.get(loss.kind, 1)


def _degradation(config: Config) -> Iterator[str]:
    kind = config.degrade.kind
    for place, option in enumerate(config.data):
        paired = isinstance(option, PairedData) or (isinstance(option, LmdbData) and option.lq is not None)
        if paired and kind == "classic":
            yield f"data.{place} has small pictures of its own, which degrade.kind classic would not use"
        if not paired and kind == "none":
            yield f"data.{place} has no small pictures, and degrade.kind none makes none; classic or video does"
        if not isinstance(config.degrade, Classic) or isinstance(option, PairedData):
            continue
        if option.gt_size != config.degrade.gt_size:
            yield f"degrade.gt_size: {config.degrade.gt_size} differs from data.{place}.gt_size, {option.gt_size}"
        if option.crop_pad < option.gt_size or option.crop_pad % config.scale:
            yield (
                f"data.{place}.crop_pad: {option.crop_pad} must be a multiple of the scale {config.scale} and at least "
                f"gt_size, {option.gt_size}"
            )


def _clips(config: Config) -> Iterator[str]:
    lengths = {option.frames if isinstance(option, VideoData) else 1 for option in config.data}
    if len(lengths) > 1:
        yield f"data: the sets differ in frames ({', '.join(map(str, sorted(lengths)))}; pictures have 1)"
    for place, loss in enumerate(config.losses):
        if isinstance(loss, Temporal) and min(lengths) <= max(loss.spans):
            yield f"losses.{place}: temporal with span {max(loss.spans)} needs more frames than {min(lengths)} in data"
        if isinstance(loss, LDL) and config.ema is None:
            yield f"losses.{place}: ldl needs the averaged network, give ema"


def _adversary(config: Config) -> Iterator[str]:
    if config.gan is None:
        return
    size, d = config.data[0].gt_size, config.gan.discriminator
    if isinstance(d, VGGStyle) and d.size != size:
        yield f"gan.discriminator.size: {d.size} differs from the gt_size of data, {size}"
    if isinstance(d, PatchSN) and (fault := _patches(d, size)):
        yield fault
    if isinstance(d, UNetSN) and size % 8:
        yield f"gan.discriminator: unet-sn needs a gt_size that is a multiple of 8, data has {size}"
    if config.gan.warmup + config.gan.ramp >= config.loop.iterations:
        yield (
            f"gan.warmup and gan.ramp: {config.gan.warmup} + {config.gan.ramp} iterations leave none of "
            f"loop.iterations, {config.loop.iterations}"
        )


def _patches(d: PatchSN, size: int) -> str | None:
    """A patch takes 3 * 2^layers pixels, of pictures that are halved from one discriminator to the next."""
    for number, layers in enumerate(d.layers):
        seen, least = size >> number if d.downscale else size, 3 << layers
        if seen < least:
            return (
                f"gan.discriminator.layers: number {number} sees {seen} pixels of crops of {size}, its {layers} layers "
                f"need {least}"
            )
    return None


def _times(config: Config) -> Iterator[str]:
    if config.schedule.warmup >= config.loop.iterations:
        yield f"schedule.warmup: {config.schedule.warmup} is not below loop.iterations, {config.loop.iterations}"
    if config.export and config.export.weights == "swa" and not config.swa:
        yield "export.weights: swa is not gathered, give swa"
    if config.swa and config.swa.every > (left := round((1 - config.swa.start) * config.loop.iterations)):
        yield f"swa.every: {config.swa.every} is more than the {left} iterations after swa.start"
