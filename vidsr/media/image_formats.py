"""The formats of picture files: what each can hold, how it is called, and how it is told from the others."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

from .image_files import avif, bmp, exr, jpeg, png, tiff, webp
from .image_files.header import SPOKEN, Broken


@dataclass(frozen=True)
class Format:
    """What a format can hold. `channels` and `dtypes` in the order of preference, `side` the longest in pixels."""

    name: str
    module: ModuleType
    channels: tuple[int, ...]
    dtypes: tuple[str, ...]
    side: int
    metadata: frozenset[str]
    """Fields of `Metadata`."""
    exact: bool = False
    """Whether pixels read back as they were sent, each of them."""


_DEPTHS = ("uint8", "uint16", "float32")
_ALL = frozenset(SPOKEN)
_THREE = frozenset({"icc", "exif", "xmp"})
PNG = Format("PNG", png, (1, 2, 3, 4), ("uint8", "uint16"), 1 << 20, _ALL - {"photoshop"}, exact=True)
JPEG = Format("JPEG", jpeg, (1, 3), ("uint8",), 65500, _ALL - {"chunks"})
WEBP = Format("WebP", webp, (3, 4), ("uint8",), 16383, _THREE)
TIFF = Format("TIFF", tiff, (1, 2, 3, 4), _DEPTHS, 1 << 20, _ALL - {"texts", "chunks"}, exact=True)
BMP = Format("BMP", bmp, (1, 3, 4), ("uint8",), 32767, frozenset({"density"}), exact=True)
EXR = Format("EXR", exr, (1, 3, 4), ("float32",), 1 << 20, frozenset())
AVIF = Format("AVIF", avif, (1, 3, 4), ("uint8", "uint16"), 16384, _THREE)

FORMATS = {
    ".png": PNG, ".jpg": JPEG, ".jpeg": JPEG, ".jpe": JPEG, ".webp": WEBP, ".tif": TIFF, ".tiff": TIFF, ".bmp": BMP,
    ".exr": EXR, ".avif": AVIF,
}  # fmt: skip
"""By the ending of the name."""

_MARKS = (
    (b"\x89PNG\r\n\x1a\n", 0, PNG), (b"\xff\xd8\xff", 0, JPEG), (b"WEBP", 8, WEBP), (b"II*\0", 0, TIFF),
    (b"MM\0*", 0, TIFF), (b"BM", 0, BMP), (b"\x76\x2f\x31\x01", 0, EXR), (b"ftypavi", 4, AVIF),
)  # fmt: skip
"""Bytes at an offset."""


def format_of(data: bytes) -> Format:
    """By the first bytes, whatever the name says. Raises Broken."""
    for mark, at, kind in _MARKS:
        if data[at : at + len(mark)] == mark:
            return kind
    jxl = data[:2] == b"\xff\x0a" or data[4:8] == b"JXL "
    raise Broken("JPEG XL is not supported: no library here reads it" if jxl else "it is in no known picture format")
