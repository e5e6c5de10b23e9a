"""OpenEXR, by FFmpeg: OpenCV's reader is switched off by default, for its faults with hostile files."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .codec import av_decode, av_encode, av_plane
from .header import Array, Broken, Header, Metadata, Quality, unpack

_DEEP, _MULTIPART = 0x800, 0x1000
_ROWS = {0: 1, 1: 1, 2: 1, 3: 16, 4: 32, 5: 16, 6: 32, 7: 32, 8: 32, 9: 256}
"""Rows that lie in one chunk, by compression."""

_KEPT = {
    "channels", "compression", "dataWindow", "displayWindow", "lineOrder", "pixelAspectRatio", "screenWindowCenter",
    "screenWindowWidth", "tiles", "type", "name", "chunkCount", "writer", "gamma",
}  # fmt: skip
"""Attributes that say nothing beyond the pixels; all others are told as not kept."""


def read(data: bytes) -> Header:
    """Raises Broken for what is no EXR picture of gray, RGB or RGBA."""
    flags = unpack("<I", data, 4)[0]
    if flags & (_DEEP | _MULTIPART):
        raise Broken("it has several parts or deep samples, which is not supported")
    found, table = _attributes(data)
    if not {"channels", "dataWindow", "displayWindow"} <= found.keys():
        raise Broken("its header is damaged")
    left, top, right, bottom = unpack("<iiii", found["displayWindow"])
    inner = unpack("<iiii", found["dataWindow"])
    if inner[2] < inner[0] or inner[3] < inner[1]:
        raise Broken("its data window is empty")
    if max(inner[2] - inner[0], inner[3] - inner[1]) > 2 * max(right - left, bottom - top) + 64:
        raise Broken("its data window is far larger than its display window")
    names = dict(_channels(found["channels"]))
    if 0 in names.values():
        raise Broken("it has channels of whole numbers, which are not supported")
    plain = names.keys() & {"R", "G", "B", "A", "Y"}
    channels = {frozenset("Y"): 1, frozenset("RGB"): 3, frozenset("RGBA"): 4}.get(frozenset(plain))
    if channels is None:
        raise Broken(f"it has the channels {', '.join(names)}, supported are Y, RGB and RGBA")
    layers, others = sorted(names.keys() - plain), sorted(found.keys() - _KEPT)
    notes = [f"channels {', '.join(layers)} are not kept"] if layers else []
    notes += [f"attributes {', '.join(others)} are not kept"] if others else []
    _check_whole(data, table, found, inner)
    size = right - left + 1, bottom - top + 1
    return Header(*size, channels, 32, metadata=Metadata(), notes=tuple(notes), premultiplied=channels == 4)


def _check_whole(data: bytes, table: int, found: dict[str, bytes], window: tuple[int, ...]) -> None:
    """Raises Broken where a chunk of the pixels lies outside of the file. FFmpeg leaves those black."""
    width, height = window[2] - window[0] + 1, window[3] - window[1] + 1
    rows, across, head = _ROWS.get(unpack("B", found.get("compression", b""))[0], 1), 1, 8
    if "tiles" in found:
        side, rows = unpack("<II", found["tiles"])
        across, head = -(-width // max(1, side)), 20
    count = -(-height // max(1, rows)) * across
    for place in unpack(f"<{min(count, len(data))}Q", data, table):
        length = unpack("<I", data, place + head - 4)[0] if place < len(data) else len(data)
        if place + head + length > len(data):
            raise Broken("it is cut short")


def _attributes(data: bytes) -> tuple[dict[str, bytes], int]:
    """The header, and where it ends."""
    found, at = {}, 8
    while unpack("<B", data, at)[0]:
        name, at = _word(data, at)
        _, at = _word(data, at)
        size = unpack("<I", data, at)[0]
        if at + 4 + size > len(data):
            raise Broken("it is cut short")
        if name in found:
            raise Broken(f"it says twice what its {name} is")
        found[name] = data[at + 4 : at + 4 + size]
        at += 4 + size
    return found, at + 1


def _channels(listed: bytes) -> Iterator[tuple[str, int]]:
    """(name, 0 for whole numbers, 1 for half, 2 for float)."""
    at = 0
    while unpack("<B", listed, at)[0]:
        name, at = _word(listed, at)
        yield name, unpack("<I", listed, at)[0]
        at += 16


def _word(data: bytes, at: int) -> tuple[str, int]:
    """A name that ends with a zero, and where the next thing begins."""
    end = data.find(b"\0", at, at + 256)
    if end < 0:
        raise Broken("its header is damaged")
    return data[at:end].decode("latin-1"), end + 1


def decode(data: bytes, header: Header) -> Array:
    """float32, H W or H W C; infinite and undefined samples become the nearest number that is one."""
    frame = av_decode("exr", data, {"err_detect": "explode"})
    half = frame.format.name.removesuffix("le").removesuffix("be").endswith("f16")
    dtype = ("<" if frame.format.name.endswith("le") else ">") + ("f2" if half else "f4")
    order = [0] if header.channels == 1 else [2, 0, 1, 3][: header.channels]  # FFmpeg's planes are G, B, R, A
    if len(frame.planes) != header.channels:
        raise Broken(f"it decodes to {frame.format.name}, which does not fit its header")
    planes = [av_plane(frame, number, dtype).astype(np.float32) for number in order]
    return np.nan_to_num(planes[0] if len(planes) == 1 else np.stack(planes, axis=-1))


def encode(pixels: Array, metadata: Metadata, quality: Quality) -> bytes:
    """float32, gray, RGB or RGBA, as float with lossless ZIP compression."""
    planes = [pixels] if pixels.ndim == 2 else [pixels[..., channel] for channel in [1, 2, 0, 3][: pixels.shape[2]]]
    layout = {1: "grayf32le", 3: "gbrpf32le", 4: "gbrapf32le"}[len(planes)]
    words = {"compression": "zip16", "format": "float"}
    return av_encode("exr", layout, [plane.astype("<f4") for plane in planes], words)
