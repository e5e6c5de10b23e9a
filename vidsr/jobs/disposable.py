"""Packets marked as disposable: no other picture is decoded from theirs.

x265 and SVT-AV1 mark packets so, and MP4 and MOV tell it to players in a table of their own. PyAV 18.1 can read the
mark but not set it. What can set it is the demuxer of QuickTime files, which reads that table (`sdtp`, ISO/IEC
14496-12, 8.6.4). So such a packet is made by reading the smallest file of one sample.
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

import av
from av.packet import Packet

_NOT_DEPENDED_ON = b"\x08"  # sample_is_depended_on = 2
_HEAD = 8  # bytes before what a box holds: its size and name


def disposable_packet(data: bytes) -> Packet[Any]:
    """A packet with the mark that holds `data`, one byte at least; its times are still to be set."""
    with av.open(BytesIO(_box(b"mdat", data) + _movie(len(data))), "r", format="mov") as container:
        packet = next(container.demux())
    assert packet.is_disposable, "the demuxer of QuickTime files no longer sets the mark"
    assert bytes(packet) == data, f"{packet.size} bytes instead of {len(data)}"
    return packet


def _movie(size: int) -> bytes:
    """The `moov` box: one track of plain data with one sample, `size` bytes at the beginning of `mdat`."""
    samples = _box(
        b"stbl",
        _table(b"stsd", 1, struct.pack(">I4s6xH", 16, b"data", 1)),
        _table(b"stts", 1, struct.pack(">II", 1, 1)),
        _table(b"stsc", 1, struct.pack(">III", 1, 1, 1)),
        _table(b"stsz", size, struct.pack(">I", 1)),
        _table(b"stco", 1, struct.pack(">I", _HEAD)),
        _box(b"sdtp", bytes(4), _NOT_DEPENDED_ON),
    )
    handler = _box(b"hdlr", bytes(8), b"meta", bytes(13))
    clock = _box(b"mdhd", bytes(12), struct.pack(">II4x", 1, 1))
    track = _box(b"tkhd", bytes(12), struct.pack(">I4xI60x", 1, 1))
    return _box(b"moov", _box(b"trak", track, _box(b"mdia", clock, handler, _box(b"minf", samples))))


def _table(name: bytes, number: int, rest: bytes) -> bytes:
    """A box with version and flags, a number (of entries, or a size), and its entries."""
    return _box(name, struct.pack(">4xI", number), rest)


def _box(name: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", _HEAD + len(content), name) + content
