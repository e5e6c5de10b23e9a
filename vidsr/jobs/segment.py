"""The file of a finished segment: the packets of the encoder exactly as they came.

No container of libav keeps pts, dts and durations as they are, so the format is our own. After a magic line come
records, each of which is: the lengths of its two parts, a CRC, a part in JSON, a part in bytes, a CRC. CRCs go on from
one record to the next over all that came before, so that a record which is altered, lost or moved is known, and
lengths are known to be right before memory is taken for them. The first record is the header, the last one the count.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, cast

from av.packet import Packet, PacketSideData, packet_sidedata_type_from_literal

from ..errors import OutputError
from . import disk
from .disposable import disposable_packet

_MAGIC = b"vidsr segment 1\n"
_LENGTHS = struct.Struct("<II")
_CRC = struct.Struct("<I")
_STATISTICS = {"quality_stats"}
"""Side data that encoders tell about their work, and that no muxer reads."""

Record = tuple[dict[str, Any], bytes]


class SegmentError(OutputError):
    """The file of a segment is missing, cut short or altered; the segment has to be computed again."""


@dataclass(frozen=True, slots=True)
class Header:
    """What all packets of a segment have in common. `time_base` is a fraction in words, `codec` libav's encoder."""

    time_base: str
    codec: str
    extradata: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """A segment file that is whole and on the disk. Times are in units of its time base: the least and the greatest
    pts, the dts of the first and of the last packet; None where there are none."""

    size: int
    sha256: str
    packets: int
    first_pts: int | None
    last_pts: int | None
    first_dts: int | None
    last_dts: int | None


class SegmentWriter:
    """Writes a segment beside `path`, which `close` makes appear; without `close` nothing is left behind.

    A context manager. Raises OutputError when the disk refuses, or for a packet that could not be given back as it is.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self.header = header
        self._base = Fraction(header.time_base)
        self._hash = hashlib.sha256()
        self._size = self._crc = 0
        self._pts: list[int] = []
        self._dts: list[int | None] = []
        self._sealed: Sealed | None = None

    def __enter__(self) -> SegmentWriter:
        with disk.writing_in(self.path.parent):
            self._file: BinaryIO = disk.part_of(self.path).open("wb")
        try:
            self._put(_MAGIC)
            self._record({**asdict(self.header), "extradata": base64.b64encode(self.header.extradata).decode()})
        except BaseException:
            disk.abandon(self._file, self.path)
            raise
        return self

    def write(self, packet: Packet[Any]) -> None:
        """Append a packet, whose times must be in the segment's time base."""
        pts = self._keepable(packet)
        side = [(part.data_type, bytes(part)) for part in packet.iter_sidedata() if part.data_type not in _STATISTICS]
        meta = {
            "pts": pts,
            "dts": packet.dts,
            "duration": packet.duration,
            "key": packet.is_keyframe,
            "corrupt": packet.is_corrupt,
            "disposable": packet.is_disposable,
            "side": [(name, len(data)) for name, data in side],
        }
        self._record(meta, b"".join([*(data for _, data in side), bytes(packet)]))
        self._pts.append(pts)
        self._dts.append(packet.dts)

    def close(self) -> Sealed:
        """Finish the file: it is on the disk under its name when this returns."""
        if self._sealed is None:
            pts, dts = self._pts, self._dts or [None]
            self._record({"packets": len(pts)})
            with disk.writing_in(self.path.parent):
                disk.settle(self._file, self.path)
            ends = min(pts, default=None), max(pts, default=None), dts[0], dts[-1]
            self._sealed = Sealed(self._size, self._hash.hexdigest(), len(pts), *ends)
        return self._sealed

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._sealed is None:
            disk.abandon(self._file, self.path)

    def _keepable(self, packet: Packet[Any]) -> int:
        """The pts of a packet that can be given back as it is; PyAV has no way to set the marks refused here."""
        marks = {"a foreign time base": packet.time_base != self._base, "no data": packet.size == 0}
        marks |= {"a discard mark": packet.is_discard, "a trusted mark": packet.is_trusted}
        marks |= {"an opaque object": packet.opaque is not None, "no pts": packet.pts is None}
        marks |= {"empty side data": not all(bytes(part) for part in packet.iter_sidedata())}
        for what, is_so in marks.items():
            if is_so:
                raise OutputError(f"a packet of {self.header.codec} at pts {packet.pts} has {what}: it cannot be kept")
        return cast(int, packet.pts)

    def _record(self, meta: dict[str, Any], data: bytes = b"") -> None:
        text = json.dumps(meta, separators=(",", ":")).encode("ascii")
        for part in (_LENGTHS.pack(len(text), len(data)), text + data):
            self._crc = zlib.crc32(part, self._crc)
            self._put(part + _CRC.pack(self._crc))

    def _put(self, data: bytes) -> None:
        with disk.writing_in(self.path.parent):
            self._file.write(data)
        self._hash.update(data)
        self._size += len(data)


