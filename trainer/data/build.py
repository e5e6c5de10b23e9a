"""From options to the one thing that a loader needs: a source of samples by key."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path

from vidsr.errors import InputError, UsageError
from vidsr.events import Emit, Notice, ignore

from ..degrade.options import DegradeOptions
from ..sample import Key, Sample
from .clips import ClipSet, Reel
from .cutter import Cutter
from .folders import PICTURES, files_under, films
from .index import index_of
from .lmdb import Database, keys_of
from .meta_info import listed, listed_pairs
from .mix import Mix
from .options import DataOptions, LmdbData, PairedData, PictureData, Root, VideoData
from .paired import matched
from .quarantine import Bad, Limit, Quarantine
from .sampling import Lanes
from .scenes import Rules, excuse, starts
from .streams import PairSet, PictureSet, Stream

ATTEMPTS = 1000
"""Files that may fail one after another before a sample is given up; far before that the quarantine ends the run."""

SHORTEST = 4096
"""Samples that an epoch has at least, in whole passes through the data: what is decoded together does not cross it."""


class SampleSource:
    """All data of a run: the same key gives the same sample, in any process and after any other.

    A file that cannot be read is replaced by another one of its set that the key names, so that also then the same key
    gives the same sample, whoever has met the file before.
    """

    def __init__(self, streams: Sequence[Stream], weights: Sequence[float], tally: Counter[str] | None = None) -> None:
        """`tally` is what its cutters count in."""
        self.streams = tuple(streams)
        once = sum(map(len, streams))
        self._mix = Mix(weights, once * -(-SHORTEST // once))
        self._failed: set[tuple[int, Hashable]] = set()
        self._tally = Counter[str]() if tally is None else tally
        self.quarantine = Quarantine({stream.name: stream.limit for stream in streams})

    def __len__(self) -> int:
        """Samples of an epoch: at least SHORTEST, in whole passes through the data."""
        return self._mix.length

    def get(self, key: Key) -> Sample:
        """The sample of a key. Raises InputError when more files of a set are bad than may be."""
        number, rank = self._mix.draw(key)
        stream = self.streams[number]
        for attempt in range(ATTEMPTS):
            choice = stream.choose(key, rank, attempt)
            if (number, choice) in self._failed:
                continue
            try:
                return stream.make(choice, key)
            except InputError as error:
                self._failed.add((number, choice))
                self.quarantine.add(Bad(stream.name, stream.path(choice), str(error)))
        raise InputError(f"no sample can be made of {stream.name}: {ATTEMPTS} draws in a row met unusable files")

    def counted(self) -> Counter[str]:
        """What this process has counted since the last call: codecs, and their failures, by name."""
        counted = Counter(self._tally)
        self._tally.clear()
        return counted

    def lane(self, key: Key) -> int:
        """Keys of the same lane are best made by the same process."""
        number, rank = self._mix.draw(key)
        return self.streams[number].lane(rank)

    def path(self, key: Key) -> str:
        """The file that a key asks for first."""
        number, rank = self._mix.draw(key)
        stream = self.streams[number]
        return stream.path(stream.choose(key, rank, 0))

    @property
    def fingerprint(self) -> str:
        """A hash of what the data is made of: where a checkpoint has another, its position means other samples."""
        facts = [(stream.name, len(stream), stream.limit.files) for stream in self.streams]
        said = json.dumps([facts, self._mix.shares])
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    def share(self, processes: int) -> None:
        """Divide the memory for caches among loader processes."""
        for stream in self.streams:
            stream.share(processes)

    def close(self) -> None:
        """Close all that is open in this process."""
        for stream in self.streams:
            stream.close()


def build(
    options: Sequence[DataOptions], degrade: DegradeOptions, scale: int, *, seed: int = 0, emit: Emit = ignore
) -> SampleSource:
    """The data of a run. Films are indexed, which takes a while the first time and is told to `emit`.

    Raises UsageError for options that contradict each other, InputError for data that is missing or cannot be used.
    Draws depend on keys alone; `seed` is taken for the interface's sake, the keys carry it.
    """
    check_options(options, degrade, scale)
    streams: list[Stream] = []
    weights: list[float] = []
    bad: list[Bad] = []
    tally: Counter[str] = Counter()
    for number, option in enumerate(options):
        name = f"data[{number}]"
        cutter = replace(_cutter(option, degrade, scale), tally=tally)
        made, parts, left_out = _streams(option, name, cutter, emit)
        streams += made
        weights += [option.weight * part / sum(parts) for part in parts]
        bad += left_out
    for each in bad:
        emit(Notice(f"{each.set}: left out, {each.why}", "warning"))
    return SampleSource(streams, weights, tally)


def check_options(options: Sequence[DataOptions], degrade: DegradeOptions, scale: int) -> None:
    """Refuse what can be seen without touching a file. Raises UsageError."""
    if not options:
        raise UsageError("data: there is none; name at least one set")
    for number, option in enumerate(options):
        _check_sizes(f"data[{number}]", option, scale)
        paired = isinstance(option, PairedData) or (isinstance(option, LmdbData) and option.lq is not None)
        if paired and degrade.kind == "classic":
            what = f"data[{number}] has small pictures of its own, which degrade.kind classic would not use"
            raise UsageError(what, "use degrade.kind none, or video for the sets that have none")
        if not paired and degrade.kind == "none":
            what = f"data[{number}] of kind {option.kind} has no small pictures, and degrade.kind none makes none"
            raise UsageError(what, "use degrade.kind classic or video, or data of kind paired")
    for what, values in (
        ("gt_size", {option.gt_size for option in options}),
        ("frames", {option.frames if isinstance(option, VideoData) else 1 for option in options}),
    ):
        if len(values) > 1:
            raise UsageError(f"data: the sets differ in {what}, {sorted(values)}, and a batch can have only one")


def _check_sizes(name: str, option: DataOptions, scale: int) -> None:
    if option.gt_size % scale:
        raise UsageError(f"{name}.gt_size: {option.gt_size} is not a multiple of the scale {scale}")
    window = None if isinstance(option, PairedData) else option.window
    if window is not None and window // scale * scale < option.gt_size:
        raise UsageError(f"{name}.window: {window} is too small, crops have {option.gt_size} pixels")


def _cutter(option: DataOptions, degrade: DegradeOptions, scale: int) -> Cutter:
    cutter = Cutter(scale, option.gt_size, degrade, hflip=option.hflip, rotate=option.rotate)
    return cutter if isinstance(option, PairedData) else replace(cutter, crop_pad=option.crop_pad, window=option.window)


def _streams(option: DataOptions, name: str, cutter: Cutter, emit: Emit) -> tuple[list[Stream], list[float], list[Bad]]:
    """The streams of a set, their weights within it, and files that were found bad."""
    if isinstance(option, VideoData):
        clips, bad = clip_set(option, name, cutter, emit)
        return [clips], [1.0], bad
    if isinstance(option, PictureData):
        return _pictures(option, name, cutter)
    if isinstance(option, PairedData):
        pairs = pairs_of(option)
        return [PairSet(name, pairs, cutter, option.max_bad)], [1.0], []
    return [_database(option, name, cutter)], [1.0], []


def _pictures(option: PictureData, name: str, cutter: Cutter) -> tuple[list[Stream], list[float], list[Bad]]:
    streams: list[Stream] = []
    parts = []
    budget = (option.cache_mb << 20) // len(option.roots)
    for root, paths in pictures_of(option):
        lanes = Lanes(option.lanes if option.reuse > 1 else 1, option.reuse)
        streams.append(PictureSet(f"{name} {root.path}", paths, cutter, option.max_bad, lanes, budget))
        parts.append(root.weight * len(paths))
    return streams, parts, []


def pictures_of(option: PictureData) -> list[tuple[Root, list[Path]]]:
    """The pictures of each root."""
    if option.meta_info:
        root = option.weighted[0]
        return [(root, listed(option.meta_info, root.path))]
    return [(root, files_under(root.path, PICTURES)) for root in option.weighted]


def pairs_of(option: PairedData) -> list[tuple[Path, Path]]:
    """The pairs of a set, large and small."""
    if option.meta_info:
        return listed_pairs(option.meta_info, option.gt, option.lq)
    return matched(option.gt, option.lq, option.lq_suffix)


def _database(option: LmdbData, name: str, cutter: Cutter) -> Stream:
    keys = keys_of(option.gt)
    if option.lq is None:
        return PictureSet(name, keys, cutter, option.max_bad, database=Database(option.gt))
    known = set(keys_of(option.lq))
    alone = [key for key in keys if key not in known]
    if alone:
        raise InputError(f"LMDB {option.lq} lacks {len(alone)} of the {len(keys)} keys of {option.gt}, as {alone[0]}")
    databases = Database(option.gt), Database(option.lq)
    return PairSet(name, [(key, key) for key in keys], cutter, option.max_bad, databases)


def clip_set(option: VideoData, name: str, cutter: Cutter, emit: Emit = ignore) -> tuple[ClipSet, list[Bad]]:
    """The clips of a set's films, and the films that had to be left out. Raises InputError for too many of those."""
    rules, paths = rules_of(option), films(option.paths)
    reels, bad = [], []
    for path in paths:
        try:
            reels.append(_reel(path, rules, cutter, emit))
        except InputError as error:
            bad.append(Bad(name, str(path), str(error)))
    if not reels:
        raise InputError(f"{name}: none of its films can be used; the first: {bad[0].why}")
    quarantine = Quarantine({name: Limit(len(paths), option.max_bad)})
    for each in bad:
        quarantine.add(each)
    clips = ClipSet(
        name=name,
        reels=reels,
        rules=rules,
        cutter=cutter,
        max_bad=option.max_bad,
        lanes=Lanes(option.lanes, option.reuse),
        slack=option.stretch,
        reverse=option.reverse,
        cache_bytes=option.cache_mb << 20,
    )
    return clips, bad


def _reel(path: Path, rules: Rules, cutter: Cutter, emit: Emit) -> Reel:
    index = index_of(path, emit)
    if min(index.size) < cutter.gt_size:
        what = f"film {path}: its frames of {index.size[0]}x{index.size[1]} are too small"
        raise InputError(f"{what} for crops of {cutter.gt_size} pixels")
    found = starts(index, rules)
    if not len(found):
        raise InputError(f"film {path} holds no clip to train on: {excuse(index, rules)}")
    return Reel(path, index, found)


def rules_of(option: VideoData) -> Rules:
    """Which clips a set wants."""
    return Rules(
        frames=option.frames,
        stride=option.stride,
        still=option.still == "keep",
        scene_threshold=option.scene_threshold,
        flat_share=option.flat_share,
        start=option.start,
        end=option.end,
        skip=option.skip,
    )
