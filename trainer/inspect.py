"""Everything that a run needs, looked at before it begins: weights, every file of the data, and some samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from .nets import build as build_discriminator


def inspect(config: Config, emit: Emit = ignore) -> Iterator[Finding]:
    """What is worth knowing of the weights and the data, as it is found; an error would end a run, or cost it files."""
    yield from _weights(config, emit)
    try:
        yield from check(config.data, config.scale, emit)
    except VidsrError as error:
        yield Finding("error", "unreadable", "data", str(error))


def _weights(config: Config, emit: Emit) -> Iterator[Finding]:
    """Weights that are missing or do not fit: of the networks, and of losses that measure by networks."""
    gan = config.gan
    parts: dict[str, Callable[[], object]] = {"net": lambda: generator.build(config.net, config.scale, emit)}
    if gan:
        parts["gan.discriminator"] = lambda: build_discriminator(gan.discriminator)
    for place, options in enumerate(config.losses):
        parts[f"losses.{place}"] = lambda options=options: build_loss(options)  # type: ignore[misc]
    for name, build in parts.items():
        try:
            build()
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
