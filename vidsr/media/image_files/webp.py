"""WebP (RFC 9649): a RIFF file with chunks for the picture, its alpha, and what it carries."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import cv2
import numpy as np

from .codec import cv_decode, cv_encode
from .header import Array, Broken, Header, Metadata, Quality, exif_orientation, unpack

_ICC, _ALPHA, _EXIF, _XMP, _ANIMATION = 0x20, 0x10, 0x08, 0x04, 0x02
"""Flags of VP8X."""

_LOSSLESS = 101
"""What OpenCV takes for lossless."""


def read(data: bytes) -> Header:
    """Raises Broken for what is no whole WebP."""
    named = dict(reversed([*chunks(data)]))  # the first of a name counts
    (width, height, alpha), notes = _size(named), []
    if b"ANMF" in named:
        notes.append("an animation: only its first picture is used")
    exif = named.get(b"EXIF", b"").removeprefix(b"Exif\0\0") or None
    metadata = Metadata(icc=named.get(b"ICCP"), exif=exif, xmp=named.get(b"XMP "))
    return Header(width, height, 4 if alpha else 3, 8, exif_orientation(exif), metadata, tuple(notes))


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, content). Raises Broken where the file is shorter than it says."""
    end = 8 + unpack("<I", data, 4)[0]
    if end > len(data):
        raise Broken("it is cut short")
    at = 12
    while at + 8 <= end:
        name, length = unpack("<4sI", data, at)
        if at + 8 + length > end:
            raise Broken("it is cut short")
        yield name, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _size(named: dict[bytes, bytes]) -> tuple[int, int, bool]:
    """Width, height, and whether there is alpha."""
    if b"VP8X" in named:
        flags, low, high = unpack("<I3s3s", named[b"VP8X"])
        width, height = (int.from_bytes(part, "little") + 1 for part in (low, high))
        return width, height, bool(flags & _ALPHA)
    if b"VP8L" in named:
        mark, bits = unpack("<BI", named[b"VP8L"])
        if mark != 0x2F:
            raise Broken("its header is damaged")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)
    if b"VP8 " not in named:
        raise Broken("it holds no picture")
    mark, across, down = unpack("<3sHH", named[b"VP8 "], 3)
    if mark != b"\x9d\x01\x2a":
        raise Broken("its header is damaged")
    return across & 0x3FFF, down & 0x3FFF, False


def decode(data: bytes, header: Header) -> Array:
    """uint8, H W 3 or H W 4."""
    pixels = cv_decode(data)
    if header.channels == 4 and pixels.shape[2] == 3:  # alpha was announced, and there is none
        return np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    return np.ascontiguousarray(pixels[..., : header.channels])


def encode(pixels: Array, metadata: Metadata, quality: Quality) -> bytes:
    """uint8, RGB or RGBA; a quality of 100 is lossless."""
    lossless = quality.webp == 100
    words = [cv2.IMWRITE_WEBP_QUALITY, _LOSSLESS if lossless else quality.webp]
    picture = [part for part in chunks(cv_encode(".webp", pixels, words)) if part[0] in (b"ALPH", b"VP8 ", b"VP8L")]
    height, width, channels = pixels.shape
    flags = _ALPHA * (channels == 4) | _ICC * bool(metadata.icc) | _EXIF * bool(metadata.exif)
    flags |= _XMP * bool(metadata.xmp)
    head = struct.pack("<I", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    parts = [(b"VP8X", head), (b"ICCP", metadata.icc), *picture, (b"EXIF", metadata.exif), (b"XMP ", metadata.xmp)]
    body = b"".join(
        name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
        for name, content in parts
        if content
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
