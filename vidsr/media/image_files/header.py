"""What the header of a picture says, and what else than pixels a picture carries."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]

_INTERIM = re.compile(rb"(tiff:Orientation(?:=[\"']|>))[0-9](?=[\"'<])")


class Broken(ValueError):
    """The file is not what it says it is, is cut short, or holds what is not supported; the text says what."""


SPOKEN = {
    "icc": "ICC profile",
    "exif": "EXIF",
    "xmp": "XMP",
    "photoshop": "IPTC",
    "density": "density",
    "texts": "text",
    "chunks": "gamma",
}
"""Fields of Metadata, in the words of the notes."""


@dataclass(frozen=True)
class Metadata:
    """What a picture carries beside its pixels, in a form that all formats share."""

    icc: bytes | None = None
    exif: bytes | None = None
    """A TIFF structure, without what formats write in front of it."""
    xmp: bytes | None = None
    photoshop: bytes | None = None
    """Image resources, which hold the IPTC captions, as JPEG (APP13) and TIFF have them."""
    density: tuple[float, float] | None = None
    """Pixels per inch, across and down."""
    texts: tuple[tuple[str, str], ...] = ()
    """Keyword and text."""
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    """PNG chunks that say what colours mean, such as gAMA, by name; only PNG has them."""

    def there(self) -> set[str]:
        """The names of the fields that are not empty."""
        return {name for name in SPOKEN if getattr(self, name)}

    def without(self, names: Iterable[str]) -> Metadata:
        """The same with these fields empty."""
        empty: dict[str, Any] = {name: getattr(Metadata(), name) for name in names}
        return replace(self, **empty)

    def upright(self, width: int, height: int) -> Metadata:
        """The same for pixels that were turned upright and are now `width` by `height`."""
        exif = None if self.exif is None else exif_for(self.exif, width, height)
        xmp = None if self.xmp is None else _INTERIM.sub(rb"\g<1>1", self.xmp)
        return replace(self, exif=exif, xmp=xmp)


@dataclass(frozen=True)
class Header:
    """Sizes are in pixels as stored, before `orientation` (1 … 8, as EXIF counts) is applied."""

    width: int
    height: int
    channels: int
    """Of the decoded picture: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha."""
    depth: int
    """Bits per sample as stored; 32 is float."""
    orientation: int = 1
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()
    """What is not kept as it is in the file."""
    premultiplied: bool = False
    """Whether the file's colours are multiplied by its alpha."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise Broken(f"its header says {self.width}x{self.height} pixels")


@dataclass(frozen=True)
class Quality:
    """Of formats that have a choice: `jpeg`, `webp` and `avif` are 1 … 100; 100 is lossless for WebP."""

    jpeg: int = 95
    webp: int = 100
    avif: int = 95


def unpack(layout: str, data: bytes, offset: int = 0) -> tuple[Any, ...]:
    """`struct.unpack_from` that raises Broken where the data ends too early."""
    if offset < 0 or offset + struct.calcsize(layout) > len(data):
        raise Broken("it is cut short")
    return struct.unpack_from(layout, data, offset)


ORIENTATION, WIDTHS, HEIGHTS, EXIF_POINTER = 274, (256, 0xA002), (257, 0xA003), 0x8769


def exif_orientation(exif: bytes | None) -> int:
    """1 … 8; 1 where nothing sensible is said."""
    try:
        found = [offset for _, tag, offset in _entries(exif or b"", 0) if tag == ORIENTATION]
        order = _order(exif or b"")
        value = unpack(order + "H", exif or b"", found[0] + 8)[0] if found else 1
    except Broken:
        return 1
    return int(value) if 1 <= value <= 8 else 1


def exif_for(exif: bytes, width: int, height: int) -> bytes | None:
    """EXIF of an upright picture of another size: orientation 1, new sizes, no thumbnail; None if it is damaged."""
    patched = bytearray(exif)
    try:
        order = _order(exif)
        for _, tag, offset in _entries(exif, 0):
            if tag == ORIENTATION:
                struct.pack_into(order + "HHII", patched, offset, tag, 3, 1, 0)
                struct.pack_into(order + "H", patched, offset + 8, 1)
            elif tag in WIDTHS or tag in HEIGHTS:
                struct.pack_into(order + "HHII", patched, offset, tag, 4, 1, width if tag in WIDTHS else height)
        start = unpack(order + "I", exif, 4)[0]
        struct.pack_into(order + "I", patched, start + 2 + 12 * unpack(order + "H", exif, start)[0], 0)
    except (Broken, struct.error):
        return None
    return bytes(patched)


def _order(exif: bytes) -> str:
    """The mark of the byte order, as `struct` writes it."""
    if exif[:4] not in (b"II*\0", b"MM\0*"):
        raise Broken("its EXIF data is damaged")
    return "<" if exif[:2] == b"II" else ">"


def _entries(exif: bytes, at: int) -> list[tuple[str, int, int]]:
    """(byte order, tag, offset of the entry) of the first directory and of the EXIF directory below it."""
    order = _order(exif)
    found = []
    for offset in _directory(exif, order, unpack(order + "I", exif, 4)[0]):
        tag = unpack(order + "H", exif, offset)[0]
        found.append((order, tag, offset))
        if tag == EXIF_POINTER:
            below = unpack(order + "I", exif, offset + 8)[0]
            found += [(order, unpack(order + "H", exif, item)[0], item) for item in _directory(exif, order, below)]
    return found


def _directory(exif: bytes, order: str, start: int) -> range:
    """The offsets of the entries of one directory, all of which lie in the data."""
    count = unpack(order + "H", exif, start)[0]
    unpack(f"{12 * count}x", exif, start + 2)
    return range(start + 2, start + 2 + 12 * count, 12)
