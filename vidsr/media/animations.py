"""GIF, APNG and WebP: the delays of their pictures and how often they are played, which FFmpeg tells in part only.

Its APNG demuxer rounds each delay to 1/100,000 s, so that the pictures drift; both muxers show the last picture as long
as the one before; neither demuxer says how often an animation is played. Layouts: GIF89a, the PNG specification
(third edition), RFC 9649 (WebP), and Netscape's application extension.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import accumulate
from math import floor, lcm
from pathlib import Path
from typing import BinaryIO

from .distant import open_bytes

GIF, APNG = "gif", "apng"
ANIMATIONS = (GIF, APNG)
"""The containers, in FFmpeg's names, of animated pictures."""
TICK = Fraction(1, 100)
"""Seconds in which GIF counts."""
SHORT = 2
"""Ticks: shorter delays of a GIF are shown as ten of them, by FFmpeg as by browsers."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FINEST = 1_000_000


@dataclass
class Animation:
    """What the skeleton of an animated picture says."""

    delays: list[Fraction] = field(default_factory=list)
    """Seconds that each picture is shown, as players show it."""
    plays: int = 1
    """How often it is played; 0 is for ever."""
    hasty: int = 0
    """Pictures whose own delay is too short to be shown."""
    fault: str = ""
    """How the file is not whole."""
    last: int = 0
    """Offset of the delay of the last picture."""
    tick: Fraction | None = None
    """Seconds in which the format counts; APNG has a unit for each delay."""

    @property
    def rate(self) -> Fraction | None:
        """Pictures a second on average."""
        length = sum(self.delays)
        return (len(self.delays) / length).limit_denominator(1_000_000) if length else None

    @cached_property
    def clock(self) -> tuple[Fraction, list[int]]:
        """(time base in seconds, pts of each picture and of the end)."""
        base = self.tick or Fraction(1, min(lcm(*(delay.denominator for delay in self.delays)), _FINEST))
        return base, [round(time / base) for time in accumulate(self.delays, initial=Fraction(0))]


def is_animated(path: Path) -> bool:
    """Whether a PNG or a WebP is animated, which both announce before their first picture."""
    if not path.is_file():
        return False
    try:
        with open_bytes(path) as file:
            head = file.read(21)
            if head[8:16] == b"WEBPVP8X" and len(head) == 21:
                return bool(head[20] & 2)
            names = (name for name, _, _ in _chunks(file))
            return next((name for name in names if name in (b"acTL", b"IDAT")), b"") == b"acTL"
    except OSError:
        return False


def read_animation(path: Path) -> Animation | None:
    """The skeleton of a GIF, an APNG or an animated WebP; None for other files. Pixels are passed over."""
    try:
        with open_bytes(path) as file:
            start = file.read(12)
            head = start[:6]
            file.seek(0)
            if head in (b"GIF87a", b"GIF89a"):
                return _read_gif(file)
            if start[8:] == b"WEBP":
                return _read_webp(file)
            return _read_apng(file) if head == _SIGNATURE[:6] else None
    except OSError:
        return None


def _read_gif(file: BinaryIO) -> Animation:
    found, delay, place = Animation(tick=TICK), 0, 0
    for kind, at, block in _gif_blocks(file):
        if kind == b"\xf9" and len(block) == 4:
            delay, place = int.from_bytes(block[1:3], "little"), at + 1
        elif kind == b"\xff" and block[:11] in (b"NETSCAPE2.0", b"ANIMEXTS1.0") and len(block) >= 14:
            again = int.from_bytes(block[12:14], "little")
            found.plays = again + 1 if again else 0
        elif kind == b",":
            found.hasty += delay < SHORT
            found.delays.append((delay if delay >= SHORT else 10) * TICK)
            found.last, delay, place = place, 0, 0
        elif kind == b";":
            return found
    found.fault = "its end mark is missing"
    return found


def _gif_blocks(file: BinaryIO) -> Iterator[tuple[bytes, int, bytes]]:
    """(kind, offset of the content, content): extensions by their label, `,` for a picture, `;` at the end."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(13)
    if len(head) == 13 and head[10] & 0x80:
        file.seek(3 << (head[10] & 7) + 1, os.SEEK_CUR)
    while kind := file.read(1):
        if kind == b"!":
            label, at = file.read(1), file.tell() + 1
            yield label, at, b"".join(_sub_blocks(file, keep=2 if label in (b"\xf9", b"\xff") else 0))
        elif kind == b",":
            form = file.read(9)
            if len(form) == 9 and form[8] & 0x80:
                file.seek(3 << (form[8] & 7) + 1, os.SEEK_CUR)
            file.seek(1, os.SEEK_CUR)  # the size of the first codes
            for _ in _sub_blocks(file, keep=0):
                pass
            if file.tell() <= size:
                yield kind, 0, b""
        else:
            yield kind, 0, b""
            return


