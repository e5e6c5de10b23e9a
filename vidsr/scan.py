"""One reading of all packets of an input, without decoding: its keyframes, and what speaks against cutting it."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from .errors import InputError
from .events import Emit, Event, Notice, Progress, ignore
from .media.alpha_streams import alpha_beside
from .media.claims import Claims
from .media.keyframes import agree, parameters
from .media.reorder import is_ordered, sets_of, stated_depth
from .stages.source import Source, open_source, packets

FIELDS_APART = {"h264", "hevc", "vc1"}
"""Codecs that may have a packet for each field of a picture, so that pictures cannot be counted by packets."""

REORDERED = {"h264", "hevc"}
"""Codecs whose decoders expect no reordering unless there is some."""

TELL_EVERY = 100
"""Packets between two Progress events."""


@dataclass(frozen=True, slots=True)
class Key:
    """A keyframe packet, and all it takes to know it again."""

    number: int
    """Among the non-empty packets of the video, in their order."""
    pts: int
    dts: int | None
    size: int
    crc: int
    """zlib.crc32 of its bytes."""


@dataclass(frozen=True)
class Scan:
    """What was read of the video stream of an input."""

    time_base: Fraction
    """Seconds per unit of pts and dts."""
    packets: int
    """Non-empty ones."""
    size: int
    """Bytes of all packets, at least 1."""
    pts: array[int]
    """Of all packets that have one, in their order."""
    keys: tuple[Key, ...]
    """The keyframes at which decoding can begin."""
    bytes_before: array[int]
    """Of each key, the bytes of all packets before it."""
    width: int
    height: int
    rate: Fraction | None
    """Frames per second, as far as that is stated or guessed."""
    claims: Claims
    whole: str
    """Why the input must not be cut, as a sentence; empty if it may."""


def scan(path: Path, max_pixels: int, emit: Emit = ignore, until: int | None = None) -> Scan:
    """Read all packets of `path` on the clock of a run, or those that are decoded up to pts `until`.

    `emit` is told the progress, with no rate.

    Raises InputError if the input cannot be opened, or is no plain file and so can be read only once.
    """
    if path.exists() and not path.is_dir() and not path.is_file():
        raise InputError(f"input {path} is no plain file, it can be read only once and cannot be planned")
    with closing(open_source(path, max_pixels)) as source:
        reading = _Reading(source)
        for packet in packets(source, lambda packet: None, reading.hear):
            if packet.size:
                if until is not None and packet.dts is not None and packet.dts > until:
                    break
                reading.take(packet)
                if reading.count % TELL_EVERY == 0:
                    emit(Progress(reading.count, source.claims.frames or None, float(source.end), 0.0))
        return reading.result()


def parting(scan: Scan) -> Iterator[tuple[int, int]]:
    """The keyframes but the first that part the pictures before them from those after them: each one's index among the
    keys, and the frames shown before it.

    All packets before such a key are shown before it. The same may hold of some that follow it at once, its leading
    pictures; all others that follow are shown after it.
    """
    pts = np.frombuffer(scan.pts, np.int64)
    before = np.maximum.accumulate(pts)
    after = np.minimum.accumulate(pts[::-1])[::-1]
    for index, key in enumerate(scan.keys[1:], 1):
        if before[key.number - 1] >= key.pts:
            continue
        rank = key.number + _leading(scan.pts, key)
        if rank + 1 == len(pts) or after[rank + 1] > key.pts:
            yield index, rank


def _leading(pts: array[int], key: Key) -> int:
    """Packets right after `key` that are shown before it."""
    end = key.number + 1
    while end < len(pts) and pts[end] < key.pts:
        end += 1
    return end - key.number - 1


def first_entry(scan: Scan, start: int) -> Key | None:
    """Where decoding begins for what is shown from pts `start` on; None: at the beginning of the input.

    It is a keyframe further back than need be: leading pictures of the nearest may refer to what is before it.
    """
    wanted = [] if scan.whole else [index for index, _ in parting(scan) if scan.keys[index].pts <= start]
    return scan.keys[wanted[-1] - 1] if wanted and wanted[-1] > 1 else None


@dataclass
class _Reading:
    """The packets so far."""

    source: Source
    count: int = 0
    size: int = 0
    pts: array[int] = field(default_factory=lambda: array("q"))
    keys: list[Key] = field(default_factory=list)
    bytes_before: array[int] = field(default_factory=lambda: array("q"))
    whole: str = ""
    """The first thing found that speaks against cutting."""
    _parameters: set[tuple[bytes, ...]] = field(default_factory=set)
    _dts: int | None = None

    def __post_init__(self) -> None:
        context = self.source.video.codec_context
        self._codec = context.codec.canonical_name
        self._extradata = bytes(context.extradata or b"")
        self._doubt(self.source.claims.fault, f"the input is damaged: {self.source.claims.fault}")

    def hear(self, event: Event) -> None:
        """An event of the reading: nothing is said of an input that is in order."""
        if not isinstance(event, Notice):
            self._doubt(True, f"it is not in order: {getattr(event, 'reason', type(event).__name__)}")

    def take(self, packet: Packet[Any]) -> None:
        """The next packet of the video."""
        which = f"video packet {self.count}"
        self._doubt(packet.pts is None, f"{which} has no timestamp")
        self._doubt(packet.is_corrupt, f"{which} is damaged")
        self._doubt(packet.is_discard, f"{which} is not to be shown")
        self._doubt(packet.has_sidedata("new_extradata"), f"at {which} the coding of its pictures changes")
        self._doubt(packet.has_sidedata("palette"), f"{which} has a palette that others need")
        if packet.dts is not None:
            self._doubt(self._dts is not None and packet.dts < self._dts, f"time steps back at {which}")
            self._dts = packet.dts
        if packet.pts is not None:
            if packet.is_keyframe:
                self._enter(packet, packet.pts)
            self.pts.append(packet.pts)
        self.count += 1
        self.size += packet.size

    def _enter(self, packet: Packet[Any], pts: int) -> None:
        """Keep a packet that is flagged as a keyframe, if it is one by its bytes as well."""
        data, beside = bytes(packet), alpha_beside(packet)
        carried = parameters(self._codec, data, self._extradata)
        if carried is None or (beside and parameters(self._codec, beside, b"") is None):
            return
        self._parameters.add(carried)
        self.keys.append(Key(self.count, pts, packet.dts, packet.size, zlib.crc32(data)))
        self.bytes_before.append(self.size)

    def result(self) -> Scan:
        """All that was read."""
        video = self.source.video
        context = video.codec_context
        self._judge(video)
        rate = video.average_rate or video.guessed_rate
        return Scan(
            time_base=Fraction(video.time_base or 1),
            packets=self.count,
            size=max(1, self.size),
            pts=self.pts,
            keys=tuple(self.keys),
            bytes_before=self.bytes_before,
            width=context.width,
            height=context.height,
            rate=Fraction(rate) if rate else None,
            claims=self.source.claims,
            whole=self.whole,
        )

    def _judge(self, video: VideoStream) -> None:
        """The doubts that need the whole stream."""
        context, stamps = video.codec_context, np.frombuffer(self.pts, np.int64)
        self._doubt(not video.time_base, "its clock is unknown")
        self._doubt(len(np.unique(stamps)) < len(stamps), "two of its video packets have the same timestamp")
        apart = context.field_order not in (0, 1) and self._codec in FIELDS_APART
        self._doubt(apart, f"it is interlaced {self._codec}, whose packets may be half a picture")
        self._doubt(not agree(self._parameters, self._extradata), "the coding of its pictures changes on the way")
        self._doubt(len(self.keys) < 2, f"decoding can begin at no second keyframe of its {self._codec} video")
        backward = any(later.pts <= earlier.pts for earlier, later in zip(self.keys, self.keys[1:], strict=False))
        self._doubt(backward, "its keyframes are not shown in their order")
        self._judge_order(stamps)

    def _judge_order(self, stamps: NDArray[np.int64]) -> None:
        """The doubts whether a decoder that begins anywhere shows the same pictures at the same times."""
        context = self.source.video.codec_context
        reordered = bool((np.diff(stamps) < 0).any())
        self._doubt(reordered and not context.has_b_frames, "its pictures are out of order, which its codec forbids")
        unknown = reordered and not self._is_deep_enough()
        self._doubt(unknown, "how far its pictures are reordered is not stated in truth")
        untold = self._codec in REORDERED or "avi" in self.source.claims.format.split(",")
        of_decoding = untold and context.has_b_frames and not reordered
        self._doubt(of_decoding, "its timestamps tell when pictures are decoded, not when they are shown")

    def _is_deep_enough(self) -> bool:
        """Whether the decoder knows from the first picture on how many to hold back; of H.264 it may not."""
        if self._codec != "h264":
            return True
        carried = [unit for units in self._parameters for unit in units if unit[0] & 31 == 7]
        depths = [stated_depth(unit) for unit in {*sets_of(self._extradata), *carried}]
        return bool(depths) and all(depth is not None and is_ordered(self.pts, depth) for depth in depths)

    def _doubt(self, doubtful: object, why: str) -> None:
        if doubtful and not self.whole:
            self.whole = why
