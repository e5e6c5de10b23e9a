"""What was read of an input, held against what the input states of itself: is it all there?"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from ..events import clock
from .claims import Claims
from .gaps import Span, together


@dataclass
class Seen:
    """How far the packets of one stream really went. Times are in seconds."""

    packets: int = 0
    end: Fraction = Fraction(0)
    step: Fraction = Fraction(0)
    """Length of the last packet; where none is said (ALAC in Matroska), its distance from the one before."""
    begin: Fraction = Fraction(0)
    """The earliest start of a packet, where that lies before zero: sound that is decoded and not heard."""
    latest: Fraction | None = None
    """The latest start of a packet."""
    opened: Fraction | None = None
    """Start of the first packet."""
    holes: list[Span] = field(default_factory=list)
    """The first MAX_HOLES gaps of more than half a packet."""

    def note(self, start: Fraction, duration: Fraction) -> None:
        self.packets += 1
        self.begin = min(self.begin, start)
        self.opened = start if self.opened is None else self.opened
        usual = duration or self.step
        if self.packets > 1 and usual and start - self.end > usual / 2 and len(self.holes) < MAX_HOLES:
            self.holes.append((self.end, start))
        length = duration or max(Fraction(0), start - (start if self.latest is None else self.latest))
        self.latest = start if self.latest is None else max(self.latest, start)
        if start + length >= self.end:
            self.end, self.step = start + length, length

    @property
    def paced_end(self) -> Fraction:
        """Where the last packet ends if it lasts as long as packets did on average.

        AVI measures time in chunks and fills with empty ones, which FFmpeg passes over, until the next picture is due.
        """
        if self.packets < 2 or self.latest is None or self.opened is None:
            return self.end
        return max(self.end, self.latest + (self.latest - self.opened) / (self.packets - 1))


MAX_HOLES = 1000
"""Gaps remembered of a stream."""

ROUNDING = Fraction(1, 100)
"""Seconds by which a stated end may lie behind the last packet: rounding to milliseconds, delay of an audio codec."""


def shortfall(claims: Claims, seen: dict[int, Seen]) -> str:
    """How the input falls short of its claims, as a sentence, or nothing.

    `seen` tells of each stream what was really read. Half a packet is let pass, so that one missing packet is found.
    """
    if claims.fault:
        return f"the input is damaged: {claims.fault}"
    for index, count in {claims.video: claims.frames, **claims.packets}.items():
        read = seen.get(index, Seen()).packets
        if count > read:
            what = "frames" if index == claims.video else f"packets of stream {index}"
            return f"the input holds {read} of the {count} {what} its header states"
    stated = dict(claims.ends)
    if not stated and claims.container_end is not None:
        longest = max(seen, key=lambda index: seen[index].end, default=claims.video)
        stated = {longest: claims.container_end}
    for index, end in stated.items():
        found = seen.get(index, Seen())
        hidden = -found.begin if "matroska" in claims.format else 0  # its DURATION counts what lies before zero as well
        slack = Fraction(1, 500) if hidden else ROUNDING
        last = found.paced_end if claims.format == "avi" else found.end
        if last + hidden + found.step / 2 + slack < end:
            kind = "video" if index == claims.video else f"stream {index}"
            return f"the input's {kind} ends at {clock(found.end)} of {clock(end)} stated"
    return ""


LATE = Fraction(1, 4)
"""Seconds by which the first picture may follow the first sound, or all the start of a Matroska, before it is told."""


def gaps(claims: Claims, seen: dict[int, Seen], pictures: list[Span], start: Fraction) -> tuple[list[str], list[str]]:
    """Sentences about holes: those that are losses, and those that may be meant.

    `pictures` are the holes between pictures, `start` the time of the first one. A loss is what is missing from picture
    and sound at once.
    """
    sound = {stream["index"] for stream in claims.streams if stream["kind"] == "audio"}
    heard = [found for index, found in seen.items() if index in sound]
    sounds = [hole for found in heard for hole in found.holes]
    lost = together(pictures, sounds)
    silent = [hole for hole in sounds if hole not in together(sounds, lost)]
    still = [hole for hole in pictures if hole not in lost]
    told = [f"{_span(hole)}: neither picture nor sound, the input has a hole" for hole in lost]
    doubts = [f"{_span(hole)}: no picture in an otherwise steady stream" for hole in still]
    first = [found.opened for found in heard if found.opened is not None]
    begun = min(first, default=start)
    if "matroska" in claims.format and min(begun, start) > LATE:
        doubts.append(f"{_span((Fraction(0), min(begun, start)))}: no picture and no sound, the input begins late")
    if start - begun > LATE:
        doubts.append(f"{_span((begun, start))}: no picture yet, and sound")
    return told, doubts + [f"{_span(hole)}: no sound in an otherwise unbroken stream" for hole in silent]


def _span(hole: Span) -> str:
    return f"{clock(hole[0])} to {clock(hole[1])}"