def _sub_blocks(file: BinaryIO, keep: int) -> Iterator[bytes]:
    """The first `keep` pieces of one block; the others are passed over."""
    while size := int.from_bytes(file.read(1)):
        if keep > 0:
            yield file.read(size)
        else:
            file.seek(size, os.SEEK_CUR)
        keep -= 1


def _read_webp(file: BinaryIO) -> Animation | None:
    found, size, at = Animation(tick=Fraction(1, 1000)), file.seek(0, os.SEEK_END), 12
    while at + 8 <= size:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        head = file.read(min(length, 16))
        if name == b"ANIM" and len(head) >= 6:
            found.plays = int.from_bytes(head[4:6], "little")
        elif name == b"ANMF" and len(head) == 16:
            delay = int.from_bytes(head[12:15], "little")
            found.hasty += delay <= 10
            found.delays.append(Fraction(delay if delay > 10 else 100, 1000))
        at += 8 + length + length % 2
    return found if found.delays else None


def _read_apng(file: BinaryIO) -> Animation | None:
    found, stated, whole = Animation(), 0, False
    for name, at, length in _chunks(file):
        if name == b"acTL" and length == 8:
            stated, found.plays = struct.unpack(">II", file.read(8))
        elif name == b"fcTL" and length == 26:
            delay, parts = struct.unpack(">20xHH2x", file.read(26))
            found.hasty += delay == 0
            found.delays.append(Fraction(delay, parts or 100))
            found.last = at
        whole = whole or name == b"IEND"
    if not stated:
        return None
    if len(found.delays) < stated:
        found.fault = f"it holds {len(found.delays)} of the {stated} pictures its header states"
    elif not whole:
        found.fault = "its end mark is missing"
    return found


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """(name, offset of the content, its length) of the whole chunks of a PNG; the file stands at the content."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    at = 8 if file.read(8) == _SIGNATURE else size
    while at + 12 <= size:
        file.seek(at)
        length, name = struct.unpack(">I4s", file.read(8))
        if at + 12 + length > size:
            return
        yield name, at + 8, length
        at += 12 + length


def muxer_words(container: str, source: Animation | None) -> dict[str, str]:
    """The options of a muxer for an animation that is played as often as its `source`; a film is for ever."""
    plays = source.plays if source else 0
    if container == GIF:
        return {"loop": str(plays - 1 if plays else 0) if plays != 1 else "-1"}
    return {"plays": str(plays)} if container == APNG else {}


def ticks(seconds: Fraction) -> int:
    """Whole ticks of GIF, rounded as FFmpeg does: a half goes up."""
    return floor(seconds / TICK + Fraction(1, 2))


def end_at(path: Path, begin: Fraction, end: Fraction) -> None:
    """Let the last picture of the GIF or APNG at `path`, which begins at `begin`, be shown until `end`, in seconds."""
    found = read_animation(path)
    if found is None or not found.last:
        return
    with path.open("r+b") as file:
        is_gif = file.read(3) == b"GIF"
        file.seek(found.last)
        if is_gif:
            file.write(struct.pack("<H", min(65535, max(SHORT, ticks(end) - ticks(begin)))))
            return
        control = bytearray(file.read(26))
        struct.pack_into(">HH", control, 20, *_fitting(end - begin))
        file.seek(found.last)
        file.write(bytes(control) + struct.pack(">I", zlib.crc32(b"fcTL" + control)))


def _fitting(seconds: Fraction) -> tuple[int, int]:
    """The nearest fraction of two numbers of 16 bits."""
    near = seconds.limit_denominator(max(1, int(65535 / max(seconds, Fraction(1)))))
    return min(65535, near.numerator), near.denominator
