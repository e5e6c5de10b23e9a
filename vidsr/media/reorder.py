"""How far the pictures of an H.264 stream are reordered: what it states, and whether that is true.

Where it is not stated, FFmpeg guesses, and guesses anew when a picture comes too late, which is then lost. A decoder
that begins elsewhere would do so elsewhere.

Syntax: ITU-T H.264 7.3.2.1.1 (sequence parameter set), E.1.1 and E.1.2 (video usability information).
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappush, heappushpop

from .bits import Bits, unescaped, units_after_codes

_HIGH = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}
"""Profiles whose sets say something of chroma, depth and scaling."""


def sets_of(extradata: bytes) -> list[bytes]:
    """The sequence parameter sets in the extradata of an H.264 stream, an AVCDecoderConfigurationRecord or Annex B."""
    if extradata[:1] != b"\1":
        return [unit for unit in units_after_codes(extradata) if unit[0] & 31 == 7]
    sets, at = [], 6
    for _ in range(extradata[5] & 31 if len(extradata) > 5 else 0):
        end = at + 2 + int.from_bytes(extradata[at : at + 2])
        sets.append(extradata[at + 2 : end])
        at = end
    return sets


def stated_depth(unit: bytes) -> int | None:
    """Pictures that may come before one and be shown after it (max_num_reorder_frames); None if that is not stated."""
    try:
        return _depth(Bits(unescaped(unit[1:])))
    except IndexError:
        return None


def is_ordered(pts: Iterable[int], depth: int) -> bool:
    """Whether pictures come in order from a decoder that holds `depth` of them back."""
    held: list[int] = []
    last: int | None = None
    for stamp in pts:
        if len(held) < depth:
            heappush(held, stamp)
            continue
        shown = heappushpop(held, stamp)
        if last is not None and shown <= last:
            return False
        last = shown
    return True


def _depth(bits: Bits) -> int | None:
    profile = bits.take(8)
    bits.take(16)  # constraints, level
    bits.golomb()  # number of the set
    if profile in _HIGH:
        _skip_high(bits)
    bits.golomb()  # log2_max_frame_num
    _skip_order(bits)
    bits.golomb()  # max_num_ref_frames
    bits.take(1)
    bits.skip_golombs(2)  # width, height
    if not bits.take(1):  # frame_mbs_only
        bits.take(1)
    bits.take(1)
    if bits.take(1):  # cropping
        bits.skip_golombs(4)
    return _usability(bits) if bits.take(1) else None


def _skip_high(bits: Bits) -> None:
    chroma = bits.golomb()
    if chroma == 3:
        bits.take(1)
    bits.skip_golombs(2)  # depths
    bits.take(1)
    if not bits.take(1):  # no scaling matrices
        return
    for number in range(12 if chroma == 3 else 8):
        if bits.take(1):
            _skip_scaling(bits, 16 if number < 6 else 64)


def _skip_scaling(bits: Bits, size: int) -> None:
    last = 8
    for _ in range(size):
        last = (last + bits.signed()) % 256
        if last == 0:  # the rest equals what came before
            return


def _skip_order(bits: Bits) -> None:
    kind = bits.golomb()
    if kind == 0:
        bits.golomb()
    elif kind == 1:
        bits.take(1)
        bits.skip_golombs(2)
        bits.skip_golombs(bits.golomb())


def _usability(bits: Bits) -> int | None:
    if bits.take(1) and bits.take(8) == 255:  # aspect
        bits.take(32)
    if bits.take(1):  # overscan
        bits.take(1)
    if bits.take(1):  # kind of signal
        bits.take(4)
        if bits.take(1):
            bits.take(24)
    if bits.take(1):  # place of chroma
        bits.skip_golombs(2)
    if bits.take(1):  # timing
        bits.take(65)
    reference = [_skip_buffering(bits) for _ in range(2)]
    if any(reference):
        bits.take(1)
    bits.take(1)
    if not bits.take(1):  # bitstream_restriction
        return None
    bits.take(1)
    bits.skip_golombs(4)
    depth = bits.golomb()
    return depth if depth <= 16 else None  # FFmpeg takes no notice of more


def _skip_buffering(bits: Bits) -> bool:
    """Pass over the parameters of a reference decoder; whether there are any."""
    if not bits.take(1):
        return False
    count = bits.golomb() + 1
    bits.take(8)
    for _ in range(count):
        bits.skip_golombs(2)
        bits.take(1)
    bits.take(20)
    return True
