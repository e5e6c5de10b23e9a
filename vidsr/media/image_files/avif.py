"""AVIF, by OpenCV's libavif: 8, 10 and 12 bit, with alpha."""

from __future__ import annotations

import re

import cv2
import numpy as np

from .codec import cv_decode, cv_encode
from .header import Array, Broken, Header, Metadata, Quality, unpack

_KINDS = ("IMAGE_METADATA_EXIF", "IMAGE_METADATA_XMP", "IMAGE_METADATA_ICCP")

_XMP_END = b"</x:xmpmeta>"

_TURNED: dict[int | None, tuple[int, int, int, int]] = {None: (1, 8, 3, 6), 0: (4, 5, 2, 7), 1: (2, 7, 4, 5)}
"""Orientation by the mirror's axis and the quarter turns before it."""


def read(data: bytes) -> Header:
    """Raises Broken for what has no sizes. The boxes are not walked: those that say sizes are looked for.

    libavif compares them with the pictures, and takes none beyond 16384x16384.
    """
    meta = data[: _end_of_meta(data)]
    sizes = [unpack(">II", meta, found.end() + 4) for found in re.finditer(rb"\0\0\0\x14ispe", meta)]
    coding = meta.find(b"av1C")
    if not sizes or coding < 0:
        raise Broken("its header is damaged")
    width, height = (max(size[side] for size in sizes) for side in (0, 1))
    flags = unpack("B", meta, coding + 6)[0]
    depth = 8 if not flags & 0x40 else 12 if flags & 0x20 else 10
    channels = 4 if b":alpha" in meta else 1 if flags & 0x10 else 3
    notes = ["an animation: only its first picture is used"] if data[8:12] == b"avis" else []
    return Header(width, height, channels, depth, _orientation(meta), _metadata(data, meta), tuple(notes))


def _end_of_meta(data: bytes) -> int:
    """Where the boxes before the coded pictures end, at most a MiB on."""
    media = data.find(b"mdat")
    return min(len(data) if media < 0 else media, 1 << 20)


def _orientation(meta: bytes) -> int:
    """What the boxes for turning (anticlockwise) and mirroring mean, as EXIF counts."""
    turn, mirror = meta.find(b"\0\0\0\x09irot"), meta.find(b"\0\0\0\x09imir")
    angle = unpack("B", meta, turn + 8)[0] & 3 if turn >= 0 else 0
    axis = unpack("B", meta, mirror + 8)[0] & 1 if mirror >= 0 else None
    return _TURNED[axis][angle]


def _metadata(data: bytes, meta: bytes) -> Metadata:
    """The profile lies in a box; EXIF is given by OpenCV where it can."""
    box = meta.find(b"colrprof")
    icc = meta[box + 8 : box - 4 + unpack(">I", meta, box - 4)[0]] if box >= 4 else None
    exif = _exif(data) if b"Exif" in meta else None
    return Metadata(icc=icc or None, exif=exif, xmp=_xmp(data) if b"application/rdf+xml" in meta else None)


def is_found(xmp: bytes) -> bool:
    """Whether `read` will find it again."""
    return _xmp(xmp) is not None


def _xmp(data: bytes) -> bytes | None:
    """Lies in the file as it is."""
    start = data.find(b"<x:xmpmeta")
    end = data.find(_XMP_END, start) if start >= 0 else -1
    return data[start : end + len(_XMP_END)] if end >= 0 else None


def _exif(data: bytes) -> bytes | None:
    decode = getattr(cv2, "imdecodeWithMetadata", None)  # from OpenCV 4.12 on
    if decode is None:
        return None
    try:
        _, kinds, values = decode(np.frombuffer(data, np.uint8), flags=cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    found = dict(zip(kinds, values, strict=True)).get(cv2.IMAGE_METADATA_EXIF)
    return None if found is None else bytes(found).removeprefix(b"Exif\0\0")


def decode(data: bytes, header: Header) -> Array:
    """uint8, or uint16 with codes of 10 and 12 bit spread over 16; H W or H W C."""
    pixels = cv_decode(data)
    if header.depth > 8:
        pixels = np.rint(pixels * (65535 / ((1 << header.depth) - 1))).astype(np.uint16)
    return pixels


def encode(pixels: Array, metadata: Metadata, quality: Quality) -> bytes:
    """uint8 as 8 bit, uint16 as 12 bit; gray, RGB or RGBA."""
    words = [cv2.IMWRITE_AVIF_QUALITY, quality.avif, cv2.IMWRITE_AVIF_SPEED, 6]
    if pixels.dtype == np.uint16:
        words += [cv2.IMWRITE_AVIF_DEPTH, 12]
        pixels = np.rint(pixels * (4095 / 65535)).astype(np.uint16)
    return cv_encode(".avif", pixels, words, _kinds(metadata))


def _kinds(metadata: Metadata) -> dict[str, bytes]:
    """What OpenCV writes beside the pixels, by its names."""
    values = (metadata.exif, metadata.xmp, metadata.icc)
    return {name: value for name, value in zip(_KINDS, values, strict=True) if value}
