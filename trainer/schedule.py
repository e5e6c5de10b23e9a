"""The learning rate as a pure function of the iteration: there is no state to lose, and resuming is exact."""

from __future__ import annotations

import math

from .options import Cosine, Gan, Multistep, Schedule, Wsd


def factor(options: Schedule, iteration: int, total: int) -> float:
    """What the learning rate is multiplied by at the step that follows `iteration` finished ones, of `total`."""
    if iteration < options.warmup:
        return (iteration + 1) / options.warmup * _shape(options, 0, total)
    return _shape(options, iteration, total)


def _shape(options: Schedule, iteration: int, total: int) -> float:
    if isinstance(options, Multistep):
        return float(options.gamma ** sum(iteration >= round(part * total) for part in options.milestones))
    if isinstance(options, Cosine):
        done = max(0, iteration - options.warmup) / max(1, total - options.warmup)
        return options.floor + (1 - options.floor) * (1 + math.cos(math.pi * done)) / 2
    if isinstance(options, Wsd):
        fall = max(0.0, 1 - (total - iteration) / (options.decay * total))
        left = 1 - (fall if options.shape == "linear" else math.sqrt(fall))
        return options.floor + (1 - options.floor) * left
    return 1.0


def gan_share(options: Gan, iteration: int) -> float:
    """What the adversarial loss is multiplied by at the step after `iteration` finished ones; 0 while only D learns."""
    if iteration < options.warmup:
        return 0.0
    return min(1.0, (iteration - options.warmup + 1) / max(1, options.ramp))
