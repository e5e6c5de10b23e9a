"""PNG (ISO/IEC 15948): every chunk is walked and its checksum compared, so that a cut or damaged file is noticed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np

from .codec import av_encode, cv_decode, cv_encode
from .header import Array, Broken, Header, Metadata, Quality, exif_orientation, unpack

SIGNATURE = b"\x89PNG\r\n\x1a\n"

CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
"""By colour type; a palette is RGB, and tRNS adds alpha."""

COLOUR_CHUNKS = (b"cICP", b"gAMA", b"cHRM", b"sRGB", b"mDCV", b"cLLI")

LONGEST = 16 << 20
"""Bytes that a compressed text or profile may have: more is left out."""

_INCH = 0.0254
_XMP = "XML:com.adobe.xmp"


def read(data: bytes) -> Header:
    """Raises Broken for what is no whole PNG."""
    parts = list(chunks(data))
    width, height, depth, colour, *_ = unpack(">IIBBBBB", parts[0][1])
    heads = sum(name == b"IHDR" for name, _ in parts)
    if parts[0][0] != b"IHDR" or heads > 1 or colour not in CHANNELS:
        raise Broken("its header is damaged")
    named = dict(parts)
    palette, clear = colour == 3, b"tRNS" in named
    notes = [f"palette of {len(named.get(b'PLTE', b'')) // 3} colours becomes RGB"] if palette else []
    notes += [f"gray of {depth} bit becomes 8 bit"] if depth < 8 and not palette else []
    notes += ["an animation: only its first picture is used"] if b"acTL" in named else []
    notes += ["a transparent colour becomes alpha"] if clear and not palette else []
    metadata = _metadata(parts)
    return Header(
        width,
        height,
        CHANNELS[colour] + clear,
        16 if depth == 16 else 8,
        exif_orientation(metadata.exif),
        metadata,
        tuple(notes),
    )


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, content) up to IEND. Raises Broken where the file ends before, or a checksum is wrong."""
    at = len(SIGNATURE)
    while True:
        length, name = unpack(">I4s", data, at)
        content = data[at + 8 : at + 8 + length]
        if unpack(">I", data, at + 8 + length)[0] != zlib.crc32(name + content):
            raise Broken(f"the checksum of its {name.decode('latin-1')} chunk is wrong")
        yield name, content
        if name == b"IEND":
            return
        at += 12 + length


def _metadata(parts: list[tuple[bytes, bytes]]) -> Metadata:
    named = dict(parts)
    texts = list(_texts(parts))
    icc = _inflated(named[b"iCCP"].partition(b"\0")[2][1:]) if b"iCCP" in named else None
    xmp = next((text for key, text in texts if key == _XMP), None)
    return Metadata(
        icc=icc,
        exif=named.get(b"eXIf"),
        xmp=None if xmp is None else xmp.encode(),
        density=_density(named.get(b"pHYs", b"")),
        texts=tuple(item for item in texts if item[0] != _XMP),
        chunks=tuple((name, named[name]) for name in COLOUR_CHUNKS if name in named),
    )


def _density(content: bytes) -> tuple[float, float] | None:
    if len(content) != 9 or content[8] != 1:
        return None
    across, down = struct.unpack(">II", content[:8])
    return (across * _INCH, down * _INCH) if across and down else None


def _inflated(content: bytes) -> bytes | None:
    """What zlib makes of it, None where it is damaged or longer than LONGEST."""
    stream = zlib.decompressobj()
    try:
        result = stream.decompress(content, LONGEST)
    except zlib.error:
        return None
    return result if stream.eof else None


def _texts(parts: list[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
    """Keywords and texts, up to LONGEST in all: a small file may hold many that are long once inflated."""
    total = 0
    for name, content in parts:
        text = _text(name, content) if total < LONGEST else None
        if text is not None:
            total += len(text[1])
            yield text


def _text(name: bytes, content: bytes) -> tuple[str, str] | None:
    key, _, rest = content.partition(b"\0")
    if name == b"tEXt":
        return key.decode("latin-1"), rest.decode("latin-1")
    if name == b"zTXt":
        plain = _inflated(rest[1:])
        return None if plain is None else (key.decode("latin-1"), plain.decode("latin-1"))
    if name == b"iTXt" and len(rest) > 2:
        raw = rest[2:].split(b"\0", 2)[-1]
        body = _inflated(raw) if rest[0] else raw
        return None if body is None else (key.decode("latin-1"), body.decode("utf-8", "replace"))
    return None


def decode(data: bytes, header: Header) -> Array:
    """uint8 or uint16, H W or H W C."""
    pixels = cv_decode(_bare(data))
    if header.channels == 2 and pixels.ndim == 2:  # OpenCV leaves the transparent gray out
        content = dict(chunks(data))
        key = unpack(">H", content[b"tRNS"])[0] * (255 // ((1 << content[b"IHDR"][8]) - 1) if header.depth == 8 else 1)
        peak = np.iinfo(pixels.dtype).max
        return np.stack([pixels, np.where(pixels == key, 0, peak).astype(pixels.dtype)], axis=-1)
    return np.ascontiguousarray(pixels[..., [0, 3]]) if header.channels == 2 else pixels


def _bare(data: bytes) -> bytes:
    """The file without all that libpng need not see, and would complain about on stderr."""
    needed = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
    return SIGNATURE + b"".join(_chunk(*part) for part in chunks(data) if part[0] in needed)


def encode(pixels: Array, metadata: Metadata, quality: Quality) -> bytes:
    """uint8 or uint16 of any kind."""
    if pixels.ndim == 3 and pixels.shape[2] == 2:
        layout = "ya8" if pixels.dtype == np.uint8 else "ya16be"
        data = av_encode("png", layout, [pixels.astype(pixels.dtype.newbyteorder(">"))], {"pred": "paeth"})
    else:
        data = cv_encode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 6])
    kept = [(name, content) for name, content in chunks(data) if name in (b"IHDR", b"IDAT", b"IEND")]
    return SIGNATURE + b"".join(_chunk(*part) for part in [kept[0], *_written(metadata), *kept[1:]])


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _written(metadata: Metadata) -> Iterator[tuple[bytes, bytes]]:
    """The chunks that go between IHDR and IDAT."""
    yield from metadata.chunks
    if metadata.icc:
        yield b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)
    if metadata.density:
        yield b"pHYs", struct.pack(">IIB", *(round(value / _INCH) for value in metadata.density), 1)
    if metadata.exif:
        yield b"eXIf", metadata.exif
    texts = [*metadata.texts, (_XMP, metadata.xmp.decode("utf-8", "replace"))] if metadata.xmp else metadata.texts
    for key, text in texts:
        name = key.encode("latin-1", "replace")[:79] or b"Comment"
        yield b"iTXt", name + b"\0\0\0\0\0" + text.encode()
