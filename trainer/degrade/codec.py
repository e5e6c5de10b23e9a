"""A clip through a real encoder and decoder, in memory and without a container: packets go straight from one to the
other, so there is no file, no demuxer and nothing to close but two codec contexts.

One thread per encoder and one per decoder: loaders have processes enough, and bytes must not depend on timing.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from fractions import Fraction
from functools import cache
from typing import TypeAlias

import av
import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from vidsr.frames import Plane
from vidsr.media.libav import reason
from vidsr.media.pixels import fill_frame, format_of, planes_of

from .codec_options import Codec
from .codec_settings import RATE, Settings, draw
from .codec_tally import FAILED, NOT_CODED, PREFIX
from .pixels import Clip

_log = logging.getLogger("vidsr.trainer")
Coded: TypeAlias = "Packet[VideoStream]"
_LEAST = 128
"""Pixels per side; smaller frames are padded. SVT-AV1 takes no less than 64, and x265 reads memory that it never
wrote where a picture is one block of 64 wide, so that its bytes are not always the same."""

os.environ.setdefault("SVT_LOG", "1")  # errors only: SVT-AV1 prints its banner to stderr, past FFmpeg's log


class CodingError(Exception):
    """An encoder or decoder refused a clip, or gave back another number of frames."""


def codec(clip: Clip, options: Codec, rng: np.random.Generator, tally: Counter[str]) -> Clip:
    """The clip as a decoder shows it.

    When coding fails other parameters are drawn, `options.attempts` times in all; then the clip stays as it is. Each
    failure is logged, and counted in `tally` under `codec: <coder> failed`, each clip left as it is under
    `codec: not coded`.
    """
    for _ in range(options.attempts):
        settings = draw(options, rng)
        if settings is None:
            _warn_once(f"this build of FFmpeg has none of the encoders {', '.join(options.coders)}")
            break
        try:
            coded = recode(_extended(clip, settings.lead, settings.tail, rng), settings)
        except CodingError as error:
            tally[f"{PREFIX}{settings.coder}{FAILED}"] += 1
            _log.warning("degradation: %s failed on a clip of %s: %s", settings.coder, _size(clip), error)
        else:
            tally[f"{PREFIX}{settings.coder}"] += 1
            return coded[settings.lead : settings.lead + len(clip)]
    tally[NOT_CODED] += 1
    return clip


@cache
def _warn_once(text: str) -> None:
    _log.warning("degradation: %s", text)


def _size(clip: Clip) -> str:
    return f"{len(clip)} frames of {clip.shape[2]}x{clip.shape[1]}"


def _extended(clip: Clip, lead: int, tail: int, rng: np.random.Generator) -> Clip:
    """`lead` frames before the clip and `tail` after it: its own ones, mirrored in time; of one frame, pans over it."""
    if len(clip) == 1:
        pan = rng.integers(-4, 5, 2)
        return np.stack([_panned(clip[0], step * pan) for step in range(-lead, tail + 1)])
    places = np.arange(-lead, len(clip) + tail) % (2 * len(clip) - 2)
    return np.asarray(clip[np.minimum(places, 2 * len(clip) - 2 - places)])


def _panned(frame: Clip, offset: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Clip:
    """The frame moved by `offset`, (across, down) in pixels; its edges are repeated."""
    height, width = frame.shape[:2]
    rows = np.clip(np.arange(height) - offset[1], 0, height - 1)
    columns = np.clip(np.arange(width) - offset[0], 0, width - 1)
    return np.asarray(frame[rows][:, columns], np.uint8)


def recode(clip: Clip, settings: Settings) -> Clip:
    """Encode and decode T H W 3. Sides are padded to what the encoder takes, and cut again. Raises CodingError."""
    try:
        decoded = decode(encode(clip, settings), settings)
    except (av.error.FFmpegError, ValueError, MemoryError) as error:
        raise CodingError(reason(error)) from error
    if len(decoded) != len(clip):
        raise CodingError(f"{len(decoded)} frames came back instead of {len(clip)}")
    return np.stack([settings.yuv.frame(planes)[: clip.shape[1], : clip.shape[2]] for planes in decoded])


def encode(clip: Clip, settings: Settings) -> list[Coded]:
    """The packets of a clip, in coding order."""
    clip = _padded(clip)
    context = _encoder(settings, clip.shape[2], clip.shape[1])
    packets: list[Coded] = []
    for index, frame in enumerate(clip):
        picture = fill_frame(settings.yuv.planes(frame), settings.yuv.layout, clip.shape[2], clip.shape[1])
        picture.pts, picture.time_base = index, Fraction(1, RATE)
        packets += context.encode(picture)
    return packets + context.encode(None)


def _padded(clip: Clip) -> Clip:
    """Sides even, and no smaller than encoders take, by repeating the edges; nothing else is read there."""
    down, across = (max(_LEAST, side + side % 2) - side for side in clip.shape[1:3])
    return np.pad(clip, ((0, 0), (0, down), (0, across), (0, 0)), "edge") if down or across else clip


def _encoder(settings: Settings, width: int, height: int) -> VideoCodecContext:
    context = av.CodecContext.create(settings.encoder, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, format_of(settings.yuv.layout)
    context.time_base, context.framerate = Fraction(1, RATE), Fraction(RATE)
    context.thread_count = 1
    tags = settings.yuv.tags
    context.colorspace, context.color_range = tags.matrix, 1
    context.options = settings.words(width, height)
    return context


def decode(packets: list[Coded], settings: Settings) -> list[tuple[Plane, ...]]:
    """The planes of all frames, in the order they are shown."""
    context = av.CodecContext.create(settings.decoder, "r")
    context.thread_count = 1
    assert isinstance(context, VideoCodecContext)
    frames = [frame for packet in packets for frame in context.decode(packet)]
    frames += context.decode(None)
    return [planes_of(frame, settings.yuv.layout) for frame in frames]
