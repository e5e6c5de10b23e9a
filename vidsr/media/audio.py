"""One audio track encoded anew: decode, resample, encode, with every sample at the time it had.

Output samples are counted from the time of the first one. Small jitter of the input's clock (containers round to
milliseconds) is not followed; a gap is filled with silence, an overlap is cut, so sound stays with picture to the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec import Codec, CodecContext
from av.container import OutputContainer
from av.packet import Packet

from ..errors import OutputError, UsageError, near_miss
from ..events import Damaged, Emit, ignore
from .cut import Cut
from .libav import reason

TOLERANCE = Fraction(1, 50)
"""Seconds by which the input's clock may differ from the count of samples before samples are added or cut."""

HELD = 2
"""Seconds of sound that are not encoded yet as long as it is unknown where an excerpt ends."""


@dataclass(frozen=True, slots=True)
class AudioEncoder:
    """An audio encoder by the name users say: its FFmpeg name, bits per second and channel, most channels it takes."""

    name: str
    libav: str
    rate_per_channel: int = 0
    channels: int = 8


AUDIO_ENCODERS = {
    encoder.name: encoder
    for encoder in (
        AudioEncoder("aac", "aac", 96_000),
        AudioEncoder("opus", "libopus", 80_000),
        AudioEncoder("mp3", "libmp3lame", 112_000, 2),
        AudioEncoder("vorbis", "libvorbis", 96_000),
        AudioEncoder("ac3", "ac3", 112_000, 6),
        AudioEncoder("eac3", "eac3", 96_000, 6),
        AudioEncoder("flac", "flac"),
        AudioEncoder("alac", "alac"),
        AudioEncoder("pcm_s16le", "pcm_s16le"),
        AudioEncoder("pcm_s24le", "pcm_s24le"),
    )
}


_USUAL_LAYOUTS = {
    1: ("mono",), 2: ("stereo",), 3: ("3.0", "2.1"), 4: ("4.0", "quad"), 5: ("5.0",), 6: ("5.1",), 7: ("6.1",),
    8: ("7.1", "7.1(wide)"),
}  # fmt: skip
"""By number of channels: what to try when an encoder refuses the layout of a track (Opus has no 5.1(side))."""


def usual_layout(channels: int) -> str:
    """The channel layout to assume where a file says only how many channels there are."""
    return _USUAL_LAYOUTS.get(channels, (f"{channels} channels",))[0]


def audio_encoder(name: str) -> AudioEncoder:
    """The encoder for --audio `name`. Raises UsageError when it is unknown or not in this FFmpeg."""
    possible = [other.name for other in AUDIO_ENCODERS.values() if other.libav in av.codecs_available]
    if name not in possible:
        miss = near_miss(name, ["copy", "none", *possible])
        what = "is not in this build of FFmpeg" if name in AUDIO_ENCODERS else "is no audio encoder"
        raise UsageError(f"--audio: {name!r} {what}{miss}", f"allowed are copy, none, {', '.join(possible)}")
    return AUDIO_ENCODERS[name]


def add_encoded(output: OutputContainer, source: AudioStream, encoder: AudioEncoder) -> AudioStream:
    """A new stream of `output` for `source` encoded anew, at its rate and layout or the nearest the encoder has.

    Raises OutputError when the encoder takes none; `encoded_layout` tells beforehand.
    """
    layout = encoded_layout(source, encoder)
    if layout is None:
        raise OutputError(f"audio #{source.index} cannot be encoded as {encoder.name}")
    target = output.add_stream(encoder.libav, rate=_nearest_rate(source.rate, encoder))
    assert isinstance(target, AudioStream)
    _configure(target.codec_context, source, encoder, layout)
    return target


def encoded_layout(source: AudioStream, encoder: AudioEncoder) -> str | None:
    """The channel layout in which `encoder` will code `source`, found by opening it without a file; None if none fits.

    It is that of the source, else one of as many channels, else stereo.
    """
    if not source.rate or not source.channels:
        return None
    usual = _USUAL_LAYOUTS.get(min(source.channels, encoder.channels), ())
    said = () if source.layout.name.endswith(" channels") else (source.layout.name,)
    return next((name for name in dict.fromkeys((*said, *usual, "stereo")) if _opens(source, encoder, name)), None)


def _opens(source: AudioStream, encoder: AudioEncoder, layout: str) -> bool:
    if AudioLayout(layout).nb_channels > encoder.channels:
        return False
    context = CodecContext.create(encoder.libav, "w")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate = _nearest_rate(source.rate, encoder)
    _configure(context, source, encoder, layout)
    try:
        context.open()
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def _configure(context: AudioCodecContext, source: AudioStream, encoder: AudioEncoder, layout: str) -> None:
    names = [fmt.name for fmt in context.codec.audio_formats or ()]
    context.layout = layout
    context.format = source.format.name if source.format.name in names else _deepest(names)
    context.bit_rate = encoder.rate_per_channel * AudioLayout(layout).nb_channels
    context.time_base = Fraction(1, context.sample_rate)


