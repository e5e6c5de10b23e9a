"""BMP: Windows bitmaps."""

from __future__ import annotations

import struct

import numpy as np

from .codec import cv_decode, cv_encode
from .header import Array, Broken, Header, Metadata, Quality, unpack

_METRE = 0.0254
_BITFIELDS = (3, 6)


def read(data: bytes) -> Header:
    """Raises Broken for what is no whole bitmap."""
    start, size = unpack("<II", data, 10)
    if size < 40:
        raise Broken("it is a bitmap of OS/2, which is not supported")
    width, height, _, bits, packing, _, across, down = unpack("<iiHHIIii", data, 18)
    row = (abs(width) * bits + 31) // 32 * 4
    if packing in (0, *_BITFIELDS) and start + row * abs(height) > len(data):
        raise Broken("it is cut short")
    alpha = bits == 32 and size >= 56 and packing in _BITFIELDS and bool(unpack("<I", data, 66)[0])
    density = (across * _METRE, down * _METRE) if across > 0 and down > 0 else None
    notes = (f"palette of {bits} bit becomes 8 bit",) if bits < 8 else ()
    channels = 1 if bits <= 8 and _is_gray(data[14 + size : start]) else 4 if alpha else 3
    return Header(width, abs(height), channels, 8, metadata=Metadata(density=density), notes=notes)


def _is_gray(palette: bytes) -> bool:
    colours = np.frombuffer(palette[: len(palette) // 4 * 4], np.uint8).reshape(-1, 4)[:, :3]
    return bool(len(colours)) and bool((colours == colours[:, :1]).all())


def decode(data: bytes, header: Header) -> Array:
    """uint8, H W or H W C."""
    pixels = cv_decode(data)
    if header.channels == 1:
        return pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., 0])
    if pixels.ndim == 2:
        pixels = np.dstack([pixels] * 3)
    return np.ascontiguousarray(pixels[..., : header.channels])


def encode(pixels: Array, metadata: Metadata, quality: Quality) -> bytes:
    """uint8, gray, RGB or RGBA."""
    data = bytearray(cv_encode(".bmp", pixels))
    if metadata.density:
        struct.pack_into("<ii", data, 38, *(round(value / _METRE) for value in metadata.density))
    return bytes(data)
