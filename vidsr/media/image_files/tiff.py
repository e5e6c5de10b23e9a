"""TIFF 6.0. OpenCV (libtiff) reads the pixels. They are written here, since nobody else writes all that there is:
OpenCV does not say that a channel is alpha, FFmpeg has no float, and neither has profiles and tags.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .codec import av_decode, av_plane, cv_decode
from .header import Array, Broken, Header, Metadata, Quality, unpack
from .tags import Directory, Value, block, laid_out, numbers, opened, ratio, read_directory

WIDTH, HEIGHT, BITS, PACKING, MEANING, STRIPS, ORIENTATION, CHANNELS, ROWS, LENGTHS = (
    256, 257, 258, 259, 262, 273, 274, 277, 278, 279,
)  # fmt: skip
ACROSS, DOWN, PLANAR, UNIT, PREDICTOR, TILES, TILE_LENGTHS, EXTRA, FORMAT = 282, 283, 284, 296, 317, 324, 325, 338, 339
XMP, PHOTOSHOP, ICC, EXIF, GPS = 700, 34377, 34675, 0x8769, 0x8825

WORDS = (
    269, 270, 271, 272, 285, 305, 306, 315, 316, 33432, 33723, 0x4746, 0x4749, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F,
    EXIF, GPS,
)  # fmt: skip
"""Tags that EXIF shares: description, maker, model, software, date, artist, copyright, rating, and what lies below."""

_OTHERS = {
    254, 255, WIDTH, HEIGHT, BITS, PACKING, MEANING, 266, STRIPS, ORIENTATION, CHANNELS, ROWS, LENGTHS, 280, 281,
    ACROSS, DOWN, PLANAR, UNIT, 297, PREDICTOR, 318, 319, 320, 322, 323, TILES, TILE_LENGTHS, 332, 334, EXTRA, FORMAT,
    340, 341, 347, 529, 530, 531, 532, XMP, PHOTOSHOP, ICC,
}  # fmt: skip
"""Tags that say how the pixels are stored, or that are kept apart."""

BASE = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3}
"""Channels without alpha, by what they mean: gray, gray, RGB, palette, CMYK, YCbCr."""

_SIZES = ((WIDTH, 0), (HEIGHT, 0), (ORIENTATION, 1))
"""Tags, and what holds without them."""

STRIP = 1 << 18
"""Bytes of pixels that are compressed together."""


@dataclass(frozen=True)
class _Layout:
    """How the pixels of the first page are stored."""

    order: str
    tags: Directory
    depth: int
    is_float: bool
    meaning: int
    extra: int
    """Channels beyond those of the colour: 1 is alpha."""

    @property
    def premultiplied(self) -> bool:
        return self.extra == 1 and numbers(self.tags, self.order, EXTRA, (0,))[:1] == (1,)


def read(data: bytes) -> Header:
    """Raises Broken for what is no whole TIFF, or of a kind that is not supported."""
    layout, pages = _layout(data)
    notes = [f"of {pages} pages only the first is used"] if pages > 1 else []
    notes += ["palette becomes RGB"] if layout.meaning == 3 else []
    notes += ["CMYK becomes RGB, without its profile"] if layout.meaning == 5 else []
    notes += [f"gray of {layout.depth} bit becomes 8 bit"] if layout.depth < 8 and layout.meaning < 2 else []
    unknown = sorted(layout.tags.keys() - set(WORDS) - _OTHERS)
    notes += [f"tags {', '.join(map(str, unknown))} are not kept"] if unknown else []
    depth = 32 if layout.is_float else 16 if layout.depth == 16 and layout.meaning != 3 else 8
    channels = (1 if layout.meaning < 2 else 3) + layout.extra
    width, height, orientation = (_one(layout.tags, layout.order, tag, default) for tag, default in _SIZES)
    orientation = orientation if 1 <= orientation <= 8 else 1
    return Header(width, height, channels, depth, orientation, _metadata(layout), tuple(notes), layout.premultiplied)


def _one(tags: Directory, order: str, tag: int, default: int) -> int:
    return next(iter(numbers(tags, order, tag)), default)


def _layout(data: bytes) -> tuple[_Layout, int]:
    """The first page, and how many there are."""
    order, start = opened(data)
    tags, after = read_directory(data, order, start)
    pages, seen = 1, {start}
    while after and after not in seen and pages < 1000:
        seen.add(after)
        after = unpack(f"{order}I", data, after + 2 + 12 * unpack(order + "H", data, after)[0])[0]
        pages += 1
    bits, forms = numbers(tags, order, BITS, (1,)), set(numbers(tags, order, FORMAT, (1,)))
    meaning, count = _one(tags, order, MEANING, 1), _one(tags, order, CHANNELS, 1)
    is_float = forms == {3}
    known = bits[0] in ((32,) if is_float else (1, 2, 4, 8, 16)) and len(set(bits)) == 1 and forms <= {1, 3}
    extra = count - BASE.get(meaning, count)
    if not known or meaning not in BASE or extra not in (0, 1) or (extra and meaning not in (1, 2)):
        what = f"{count} channels of {bits[0]} bit, format {max(forms)}, photometric {meaning}"
        raise Broken(f"it has {what}, which is not supported")
    _check_whole(data, tags, order)
    return _Layout(order, tags, bits[0], is_float, meaning, extra), pages


def _check_whole(data: bytes, tags: Directory, order: str) -> None:
    """Raises Broken where a strip or a tile lies outside of the file."""
    for places, lengths in ((STRIPS, LENGTHS), (TILES, TILE_LENGTHS)):
        spans = zip(numbers(tags, order, places), numbers(tags, order, lengths), strict=False)
        if any(place + length > len(data) for place, length in spans):
            raise Broken("it is cut short")
    if STRIPS not in tags and TILES not in tags:
        raise Broken("it holds no pixels")


def _metadata(layout: _Layout) -> Metadata:
    tags, order = layout.tags, layout.order
    unit = {2: 1.0, 3: 2.54}.get(_one(tags, order, UNIT, 2), 0.0)
    across, down = ratio(tags, order, ACROSS) * unit, ratio(tags, order, DOWN) * unit
    words = {tag: tags[tag] for tag in WORDS if tag in tags}
    icc = _raw(tags, ICC) if layout.meaning != 5 else None
    density = (across, down) if across and down else None
    return Metadata(icc, block(words, order) if words else None, _raw(tags, XMP), _raw(tags, PHOTOSHOP), density)


def _raw(tags: Directory, tag: int) -> bytes | None:
    return tags[tag].raw or None if tag in tags else None


def decode(data: bytes, header: Header) -> Array:
    """uint8, uint16 or float32, H W or H W C."""
    layout, _ = _layout(data)
    if header.channels == 2:  # which OpenCV reads without its alpha
        return _gray_and_alpha(data, header)
    pixels = cv_decode(_unmultiplied_by_libtiff(data, layout))
    if pixels.ndim == 3 and pixels.shape[2] > header.channels:
        pixels = np.ascontiguousarray(pixels[..., : header.channels])
    return pixels


def _unmultiplied_by_libtiff(data: bytes, layout: _Layout) -> bytes:
    """The file with its alpha declared as one that colours are multiplied by: libtiff then leaves them as they are."""
    value = layout.tags.get(EXTRA)
    if layout.extra != 1 or value is None or value.raw[:2] != struct.pack(layout.order + "H", 2):
        return data
    patched, (_, start) = bytearray(data), opened(data)
    for number in range(unpack(layout.order + "H", data, start)[0]):
        at = start + 2 + 12 * number
        if unpack(layout.order + "H", data, at)[0] == EXTRA:
            struct.pack_into(layout.order + "H", patched, at + 8, 1)
    return bytes(patched)


def _gray_and_alpha(data: bytes, header: Header) -> Array:
    frame = av_decode("tiff", data)
    names = {"ya8": "u1", "ya16le": "<u2", "ya16be": ">u2"}
    if frame.format.name not in names:
        raise Broken(f"it decodes to {frame.format.name}, which does not fit its header")
    pixels = av_plane(frame, 0, names[frame.format.name], 2)
    return pixels.astype(pixels.dtype.newbyteorder("="))


def encode(pixels: Array, metadata: Metadata, quality: Quality) -> bytes:
    """uint8, uint16 or float32 of any kind, in strips compressed by zlib; as a stream of whole rows."""
    exif = metadata.exif or b""
    order = ">" if exif[:2] == b"MM" else "<"  # that of EXIF, whose values need no conversion then
    cube = pixels.reshape(*pixels.shape[:2], -1)
    rows = max(1, STRIP // (cube.shape[1] * cube.shape[2] * cube.itemsize))
    strips = list(_strips(cube, rows, order))
    data = bytearray(b"II*\0" if order == "<" else b"MM\0*") + b"\0\0\0\0"
    places = []
    for strip in strips:
        places.append(len(data))
        data += strip
    data += b"\0" * (len(data) % 2)
    if len(data) > 0xFFF00000:
        raise OverflowError("TIFF files end at 4 GiB")
    struct.pack_into(order + "I", data, 4, len(data))
    tags = _pixel_tags(cube, rows, places, [len(strip) for strip in strips], order)
    return bytes(data) + laid_out({**_kept(metadata, order), **tags}, order, len(data))


def _strips(cube: Array, rows: int, order: str) -> Iterator[bytes]:
    """Compressed rows; whole numbers as differences from the pixel to the left (predictor 2)."""
    for top in range(0, len(cube), rows):
        part = cube[top : top + rows]
        if part.dtype.kind == "u":
            part = np.concatenate([part[:, :1], part[:, 1:] - part[:, :-1]], axis=1)
        yield zlib.compress(part.astype(f"{order}{part.dtype.str[1:]}").tobytes(), 6)


def _pixel_tags(cube: Array, rows: int, places: list[int], lengths: list[int], order: str) -> Directory:
    height, width, channels = cube.shape
    whole = cube.dtype.kind == "u"
    shorts: dict[int, list[int]] = {
        BITS: [cube.itemsize * 8] * channels,
        PACKING: [8],
        MEANING: [1 if channels < 3 else 2],
        ORIENTATION: [1],
        CHANNELS: [channels],
        PLANAR: [1],
        PREDICTOR: [2 if whole else 1],
        FORMAT: [1 if whole else 3] * channels,
        **({EXTRA: [2]} if channels in (2, 4) else {}),
    }
    longs = {WIDTH: [width], HEIGHT: [height], STRIPS: places, ROWS: [rows], LENGTHS: lengths}
    return {
        **{tag: Value(3, struct.pack(f"{order}{len(values)}H", *values)) for tag, values in shorts.items()},
        **{tag: Value(4, struct.pack(f"{order}{len(values)}I", *values)) for tag, values in longs.items()},
    }


def words_of(exif: bytes) -> Directory:
    """What of EXIF a TIFF takes into its own directory; nothing if it is damaged."""
    try:
        words, _ = read_directory(exif, *opened(exif))
    except Broken:
        return {}
    return {tag: words[tag] for tag in WORDS if tag in words}


def _kept(metadata: Metadata, order: str) -> Directory:
    found = words_of(metadata.exif) if metadata.exif else {}
    for tag, kind, raw in ((XMP, 1, metadata.xmp), (PHOTOSHOP, 7, metadata.photoshop), (ICC, 7, metadata.icc)):
        if raw:
            found[tag] = Value(kind, raw)
    if metadata.density:
        for tag, value in zip((ACROSS, DOWN), metadata.density, strict=True):
            found[tag] = Value(5, struct.pack(order + "II", round(value * 1000), 1000))
        found[UNIT] = Value(3, struct.pack(order + "H", 2))
    return found
