"""Composite video: NTSC or PAL, encoded and decoded as a signal.

A row of the frame is one line, resampled to four samples per cycle of the colour carrier, where sine and cosine of the
carrier are 0 and ±1. Coder: U and V (SMPTE 170M, ITU-R BT.1700), limited in bandwidth, modulate the carrier in
quadrature and are added to the luma. Decoder: what lies around the carrier is taken for chroma, demodulated by the
same two phases and limited again; the rest is taken for luma. Nothing is drawn onto the picture: dots crawl because a
part of the chroma at coloured edges stays in the luma and the carrier's phase moves from line to line and frame to
frame, and rainbows are fine luma taken for chroma.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..pixels import Clip, Floats, Frame, rounded
from ..step_options import Composite
from ..walk import chance, uniform

_YUV = np.array([[0.299, 0.587, 0.114], [-0.147141, -0.288869, 0.436010], [0.614975, -0.514965, -0.100010]])
"""Analogue Y, U, V of gamma-coded RGB."""
_TAPS = 33
"""Of the filters; at four samples a cycle they span eight cycles of the carrier."""
_MARGIN = 32
"""Samples of a line beyond both edges of the picture, so that the filters see a carrier there too."""
Lines = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class System:
    """`samples` seen of a line, at four times the carrier `mhz`; `cycles` of it in a whole line, `lines` in a frame."""

    samples: int
    mhz: float
    cycles: float
    lines: int
    alternating: bool
    """Whether V changes its sign from line to line, which is what the name PAL stands for."""


NTSC = System(754, 3.579545, 227.5, 525, False)
PAL = System(922, 4.43361875, 283.7516, 625, True)


def composite(clip: Clip, options: Composite, rng: np.random.Generator) -> Clip:
    """All frames through one coder, wire and decoder; the carrier goes on from frame to frame."""
    system = PAL if chance(rng, options.pal) else NTSC
    comb, interlaced = chance(rng, options.comb), chance(rng, options.interlaced)
    neighbours = (2 if interlaced else 1) if comb else 0
    notch = band_pass((1.3 if comb else uniform(rng, options.notch)) / (4 * system.mhz))
    low = low_pass(uniform(rng, options.chroma_bandwidth) / (4 * system.mhz))
    strength, start = uniform(rng, options.noise), int(rng.integers(4))
    frames = []
    for index, frame in enumerate(clip, start):
        lines = line_numbers(system, index, len(frame), interlaced)
        signal = encode(frame, system, lines, low)
        signal += np.float32(strength) * rng.standard_normal(signal.shape, np.float32)
        frames.append(decode(signal, system, lines, low, notch, frame.shape[1], comb=neighbours))
    return np.stack(frames)


def line_numbers(system: System, frame: int, rows: int, interlaced: bool) -> Lines:
    """H whole numbers: how many lines after the first of frame 0 each row is sent."""
    y = np.arange(rows)
    within = y // 2 + y % 2 * (system.lines // 2 + 1) if interlaced else y
    return frame * system.lines + within


def encode(frame: Frame, system: System, lines: Lines, low: Floats) -> Floats:
    """H S float32: the composite signal of a frame, black 0 and white 1; S is `system.samples` and two margins."""
    wide = cv2.resize(frame, (system.samples, len(frame)), interpolation=_kernel(frame.shape[1], system.samples))
    wide = cv2.copyMakeBorder(wide, 0, 0, _MARGIN, _MARGIN, cv2.BORDER_REPLICATE)
    y, u, v = np.moveaxis(np.asarray(cv2.transform(wide.astype(np.float32) / 255, _YUV), np.float32), 2, 0)
    sine, cosine = carriers(system, lines)
    return np.asarray(y + _along(u, low) * sine + _along(v, low) * cosine, np.float32)


def decode(
    signal: Floats, system: System, lines: Lines, low: Floats, notch: Floats, width: int, *, comb: int
) -> Frame:  # fmt: skip
    """The frame of `width` that a decoder sees in a signal.

    `comb` is the distance in rows of lines that follow each other in a field, 0 for a decoder without a comb: it takes
    out of the luma what passes `notch`, and demodulates all there is. A comb takes for chroma only what changes its
    sign from line to line; in PAL, where the phase moves by a quarter, to the line after the next.
    """
    sine, cosine = carriers(system, lines)
    around = _along(signal, notch)
    if comb:
        reach = comb * (2 if system.alternating else 1)
        above, below = _moved(around, reach), _moved(around, -reach)
        around = 0.5 * around - 0.25 * (above + below)
    chroma = around if comb else signal
    u, v = 2 * _along(chroma * sine, low), 2 * _along(chroma * cosine, low)
    seen = cv2.merge([signal - around, u, v])[:, _MARGIN:-_MARGIN]
    rgb = cv2.transform(seen, np.linalg.inv(_YUV)) * np.float32(255)
    return rounded(cv2.resize(rgb, (width, len(signal)), interpolation=_kernel(system.samples, width)))


def carriers(system: System, lines: Lines) -> tuple[Floats, Floats]:
    """Two H S float32: the carriers of U and of V."""
    phase = 2 * np.pi * ((lines * system.cycles) % 1)[:, None]
    along = np.arange(-_MARGIN, system.samples + _MARGIN)[None] * (np.pi / 2)
    sine = np.sin(along) * np.cos(phase) + np.cos(along) * np.sin(phase)
    cosine = np.cos(along) * np.cos(phase) - np.sin(along) * np.sin(phase)
    sign = np.where(lines % 2, -1, 1)[:, None] if system.alternating else 1
    return sine.astype(np.float32), (sign * cosine).astype(np.float32)


def low_pass(cutoff: float) -> Floats:
    """Taps of a filter that passes frequencies below `cutoff` (cycles per sample): a windowed sinc with sum 1."""
    t = np.arange(_TAPS) - _TAPS // 2
    taps = np.sinc(2 * cutoff * t) * np.hamming(_TAPS)
    return np.asarray(taps / taps.sum(), np.float32)


def band_pass(reach: float) -> Floats:
    """Taps of the filter around the carrier, which is at a quarter of the sampling frequency: 1 there, 0 for gray.

    `reach` is half its width in cycles per sample.
    """
    carrier = np.cos(np.pi / 2 * (np.arange(_TAPS) - _TAPS // 2))
    taps = low_pass(reach) * carrier
    taps -= taps.mean()
    return np.asarray(taps / (taps @ carrier), np.float32)


def _along(values: Floats, taps: Floats) -> Floats:
    """Filtered along the lines."""
    return np.asarray(
        cv2.sepFilter2D(values, -1, taps, np.ones(1, np.float32), borderType=cv2.BORDER_REPLICATE), np.float32
    )


def _moved(values: Floats, rows: int) -> Floats:
    """Row y of the result is row y - `rows`; beyond the picture comes the row of the same kind inside."""
    places = np.arange(len(values)) - rows
    outside = (places < 0) | (places >= len(values))
    inside = np.clip(np.where(outside, places + 2 * rows, places), 0, len(values) - 1)
    return np.asarray(values[inside], np.float32)


def _kernel(before: int, after: int) -> int:
    return cv2.INTER_AREA if after < before else cv2.INTER_CUBIC
