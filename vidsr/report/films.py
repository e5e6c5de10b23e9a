"""A film to be measured: its pictures upright, in order, on a clock that begins with the first of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..events import Concealed, Damaged, Emit, Event, Repeated, ignore
from ..frames import Orientation, PixelLayout, Plane, VideoTraits
from ..media.color import code_range, resolve
from ..media.pipes import is_stream
from ..media.traits import traits_of
from ..options import Options
from ..stages.decode import Decoder, Expected, first_picture, pictures
from ..stages.source import Source, open_source, packets

THUMB = (64, 36)
"""Width and height of the small pictures by which content is recognised."""
PROBED = 600
"""Packets whose times tell the rate of a film."""

Thumb = NDArray[np.float32]
"""THUMB, H W: luma (of RGB: green) from 0, black, to 255, white."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture: planes H W or h w, uint8 or uint16, upright, without transparency.

    `number` counts from 0; `time` is in seconds from the first picture of the film.
    """

    planes: tuple[Plane, ...]
    number: int
    time: float
    thumb: Thumb


@dataclass
class Film:
    """An open film. `traits` are those of its pictures as they are shown: upright, every colour tag resolved."""

    path: Path
    source: Source
    traits: VideoTraits
    begin: Fraction
    """Seconds at which the first picture is shown, on the clock of the file."""
    guesses: tuple[str, ...]
    """What the file does not say of its colours."""
    damage: list[Event]
    """What could not be decoded as it was meant, as far as the pictures were taken."""
    pictures: Iterator[Picture]
    """All of them, once, in order."""


@contextmanager
def opened(path: Path, emit: Emit = ignore) -> Iterator[Film]:
    """The film at `path`, interlaced ones deinterlaced. Raises InputError, or UsageError for a pipe."""
    if is_stream(path):
        raise UsageError(f"{path} is a pipe; films are compared as files", "write it to a file first")
    source = open_source(path, Options().max_pixels)
    try:
        yield _film(source, emit)
    finally:
        source.close()


def _film(source: Source, emit: Emit) -> Film:
    damage: list[Event] = []

    def tell(event: Event) -> None:
        if isinstance(event, Concealed | Damaged | Repeated):
            damage.append(event)
        emit(event)

    expected = Expected(source.decoder)
    read = packets(source, lambda packet: None, tell)
    first, decoded = first_picture(pictures(expected.watch(read), source.decoder, tell), source.path)
    stored = traits_of(first, source.video)
    stored = replace(stored, layout=stored.layout.colours)
    tags = replace(stored.color, siting=stored.color.siting or source.siting)
    color, guesses = resolve(tags, stored.layout, stored.width, stored.height, source.video.codec_context.name)
    shown = replace(stored.upright(), color=color, layout=_turned_layout(stored.layout, stored.orientation))
    begin = (first.pts or 0) * stored.time_base
    frames = Decoder(stored, "auto", tell).raw_frames(decoded, expected)
    turned = ((_turned(frame.planes, stored.orientation), frame.pts) for frame in frames)
    made = (
        Picture(planes, number, float(pts * stored.time_base - begin), thumb_of(planes, shown))
        for number, (planes, pts) in enumerate(turned)
    )
    return Film(source.path, source, shown, begin, guesses, damage, made)


def _turned_layout(layout: PixelLayout, orientation: Orientation) -> PixelLayout:
    return replace(layout, log2_w=layout.log2_h, log2_h=layout.log2_w) if orientation.swaps_sides else layout


def _turned(planes: object, orientation: Orientation) -> tuple[Plane, ...]:
    assert isinstance(planes, tuple)  # no hardware decoder is asked for
    if orientation == Orientation():
        return planes
    mirrored = [plane[:, ::-1] if orientation.mirror else plane for plane in planes]
    return tuple(np.ascontiguousarray(np.rot90(plane, -orientation.turns)) for plane in mirrored)


def thumb_of(planes: tuple[Plane, ...], traits: VideoTraits) -> Thumb:
    """The small picture of `planes`, which are as `traits` say."""
    layout = traits.layout
    black, span = code_range(layout, bool(traits.color.full_range), chroma=False)
    small = cv2.resize(planes[1 if layout.family == "rgb" else 0], THUMB, interpolation=cv2.INTER_AREA)
    return np.asarray((small.astype(np.float32) - black) * (255 / span), np.float32)


def step_of(path: Path) -> float | None:
    """The usual number of seconds from one picture to the next at the beginning of a film; None: there is but one."""
    source = open_source(path, Options().max_pixels)
    try:
        read = islice(packets(source, lambda packet: None, ignore), PROBED)
        times = sorted(packet.pts * packet.time_base for packet in read if packet.size and packet.pts is not None)
    finally:
        source.close()
    steps = [later - earlier for earlier, later in pairwise(times) if later > earlier]
    return float(median(steps)) if steps else None
