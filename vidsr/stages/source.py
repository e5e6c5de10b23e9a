"""1. The input as a stream of packets, on a continuous clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from ..errors import InputError
from ..events import Damaged, Emit, Notice
from ..frames import Siting
from ..media.animations import ANIMATIONS, Animation, read_animation
from ..media.claims import Claims, read_claims
from ..media.completeness import Seen
from ..media.forms import Form
from ..media.image_files.header import Metadata
from ..media.libav import main_video, open_input, reason
from ..media.pipes import Reader, is_stream
from ..media.plain import Y4M, Header, head_of, read_header
from ..media.timeline import Continuity

MAX_FAILURES = 8
"""Reads that may fail in a row before the rest of the input is given up (PySceneDetect's bound)."""


Owe = Callable[[int], None]
"""Is told the pts of a picture that should be there and is not."""
Feed = Callable[[VideoStream, Emit, Owe], "Iterator[Packet[Any]]"]
"""Makes the packets of a stream, and the flush packet at the end."""


@dataclass
class Source:
    """An open input and what was seen of it so far."""

    path: Path
    container: InputContainer
    video: VideoStream
    claims: Claims
    seen: dict[int, Seen] = field(default_factory=dict)
    """What was read of each stream."""
    notes: tuple[Notice, ...] = ()
    """What should be said of how it is decoded."""
    reader: Reader | None = None
    """What reads it where it is no file."""
    form: Form | None = None
    """How it is to be read, where its bytes do not say it."""
    feed: Feed | None = None
    """What makes its packets where the container does not, or not with the right times."""
    numbers: dict[int, int] | None = None
    """The number of each picture by its pts, where the input is numbered."""
    animation: Animation | None = None
    """What a GIF or APNG says of its delays; those of FFmpeg are rounded."""
    kept: dict[int, Metadata] | None = None
    """Metadata of each picture by its pts, for an output of pictures."""
    siting: Siting | None = None
    """Where its chroma samples lie, as far as its container says it and FFmpeg does not."""
    with_alpha: VideoCodecContext | None = None
    """A decoder that gives the transparency too, where the stream's own does not and it is wanted."""

    @property
    def decoder(self) -> VideoCodecContext:
        """What decodes its video."""
        return self.with_alpha or self.video.codec_context

    @property
    def end(self) -> Fraction:
        """Seconds at which the last packet of any stream ends."""
        return max((seen.end for seen in self.seen.values()), default=Fraction(0))

    @property
    def rate(self) -> Fraction | None:
        """Frames per second as they were given for raw planes."""
        return self.form.rate if self.form else None

    def watch(self, check: Callable[[], None]) -> None:
        """Call `check` while waiting for the writer of a pipe; what it raises ends the reading."""
        if self.reader is not None:
            self.reader.check = check

    def close(self) -> None:
        self.container.close()
        if self.reader is not None:
            self.reader.close()

    def reopen(self, max_pixels: int, hwaccel: HWAccel) -> None:
        """Open the input again, to decode by `hwaccel`; nothing was read of it yet."""
        other = open_source(self.path, max_pixels, hwaccel, self.form)
        self.close()
        self.container, self.video = other.container, other.video


def open_source(path: Path, max_pixels: int, hwaccel: HWAccel | None = None, form: Form | None = None) -> Source:
    """Open `path` for reading; its decoder refuses frames over `max_pixels`. Raises InputError if it is unusable."""
    reader = Reader(path) if is_stream(path) else None
    header = read_header(reader.head if reader else head_of(path))
    _check_pixels(*(form.size if form and form.size else (header.width, header.height)), path, max_pixels)
    container = open_input(reader or path, hwaccel, form)
    try:
        video = main_video(container, path)
        video.codec_context.options = {"max_pixels": str(max_pixels)}  # av.open would keep it from the decoder
        video.thread_type = "NONE" if hwaccel else "AUTO"  # the chip works in parallel by itself
        _check_pixels(video.codec_context.width, video.codec_context.height, path, max_pixels)
        claims = _with_length(read_claims(container, video, path), header)
        source = Source(path, container, video, claims, reader=reader, form=form, siting=header.siting)
        return source if reader or claims.format not in ANIMATIONS else animated(source)
    except BaseException:
        container.close()
        raise


def _with_length(claims: Claims, header: Header) -> Claims:
    """The claims with the number of frames that a Y4M states; FFmpeg guesses one from the size of the file."""
    return replace(claims, frames=header.frames) if claims.format == Y4M else claims


def animated(source: Source) -> Source:
    """The same animation with what its skeleton says: exact times, how many pictures there are, what is missing."""
    found = source.animation = read_animation(source.path)
    if found is not None and found.delays:
        source.video.time_base, _ = found.clock
        source.claims = replace(source.claims, frames=len(found.delays), fault=found.fault)
        source.notes = tuple(map(Notice, _spoken(found)))
    return source


def _spoken(animation: Animation) -> Iterator[str]:
    yield f"the animation is played {animation.plays} times" if animation.plays else "the animation is played for ever"
    if animation.hasty:
        yield f"{animation.hasty} pictures have a delay too short to be shown, and get what players give them"


def _check_pixels(width: int, height: int, path: Path, limit: int) -> None:
    if width * height > limit:
        what = f"input {path}: a frame of {width}x{height} exceeds the limit of {limit} pixels"
        raise InputError(what, "--max-pixels raises it")


def packets(
    source: Source, carry: Callable[[Packet[Any]], None], emit: Emit, owe: Owe = lambda pts: None
) -> Iterator[Packet[Any]]:
    """The packets of the video stream, in order; all others go to `carry`. Ends with the flush packet.

    `owe` gets the pts of pictures that are known to be missing.
    """
    continuity = Continuity(emit)
    for packet in _demux(source, emit) if source.feed is None else source.feed(source.video, emit, owe):
        of_video = packet.stream.index == source.video.index  # flush packets have a stream, but no stream_index
        if packet.size and of_video and source.animation is not None:
            _retime(packet, source, source.animation)
        if packet.size:
            _place(packet, source, continuity)
        if of_video:
            yield packet
        elif packet.size:
            if packet.is_corrupt:  # a transport packet of it is missing; pictures carry the flag out of the decoder
                kind = f"{packet.stream.type} #{packet.stream_index}"
                emit(Damaged(float(source.end), f"damaged packet of {kind} carried as it is"))
            carry(packet)


def _demux(source: Source, emit: Emit) -> Iterator[Packet[Any]]:
    """Every packet of the container. A read that fails is told and tried again behind the damage, a few times."""
    failures, flushed, end = 0, False, 0
    while failures < MAX_FAILURES:
        try:
            for packet in source.container.demux():
                failures = 0
                flushed = flushed or (packet.size == 0 and packet.stream.index == source.video.index)
                end = max(end, (packet.pos or 0) + packet.size)
                yield packet
            _check_end(source, end, emit)
            return
        except IndexError:  # PyAV 18.1 at the end of an input in which a stream appeared that it does not know
            emit(Damaged(float(source.end), "a stream that begins in the middle of the input is not carried"))
            if not flushed:
                yield from _flush(source)
            return
        except (av.error.FFmpegError, EOFError) as error:
            _raise_failure(source)
            failures += 1
            emit(Damaged(float(source.end), f"the input could not be read: {reason(error)}"))
    emit(Damaged(float(source.end), f"{MAX_FAILURES} reads failed in a row, the rest of the input is given up"))
    yield from _flush(source)


def _check_end(source: Source, end: int, emit: Emit) -> None:
    """Raise what ended the reading of a pipe, and tell of a Y4M that ends inside a picture: FFmpeg passes over both."""
    _raise_failure(source)
    if source.claims.format == Y4M:
        length = source.reader.length if source.reader else source.path.stat().st_size
        if length > end:
            emit(
                Damaged(float(source.end), f"the input ends inside a picture, {length - end} bytes of it are left out")
            )


def _raise_failure(source: Source) -> None:
    if source.reader is not None:
        source.reader.raise_failure()


def _flush(source: Source) -> Iterator[Packet[Any]]:
    packet = Packet(0)
    packet.stream = source.video
    yield packet


def _retime(packet: Packet[Any], source: Source, animation: Animation) -> None:
    """Give a picture the time that the delays before it add up to."""
    number = source.seen.get(packet.stream_index, Seen()).packets
    base, times = animation.clock
    if number + 1 < len(times):
        packet.time_base, packet.pts, packet.dts = base, times[number], times[number]
        packet.duration = times[number + 1] - times[number]


def _place(packet: Packet[Any], source: Source, continuity: Continuity) -> None:
    """Put the times of `packet` on the continuous clock and note where it ends."""
    base = packet.time_base
    if not base:
        return
    steady = packet.stream.type in ("video", "audio")
    stamp = packet.dts if packet.dts is not None else packet.pts
    time = stamp * base if stamp is not None and steady else None
    offset = continuity.offset(packet.stream_index if steady else source.video.index, time)
    if offset:
        shift = round(offset / base)
        packet.pts = None if packet.pts is None else packet.pts + shift
        packet.dts = None if packet.dts is None else packet.dts + shift
    seen = source.seen.setdefault(packet.stream_index, Seen())
    start = packet.pts if packet.pts is not None else packet.dts
    if start is None:
        seen.packets += 1
    else:
        seen.note(start * base, _length(packet, source))


def _length(packet: Packet[Any], source: Source) -> Fraction:
    """Seconds that `packet` lasts: Matroska need not say it of pictures, and then their rate does."""
    rate = source.video.average_rate or source.video.guessed_rate
    if not packet.duration and packet.stream_index == source.video.index and rate:
        return 1 / Fraction(rate)
    return Fraction(packet.duration or 0) * packet.time_base
