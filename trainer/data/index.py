"""A film read once from end to end: the time and a checksum of every frame, and what was measured of it.

The checksum is what makes seeking safe (see film.py): whatever a seek leads to, a frame is only used if it is, sample
for sample, the one that decoding from the beginning gave. So open GOPs, false keyframes, edit lists, damage and
changed files need no rules of their own.

The index lies in the cache under a hash of the film's size and of bytes from all parts of it, so a film that is moved
or renamed keeps its index, and one that is replaced gets a new one.
"""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.packet import Packet
from numpy.typing import NDArray

from vidsr.errors import InputError
from vidsr.events import Damaged, Emit, Event, Notice, Progress, ignore
from vidsr.frames import ColorTags, Orientation, PixelLayout, Plane
from vidsr.media.color import resolve
from vidsr.media.libav import reason
from vidsr.media.pixels import layout_of, planes_of
from vidsr.media.traits import color_of, traits_of
from vidsr.runtime.artifacts import Artifact, obtain
from vidsr.stages.decode import pictures
from vidsr.stages.source import MAX_FAILURES, Source, open_source

from .measure import Thumbnail, measures, thumbnail

MAX_PIXELS = 1 << 28
"""Of a frame or picture; what claims to be larger is refused."""

VERSION = 2
"""Of what is in an index."""

FRAME = np.dtype(
    [("pts", "<i8"), ("crc", "<u4"), ("change", "<f4"), ("motion", "<f4"), ("flat", "<f4"), ("marks", "u1")]
)
"""Of one frame: its time, the CRC-32 of its samples, its measures, and the marks below."""
KEY, DAMAGED, INTERLACED, OTHER = 1, 2, 4, 8
"""Marks: a keyframe; near damage; interlaced; another size or format.

Damage reaches to the next keyframe, and to some frames before the one at which it is told: those that were decoded
later and are shown earlier. How they are repaired depends on the decoder's threads.
"""
REORDERED = 16
"""Frames before damage that are not trusted either: no codec reorders more."""

_SAMPLES, _SAMPLE = 17, 1 << 16
"""Pieces of a file that identify it, and bytes in each."""
_TELL_EVERY = 100


@dataclass(frozen=True)
class VideoIndex:
    """What is known of a film."""

    width: int
    """Of stored frames, in pixels."""
    height: int
    layout: PixelLayout
    color: ColorTags
    """With every unknown resolved, as `vidsr upscale` does."""
    orientation: Orientation
    time_base: Fraction
    """Seconds per unit of pts."""
    frames: NDArray[Any]
    """Of FRAME, in rising pts."""
    left_out: int = 0
    """Frames without a time, or whose time does not rise."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of upright frames."""
        return (self.height, self.width) if self.orientation.swaps_sides else (self.width, self.height)

    def count(self, mark: int) -> int:
        """Frames that have a mark."""
        return int(np.count_nonzero(self.frames["marks"] & mark))

    def seconds(self, frame: int) -> float:
        """When frame number `frame` is shown; for messages and for choosing ranges."""
        return float(int(self.frames["pts"][frame]) * self.time_base)


def index_of(path: Path, emit: Emit = ignore, check: Callable[[], None] = lambda: None) -> VideoIndex:
    """The index of a film, from the cache or by reading the film, which is then told to `emit`.

    `check` is called now and then, and ends the work by raising. Raises InputError if the film cannot be decoded.
    """
    facts = {"film": identity(path), "index": VERSION, "decoder": av.library_versions["libavcodec"]}
    artifact = Artifact(
        kind="film",
        what=f"index of {path.name}",
        facts=facts,
        build=lambda: _to_bytes(read_index(path, emit, check)),
        open=_from_bytes,
    )
    return obtain(artifact, emit, check)


