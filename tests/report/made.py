"""Films whose every sample is known: FFV1 in Matroska or NUT, and noise that never repeats as sound.

Picture `n` shows a soft texture with edges, moved 3 pixels a frame; all colours and levels occur.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from vidsr.frames import PixelLayout
from vidsr.media.pixels import fill_frame

from ..clips import mux_in_order

WIDTH, HEIGHT, RATE = 128, 72, 24
LAYOUT = PixelLayout("yuv", 8, 1, 1)
Planes = tuple[NDArray[Any], ...]
SOUND_RATE = 48_000


@cache
def picture(number: int) -> Planes:
    """Y U V of 4:2:0 in limited range."""
    wide = _texture()[:, 3 * number : 3 * number + WIDTH]
    return tuple(
        np.ascontiguousarray(plane if place == 0 else cv2.resize(plane, (WIDTH // 2, HEIGHT // 2)))
        for place, plane in enumerate(np.moveaxis(wide, -1, 0))
    )


@cache
def _texture() -> NDArray[np.uint8]:
    random = np.random.default_rng(7)
    shape = (HEIGHT, WIDTH + 400, 3)
    soft = sum(
        gain * cv2.resize(random.random((HEIGHT // size + 2, shape[1] // size + 2, 3)), shape[1::-1])
        for size, gain in ((6, 0.5), (20, 0.5))
    )
    lows, spans = np.array([16, 50, 50]), np.array([219, 150, 150])
    return (lows + spans * np.clip((np.asarray(soft) - 0.15) / 0.7, 0, 1)).astype(np.uint8)


def pictures(count: int = 36) -> list[Planes]:
    return [picture(number) for number in range(count)]


def sound(seconds: float) -> NDArray[np.float32]:
    """Noise from 0 to 4 kHz at SOUND_RATE, different at every moment."""
    coarse = np.random.default_rng(3).normal(0, 0.2, int(seconds * SOUND_RATE) // 6 + 2)
    fine = np.interp(np.arange(int(seconds * SOUND_RATE)) / 6, np.arange(coarse.size), coarse)
    return np.clip(fine, -1, 1).astype(np.float32)


def write(
    path: Path,
    shown: Sequence[Planes],
    *,
    pts: Sequence[int] | None = None,
    base: Fraction = Fraction(1, 24_000),
    rate: Fraction = Fraction(RATE),
    layout: PixelLayout = LAYOUT,
    matrix: int = 1,
    full: bool = False,
    codec: str = "ffv1",
    options: dict[str, str] | None = None,
    heard: NDArray[np.float32] | None = None,
    heard_at: float = 0.0,
    heard_as: str = "pcm_s16le",
) -> Path:
    """Write the pictures, at `pts` in units of `base` or one after the other at `rate`, and the sound from `heard_at`
    seconds on."""
    stamps = list(pts) if pts is not None else [round(number / rate / base) for number in range(len(shown))]
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as output:
        video: Any = output.add_stream(codec, rate=rate, options=options or {})
        height, width = shown[0][0].shape
        video.width, video.height = width, height
        frames = [fill_frame(planes, layout, width, height) for planes in shown]
        video.pix_fmt = frames[0].format.name
        video.codec_context.time_base = base
        video.codec_context.colorspace, video.codec_context.color_range = matrix, 2 if full else 1
        audio: Any = output.add_stream(heard_as, rate=SOUND_RATE, layout="mono") if heard is not None else None
        packets = []
        for frame, stamp in zip(frames, stamps, strict=True):
            frame.pts, frame.time_base, frame.colorspace, frame.color_range = stamp, base, matrix, 2 if full else 1
            packets += video.encode(frame)
        packets += video.encode(None)
        if heard is not None:
            packets += _sound_packets(audio, heard, heard_at)
        mux_in_order(output, packets)
    return path


def _sound_packets(stream: Any, heard: NDArray[np.float32], start: float) -> list[Any]:
    packets = []
    resampler = av.AudioResampler(stream.codec_context.format.name, "mono", SOUND_RATE)
    for first in range(0, len(heard), 1024):
        part = np.rint(heard[first : first + 1024] * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
        frame.sample_rate, frame.time_base = SOUND_RATE, Fraction(1, SOUND_RATE)
        frame.pts = round(start * SOUND_RATE) + first
        packets += [packet for ready in resampler.resample(frame) for packet in stream.encode(ready)]
    return packets + stream.encode(None)
