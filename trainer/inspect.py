"""Everything that a run needs, looked at before it begins: weights, every file of the data and of the validation
sets, and some samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from vidsr.errors import VidsrError
from vidsr.events import Emit, ignore

from . import generator
from .config import Config
from .data.build import build as build_source
from .data.check import Finding, check
from .data.sheet import write_sheet
from .degrade.classic import Degrader
from .degrade.options import Classic
from .losses import build as build_loss
from .metrics.build import build as build_metric
from .metrics.options import ValidationSet
from .nets import build as build_discriminator
from .validation_sets import items


def inspect(config: Config, emit: Emit = ignore) -> Iterator[Finding]:
    """What is worth knowing of the weights and the data, as it is found; an error would end a run, or cost it files."""
    yield from _tried(_networks(config, emit))
    try:
        yield from check(config.data, config.scale, emit)
    except VidsrError as error:
        yield Finding("error", "unreadable", "data", str(error))
    yield from _tried(_validation(config, emit))


Parts = dict[str, Callable[[], object]]
"""What has to work, by the key that asks for it; what comes of it is thrown away."""


def _networks(config: Config, emit: Emit) -> Parts:
    """Weights, of the networks and of losses that measure by networks: they may be missing or not fit."""
    gan = config.gan
    parts: Parts = {"net": lambda: generator.build(config.net, config.scale, emit)}
    if gan:
        parts["gan.discriminator"] = lambda: build_discriminator(gan.discriminator)
    for place, options in enumerate(config.losses):
        parts[f"losses.{place}"] = partial(build_loss, options)
    return parts


def _validation(config: Config, emit: Emit) -> Parts:
    """Files of metrics, and all items of the sets, degraded where the run does that."""
    parts: Parts = {}
    if config.validation is None:
        return parts
    for place, metric in enumerate(config.validation.metrics):
        parts[f"validation.metrics.{place}"] = partial(build_metric, metric, config.scale)
    for place, chosen in enumerate(config.validation.sets):
        parts[f"validation.sets.{place}"] = partial(_read, chosen, config, emit)
    return parts


def _read(chosen: ValidationSet, config: Config, emit: Emit) -> None:
    deque(items(chosen, config, emit), maxlen=0)


def _tried(parts: Parts) -> Iterator[Finding]:
    for name, part in parts.items():
        try:
            part()
        except VidsrError as error:
            told = str(error)
            yield Finding("error", "unreadable", name, told if told.startswith(name) else f"{name}: {told}")


def draw_sheet(config: Config, path: Path, count: int, emit: Emit = ignore) -> tuple[str, ...]:
    """The first samples of the run as a PNG, what the network gets beside what it is to make of it; their names.

    Raises InputError for bad data, OutputError where the file cannot be written.
    """
    source = build_source(config.data, config.degrade, config.scale, seed=config.seed, emit=emit)
    try:
        degrade = Degrader(config.degrade, config.scale) if isinstance(config.degrade, Classic) else None
        return write_sheet(source, path, count=count, seed=config.seed, degrade=degrade)
    finally:
        source.close()
