"""Which frames of a film tell most: of every part of it one, each for another reason.

The packets are read once. What is decoded begins at keyframes that prove to be some (`vidsr.scan`), evenly spread over
the film; a short film is decoded as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..events import Emit, ignore
from ..frames import Plane
from ..media.hwaccel import sample_format
from ..media.pixels import layout_of, planes_of
from ..scan import Scan, scan
from ..stages.decode import pictures
from ..stages.source import open_source, packets

MOST_PIXELS = 2_000_000_000
"""Pixels that are decoded to choose among them, about: a thousand frames of 1080p."""
LEAST = 64
"""Frames that are decoded at least."""
STRETCH = 24
"""Frames from one keyframe on, of a long film."""
SMALL = 320
"""Width in pixels at which frames are looked at."""
TILE = 32
"""Side in pixels of the tiles of which it is said whether they changed: the grain at which --reuse works."""
CUT = 30.0
"""Mean difference from the frame before, in codes of 8 bits of the small picture, from which it is another scene."""
FLAT = 4.0
"""Standard deviation, in the same codes, under which a frame shows nothing: black, white, a fade."""

Gray = NDArray[np.uint8]
Score = Callable[["Look"], float]


@dataclass(frozen=True)
class Look:
    """What was seen of a frame. `gray` measures are in codes of 8 bits of the picture shrunk to SMALL."""

    pts: int
    seconds: float
    """From where the input begins."""
    sharp: float
    """Variance of the Laplacian (Pech-Pacheco et al. 2000)."""
    detail: float
    """Mean magnitude of the gradient."""
    light: float
    """Mean."""
    contrast: float
    """Standard deviation."""
    moved: float | None = None
    """Mean difference from the frame before; None where that was not decoded."""
    changed: float | None = None
    """Share of the tiles, of TILE pixels, that differ from the frame before in any sample of luma."""
    face: float = 0.0
    """Share of the picture that faces take, where somebody looked for them."""

    @property
    def cut(self) -> bool:
        return self.moved is not None and self.moved >= CUT


@dataclass(frozen=True)
class Survey:
    """What was seen of a film."""

    scan: Scan
    looks: tuple[Look, ...]
    """In the order of time."""
    origin: Fraction
    """Seconds at which the input begins."""

    @property
    def whole(self) -> bool:
        """Whether every frame was looked at."""
        return len(self.looks) >= self.scan.packets

    @property
    def cuts(self) -> float:
        """Scene cuts for each frame."""
        known = [look.cut for look in self.looks if look.moved is not None]
        return sum(known) / len(known) if known else 0.0

    def activity(self, looks: Sequence[Look] | None = None) -> float:
        """What changes from one frame to the next, as a share of the tiles: of all looks, or of these."""
        known = [look.changed for look in (self.looks if looks is None else looks) if look.changed is not None]
        return float(np.mean(known)) if known else 1.0


def survey(path: Path, max_pixels: int, emit: Emit = ignore, face: Callable[[Gray], float] | None = None) -> Survey:
    """Look at frames all over the film. `face` says what share of a small gray picture, H W, faces take.

    Raises InputError for what cannot be read, or holds no frame that can be decoded.
    """
    found = scan(path, max_pixels, emit)
    with closing(open_source(path, max_pixels)) as source:
        origin = Fraction(source.container.start_time or 0, av.time_base)
        looks = [
            look
            for run in _runs(source, spans(found))
            for look in _looks(run, found.time_base, origin, face)
        ]  # fmt: skip
    if not looks:
        raise InputError(f"no frame of {path} could be decoded", "vidsr probe shows what the file holds")
    return Survey(found, tuple(sorted(looks, key=lambda look: look.pts)), origin)


def spans(scan: Scan) -> list[tuple[int, int, int | None]]:
    """What to decode: the first packet, the first that is not, and the least pts that counts; None: all do."""
    budget = max(LEAST, MOST_PIXELS // max(1, scan.width * scan.height))
    if scan.packets <= budget or scan.whole or len(scan.keys) < 2:
        return [(0, min(budget, scan.packets), None)]
    wanted = max(2, budget // STRETCH)
    keys = scan.keys if len(scan.keys) <= wanted else [scan.keys[i * len(scan.keys) // wanted] for i in range(wanted)]
    ends = [later.number for later in keys[1:]] + [scan.packets]
    return [(key.number, min(key.number + STRETCH, end), key.pts) for key, end in zip(keys, ends, strict=True)]


def _runs(source: Any, wanted: list[tuple[int, int, int | None]]) -> Iterator[Iterator[av.VideoFrame]]:
    """The pictures of each span, in order; a span has to be used up before the next."""
    read = enumerate(packet for packet in packets(source, lambda packet: None, ignore) if packet.size)
    for begin, end, least in wanted:
        source.decoder.flush_buffers()
        part = (packet for number, packet in _until(read, end) if number >= begin)
        decoded = pictures(_flushed(part, source), source.decoder, ignore)
        yield (picture for picture in decoded if least is None or (picture.pts is not None and picture.pts >= least))


def _until(numbered: Iterator[tuple[int, Any]], end: int) -> Iterator[tuple[int, Any]]:
    for number, packet in numbered:
        yield number, packet
        if number + 1 >= end:
            return


def _flushed(part: Iterator[Any], source: Any) -> Iterator[Any]:
    """The packets, and then an empty one: it makes the decoder give what it holds."""
    yield from part
    empty = av.Packet(0)
    empty.stream = source.video
    yield empty


def _looks(
    run: Iterator[av.VideoFrame], base: Fraction, origin: Fraction, face: Callable[[Gray], float] | None
) -> Iterator[Look]:
    before: tuple[Gray, Plane] | None = None
    for picture in run:
        if picture.pts is None:
            continue
        planes = planes_of(picture, layout_of(sample_format(picture)))
        now = (_small(picture), planes[0])
        seconds = float(picture.pts * base - origin)  # a picture held back to the end has no base of its own
        yield _look(picture.pts, seconds, now, before, face)
        before = (now[0], planes[0].copy())


def _small(picture: av.VideoFrame) -> Gray:
    width = min(SMALL, picture.width)
    height = max(8, round(picture.height * width / picture.width))
    small = picture.reformat(width=width, height=height, format="gray", interpolation="AREA", threads=1)
    return np.asarray(small.to_ndarray(), np.uint8)


def _look(
    pts: int,
    seconds: float,
    now: tuple[Gray, Plane],
    before: tuple[Gray, Plane] | None,
    face: Callable[[Gray], float] | None,
) -> Look:
    gray = now[0].astype(np.float32)
    across, down = np.diff(gray, axis=1), np.diff(gray, axis=0)
    comparable = before is not None and before[1].shape == now[1].shape
    return Look(
        pts,
        seconds,
        sharp=float(cv2.Laplacian(gray, cv2.CV_32F).var()),
        detail=float(np.abs(across).mean() + np.abs(down).mean()),
        light=float(gray.mean()),
        contrast=float(gray.std()),
        moved=float(np.abs(gray - before[0]).mean()) if comparable and before else None,
        changed=changed_share(before[1], now[1]) if comparable and before else None,
        face=face(now[0]) if face else 0.0,
    )


def changed_share(before: Plane, now: Plane) -> float:
    """Share of the tiles, of TILE pixels, in which two planes H W differ anywhere."""
    differs = (before != now).astype(np.uint8)
    height, width = differs.shape
    rows, columns = -(-height // TILE), -(-width // TILE)
    padded = np.zeros((rows * TILE, columns * TILE), np.uint8)
    padded[:height, :width] = differs
    return float(padded.reshape(rows, TILE, columns, TILE).max(axis=(1, 3)).mean())


REASONS: Mapping[str, Score] = {
    "right after a scene cut": lambda look: (look.moved or 0.0) if look.cut else 0.0,
    "a face": lambda look: look.face,
    "dark": lambda look: max(0.0, 110 - look.light) * min(1.0, look.contrast / 20),
    "fast": lambda look: 0.0 if look.cut else (look.moved or 0.0),
    "detailed": lambda look: look.detail,
    "sharp": lambda look: look.sharp,
}
"""Why a frame may be chosen, the rarest first, and how much that holds of it; 0: not at all."""


def choose(looks: Sequence[Look], count: int) -> list[tuple[Look, str]]:
    """At most `count` of `looks`, in order of time, and why each was chosen.

    The film is parted into `count` stretches of equal length, and each gives one: so they are evenly spread. Reasons
    are gone through in turn, each takes the frame for which it holds most of all, and closes its stretch.
    """
    telling = [look for look in looks if look.contrast >= FLAT] or list(looks)
    first, last = telling[0].seconds, telling[-1].seconds
    length = (last - first) / count or 1.0
    parts: dict[int, list[Look]] = {}
    for look in telling:
        parts.setdefault(min(count - 1, int((look.seconds - first) / length)), []).append(look)
    chosen: list[tuple[Look, str]] = []
    names = list(REASONS)
    while parts and len(chosen) < count:
        taken = len(chosen)
        for name in names:
            part, best = _best(parts, REASONS[name])
            if best is not None and len(chosen) < count:
                chosen.append((best, name))
                del parts[part]
        if len(chosen) == taken:  # no reason holds of any: pictures without change, detail or shadow
            part = min(parts)
            chosen.append((parts.pop(part)[0], "evenly spread"))
    return sorted(chosen, key=lambda pair: pair[0].seconds)


def _best(parts: dict[int, list[Look]], score: Score) -> tuple[int, Look | None]:
    """The look with the highest score, and its part; none where it holds of none."""
    found = [(score(look), part, look) for part, looks in parts.items() for look in looks]
    value, part, look = max(found, key=lambda item: item[0], default=(0.0, 0, None))
    return part, look if value > 0 else None


def nearest(looks: Sequence[Look], seconds: float) -> Look | None:
    """The look at that time or the first after it; None where it was not looked at nearby."""
    for before, after in pairwise(looks):
        if before.seconds < seconds <= after.seconds and after.seconds - before.seconds < 1:
            return after
    return looks[0] if looks and abs(looks[0].seconds - seconds) < 1 else None
