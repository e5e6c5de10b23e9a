"""Whether a packet that is flagged as a keyframe can really be entered, by its own bytes.

The flags come from tables that any muxer may have written. A picture after a false one could refer to pictures before
it, and a decoder that begins there would show it wrong without an error.

Syntax: ITU-T H.264 7.3 and D.1.8, H.265 7.3, ISO/IEC 13818-2 6.2, RFC 6386 9.1, VP9 bitstream 6.2, AV1 bitstream 5.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .bits import Bits, unescaped, units_after_codes, units_after_lengths

INTRA = {
    "ffv1", "prores", "dnxhd", "huffyuv", "ffvhuff", "utvideo", "magicyuv", "cfhd", "rawvideo", "v210",
    "dvvideo", "jpeg2000",
}  # fmt: skip
"""Codecs whose pictures refer to no other, and whose decoders refuse a picture that is no keyframe but needs one."""


def parameters(codec: str, data: bytes, extradata: bytes) -> tuple[bytes, ...] | None:
    """The parameter sets that the keyframe `data` carries; None if decoding cannot begin with it.

    `codec` is FFmpeg's name of the codec (not of a decoder). Of a codec that is not known here nothing can be entered.
    """
    if codec in INTRA:
        return ()
    look = _LOOKS.get(codec)
    try:
        return look(data, extradata) if look else None
    except IndexError:  # cut short
        return None


def agree(found: set[tuple[bytes, ...]], extradata: bytes) -> bool:
    """Whether every keyframe means the same by its parameters, also those that carry none and mean the file's."""
    stated = found - {()}
    return len(stated) <= 1 and (() not in found or all(part in extradata for parts in stated for part in parts))


def _h264(data: bytes, extradata: bytes) -> tuple[bytes, ...] | None:
    """Entered at an IDR picture, or at a recovery point all of whose slices are intra coded and which is exact at once.

    A later recovery (intra refresh) is none: its pictures heal over a whole period.
    """
    units = list(_units(data, extradata, 4))
    kinds = {unit[0] & 31 for unit in units}
    slices = [unit for unit in units if unit[0] & 31 in (1, 2, 5)]
    begins = 5 in kinds or any(_recovers(unit) for unit in units if unit[0] & 31 == 6)
    if not slices or not begins or 2 in kinds or not all(_is_intra(unit) for unit in slices):
        return None
    return _distinct(unit for unit in units if unit[0] & 31 in (7, 8))


def _hevc(data: bytes, extradata: bytes) -> tuple[bytes, ...] | None:
    """Entered at pictures of random access (BLA, IDR, CRA)."""
    units = list(_units(data, extradata, 21))
    pictures = [kind for unit in units if (kind := unit[0] >> 1 & 63) < 32]
    if not pictures or not all(16 <= kind <= 21 for kind in pictures):
        return None
    return _distinct(unit for unit in units if unit[0] >> 1 & 63 in (32, 33, 34))


def _mpeg2(data: bytes, extradata: bytes) -> tuple[bytes, ...] | None:
    """Entered at an I picture behind a sequence header, whose first 32 bits are size, aspect and rate."""
    header, picture = data.find(b"\0\0\1\xb3"), data.find(b"\0\0\1\0")
    if not 0 <= header < picture or data[picture + 5] >> 3 & 7 != 1:
        return None
    return (data[header + 4 : header + 8],)


def _mjpeg(data: bytes, extradata: bytes) -> tuple[bytes, ...] | None:
    """Entered at a picture with quantisation tables of its own; decoders keep those of the picture before. Huffman
    tables may be left out, and then are those of the standard: if any picture has others, all must have them.
    """
    at, quantised, huffman = 2, False, []
    while data[at : at + 1] == b"\xff" and data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        quantised = quantised or data[at + 1] == 0xDB
        if data[at + 1] == 0xC4:
            huffman.append(data[at:end])
        at = end
    return tuple(huffman) if quantised and data[at + 1 : at + 2] == b"\xda" else None


def _vp8(data: bytes, extradata: bytes) -> tuple[bytes, ...] | None:
    return () if data[0] & 1 == 0 and data[3:6] == b"\x9d\x01\x2a" else None


def _vp9(data: bytes, extradata: bytes) -> tuple[bytes, ...] | None:
    """The uncompressed header: marker 2, profile (a bit more for profile 3), shown anew, a key frame, its sync code."""
    bits = Bits(data[:8])
    marker, profile = bits.take(2), bits.take(2)
    bits.take(1 if profile == 3 else 0)
    key = marker == 2 and bits.take(2) == 0
    bits.take(2)
    return () if key and bits.take(24) == 0x498342 else None


def _av1(data: bytes, extradata: bytes) -> tuple[bytes, ...] | None:
    """Entered where a sequence header precedes a key frame that is shown at once."""
    header = b""
    for kind, payload in _obus(data):
        if kind == 1:
            header = payload
        if kind in (3, 6):
            shown = payload[0] >> 4 == 0b0001  # not an existing frame, KEY_FRAME, show_frame
            return (header,) if header and shown else None
    return None


_LOOKS = {
    "h264": _h264, "hevc": _hevc, "mpeg1video": _mpeg2, "mpeg2video": _mpeg2, "vp8": _vp8, "vp9": _vp9, "av1": _av1,
    "mjpeg": _mjpeg,
}  # fmt: skip


def _distinct(units: Iterable[bytes]) -> tuple[bytes, ...]:
    return tuple(sorted(set(units)))


def _units(data: bytes, extradata: bytes, place: int) -> Iterator[bytes]:
    """NAL units; with lengths before them if extradata, which says at `place` how long those are, is a record."""
    if extradata[:1] != b"\1":
        return units_after_codes(data)
    return units_after_lengths(data, (extradata[place] & 3) + 1)


def _is_intra(unit: bytes) -> bool:
    """Whether an H.264 slice is of type I or SI: the second number of its header."""
    bits = Bits(unescaped(unit[1:24]))
    bits.golomb()
    return bits.golomb() % 5 in (2, 4)


def _recovers(unit: bytes) -> bool:
    """Whether an H.264 SEI unit holds a recovery point (type 6) that is reached with its own picture."""
    data, at = unescaped(unit[1:]), 0
    while at + 2 < len(data):
        kind, at = _sum(data, at)
        size, at = _sum(data, at)
        if kind == 6:
            return size > 0 and data[at] >= 128  # recovery_frame_cnt 0
        at += size
    return False


def _sum(data: bytes, at: int) -> tuple[int, int]:
    """A number as SEI messages write it, and where it ends."""
    value = 0
    while data[at] == 255:
        value, at = value + 255, at + 1
    return value + data[at], at + 1


def _obus(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kinds and payloads of the open bitstream units of AV1."""
    at = 0
    while at < len(data):
        kind, extended, sized = data[at] >> 3 & 15, data[at] >> 2 & 1, data[at] >> 1 & 1
        at += 1 + extended
        size, at = _leb128(data, at) if sized else (len(data) - at, at)
        yield kind, data[at : at + size]
        at += size


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """A little-endian number of 7 bits a byte, and where it ends."""
    value = shift = 0
    while data[at] & 128:
        value, shift, at = value | (data[at] & 127) << shift, shift + 7, at + 1
    return value | data[at] << shift, at + 1
