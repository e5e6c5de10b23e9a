"""The time that an excerpt covers, and what of a carried packet lies in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from av.packet import Packet

from .containers import TEXT_SUBTITLES
from .libav import is_cover

LEAD = Fraction(1, 2)
"""Seconds before an excerpt from which sound is decoded: a codec needs some packets until it is in tune."""


@dataclass
class Cut:
    """From `begin` until before `end`, in seconds on the clock of the input. `end` is None where there is none, or
    until it is known.
    """

    begin: Fraction
    end: Fraction | None = None
    ends: bool = False
    """Whether there is an end, known or not."""
    about: Fraction | None = None
    """Seconds that it lasts, as far as that can be told beforehand."""

    def copied(self, packet: Packet[Any]) -> bool:
        """Whether a packet that is carried as it is belongs to the excerpt; text is shortened to what lies in it.

        Packets stay whole: one is in if it begins in the excerpt. Text that is being shown when the excerpt begins is
        in as well.
        """
        stamp = packet.pts if packet.pts is not None else packet.dts
        if is_cover(packet.stream) or stamp is None:
            return True
        if packet.stream.type == "subtitle" and packet.stream.codec_context.codec.canonical_name in TEXT_SUBTITLES:
            self._shorten(packet, stamp)
            return self.overlaps(packet)
        return self._holds(stamp * packet.time_base)

    def overlaps(self, packet: Packet[Any], lead: Fraction = Fraction(0)) -> bool:
        """Whether some of a packet lies in the excerpt, or up to `lead` seconds before it."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None:
            return True
        start = stamp * packet.time_base
        over = start + (packet.duration or 0) * packet.time_base
        return (self.end is None or start < self.end) and (over > self.begin - lead or start >= self.begin)

    def begins_in_time(self, packet: Packet[Any]) -> bool:
        """Whether a packet begins before the end, as far as that is known."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        return stamp is None or self.end is None or stamp * packet.time_base < self.end

    def _holds(self, time: Fraction) -> bool:
        return self.begin <= time and (self.end is None or time < self.end)

    def _shorten(self, packet: Packet[Any], stamp: int) -> None:
        """Let a text begin and end with the excerpt."""
        over = stamp + (packet.duration or 0)
        begin = max(stamp, -(-self.begin // packet.time_base))
        end = over if self.end is None else min(over, self.end // packet.time_base)
        if packet.duration and end > begin:
            packet.pts = packet.dts = int(begin)
            packet.duration = int(end - begin)

    def keeping(self, carry: Callable[[Packet[Any]], None]) -> Callable[[Packet[Any]], None]:
        """`carry` without the packets that lie far outside: they need not wait in memory."""

        def kept(packet: Packet[Any]) -> None:
            if is_cover(packet.stream) or self.overlaps(packet, LEAD):
                carry(packet)

        return kept
