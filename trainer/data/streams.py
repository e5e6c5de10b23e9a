"""What a set of any kind offers the source, and the sets whose samples are pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from ..sample import Key, Sample
from .cache import ByteCache
from .cutter import Cutter, Frames, Whole
from .lmdb import Database
from .pictures import Pixels, decode_pixels, read_pixels
from .quarantine import Limit
from .sampling import ALONE, Lanes, item_at


class Stream(Protocol):
    """A set of samples. It is sent to loader processes, and opens what it reads from in there."""

    name: str
    """Tells it from the other sets of a run."""

    def __len__(self) -> int:
        """Samples in an epoch, if there were no other set."""
        ...

    @property
    def limit(self) -> Limit:
        """How much of it may be unreadable."""
        ...

    def choose(self, key: Key, rank: int, attempt: int) -> Any:
        """What sample `rank` of the set in the key's epoch is made of, hashable; another at each `attempt`."""
        ...

    def path(self, choice: Any) -> str:
        """The file of a choice, and the place in it, for messages."""
        ...

    def make(self, choice: Any, key: Key) -> Sample:
        """The sample. Raises InputError if its file cannot be used."""
        ...

    def lane(self, rank: int) -> int:
        """Samples of the same lane are best made by the same process."""
        ...

    def share(self, processes: int) -> None:
        """Take part of the memory: `processes` do the same work."""
        ...

    def close(self) -> None:
        """Let go of all that is open."""
        ...


def sample(gt: Frames, lq: Frames | None, key: Key, name: str) -> Sample:
    """A sample of T H W 3 arrays."""
    return Sample(tensor(gt), None if lq is None else tensor(lq), key, name)


def tensor(frames: Frames) -> torch.Tensor:
    """T H W 3 to T 3 H W, uint8, with memory of its own."""
    return torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))


@dataclass
class PictureSet:
    """Pictures that have to be degraded, in files or in a database."""

    name: str
    pictures: Sequence[Path] | Sequence[str]
    """Files, or keys of `database`."""
    cutter: Cutter
    max_bad: float
    lanes: Lanes = ALONE
    cache_bytes: int = 0
    database: Database | None = None
    _cache: ByteCache[Pixels] = field(default_factory=lambda: ByteCache(0))

    def __post_init__(self) -> None:
        self.share(1)

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def limit(self) -> Limit:
        return Limit(len(self.pictures), self.max_bad)

    def choose(self, key: Key, rank: int, attempt: int) -> int:
        if attempt:
            return int(key.rng(f"again/{attempt}").integers(len(self.pictures)))
        return item_at(key, self.lanes.turn(rank), self.name, len(self.pictures))

    def path(self, choice: int) -> str:
        within = f"{self.database.folder}/" if self.database else ""
        return f"{within}{self.pictures[choice]}"

    def make(self, choice: int, key: Key) -> Sample:
        pixels = self._cache.get(choice, lambda: self._read(choice), lambda made: made.nbytes)
        gt, lq = self.cutter.single(Whole(pixels[None]), key)
        return sample(gt, lq, key, self.path(choice))

    def _read(self, choice: int) -> Pixels:
        named = self.pictures[choice]
        if self.database is not None:
            return decode_pixels(self.database.read(str(named)), self.path(choice))
        return read_pixels(Path(named))

    def lane(self, rank: int) -> int:
        return self.lanes.lane(rank)

    def share(self, processes: int) -> None:
        self._cache = ByteCache(self.cache_bytes // processes if self.lanes.reuse > 1 else 0)

    def close(self) -> None:
        self._cache = ByteCache(self._cache.limit)
        if self.database is not None:
            self.database.close()


@dataclass
class PairSet:
    """Pairs of pictures, in files or in two databases."""

    name: str
    pairs: Sequence[tuple[Path, Path]] | Sequence[tuple[str, str]]
    """Large and small: files, or keys of `databases`."""
    cutter: Cutter
    max_bad: float
    databases: tuple[Database, Database] | None = None

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def limit(self) -> Limit:
        return Limit(len(self.pairs), self.max_bad)

    def choose(self, key: Key, rank: int, attempt: int) -> int:
        if attempt:
            return int(key.rng(f"again/{attempt}").integers(len(self.pairs)))
        return item_at(key, rank, self.name, len(self.pairs))

    def path(self, choice: int) -> str:
        return str(self.pairs[choice][0])

    def make(self, choice: int, key: Key) -> Sample:
        gt, lq = self.read(choice)
        large, small = self.cutter.pair(gt[None], lq[None], key, f"{self.pairs[choice][0]} and {self.pairs[choice][1]}")
        return sample(large, small, key, self.path(choice))

    def read(self, choice: int) -> tuple[Pixels, Pixels]:
        """Both pictures whole."""
        large, small = self.pairs[choice]
        if self.databases is None:
            return read_pixels(Path(large)), read_pixels(Path(small))
        gt, lq = self.databases
        return (
            decode_pixels(gt.read(str(large)), f"{gt.folder}/{large}"),
            decode_pixels(lq.read(str(small)), f"{lq.folder}/{small}"),
        )

    def lane(self, rank: int) -> int:
        return rank

    def share(self, processes: int) -> None:
        """Pairs are not cached."""

    def close(self) -> None:
        for database in self.databases or ():
            database.close()
