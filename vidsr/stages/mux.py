"""10. Packets and carried streams to the file, each in its turn."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer
from av.packet import Packet

from ..errors import OutputError
from ..events import Damaged, Emit
from ..media.libav import is_cover, reason, weight_of, writing
from ..media.side import Feed

_REFUSALS = (av.error.InvalidDataError, av.error.PatchWelcomeError, av.error.ArgumentError)
"""What muxers raise for a packet that is damaged, such as AAC without its header; the disk raises other errors."""


@dataclass
class Muxer:
    """Writes video packets as they come, and before each the carried packets that belong before it.

    Carried packets wait in `waiting` while their moment of video is still being computed; they are compressed, so
    the memory they take is that of some seconds of sound. `carry` turns a waiting packet into those to write.
    """

    output: OutputContainer
    path: Path
    carry: Callable[[Packet[Any]], list[Packet[Any]]]
    flush: Callable[[], list[Packet[Any]]]
    emit: Emit
    feeds: Sequence[Feed] = ()
    """What comes from other files than the input."""
    waiting: deque[Packet[Any]] = field(default_factory=deque)
    counts: Counter[int] = field(default_factory=Counter)
    """Carried packets written, or bytes of PCM, by stream of the output."""
    first: dict[int, Fraction] = field(default_factory=dict)
    """Seconds of the first packet of each carried stream."""

    def write(self, video: Iterable[Packet[Any]]) -> Iterator[Packet[Any]]:
        """Write everything; each video packet is yielded once it is written. Raises OutputError, ReaderGoneError."""
        for packet in video:
            self._write_waiting(until=_time(packet))
            self._write(packet)
            yield packet
        self._write_waiting(until=None)
        for packet in chain(self.flush(), *(feed.flush() for feed in self.feeds)):
            self._write_carried(packet)

    def close(self) -> None:
        """Write the trailer and close the file."""
        writing(self.path, self.output.close)

    def _write_waiting(self, until: Fraction | None) -> None:
        self._write_read(until)
        for feed in self.feeds:
            for packet in feed.until(until):
                self._write_carried(packet)

    def _write_read(self, until: Fraction | None) -> None:
        while self.waiting:
            time = _time(self.waiting[0])
            if until is not None and time is not None and time > until:
                return
            for packet in self.carry(self.waiting.popleft()):
                self._write_carried(packet)

    def _write_carried(self, packet: Packet[Any]) -> None:
        """Write and count a packet, or tell that the container refuses it: damage of the input must not end the run."""
        stream = packet.stream
        weight = 0 if is_cover(stream) else weight_of(packet)  # FLAC ends with an empty packet: a new header
        stamp = packet.pts if packet.pts is not None else packet.dts
        time = Fraction(stamp) * packet.time_base if stamp is not None else None
        try:
            self._write(packet)
        except OutputError as error:
            if not isinstance(error.__cause__, _REFUSALS):
                raise
            why = f"a packet of {stream.type} #{stream.index} cannot be written, {reason(error.__cause__)}"
            self.emit(Damaged(float(time or 0), why))
            return
        if weight:
            self._count(stream.index, weight, time)

    def _count(self, index: int, weight: int, time: Fraction | None) -> None:
        self.counts[index] += weight
        if time is not None:
            self.first[index] = min(time, self.first.get(index, time))

    def _write(self, packet: Packet[Any]) -> None:
        writing(self.path, lambda: self.output.mux_one(packet))


def _time(packet: Packet[Any]) -> Fraction | None:
    """Seconds at which a packet is to be decoded."""
    stamp = packet.dts if packet.dts is not None else packet.pts
    return stamp * packet.time_base if stamp is not None and packet.time_base else None