def _nearest_rate(rate: int, encoder: AudioEncoder) -> int:
    """`rate`, else the next higher that `encoder` has, else its highest."""
    allowed = Codec(encoder.libav, "w").audio_rates
    if not allowed or rate in allowed:
        return rate
    return min((other for other in allowed if other > rate), default=max(allowed))


def _deepest(names: list[str]) -> str:
    ranking = ("fltp", "flt", "s32p", "s32", "s16p", "s16")
    return min(names, key=lambda name: ranking.index(name) if name in ranking else len(ranking))


class Transcoder:
    """Encodes the packets of one audio stream anew. Packets that cannot be decoded are told and become silence."""

    def __init__(
        self, source: AudioStream, target: AudioStream, offset: Fraction, emit: Emit = ignore, cut: Cut | None = None
    ) -> None:
        self.source, self.target, self.offset, self.emit, self.cut = source, target, offset, emit, cut
        self.failures = 0
        self._rate = target.rate
        self._resampler = AudioResampler(target.format.name, target.layout, self._rate)
        self._fifo = AudioFifo()
        self._written: int | None = None
        """Number of the next sample to go into the queue; sample 0 is at time 0."""
        self._read = 0
        self._overlap = 0
        """Samples to cut, because they lie at a time that was already written."""

    def take(self, packet: Packet[Any]) -> list[Packet[Any]]:
        """The packets that are ready after `packet`."""
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            self.failures += 1
            seconds = float(packet.pts * packet.time_base) if packet.pts is not None else 0.0
            self.emit(Damaged(seconds, f"audio could not be decoded, silence in its place: {reason(error)}"))
            return []
        for frame in frames:
            assert isinstance(frame, AudioFrame)
            self._place(frame)
        return self._encode(partial=False)

    def finish(self) -> list[Packet[Any]]:
        """What the decoder, the resampler and the encoder still hold."""
        for frame in self._decode_rest():
            self._place(frame)
        if self._written is not None:
            for rest in self._resampler.resample(None):
                self._append(rest)
        packets = self._encode(partial=True)
        return packets + (self.target.encode(None) if self._written is not None else [])

    def _decode_rest(self) -> list[AudioFrame]:
        try:
            return list(self.source.codec_context.decode(None))
        except (av.error.FFmpegError, EOFError):
            return []  # nothing was held back

    def _place(self, frame: AudioFrame) -> None:
        """Resample `frame` and append it where its time says."""
        if frame.pts is not None and frame.time_base:
            due = round((frame.pts * frame.time_base + self.offset) * self._rate)
            self._align(due)
        elif self._written is None:
            self._written = self._read = 0
        frame.pts = None  # the samples are counted here; the resampler would reject a jump
        for ready in self._resampler.resample(frame):
            self._append(ready)

    def _align(self, due: int) -> None:
        """Bring the count of samples to `due`: begin there, or fill a gap, or mark what overlaps to be cut."""
        if self._written is None:
            self._written = self._read = due if self.cut is None else max(0, due)
            self._overlap = self._written - due
            return
        if abs(due - (self._written - self._overlap)) <= TOLERANCE * self._rate:
            return
        self._overlap = max(0, self._written - due)
        self._silence(due - self._written)

    def _silence(self, samples: int) -> None:
        while samples > 0:
            count = min(samples, self._rate)
            frame = AudioFrame(self.target.format.name, self.target.layout.name, count)
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.sample_rate = self._rate
            self._append(frame)
            samples -= count

    def _append(self, frame: AudioFrame) -> None:
        assert self._written is not None
        cut = min(self._overlap, frame.samples)
        self._overlap -= cut
        if cut == frame.samples:
            return
        if cut:
            frame = _without_first(frame, cut)
        frame.pts = None
        self._fifo.write(frame)
        self._written += frame.samples

    def _encode(self, partial: bool) -> list[Packet[Any]]:
        size = self.target.codec_context.frame_size or 4096
        packets: list[Packet[Any]] = []
        while (frame := self._next(size, partial)) is not None:
            frame.pts, frame.time_base = self._read, Fraction(1, self._rate)
            self._read += frame.samples
            packets += self.target.encode(frame)
        return packets

    def _next(self, size: int, partial: bool) -> AudioFrame | None:
        """The next samples to encode: none behind the end of an excerpt, nor what that end, still unknown, may cut."""
        if self.cut is None or not self.cut.ends:
            return self._fifo.read(size, partial)
        if self.cut.end is None:
            ready = partial or self._fifo.samples >= size + HELD * self._rate
            return self._fifo.read(size, partial) if ready else None
        left = round((self.cut.end - self.cut.begin) * self._rate) - self._read
        return self._fifo.read(min(size, left), partial or left < size) if left > 0 else None


def _without_first(frame: AudioFrame, count: int) -> AudioFrame:
    """A copy of `frame` without its first `count` samples."""
    samples: Any = frame.to_ndarray()
    step = 1 if frame.format.is_planar else len(frame.layout.channels)
    rest = AudioFrame.from_ndarray(
        np.ascontiguousarray(samples[:, count * step :]), frame.format.name, frame.layout.name
    )
    rest.sample_rate = frame.sample_rate
    return rest