def identity(path: Path) -> str:
    """SHA-256 of a file's size and of pieces from all parts of it. Raises InputError if it cannot be read."""
    try:
        size = path.stat().st_size
        digest = hashlib.sha256(str(size).encode())
        with path.open("rb") as file:
            for number in range(_SAMPLES):
                file.seek(number * max(0, size - _SAMPLE) // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE))
    except OSError as error:
        raise InputError(f"film {path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    return digest.hexdigest()


def checksum(planes: tuple[Plane, ...]) -> int:
    """CRC-32 of all samples."""
    value = 0
    for plane in planes:
        value = zlib.crc32(np.ascontiguousarray(plane).data, value)
    return value


def read_index(path: Path, emit: Emit = ignore, check: Callable[[], None] = lambda: None) -> VideoIndex:
    """The index of a film by decoding all of it. Raises InputError if no frame with a time comes out."""
    with closing(open_source(path, MAX_PIXELS)) as source:
        reading = _Reading(source, path)
        packets = packets_of(source, reading.hear)
        for picture in pictures(packets, source.video.codec_context, reading.hear):
            check()
            reading.take(picture)
            if len(reading.rows) % _TELL_EVERY == 0:
                emit(Progress(len(reading.rows), source.claims.frames or None, float(picture.time or 0), 0.0))
        return reading.result()


def packets_of(source: Source, emit: Emit) -> Iterator[Packet[Any]]:
    """Packets of the video stream from where the container stands, with the times that it says; ends with a flush.

    A read that fails is told and tried again behind the damage, a few times.
    """
    failures = 0
    while failures < MAX_FAILURES:
        try:
            for packet in source.container.demux(source.video):
                failures = 0
                if packet.is_corrupt:
                    emit(Damaged(float(packet.pts * packet.time_base) if packet.pts else 0.0, "damaged packet"))
                yield packet
            return
        except (av.error.FFmpegError, EOFError, IndexError) as error:
            failures += 1
            emit(Damaged(0.0, f"the input could not be read: {reason(error)}"))
    yield Packet(0)


@dataclass
class _Reading:
    """The frames so far."""

    source: Source
    path: Path
    rows: list[tuple[int, int, float, float, float, int]] = field(default_factory=list)
    _index: VideoIndex | None = None
    """What the first frame says; without frames."""
    _thumb: Thumbnail | None = None
    _left_out: int = 0
    _amiss: bool = False
    """Damage was seen, and no keyframe since."""

    def hear(self, event: Event) -> None:
        """Whatever the decoder has to say is of damage."""
        if isinstance(event, Damaged | Notice):
            self._amiss = True

    def take(self, picture: av.VideoFrame) -> None:
        index = self._index = self._index or self._described(picture)
        pts = picture.pts if picture.pts is not None else picture.dts
        if pts is None or (self.rows and pts <= self.rows[-1][0]):
            self._left_out += 1
            return
        self._amiss = (self._amiss and not picture.key_frame) or picture.is_corrupt
        marks = KEY * picture.key_frame | DAMAGED * self._amiss | INTERLACED * picture.interlaced_frame
        if (picture.width, picture.height) != (index.width, index.height) or _layout(picture) != index.layout:
            self.rows.append((pts, 0, 0.0, 0.0, 1.0, int(marks | OTHER)))
            self._thumb = None
            return
        planes = planes_of(picture, index.layout)
        thumb = thumbnail(planes, index.layout)
        seen = measures(thumb, self._thumb)
        self.rows.append((pts, checksum(planes), seen.change, seen.motion, seen.flat, int(marks)))
        self._thumb = thumb

    def _described(self, picture: av.VideoFrame) -> VideoIndex:
        traits = traits_of(picture, self.source.video)
        tags, codec = color_of(picture), self.source.video.codec_context.name
        if self.source.siting:
            tags = ColorTags(tags.matrix, tags.full_range, tags.primaries, tags.transfer, self.source.siting)
        color, _ = resolve(tags, traits.layout, traits.width, traits.height, codec)
        none = np.empty(0, FRAME)
        return VideoIndex(traits.width, traits.height, traits.layout, color, traits.orientation, traits.time_base, none)

    def result(self) -> VideoIndex:
        if self._index is None:
            raise InputError(f"film {self.path}: no frame of it could be decoded", "vidsr probe shows what it holds")
        if not self.rows:
            raise InputError(
                f"film {self.path}: none of its {self._left_out} frames has a time, so none can be found again",
                "put it into a container with times, such as MKV",
            )
        known = {name: getattr(self._index, name) for name in _KNOWN}
        frames = np.array(self.rows, FRAME)
        for place in np.flatnonzero(frames["marks"] & DAMAGED):
            frames["marks"][max(0, place - REORDERED) : place] |= DAMAGED
        return VideoIndex(**known, frames=frames, left_out=self._left_out)


_KNOWN = ("width", "height", "layout", "color", "orientation", "time_base")


def _layout(picture: av.VideoFrame) -> PixelLayout | None:
    try:
        return layout_of(picture.format.name)
    except InputError:
        return None


def _to_bytes(index: VideoIndex) -> bytes:
    known = {name: getattr(index, name) for name in (*_KNOWN, "left_out")}
    said = json.dumps(known, default=lambda value: str(value) if isinstance(value, Fraction) else asdict(value))
    buffer = io.BytesIO()
    np.savez(buffer, frames=index.frames, known=np.frombuffer(said.encode(), np.uint8))
    return buffer.getvalue()


def _from_bytes(data: bytes) -> VideoIndex:
    with np.load(io.BytesIO(data), allow_pickle=False) as kept:
        known, frames = json.loads(kept["known"].tobytes()), kept["frames"]
    if frames.dtype != FRAME:
        raise ValueError("its frames are of another kind")
    return VideoIndex(
        layout=PixelLayout(**known.pop("layout")),
        color=ColorTags(**known.pop("color")),
        orientation=Orientation(**known.pop("orientation")),
        time_base=Fraction(known.pop("time_base")),
        frames=frames,
        **known,
    )
