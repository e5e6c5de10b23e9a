"""Picture files made by hand: kinds that vidsr reads and does not write, and files that lie."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsr.media.image_files.header import Metadata, Quality
from vidsr.media.image_files.png import SIGNATURE
from vidsr.media.image_files.tags import Directory, Value, block
from vidsr.media.image_formats import FORMATS
from vidsr.media.images import Picture, encoded

Array = NDArray[Any]

ICC = {"RGB ": b"\0" * 12 + b"mntrRGB XYZ " + b"\0" * 104, "GRAY": b"\0" * 12 + b"mntrGRAYXYZ " + b"\0" * 104}
"""Headers of profiles: as much as is looked at."""

CMYK_JPEG = zlib.decompress(
    base64.b85decode(
        "c-s4a<NrGbKF5^&q*R6!1`zmvo57huT1Z4(L{M5>Ok7SzT0z4}TSHY<Bhbp$z$qa#H6=bYHae?fW@A?2gyQJf)~#(5<}F^mc6EBg"
        "o|C(l9iO>k^^*Sw7(_T2fRM#mkil1wAySaRTae-Z5e9h%21Zs!FkpZJMkZz!RyKAHPA+bsf~^7!OpMITOf1Z-tSl@**;=4H1B)Q5"
        "kfNa@n{Z$vyHcTuQRBpg9Li1`4~hm|{Gei-RMf=DB_=K*DW$5WuA!-AVrph?VQJ;;;_Bw^;pr6|5*ijB5gC=7lA4yDk(pIoQd(AC"
        "QCZd8(%RPE(b+X=@|3C5rq7r;YtiB*OP4KQv2xX>&0Dr^+rDGxu0w~996fgY#K}{aE?>EN?fQ+Iw;n!v{N(Ag=PzEq`uOSdm#^Qx"
        "|M>aq|1AbS7H0-uhDZi)1_pbEmn%M`|Jhf6!2Vm7jpTm@{rMmG|IXT#_5UUS$)}3X"
    )
)
"""8x8, left half red, right half white, with the inverted inks that Adobe began with."""


def noise(channels: int, dtype: Any, height: int = 23, width: int = 37, seed: int = 0) -> Array:
    """A picture of noise, H W or H W C; alpha, where there is one, is nowhere 0."""
    values = np.random.default_rng(seed).uniform(0.01, 1, (height, width, channels))
    pixels = values if np.dtype(dtype).kind == "f" else np.ceil(values * np.iinfo(dtype).max)
    return (pixels[..., 0] if channels == 1 else pixels).astype(dtype)


def exif(orientation: int = 1, order: str = "<") -> bytes:
    """A maker's name, an orientation, and the sizes of another picture; a thumbnail is announced."""
    below: Directory = {
        0xA002: Value(3, struct.pack(order + "H", 5)),
        0x9003: Value(2, b"2020:01:02 03:04:05\0"),
    }
    first: Directory = {
        271: Value(2, b"maker\0"),
        274: Value(3, struct.pack(order + "H", orientation)),
        0x8769: Value(4, b"", below),
    }
    data = bytearray(block(first, order))
    struct.pack_into(order + "I", data, 8 + 2 + 12 * len(first), 8)
    return bytes(data)


def everything(channels: int, orientation: int = 1) -> Metadata:
    """All metadata there is."""
    return Metadata(
        icc=ICC["GRAY" if channels < 3 else "RGB "],
        exif=exif(orientation),
        xmp=f'<x:xmpmeta tiff:Orientation="{orientation}"></x:xmpmeta>'.encode(),
        photoshop=b"8BIM\x04\x04\0\0\0\0\0\x03abc\0",
        density=(300.0, 150.0),
        texts=(("Comment", "häh, 日本"),),
        chunks=((b"gAMA", struct.pack(">I", 45455)),),
    )


def save(path: Path, pixels: Array, metadata: Metadata | None = None) -> Path:
    """A file in the format that its name says."""
    kind = FORMATS[path.suffix]
    path.write_bytes(encoded(Picture(pixels, metadata or Metadata(), kind), kind, Quality()).data)
    return path


def png(size: tuple[int, int], depth: int, colour: int, rows: bytes, *more: tuple[bytes, bytes]) -> bytes:
    """A PNG of packed `rows`, unfiltered; `more` are chunks before the pixels."""
    width, height = size
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    length = (width * channels * depth + 7) // 8
    lines = b"".join(b"\0" + rows[top : top + length] for top in range(0, length * height, length))
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [(b"IHDR", head), *more, (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return SIGNATURE + b"".join(chunk(*part) for part in parts)


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of PNG."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def patched(data: bytes, tag: int, *values: int, order: str = "<") -> bytes:
    """A TIFF with the short values of a tag of its first directory changed."""
    found = bytearray(data)
    start = struct.unpack_from(order + "I", data, 4)[0]
    for number in range(struct.unpack_from(order + "H", data, start)[0]):
        at = start + 2 + 12 * number
        if struct.unpack_from(order + "H", data, at)[0] == tag:
            struct.pack_into(f"{order}HI{len(values)}H", found, at + 2, 3, len(values), *values)
            return bytes(found)
    raise AssertionError(f"no tag {tag}")
