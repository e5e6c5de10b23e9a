"""Some frames of the input, from a time on: as they are, enlarged by bicubic interpolation, and coded like that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.codec.context import CodecContext
from torch import Tensor

from ..ends import opened
from ..events import ignore
from ..excerpt import excerpt_of
from ..frames import ColorTags, Orientation, PixelLayout, Plane, RawFrame, VideoTraits
from ..media.color import resolve
from ..media.pixels import fill_frame, planes_of
from ..media.traits import traits_of
from ..options import Options
from ..prepare import Plan
from ..runtime.planes import ToRGB, orient, resample
from ..stages.decode import Decoder, Expected, first_picture, pictures
from ..stages.source import packets
from .model import Picture


@dataclass
class Coded:
    """Bytes of coded pictures: of those that stand alone, and of the others."""

    keys: list[int]
    others: list[int]

    def __add__(self, other: Coded) -> Coded:
        return Coded(self.keys + other.keys, self.others + other.others)


def start_text(seconds: float) -> str:
    """A time as --start takes it."""
    return f"{max(0.0, seconds):.6f}"


@dataclass(frozen=True)
class Input:
    """A film to read from, in several places. `traits` are those of its pictures as stored, every tag resolved."""

    path: Path
    options: Options
    traits: VideoTraits

    @staticmethod
    def of(plan: Plan) -> Input:
        return Input(plan.input, plan.options, colours(plan.source))

    @staticmethod
    def read(path: Path, options: Options) -> Input:
        """The same without a plan. Raises InputError."""
        with closing(opened(path, None, options)) as source:
            decoded = pictures(packets(source, lambda packet: None, ignore), source.decoder, ignore)
            first, _ = first_picture(decoded, path)
            traits = colours(traits_of(first, source.video))
            traits = replace(traits, rate=traits.rate or source.rate)
            tags = replace(traits.color, siting=traits.color.siting or source.siting)
            color, _ = resolve(tags, traits.layout, traits.width, traits.height, source.video.codec_context.name)
        return Input(path, options, replace(traits, color=color))

    def picture(self, frame: RawFrame, size: tuple[int, int] | None = None) -> Picture:
        """A frame as a screen shows it; see `Shown.picture`."""
        assert isinstance(frame.planes, tuple), "it was decoded in software"
        return Shown(self.traits.layout, self.traits.color, self.traits.orientation).picture(frame.planes, size)


def source_frames(input: Input, seconds: float, count: int) -> Iterator[RawFrame]:
    """At most `count` pictures of the input from that time on, deinterlaced as asked, without transparency."""
    asked = {"start": start_text(seconds) if seconds > 0 else None, "end": None, "frames": count, "fps": None}
    options = input.options.model_copy(update=asked | {"hwaccel": "none"})
    with closing(opened(input.path, None, options)) as source:
        excerpt = excerpt_of(options, source)
        expected = Expected(source.decoder)
        read = excerpt.entered(packets(source, lambda packet: None, ignore, expected.owe), source, options.max_pixels)
        expected.amid = excerpt.start is not None
        decoded = excerpt.led(pictures(expected.watch(read), source.decoder, ignore))
        decoder = Decoder(input.traits, options.deinterlace, ignore)
        frames = decoder.raw_frames(chain(excerpt.lead, decoded), expected)
        yield from excerpt.frames(frames, iter(()), source)


def colours(traits: VideoTraits) -> VideoTraits:
    """The traits without transparency."""
    return replace(traits, layout=traits.layout.colours)


class Shown:
    """Pictures of one kind as a screen shows them: upright RGB. HDR is not mapped to what a screen can show."""

    def __init__(self, layout: PixelLayout, color: ColorTags, orientation: Orientation | None = None) -> None:
        self._convert = ToRGB(layout, color, device="cpu")
        self._orientation = orientation or Orientation()

    def tensor(self, planes: tuple[Plane, ...]) -> Tensor:
        """1 3 H W, float32 RGB in [0, 1]."""
        given = tuple(torch.from_numpy(np.array(plane))[None] for plane in planes)
        return orient(self._convert(given), self._orientation)

    def picture(self, planes: tuple[Plane, ...], size: tuple[int, int] | None = None) -> Picture:
        """H W 3, uint8 RGB; resampled by cubic interpolation (a = -0.5) to `size`, (width, height), if it is given."""
        rgb = self.tensor(planes)
        return to_picture(rgb if size is None else resample(rgb, size[1], size[0]))


def to_picture(rgb: Tensor) -> Picture:
    """1 3 H W float RGB in [0, 1] to H W 3 uint8."""
    codes = rgb[0].mul(255).add_(0.5).clamp_(0, 255).to(torch.uint8)
    return np.ascontiguousarray(codes.permute(1, 2, 0).numpy())


def decoded(path: Path, size: tuple[int, int] | None = None) -> Iterator[tuple[float, Picture]]:
    """The pictures of a film that vidsr wrote, from its first on: seconds and RGB; see `Shown.picture`."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        shown: Shown | None = None
        for frame in container.decode(video):
            traits = colours(traits_of(frame, video))
            if shown is None:
                color, _ = resolve(traits.color, traits.layout, traits.width, traits.height, video.codec_context.name)
                shown = Shown(traits.layout, color, traits.orientation)
            yield float((frame.pts or 0) * traits.time_base), shown.picture(planes_of(frame, traits.layout), size)


def coded_sizes(path: Path) -> Coded:
    """Bytes of the coded pictures of a film."""
    with av.open(str(path)) as container:
        return _sizes(packet for packet in container.demux(video=0) if packet.size)


def _sizes(packets: Iterable[Any]) -> Coded:
    keys: list[int] = []
    others: list[int] = []
    for packet in packets:
        (keys if packet.is_keyframe else others).append(packet.size)
    return Coded(keys, others)


def bicubic_sizes(plan: Plan, frames: Iterable[RawFrame]) -> Coded:
    """What the planned encoder makes of `frames`, enlarged without a network by FFmpeg's bicubic interpolation."""
    encoder = _encoder(plan)
    made: list[Any] = []
    for number, frame in enumerate(frames):
        planes = frame.planes
        assert isinstance(planes, tuple), "it was decoded in software"
        picture = fill_frame(planes, plan.source.layout.colours, plan.source.width, plan.source.height)
        size = {"width": encoder.width, "height": encoder.height}
        large = picture.reformat(**size, format=plan.pix_fmt, interpolation="BICUBIC", threads=1)
        large.pts, large.time_base = number, encoder.time_base
        made += encoder.encode(large)
    return _sizes([*made, *encoder.encode(None)])


def _encoder(plan: Plan) -> Any:
    """The planned encoder, for pictures as they are stored."""
    context: Any = CodecContext.create(plan.encoder.libav, "w")
    width, height = plan.target.width, plan.target.height
    swapped = plan.source.orientation.swaps_sides
    context.width, context.height = (height, width) if swapped else (width, height)
    rate = plan.target.rate or Fraction(25)
    context.pix_fmt, context.time_base, context.framerate = plan.pix_fmt, 1 / rate, rate
    context.options = dict(plan.settings)
    return context