class SegmentReader:
    """A segment file. Iterating gives its packets, as often as asked; each time every CRC is checked anew.

    Raises SegmentError, here or while iterating, for a file that is not exactly what a SegmentWriter closed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _records(path) as records:
            self.header = _header(path, records)
        self._base = Fraction(self.header.time_base)

    def __iter__(self) -> Iterator[Packet[Any]]:
        for meta, data in self._kept():
            yield _packet(meta, data, self._base)

    def stamps(self) -> Iterator[tuple[int, int | None]]:
        """(pts, dts) of each packet: all that is checked for packets is checked, but none are made."""
        for meta, _ in self._kept():
            yield meta["pts"], meta["dts"]

    def _kept(self) -> Iterator[Record]:
        """The records of packets, as many as the last record says."""
        with _records(self.path) as records:
            _header(self.path, records)
            count = 0
            for meta, data in records:
                if "packets" in meta:
                    break
                yield meta, data
                count += 1
            else:
                raise _damaged(self.path, "its end is missing")
            if meta["packets"] != count or next(records, None) is not None:
                raise _damaged(self.path, "it does not end where it should")


@contextmanager
def _records(path: Path) -> Iterator[Iterator[Record]]:
    """All records of a segment file, each checked."""
    try:
        with path.open("rb") as file:
            yield _read(path, file)
    except OSError as error:
        raise _damaged(path, (error.strerror or str(error)).lower()) from error


def _read(path: Path, file: BinaryIO) -> Iterator[Record]:
    rest = os.fstat(file.fileno()).st_size - len(_MAGIC)
    if file.read(len(_MAGIC)) != _MAGIC:
        raise _damaged(path, "it does not begin like one")
    crc = 0
    while rest:
        lengths, crc = _checked(path, file, _LENGTHS.size, crc)
        text, size = _LENGTHS.unpack(lengths)
        rest -= _LENGTHS.size + text + size + 2 * _CRC.size
        if rest < 0:
            raise _damaged(path, "it is cut short")
        body, crc = _checked(path, file, text + size, crc)
        yield json.loads(body[:text]), body[text:]


def _checked(path: Path, file: BinaryIO, size: int, before: int) -> tuple[bytes, int]:
    """The next `size` bytes and their CRC, which goes on from that of the bytes before."""
    data, stored = file.read(size), file.read(_CRC.size)
    crc = zlib.crc32(data, before)
    if stored != _CRC.pack(crc):
        raise _damaged(path, "a checksum is wrong or missing")
    return data, crc


def _header(path: Path, records: Iterator[Record]) -> Header:
    """The header, which is the first of the records."""
    values = next(records, ({}, b""))[0]
    if not values:
        raise _damaged(path, "it ends after its first line")
    return Header(**{**values, "extradata": base64.b64decode(values["extradata"])})


def _packet(meta: dict[str, Any], data: bytes, base: Fraction) -> Packet[Any]:
    """The packet that a record keeps."""
    sizes = [size for _, size in meta["side"]]
    payload = data[sum(sizes) :]
    packet = disposable_packet(payload) if meta["disposable"] else _plain(payload)
    packet.time_base = base
    packet.pts, packet.dts, packet.duration = meta["pts"], meta["dts"], meta["duration"]
    packet.is_keyframe, packet.is_corrupt = meta["key"], meta["corrupt"]
    place = 0
    for name, size in meta["side"]:
        packet.set_sidedata(_side(name, data[place : place + size]))
        place += size
    return packet


def _plain(payload: bytes) -> Packet[Any]:
    """A packet in memory of libav, which ends with the zeros that its parsers rely on."""
    packet: Packet[Any] = Packet(len(payload))
    packet.update(payload)
    return packet


def _side(name: Any, data: bytes) -> PacketSideData:
    make: Any = PacketSideData  # its stub knows no arguments
    side: PacketSideData = make(packet_sidedata_type_from_literal(name), len(data))
    side.update(data)
    return side


def _damaged(path: Path, why: str) -> SegmentError:
    return SegmentError(f"segment {path} cannot be used: {why}", "it has to be computed again")


def intact(path: Path, size: int, sha256: str) -> bool:
    """Whether a finished segment is still, byte for byte, the file that its Sealed describes."""
    try:
        with path.open("rb") as file:
            same_size = os.fstat(file.fileno()).st_size == size
            return same_size and hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False
