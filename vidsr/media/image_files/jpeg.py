"""JPEG (ITU-T T.81) with JFIF, EXIF, XMP, ICC and Photoshop segments."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import cv2

from .codec import cv_decode, cv_encode
from .header import Array, Broken, Header, Metadata, Quality, exif_orientation, unpack

FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
"""Markers of the segment that has the sizes."""

EXIF, XMP, ICC, PHOTOSHOP, JFIF = (
    b"Exif\0\0",
    b"http://ns.adobe.com/xap/1.0/\0",
    b"ICC_PROFILE\0",
    b"Photoshop 3.0\0",
    b"JFIF\0",
)
MOST = 65533
"""Bytes that one segment may hold."""


def read(data: bytes) -> Header:
    """Raises Broken for what is no whole JPEG of 8 bits."""
    parts = list(segments(data))
    frame = next((content for marker, content in parts if marker in FRAMES), b"")
    depth, height, width, components = unpack(">BHHB", frame)
    if depth != 8 or components not in (1, 3, 4):
        raise Broken(f"it has {components} components of {depth} bit, supported are 1, 3 and 4 of 8 bit")
    if b"\xff\xd9" not in data[-65536:]:
        raise Broken("it is cut short")
    metadata, inks = _metadata(parts), components == 4
    notes = ("CMYK becomes RGB, without its profile",) if inks else ()
    if inks:
        metadata = Metadata(None, metadata.exif, metadata.xmp, metadata.photoshop, metadata.density, metadata.texts)
    channels = 1 if components == 1 else 3
    return Header(width, height, channels, 8, exif_orientation(metadata.exif), metadata, notes)


def segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, content) up to the first scan. Raises Broken where there is none."""
    at = 2
    while True:
        mark, marker = unpack(">BB", data, at)
        if mark != 0xFF:
            raise Broken("its header is damaged")
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == 0xDA:
            return
        length = unpack(">H", data, at + 2)[0]
        yield marker, data[at + 4 : at + 2 + length]
        at += 2 + max(2, length)


def _metadata(parts: list[tuple[int, bytes]]) -> Metadata:
    def found(marker: int, mark: bytes) -> list[bytes]:
        return [content[len(mark) :] for number, content in parts if number == marker and content.startswith(mark)]

    profile = [content[2:] for content in sorted(found(0xE2, ICC), key=lambda item: item[:1])]
    texts = tuple(("Comment", content.decode("utf-8", "replace").rstrip("\0")) for content in found(0xFE, b""))
    return Metadata(
        icc=b"".join(profile) or None,
        exif=next(iter(found(0xE1, EXIF)), None),
        xmp=next(iter(found(0xE1, XMP)), None),
        photoshop=b"".join(found(0xED, PHOTOSHOP)) or None,
        density=_density(next(iter(found(0xE0, JFIF)), b"")),
        texts=texts,
    )


def _density(jfif: bytes) -> tuple[float, float] | None:
    if len(jfif) < 7 or jfif[2] not in (1, 2):
        return None
    across, down = struct.unpack(">HH", jfif[3:7])
    unit = 1.0 if jfif[2] == 1 else 2.54
    return (across * unit, down * unit) if across and down else None


def decode(data: bytes, header: Header) -> Array:
    """uint8, H W or H W 3."""
    return cv_decode(data)


def encode(pixels: Array, metadata: Metadata, quality: Quality) -> bytes:
    """uint8, gray or RGB; colour is not subsampled. Nothing of `metadata` may be `too_long`."""
    words = [cv2.IMWRITE_JPEG_QUALITY, quality.jpeg, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    words += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    data = cv_encode(".jpg", pixels, words)
    start = 4 + unpack(">H", data, 4)[0]  # behind the JFIF segment, which is written anew
    across, down = (min(65535, max(1, round(value))) for value in metadata.density or (1, 1))
    jfif = JFIF + struct.pack(">HBHHBB", 0x0102, 1 if metadata.density else 0, across, down, 0, 0)
    parts = [(0xE0, jfif), *_written(metadata)]
    return (
        data[:2]
        + b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in parts)
        + (data[start:])
    )


def too_long(metadata: Metadata) -> set[str]:
    """The fields that do not fit into segments."""
    sizes = {"exif": len(metadata.exif or b"") + len(EXIF), "xmp": len(metadata.xmp or b"") + len(XMP)}
    sizes["texts"] = max((len(_comment(*text)) for text in metadata.texts), default=0)
    sizes["icc"] = len(metadata.icc or b"") // 255
    return {name for name, size in sizes.items() if size > MOST - 14}


def _written(metadata: Metadata) -> Iterator[tuple[int, bytes]]:
    if metadata.exif:
        yield 0xE1, EXIF + metadata.exif
    if metadata.xmp:
        yield 0xE1, XMP + metadata.xmp
    profile, room = metadata.icc or b"", MOST - len(ICC) - 2
    pieces = [profile[at : at + room] for at in range(0, len(profile), room)]
    for number, piece in enumerate(pieces, 1):
        yield 0xE2, ICC + bytes([number, len(pieces)]) + piece
    for at in range(0, len(metadata.photoshop or b""), MOST - len(PHOTOSHOP)):
        yield 0xED, PHOTOSHOP + (metadata.photoshop or b"")[at : at + MOST - len(PHOTOSHOP)]
    for key, text in metadata.texts:
        yield 0xFE, _comment(key, text)


def _comment(key: str, text: str) -> bytes:
    return (text if key == "Comment" else f"{key}: {text}").encode()
