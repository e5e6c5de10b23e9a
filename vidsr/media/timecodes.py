"""When each picture of a sequence is shown: the text files that mkvmerge and x264 call timecodes, version 2.

A line holds the milliseconds at which a picture begins. Two comments, which other programs pass over, make that exact:
`# time base 1/24000`, in seconds, of which every time is a whole multiple, and `# end 2500`, when the last one ends.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from ..errors import InputError

_HEAD = re.compile(r"#\s*time(code|stamp) format v2\s*")
_BASE = re.compile(r"#\s*time base ([1-9][0-9]*(?:/[1-9][0-9]*)?)\s*")
_END = re.compile(r"#\s*end ([0-9]+(?:\.[0-9]+)?)\s*")
_TIME = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,12})?")
_DECIMALS = 9
"""Of a millisecond, so that every time base down to 10**-11 s is found again."""
LARGEST = 64 << 20
"""Bytes of a file of times that is read."""


@dataclass(frozen=True)
class Clock:
    """When the pictures of a sequence are shown: `pts` in units of `base` seconds, the last one until `end`."""

    base: Fraction
    pts: Sequence[int]
    end: int

    @property
    def rate(self) -> Fraction | None:
        """Pictures a second on average; None for a single one without an end."""
        length = (self.end - self.pts[0]) * self.base
        return (len(self.pts) / length).limit_denominator(1_000_000) if length > 0 else None

    def duration(self, place: int) -> int:
        """Of the picture at `place`, in units of the base."""
        return [*self.pts[place : place + 2], self.end][1] - self.pts[place]


def steady(rate: Fraction, count: int) -> Clock:
    """`count` pictures at `rate` a second."""
    return Clock(1 / rate, range(count), count)


def text_of(base: Fraction, pts: Sequence[int], end: int | None) -> str:
    """The file for pictures at `pts` in units of `base` seconds, of which the last ends at `end`, if that is known."""
    lines = ["# timecode format v2", f"# time base {base}"]
    lines += [f"# end {_milliseconds(end * base)}"] if end is not None else []
    return "\n".join([*lines, *(_milliseconds(value * base) for value in pts)]) + "\n"


def _milliseconds(seconds: Fraction) -> str:
    whole, rest = divmod(round(seconds * 1000 * 10**_DECIMALS), 10**_DECIMALS)
    return f"{whole}.{rest:0{_DECIMALS}d}".rstrip("0").rstrip(".")


def read_clock(path: Path, count: int) -> Clock:
    """The times of `count` pictures. Raises InputError for a file that says something else or cannot be read."""
    lines = _lines(path)
    if not lines or not _HEAD.fullmatch(lines[0]):
        raise _unusable(path, "it does not begin with '# timecode format v2'")
    times = [_seconds(path, number, line) for number, line in enumerate(lines, 1) if line and not line.startswith("#")]
    if len(times) not in (count, count + 1):
        raise _unusable(path, f"it holds {len(times)} times for {count} pictures")
    base = _said(_BASE, lines) or _shortest(times)
    pts = [round(time / base) for time in times]
    if any(later <= earlier for earlier, later in pairwise(pts)):
        raise _unusable(path, "its times do not rise")
    end = _said(_END, lines)
    last = round(end / 1000 / base) if end is not None else pts[count] if len(pts) > count else _usual_end(pts)
    if last < pts[count - 1]:
        raise _unusable(path, "its last picture ends before it begins")
    return Clock(base, pts[:count], last)


def _usual_end(pts: list[int]) -> int:
    """Where the last picture ends if it is shown as long as the one before."""
    return pts[-1] + (pts[-1] - pts[-2] if len(pts) > 1 else 0)


def _lines(path: Path) -> list[str]:
    try:
        if path.stat().st_size > LARGEST:
            raise _unusable(path, f"it is larger than {LARGEST} bytes")
        return [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, getattr(error, "strerror", None) or "it is no text") from error


def _seconds(path: Path, number: int, line: str) -> Fraction:
    if not _TIME.fullmatch(line):
        raise _unusable(path, f"line {number}, {line[:40]!r}, is no time in milliseconds")
    return Fraction(line) / 1000


def _said(comment: re.Pattern[str], lines: list[str]) -> Fraction | None:
    """The number in the first such comment."""
    found = next(filter(None, map(comment.fullmatch, lines)), None)
    return Fraction(found[1]) if found else None


def _shortest(times: list[Fraction]) -> Fraction:
    """A time base of a power of ten, a millisecond or less, that holds the times; at the least a nanosecond."""
    decimals = next((count for count in range(3, 9) if all((time * 10**count).denominator == 1 for time in times)), 9)
    return Fraction(1, 10**decimals)


def _unusable(path: Path, why: str) -> InputError:
    return InputError(f"times of the pictures, {path}: {why}", "--in-rate gives a steady rate in place of this file")
