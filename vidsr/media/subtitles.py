"""Text subtitles from one codec to another, without loss of words or times.

FFmpeg's decoders turn every text subtitle into an ASS dialogue line, its encoders turn that into the target's form.
What PyAV leaves to us is time: a decoded subtitle counts in other units than its packet, so the packet's are kept.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
from av.packet import Packet
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import AssSubtitle, SubtitleSet

from ..events import Damaged, Emit, ignore
from .libav import reason

Line = tuple[int, int, str]
"""(start, end, text) of one subtitle, in units of the source's time base."""

_STYLE = "0,0,Default,,0,0,0,,"


class TextConverter:
    """Converts the packets of `source` for `target`, an output stream with a text subtitle encoder.

    mov_text shows one text at a time, so lines that overlap are joined for as long as both are shown.
    """

    def __init__(self, source: SubtitleStream, target: SubtitleStream, emit: Emit = ignore) -> None:
        self.source, self.target, self.emit = source, target, emit
        self._decoder = _context(source)
        self._encoder = _context(target)
        self._decoder.open(strict=False)
        self._encoder.subtitle_header = self._decoder.subtitle_header or None
        self._base = source.time_base or Fraction(1, 1000)
        self._encoder.time_base = self._base
        target.time_base = self._base
        self._one_at_a_time = self._encoder.name == "mov_text"
        self._shown: list[Line] = []
        self._cursor = 0

    def take(self, packet: Packet[Any]) -> list[Packet[Any]]:
        """The packets that are ready now that `packet` of the source is known. Damaged ones are told and left out."""
        if packet.pts is None:
            return []
        try:
            decoded = self._decoder.decode2(packet)
        except av.error.FFmpegError as error:
            self.emit(Damaged(float(packet.pts * self._base), f"a subtitle could not be read: {reason(error)}"))
            return []
        if decoded is None or not any(text_of(rect) for rect in decoded):
            return []  # the empty samples that MP4 puts between subtitles
        start, end = packet.pts, packet.pts + self._duration(packet, decoded)
        if not self._one_at_a_time:
            return [self._packet(decoded, start, end)]
        ready = self._until(start)
        self._cursor = start
        self._shown.append((start, end, "\\N".join(text_of(rect) for rect in decoded)))
        return ready

    def finish(self) -> list[Packet[Any]]:
        """What was held back for subtitles that might have overlapped."""
        return self._until(max((end for _, end, _ in self._shown), default=0))

    def _duration(self, packet: Packet[Any], decoded: SubtitleSet) -> int:
        milliseconds = Fraction(decoded.end_display_time - decoded.start_display_time, 1000)
        return packet.duration or round(milliseconds / self._base)

    def _until(self, time: int) -> list[Packet[Any]]:
        """Packets for all that is shown from the cursor to `time`, cut wherever a line ends."""
        packets = []
        while self._shown and self._cursor < time:
            until = min(time, *(end for _, end, _ in self._shown))
            if until > self._cursor:
                text = "\\N".join(text for _, _, text in self._shown)
                joined = SubtitleSet.create((_STYLE + text).encode(), 0, 0)
                packets.append(self._packet(joined, self._cursor, until))
            self._cursor = max(self._cursor, until)
            self._shown = [line for line in self._shown if line[1] > self._cursor]
        return packets

    def _packet(self, subtitle: SubtitleSet, start: int, end: int) -> Packet[Any]:
        packet = self._encoder.encode_subtitle(subtitle)
        packet.time_base = self._base
        packet.pts = packet.dts = start
        packet.duration = end - start
        packet.stream = self.target
        return packet


def _context(stream: SubtitleStream) -> SubtitleCodecContext:
    context = stream.codec_context
    assert isinstance(context, SubtitleCodecContext)
    return context


def is_pause(packet: Packet[Any]) -> bool:
    """Whether `packet` is an empty sample, as MP4 and MOV put them between two subtitles."""
    return packet.stream.type == "subtitle" and bytes(packet) == b"\0\0"


def text_of(rect: object) -> str:
    """The words of a decoded text subtitle with their ASS markup: what follows the eighth comma of its line."""
    if not isinstance(rect, AssSubtitle):
        return ""
    return rect.ass.decode("utf-8", "replace").split(",", 8)[-1].strip()
