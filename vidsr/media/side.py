"""--audio-file: a sound track from another file, which begins where the input begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from ..errors import InputError, UsageError
from ..events import Damaged, Emit, clock
from ..options import Options
from .animations import ANIMATIONS
from .audio import audio_encoder, encoded_layout
from .containers import holds, spoken
from .files import KINDS
from .libav import open_input, reason
from .plain import PLAIN
from .plan import StreamPlan, codec_name
from .structure import structure_fault

_USUAL = {"webm": "opus"}
"""What sound becomes in containers that cannot hold it as it is; AAC elsewhere."""

_STATED = {"wav", "w64", "aiff", "flac", "mov", "matroska", "webm", "caf"}
"""Formats whose header says how long the sound is."""

SLACK = Fraction(1, 10)
"""Seconds by which sound may fall short of what its header states."""


def open_sound(path: Path) -> tuple[InputContainer, AudioStream]:
    """The first audio track of the file at `path`. Raises InputError."""
    if not path.is_file():
        raise InputError(f"--audio-file {path} is no file", "name a wav, flac, ogg, mp3 or another file with sound")
    container = open_input(path)
    stream = next((stream for stream in container.streams.audio if stream.rate and stream.channels), None)
    if stream is None:
        container.close()
        raise InputError(f"--audio-file {path} holds no sound that can be read")
    return container, stream


def plan_sound(container: str, options: Options) -> StreamPlan | None:
    """What becomes of --audio-file in `container`; None if none was given. Raises UsageError, InputError."""
    if options.audio_file is None:
        return None
    if container in (*PLAIN, *KINDS, *ANIMATIONS):
        raise UsageError(f"--audio-file: {spoken(container)} holds no sound", "write to mkv, nut or mp4")
    if options.audio == "none":
        raise UsageError("--audio-file and --audio none exclude each other", "leave one of them out")
    opened, stream = open_sound(options.audio_file)
    with opened:
        plan = StreamPlan(stream.index, "audio", codec_name(stream), title=options.audio_file.name)
        if options.audio == "copy" and holds(container, plan.codec, stream.codec_context.codec.name):
            return replace(plan, target=plan.codec)
        wanted = _USUAL.get(container, "aac") if options.audio == "copy" else options.audio
        encoder = audio_encoder(wanted)
        if not holds(container, encoder.name, encoder.libav):
            raise UsageError(f"--audio: {spoken(container)} cannot hold {wanted}", "leave --audio out")
        if encoded_layout(stream, encoder) is None:
            raise UsageError(f"--audio-file: {wanted} takes neither its {stream.channels} channels nor stereo")
        why = "" if options.audio != "copy" else f"{spoken(container)} cannot hold {plan.codec}"
        return replace(plan, action="encode", target=encoder.name, reason=why)


@dataclass
class Sound:
    """The packets of a sound file, on the clock of the input, of which `begin` is the first second."""

    path: Path
    container: InputContainer
    stream: AudioStream
    begin: Fraction
    emit: Emit
    end: Fraction = field(default=Fraction(0), init=False)
    """Seconds at which the last packet ends, on the file's own clock."""

    @property
    def first(self) -> Fraction:
        """Seconds at which the sound begins, on the file's own clock."""
        return Fraction(self.container.start_time or 0, av.time_base)

    @property
    def length(self) -> Fraction:
        """Seconds of sound that were read."""
        return self.end - self.first

    @property
    def base(self) -> Fraction:
        return self.stream.time_base or Fraction(1, self.stream.rate)

    def packets(self) -> Iterator[Packet[Any]]:
        """All of them, in order. What is damaged or missing is told."""
        base = self.base
        shift = round((self.begin - self.first) / base)
        try:
            for packet in self.container.demux(self.stream):
                if packet.size:
                    stamp = packet.pts if packet.pts is not None else packet.dts
                    self.end = max(self.end, ((stamp or 0) + (packet.duration or 0)) * base)
                    packet.pts = None if packet.pts is None else packet.pts + shift
                    packet.dts = None if packet.dts is None else packet.dts + shift
                    yield packet
        except (av.error.FFmpegError, EOFError) as error:
            self.emit(Damaged(float(self.end), f"{self.path} could not be read: {reason(error)}"))
            return
        self._check_length()

    def _check_length(self) -> None:
        stated = ((self.stream.start_time or 0) + (self.stream.duration or 0)) * self.base
        fault = structure_fault(self.container, self.path)
        if not fault and self.stream.duration and self._is_stated() and stated > self.end + SLACK:
            fault = f"it ends at {clock(self.end)} of {clock(stated)} stated"
        if fault:
            self.emit(Damaged(float(self.end), f"the sound of {self.path} is not whole: {fault}"))

    def _is_stated(self) -> bool:
        """Whether the header says how long the sound is; of MP3 FFmpeg guesses it where no Xing header does."""
        if self.container.format.name == "mp3":
            with self.path.open("rb") as file:
                head = file.read(1 << 16)
            return b"Xing" in head or b"Info" in head
        return bool(_STATED & set(self.container.format.name.split(",")))


@dataclass
class Feed:
    """Packets of another file than the input, taken when their moment has come."""

    packets: Iterator[Packet[Any]]
    carry: Callable[[Packet[Any]], list[Packet[Any]]]
    flush: Callable[[], list[Packet[Any]]]
    wanted: Callable[[Packet[Any]], bool]
    """Whether a packet lies before the end of what is wanted; when not, none is read after it."""
    _next: Packet[Any] | None = None

    def until(self, time: Fraction | None) -> Iterator[Packet[Any]]:
        """Those ready to mux up to `time` in seconds; None: all."""
        while packet := self._next or next(self.packets, None):
            self._next = packet
            stamp = packet.dts if packet.dts is not None else packet.pts
            if time is not None and stamp is not None and stamp * packet.time_base > time:
                return
            self._next = None
            if not self.wanted(packet):
                self.packets = iter(())
                return
            yield from self.carry(packet)
