"""Random clips of films: consecutive frames of one scene, with stride and reversal, from stretches decoded once."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidsr.frames import Box
from vidsr.runtime.planes import ToRGB, orient

from ..sample import Key, Sample
from .cache import ByteCache
from .cutter import Cutter, Frames
from .film import Film, Planes
from .index import VideoIndex
from .quarantine import Limit
from .sampling import ALONE, Lanes
from .scenes import Rules, Starts
from .streams import sample

MOST_OPEN = 8
"""Films that a process keeps open: opening a long one reads its whole table of frames."""

FEWEST = 20
"""Stretches that a set counts as at least, so that one unreadable place of a short film is within 5 %."""


@dataclass(frozen=True, slots=True)
class Reel:
    """A film of a set."""

    path: Path
    index: VideoIndex
    starts: Starts


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames `first` to `last` inclusive of film number `reel`; clips begin at frames `begins`."""

    reel: int
    first: int
    last: int
    begins: tuple[int, ...]


@dataclass(frozen=True)
class ClipView:
    """Decoded frames as RGB, of which only what is cut out is converted."""

    planes: Sequence[Planes]
    index: VideoIndex

    @property
    def size(self) -> tuple[int, int]:
        width, height = self.index.size
        return height, width

    def cut(self, box: Box) -> Frames:
        """The part of all frames, T H W 3 uint8, the same as if whole frames had been converted."""
        if self.index.orientation.turns % 4 or self.index.orientation.mirror:
            whole = self._rgb(Box(0, 0, self.index.height, self.index.width))
            return _codes(box.of(orient(whole, self.index.orientation)))
        frame = Box(0, 0, *self.size)
        # Chroma samples lie up to 4 luma pixels apart, and the filter between them reaches two of them.
        seen = box.grown(16, frame).aligned(4, frame)
        return _codes(box.within(seen).of(self._rgb(seen)))

    def _rgb(self, box: Box) -> torch.Tensor:
        """T 3 H W float32 of a box, in stored pixels, whose sides lie on whole chroma samples."""
        layout = self.index.layout
        parts = []
        for number, frames in enumerate(zip(*self.planes, strict=True)):
            down, across = (layout.log2_h, layout.log2_w) if number else (0, 0)
            place = box.shrunk(down, across)
            parts.append(torch.from_numpy(np.stack([place.of(plane) for plane in frames])))
        return ToRGB(layout, self.index.color, device="cpu")(tuple(parts))


def _codes(rgb: torch.Tensor) -> Frames:
    """T 3 H W in [0, 1] to T H W 3 uint8, rounded."""
    codes: Frames = rgb.mul(255).round_().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    return codes


@dataclass
class ClipSet:
    """Clips of several films; every frame at which one may begin is as likely as any other."""

    name: str
    reels: Sequence[Reel]
    rules: Rules
    cutter: Cutter
    max_bad: float
    lanes: Lanes = ALONE
    slack: int = 0
    """Frames beyond the first of a stretch at which its clips may begin."""
    reverse: bool = False
    cache_bytes: int = 0
    _open: OrderedDict[int, Film] = field(default_factory=OrderedDict)
    _owner: int = 0

    def __post_init__(self) -> None:
        self._bounds = list(accumulate(len(reel.starts) for reel in self.reels))
        self.share(1)

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs: nothing that is open."""
        return self.__dict__ | {"_open": OrderedDict(), "_cache": ByteCache(self._cache.limit)}

    def __len__(self) -> int:
        """About one sample for each second of film."""
        return self._bounds[-1] // max(24, self.rules.frames) + 1

    @property
    def limit(self) -> Limit:
        """By stretches: one that damage has made unreadable does not condemn a film of two hours."""
        return Limit(max(FEWEST, self._bounds[-1] // (self.slack + 1)), self.max_bad, "stretches")

    def choose(self, key: Key, rank: int, attempt: int) -> Stretch:
        shared = Key(key.seed, key.epoch, self.lanes.turn(rank))
        rng = shared.rng(f"stretch/{self.name}/{attempt}")
        place = int(rng.integers(self._bounds[-1]))
        number = int(np.searchsorted(self._bounds, place, side="right"))
        starts = self.reels[number].starts
        at = place - (self._bounds[number - 1] if number else 0)
        first, end = int(starts.frames[at]), int(starts.ends[at])
        behind = int(np.searchsorted(starts.frames, min(first + self.slack + 1, end)))
        begins = tuple(map(int, starts.frames[at:behind]))
        return Stretch(number, first, begins[-1] + self.rules.span - 1, begins)

    def path(self, choice: Stretch) -> str:
        reel = self.reels[choice.reel]
        return f"{reel.path} at {reel.index.seconds(choice.first):.3f} s"

    def make(self, choice: Stretch, key: Key) -> Sample:
        reel = self.reels[choice.reel]
        numbers = self.clip(choice, key)
        decoded = self._decoded(choice)
        view = ClipView([decoded[number - choice.first] for number in numbers], reel.index)
        gt, lq = self.cutter.single(view, key)
        return sample(gt, lq, key, f"{reel.path} at {reel.index.seconds(numbers[0]):.3f} s")

    def clip(self, choice: Stretch, key: Key) -> list[int]:
        """Numbers of the frames of a clip, in the order in which they are shown."""
        rng = key.rng("clip")
        first = choice.begins[int(rng.integers(len(choice.begins)))]
        stride = self.rules.stride[int(rng.integers(len(self.rules.stride)))]
        numbers = [first + step * stride for step in range(self.rules.frames)]
        return numbers[::-1] if self.reverse and rng.random() < 0.5 else numbers

    def _decoded(self, choice: Stretch) -> list[Planes]:
        def decode() -> list[Planes]:
            return self._film(choice.reel).stretch(choice.first, choice.last)

        place = choice.reel, choice.first
        return self._cache.get(place, decode, lambda made: sum(plane.nbytes for planes in made for plane in planes))

    def _film(self, number: int) -> Film:
        """An open film; those opened longest ago are closed. What a parent process opened is not touched."""
        if self._owner != os.getpid():
            self._open, self._owner = OrderedDict(), os.getpid()
        if number not in self._open:
            while len(self._open) >= MOST_OPEN:
                self._open.popitem(last=False)[1].close()
            reel = self.reels[number]
            self._open[number] = Film(reel.path, reel.index)
        self._open.move_to_end(number)
        return self._open[number]

    def lane(self, rank: int) -> int:
        return self.lanes.lane(rank)

    def share(self, processes: int) -> None:
        self._cache: ByteCache[list[Planes]] = ByteCache(self.cache_bytes // processes)

    def close(self) -> None:
        while self._open and self._owner == os.getpid():
            self._open.popitem()[1].close()
        self._cache = ByteCache(self._cache.limit)
