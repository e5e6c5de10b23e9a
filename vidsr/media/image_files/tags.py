"""Directories of TIFF and EXIF: tags with values, read within bounds and laid out again elsewhere."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from .header import EXIF_POINTER, Broken, unpack

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of one value, by type."""

POINTERS = (EXIF_POINTER, 0x8825, 0xA005)
"""Tags whose value is another directory: EXIF, GPS, interoperability."""

_LAYOUTS = {1: "B", 3: "H", 4: "I", 13: "I"}


@dataclass(frozen=True)
class Value:
    """A value in the byte order of its file, or a directory."""

    kind: int
    raw: bytes
    below: Directory | None = None


Directory = dict[int, Value]


def read_directory(data: bytes, order: str, start: int, deep: int = 2) -> tuple[Directory, int]:
    """The directory at `start`, and where the next one is; a value of more bytes than the file has is Broken."""
    count = unpack(order + "H", data, start)[0]
    found: Directory = {}
    total = 0
    for number in range(count):
        at = start + 2 + 12 * number
        tag, kind, length = unpack(order + "HHI", data, at)
        if tag in found:
            raise Broken(f"it has the tag {tag} twice")
        if kind not in SIZES:
            continue
        size = SIZES[kind] * length
        place = at + 8 if size <= 4 else unpack(order + "I", data, at + 8)[0]
        total += size
        if place + size > len(data) or total > len(data):  # or many tags would each take the same large part of it
            raise Broken("it is cut short")
        raw = data[place : place + size]
        below = _below(data, order, raw, deep) if tag in POINTERS else None
        if tag not in POINTERS or below is not None:
            found[tag] = Value(kind, raw, below)
    return found, unpack(order + "I", data, start + 2 + 12 * count)[0]


def _below(data: bytes, order: str, raw: bytes, deep: int) -> Directory | None:
    """The directory that a tag points at; None where it is damaged or nested too far."""
    try:
        return read_directory(data, order, unpack(order + "I", raw)[0], deep - 1)[0] if deep else None
    except Broken:
        return None


def numbers(found: Directory, order: str, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
    """The whole numbers of a tag."""
    value = found.get(tag)
    if value is None or value.kind not in _LAYOUTS:
        return default
    letter = _LAYOUTS[value.kind]
    return struct.unpack(f"{order}{len(value.raw) // SIZES[value.kind]}{letter}", value.raw)


def ratio(found: Directory, order: str, tag: int) -> float:
    """The fraction of a tag; 0 where there is none."""
    value = found.get(tag)
    if value is None or value.kind != 5 or len(value.raw) < 8:
        return 0.0
    above, below = struct.unpack(order + "II", value.raw[:8])
    return above / below if below else 0.0


def laid_out(directory: Directory, order: str, at: int) -> bytes:
    """The bytes of a directory that begins at offset `at`, with its values and the directories below behind it."""
    room = at + 2 + 12 * len(directory) + 4
    head, tail = [struct.pack(order + "H", len(directory))], bytearray()
    for tag, value in sorted(directory.items()):
        place = room + len(tail)
        if value.below is not None:
            tail += laid_out(value.below, order, place)
            field: Any = struct.pack(order + "HHII", tag, 4, 1, place)
        else:
            count = len(value.raw) // SIZES[value.kind]
            short = len(value.raw) <= 4
            field = struct.pack(order + "HHI", tag, value.kind, count)
            field += value.raw.ljust(4, b"\0") if short else struct.pack(order + "I", place)
            tail += b"" if short else value.raw + b"\0" * (len(value.raw) % 2)
        head.append(field)
    return b"".join(head) + b"\0\0\0\0" + bytes(tail)


def block(directory: Directory, order: str) -> bytes:
    """A whole TIFF structure with one directory, which is what EXIF is."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "I", 8) + laid_out(directory, order, 8)


def opened(data: bytes) -> tuple[str, int]:
    """The byte order and the offset of the first directory."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        raise Broken("its header is damaged, or it is a BigTIFF, which is not supported")
    return order, unpack(order + "I", data, 4)[0]
