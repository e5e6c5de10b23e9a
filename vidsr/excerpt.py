"""--start, --end and --frames: the part of an input that is wanted, exact to the picture.

Reading always begins at the beginning, because only then every packet has the time that it has in the whole film.
What is not wanted is not decoded: decoding begins at the last keyframe that proves to be one (`vidsr.scan`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import chain
from typing import Any

import av
from av.packet import Packet

from .errors import InputError
from .events import Emit, Event, Progress, clock
from .frames import RawFrame
from .media.claims import Claims
from .media.completeness import Seen
from .media.cut import Cut
from .media.pipes import is_stream
from .options import Options, seconds
from .scan import Key, first_entry, scan
from .stages.source import Source

WORTHWHILE = 5
"""Seconds that are decoded rather than searched for a keyframe."""

ROUNDING = Fraction(1, 2000)
"""Seconds by which a frame may lie before a time that people read off somewhere in milliseconds."""

CONTEXT = 3
"""Pictures before the first that are decoded with it: the deinterlacer looks at its neighbours."""


@dataclass
class Excerpt:
    """What is wanted of the pictures, in units of their time base, and of everything else, in seconds."""

    cut: Cut
    base: Fraction
    start: int | None = None
    """The first pts that is wanted; None: from the beginning."""
    end: int | None = None
    """The first that is not; None: to the end."""
    count: int | None = None
    """At most so many frames."""
    rate: Fraction | None = None
    """Frames per second, for estimates."""
    taken: int = 0
    partly: bool = False
    """Whether the input was not read to its end."""
    lead: list[av.VideoFrame] = field(default_factory=list)
    """Pictures right before the first that is wanted."""

    @property
    def whole(self) -> bool:
        """Whether it is everything there is."""
        return self.start is None and not self.bounded

    @property
    def bounded(self) -> bool:
        return self.end is not None or self.count is not None

    def entered(self, packets: Iterator[Packet[Any]], source: Source, max_pixels: int) -> Iterator[Packet[Any]]:
        """The packets of the video, those left out that the excerpt needs not for its decoding."""
        number = self._entry(source, max_pixels)
        return _from(packets, number) if number else packets

    def _entry(self, source: Source, max_pixels: int) -> int:
        """The number of the packet at which decoding begins."""
        if self.start is None or (self.start - (source.video.start_time or 0)) * self.base < WORTHWHILE:
            return 0
        if is_stream(source.path) or source.form or source.feed or source.animation:
            return 0  # it can be read only once, or its packets are timed here
        entry: Key | None = first_entry(scan(source.path, max_pixels, until=self.start), self.start)
        return entry.number if entry else 0

    def led(self, pictures: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """The pictures from the first that is wanted on; `lead` are some before it."""
        for picture in pictures:
            if self.start is None or picture.pts is None or picture.pts >= self.start:
                self._begin(picture)
                return chain([picture], pictures)
            self.lead = [*self.lead[1 - CONTEXT :], picture]
        if self.lead and self.start is not None:
            last = clock((self.lead[-1].pts or 0) * self.base)
            what = f"there is no frame at or after --start, {clock(self.start * self.base)}"
            raise InputError(f"{what}: the last one is at {last}")
        return pictures

    def _begin(self, first: av.VideoFrame) -> None:
        if self.start is not None and first.pts is not None:
            self.cut.begin = first.pts * self.base
        if self.end is not None:
            self.cut.about = self.end * self.base - self.cut.begin
        elif self.count is not None and self.rate:
            self.cut.about = self.count / self.rate
        if self.end is not None and first.pts is not None and first.pts >= self.end:
            raise InputError(f"there is no frame before --end, the next one is at {clock(first.pts * self.base)}")

    def shift(self, first: int) -> int:
        """What is added to every pts: an excerpt begins at 0, and containers hide pictures before zero."""
        return -first if self.start is not None else max(0, -first)

    def total(self, claims: Claims, rate: Fraction | None) -> int | None:
        """Frames that will come, as far as that is known or can be estimated."""
        stated = claims.ends.get(claims.video, claims.container_end)
        ends = [end for end in (stated, None if self.end is None else self.end * self.base) if end is not None]
        timed = round((min(ends) - self.cut.begin) * rate) if ends and rate else None
        total = claims.frames or timed if self.whole and rate == self.rate else timed
        return min((number for number in (total, self.count) if number is not None), default=None)

    def frames(self, frames: Iterable[RawFrame], rest: Iterator[Packet[Any]], source: Source) -> Iterator[RawFrame]:
        """Those of `frames` that are wanted; then `rest`, the packets, is read on until the sound is complete."""
        last: RawFrame | None = None
        for frame in frames:
            if self.start is not None and frame.pts < self.start:
                continue
            if (self.end is not None and frame.pts >= self.end) or self.taken == self.count:
                self._finish(frame.pts)
                break
            last = frame
            self.taken += 1
            yield frame
        else:
            if last is not None and self.bounded:
                self._finish(last.pts + last.duration if last.duration else None)
            return
        for _ in rest:
            if self._complete(source):
                self.partly = True
                return

    def _finish(self, pts: int | None) -> None:
        self.cut.end = None if pts is None else pts * self.base

    def _complete(self, source: Source) -> bool:
        """Whether all sound up to the end was read."""
        end = self.cut.end
        steady = [stream.index for stream in source.container.streams if stream.type in ("audio", "video")]
        seen = [source.seen.get(index, Seen()).latest for index in steady]
        return end is not None and all(latest is not None and latest >= end for latest in seen)

    def heard(self, emit: Emit) -> Emit:
        """`emit`, without what happens outside."""
        if self.whole:
            return emit

        def told(event: Event) -> None:
            at = None if isinstance(event, Progress) else getattr(event, "seconds", None)
            if at is None or self._covers(at):
                emit(event)

        return told

    def _covers(self, at: float) -> bool:
        end = None if self.end is None else self.end * self.base
        return float(self.cut.begin) <= at and (end is None or at < float(end))

    def within(self, seen: dict[int, Seen]) -> dict[int, Seen]:
        """What was read, with the holes that lie in the excerpt."""
        begin, end = self.cut.begin, self.cut.end
        inside = {
            index: [hole for hole in found.holes if hole[1] > begin and (end is None or hole[0] < end)]
            for index, found in seen.items()
        }
        return {index: replace(found, holes=inside[index], opened=None) for index, found in seen.items()}


def excerpt_of(options: Options, source: Source) -> Excerpt:
    """What the options ask for. Times count from where the input begins."""
    base = Fraction(source.video.time_base or 1)
    origin = Fraction(source.container.start_time or 0, av.time_base)

    def pts(time: str | None) -> int | None:
        return None if time is None else int(-(-(origin + seconds(time) - ROUNDING) // base))

    start, end = pts(options.start), pts(options.end)
    begin = Fraction(0) if start is None else start * base
    bounded = end is not None or options.frames is not None
    cut = Cut(begin, None if end is None else end * base, bounded)
    rate = source.video.average_rate or source.video.guessed_rate
    return Excerpt(cut, base, start, end, options.frames, Fraction(rate) if rate else None)


def _from(packets: Iterator[Packet[Any]], number: int) -> Iterator[Packet[Any]]:
    """The packets from that `number` on, of those that are not empty."""
    for packet in packets:
        number -= packet.size > 0
        if number < 0 or not packet.size:
            yield packet
