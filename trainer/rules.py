"""What parts of a configuration ask of each other, as far as it can be seen without touching a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .data.options import LmdbData, PairedData, VideoData
from .degrade.options import Classic
from .losses.options import LDL, MSSSIM, Temporal
from .nets.options import UNetSN, VGGStyle

if TYPE_CHECKING:
    from .config import Config


def clashes(config: Config) -> list[str]:
    """One sentence for each contradiction."""
    rules = (_sizes, _degradation, _clips, _adversary, _times)
    return [fault for rule in rules for fault in rule(config)]


def _sizes(config: Config) -> Iterator[str]:
    sizes = {option.gt_size for option in config.data}
    if len(sizes) > 1:
        yield f"data: the sets differ in gt_size ({', '.join(map(str, sorted(sizes)))}), one batch has one"
    for place, option in enumerate(config.data):
        if option.gt_size % config.scale:
            yield f"data.{place}.gt_size: {option.gt_size} is no multiple of the scale {config.scale}"
    for place, loss in enumerate(config.losses):
        if isinstance(loss, MSSSIM) and min(sizes) < (least := loss.window * 2 ** (loss.scales - 1)):
            yield f"losses.{place}: ms-ssim of {loss.scales} scales needs a gt_size of {least}, data has {min(sizes)}"


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
    if isinstance(d, UNetSN) and size % 8:
        yield f"gan.discriminator: unet-sn needs a gt_size that is a multiple of 8, data has {size}"
    if config.gan.warmup + config.gan.ramp >= config.loop.iterations:
        yield (
            f"gan.warmup and gan.ramp: {config.gan.warmup} + {config.gan.ramp} iterations leave none of "
            f"loop.iterations, {config.loop.iterations}"
        )


def _times(config: Config) -> Iterator[str]:
    if config.schedule.warmup >= config.loop.iterations:
        yield f"schedule.warmup: {config.schedule.warmup} is not below loop.iterations, {config.loop.iterations}"
    if config.export and config.export.weights == "swa" and not config.swa:
        yield "export.weights: swa is not gathered, give swa"
    if config.swa and config.swa.every > (left := round((1 - config.swa.start) * config.loop.iterations)):
        yield f"swa.every: {config.swa.every} is more than the {left} iterations after swa.start"
