"""Where an input is cut: a reading of all its packets without decoding, then boundaries at keyframes, by pts.

`scan` reads, and decides whether the input may be cut at all: everything that is not plainly in order speaks against
it. `cut` is pure arithmetic on what was read, the same for the same input and settings.

A segment is a range of pts. It is decoded from the keyframe before its own: pictures that follow its own keyframe and
are shown before it (open GOP) belong to the segment before, and what looks back (deinterlacing) finds its past.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import InputError, UsageError
from ..scan import Key, Scan, parting, scan

__all__ = ["Key", "Scan", "ShardPlan", "Span", "cut", "scan"]

BYTES_SHARE = Fraction(1, 10)
"""How much bytes count when segments are balanced; frames, which all cost about the same, count for the rest."""


@dataclass(frozen=True, slots=True)
class Span:
    """A segment of the plan: the frames whose pts lie in [start, end), in units of the stream's time base."""

    number: int
    entry: Key | None
    """The packet at which decoding begins, which lies before the range; None: at the beginning of the file."""
    start: int | None
    """None: the first segment, open to what is before."""
    end: int | None
    """None: the last segment, open to what follows."""
    frames: int
    """Packets with a pts in the range."""
    first_packet: int
    """The number of the range's own keyframe in order of packets; 0 for the first segment."""

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Span:
        """The span whose `dataclasses.asdict` is `values`."""
        entry = values["entry"]
        return cls(**values | {"entry": None if entry is None else Key(**entry)})


@dataclass(frozen=True)
class ShardPlan:
    """The segments of a film, in order, without gap or overlap."""

    time_base: str
    """Seconds per unit of pts, such as 1/12800."""
    frames: int
    spans: tuple[Span, ...]
    whole: str
    """Why the input cannot be cut, as a sentence; empty if it can."""

    def to_json(self) -> dict[str, Any]:
        """The plan in values that JSON has."""
        return asdict(self) | {"spans": [asdict(span) for span in self.spans]}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ShardPlan:
        """The plan that `to_json` gave. Raises InputError if it is none."""
        try:
            return cls(**values | {"spans": tuple(map(Span.from_json, values["spans"]))})
        except (KeyError, TypeError) as error:
            raise InputError(f"a shard plan cannot be read: {error}", "--no-resume plans anew") from error


@dataclass(frozen=True, slots=True)
class Point:
    """A keyframe at which the input may be cut."""

    index: int
    """Among the keys of the scan."""
    rank: int
    """Frames shown before it."""
    place: int = field(compare=False)
    """How much of the input lies before it, by frames and bytes, out of `_full`."""


def cut(scan: Scan, shards: int | None, segment_frames: int) -> ShardPlan:
    """The segments of a scanned input: `shards` of them, or with None as many as hold about `segment_frames` each.

    They are fewer where there are not enough keyframes, and one where the input must not be cut. Raises UsageError for
    numbers below 1.
    """
    for name, value in (("shards", shards), ("segment frames", segment_frames)):
        if value is not None and value < 1:
            raise UsageError(f"{name}: {value} is not allowed, it must be at least 1")
    points = [] if scan.whole else cut_points(scan)
    whole = scan.whole or ("" if points else "its pictures are ordered across every keyframe")
    count = shards or max(1, (2 * scan.packets + segment_frames) // (2 * segment_frames))
    spans = _spans(scan, _chosen(scan, points, min(count, len(points) + 1)))
    return ShardPlan(str(scan.time_base), scan.packets, spans, whole)


def cut_points(scan: Scan) -> list[Point]:
    """The keyframes at which pictures part, in order."""
    return [Point(index, rank, _place(scan, rank, scan.bytes_before[index])) for index, rank in parting(scan)]


def _place(scan: Scan, rank: int, size: int) -> int:
    share = BYTES_SHARE
    return (share.denominator - share.numerator) * rank * scan.size + share.numerator * size * scan.packets


def _full(scan: Scan) -> int:
    return BYTES_SHARE.denominator * scan.packets * scan.size


def _chosen(scan: Scan, points: Sequence[Point], count: int) -> list[Point]:
    """`count` - 1 of the points, each near to where equal segments would meet."""
    places = [point.place for point in points]
    regular = _regular(scan, points)
    length = Fraction(_full(scan), count)
    chosen: list[Point] = []
    low = 0
    for number in range(1, count):
        high = len(points) - (count - 1 - number)  # leaves one point for each boundary to come
        index = _nearest(places, regular, low, high, length * number, length / 4)
        chosen.append(points[index])
        low = index + 1
    return chosen


def _nearest(
    places: Sequence[int], regular: Sequence[bool], low: int, high: int, ideal: Fraction, reach: Fraction
) -> int:
    """The index in [low, high) nearest to `ideal`; within `reach` of it, one off the encoder's grid if there is any."""
    begin = bisect_left(places, ideal - reach, low, high)
    end = bisect_left(places, ideal + reach, begin, high)
    cuts = [index for index in range(begin, end) if not regular[index]]
    middle = bisect_left(places, ideal, low, high)
    around = range(max(low, middle - 1), min(high, middle + 1))
    return min(cuts or around, key=lambda index: (abs(places[index] - ideal), index))


def _regular(scan: Scan, points: Sequence[Point]) -> list[bool]:
    """Of each point, whether the encoder had to set a keyframe there: one lies its longest distance before.

    A keyframe that was not due yet is where the encoder saw a cut between two scenes.
    """
    if not points:
        return []
    first = int((np.frombuffer(scan.pts, np.int64) < scan.keys[0].pts).sum())
    ranks = [first, *(point.rank for point in points)]
    longest, known = max(later - earlier for earlier, later in pairwise(ranks)), set(ranks)
    return [point.rank - longest in known for point in points]


def _spans(scan: Scan, chosen: Sequence[Point]) -> tuple[Span, ...]:
    """The segments that meet at the chosen points."""
    spans = []
    for number, (here, following) in enumerate(pairwise([None, *chosen, None])):
        key = None if here is None else scan.keys[here.index]
        begin, end = here.rank if here else 0, following.rank if following else scan.packets
        span = Span(
            number=number,
            entry=scan.keys[here.index - 1] if here and here.index > 1 else None,
            start=key.pts if key else None,
            end=scan.keys[following.index].pts if following else None,
            frames=end - begin,
            first_packet=key.number if key else 0,
        )
        spans.append(span)
    return tuple(spans)
