"""How late the sound of one film is against that of another, by correlation of what is heard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from ..media.libav import open_input

RATE = 8000
"""Samples per second that are compared."""
BLOCK = 20
"""Seconds that are compared at once."""
FARTHEST = 2
"""Seconds by which sound may be off."""
JITTER = RATE // 50
"""Samples by which the clock of a file may differ from the count of samples: containers round to milliseconds."""
LONGEST = 3600 * RATE
"""Samples of a gap above which a clock is taken to have jumped, and is not followed."""
ALIKE = 0.4
"""Correlation below which two sounds are not the same."""
SILENT = 1e-4
"""Root mean square, of 1, below which nothing is heard."""

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Offset:
    """The second sound is `late` seconds behind the first around `time` (seconds from the first picture)."""

    time: float
    late: float
    alike: float
    """Correlation at that offset, up to 1."""


def offsets(first: Path, second: Path, begins: tuple[Fraction, Fraction]) -> Iterator[Offset]:
    """The offset of the main sound of two films, block by block; none where either is silent or they are not alike.

    `begins` are the seconds at which their pictures begin, each on the clock of its file. Raises InputError.
    """
    blocks = zip_longest(*(sound(path, begin) for path, begin in zip((first, second), begins, strict=True)))
    for number, (one, two) in enumerate(blocks):
        if one is None or two is None or min(_loudness(one), _loudness(two)) < SILENT:
            continue
        late, alike = lateness(one, two)
        if alike >= ALIKE:
            yield Offset((number + 0.5) * BLOCK if number else min(BLOCK, len(one) / RATE) / 2, late, alike)


def _loudness(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if samples.size else 0.0


def lateness(first: Samples, second: Samples) -> tuple[float, float]:
    """(seconds by which `second` is behind `first`, correlation there), by cross-correlation to a sample.

    It is over the energy of all that was heard, so that of the peaks that a periodic sound has the one with the most
    overlap wins. Lags at which less than half overlaps are out of reach.
    """
    size = 1 << int(np.ceil(np.log2(len(first) + len(second))))
    products = np.fft.irfft(np.conj(np.fft.rfft(first, size)) * np.fft.rfft(second, size), size)
    reach = min(FARTHEST * RATE, min(len(first), len(second)) // 2)
    lags = np.arange(-reach, reach + 1)
    energy = np.sqrt(np.sum(np.square(first, dtype=np.float64)) * np.sum(np.square(second, dtype=np.float64)))
    at = products[lags] / max(energy, 1e-12)
    best = int(at.argmax())
    return float(lags[best] / RATE), float(at[best])


def sound(path: Path, begin: Fraction) -> Iterator[Samples]:
    """The main sound, mono at RATE, -1 … 1, in blocks of BLOCK seconds from `begin` on; nothing without sound.

    Every sample is at the time it has in the file: gaps are silent, what overlaps is cut.
    """
    with open_input(path) as container:
        stream = main_sound(container)
        if stream is not None:
            yield from _blocks(_placed(container, stream, begin))


def main_sound(container: InputContainer) -> AudioStream | None:
    """The default track, else the first."""
    tracks = [stream for stream in container.streams.audio if stream.codec_context is not None]
    preferred = [stream for stream in tracks if stream.disposition & av.stream.Disposition.default]
    return next(iter(preferred or tracks), None)


def _placed(container: InputContainer, stream: AudioStream, begin: Fraction) -> Iterator[Samples]:
    """Pieces that follow each other without a gap from `begin` on."""
    done = 0
    for frame in _resampled(container, stream):
        samples = frame.to_ndarray().reshape(-1)
        if frame.pts is not None:
            at = round((frame.pts * Fraction(frame.time_base or 0) - begin) * RATE)
            if done + LONGEST > at > done + JITTER or (done == 0 < at < LONGEST):
                yield from _silence(at - done)
                done = at
            elif at < done - JITTER or (done == 0 and at < 0):
                samples = samples[done - at :]
        done += len(samples)
        yield samples


def _silence(count: int) -> Iterator[Samples]:
    """In pieces, however long."""
    for start in range(0, count, RATE):
        yield np.zeros(min(RATE, count - start), np.float32)


def _resampled(container: InputContainer, stream: AudioStream) -> Iterator[Any]:
    resampler = AudioResampler("flt", "mono", RATE)
    for packet in container.demux(stream):
        try:
            decoded = stream.codec_context.decode(packet if packet.size else None)
        except (av.error.FFmpegError, EOFError):
            continue  # what is not heard stays silent, and is told where packets are read for the pictures
        for frame in decoded:
            yield from resampler.resample(frame)
    yield from resampler.resample(None)


def _blocks(pieces: Iterator[Samples]) -> Iterator[Samples]:
    """The same samples in blocks of equal length, of which the last may be shorter."""
    size, held, length = BLOCK * RATE, list[Samples](), 0
    for piece in pieces:
        while piece.size:
            part, piece = piece[: size - length], piece[size - length :]
            held.append(part)
            length += part.size
            if length == size:
                yield np.concatenate(held)
                held, length = [], 0
    if held:
        yield np.concatenate(held)
