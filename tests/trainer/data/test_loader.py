"""Batches: the same bytes for any number of workers, from any position; and what happens when workers fail."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainer.data.build import SampleSource, build
from trainer.data.loader import Loader, Samples, collate
from trainer.data.options import PairedData, PictureData, Root, VideoData
from trainer.data.quarantine import Quarantine
from trainer.data.sampling import Position
from trainer.data.workers import Method
from trainer.degrade.options import Classic, Paired
from trainer.degrade.video_options import VideoChain
from trainer.sample import Key, Sample
from vidsr.errors import InputError
from vidsr.events import Notice

from .sets import film, pairs, pictures, scene

MILD = VideoChain(style="mild")

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
"""Python 3.12 warns of every fork beside threads; that ours does no harm is what some tests here are about."""


@pytest.fixture
def mixed(tmp_path: Path) -> SampleSource:
    """A film, pictures of two roots, one of which has a damaged file, and pairs."""
    clip = film(tmp_path / "a.mkv", [*scene(0, 20), *scene(3, 20)])
    first, second = pictures(tmp_path / "one", 30), pictures(tmp_path / "two", 3)
    (first / "0004.png").write_bytes(b"not a picture")
    gt, lq = pairs(tmp_path / "pairs", 4)
    options = [
        VideoData(paths=(clip,), gt_size=32, reuse=2, lanes=3, stretch=3),
        PictureData(roots=(first, Root(path=second, weight=4.0)), gt_size=32, weight=2, reuse=2, lanes=2, rotate=True),
        PairedData(gt=gt, lq=lq, gt_size=32),
    ]
    return build(options, MILD, 2)


def digest(batches: Sequence[Samples]) -> str:
    said = hashlib.sha256()
    for batch in batches:
        assert batch.lq is not None
        said.update(repr((batch.keys, batch.names)).encode())
        said.update(batch.gt.numpy().tobytes() + batch.lq.numpy().tobytes())
    return said.hexdigest()


def taken(source: SampleSource, count: int, workers: int = 0, **other: Any) -> list[Samples]:
    with Loader(source, 3, workers, seed=other.pop("seed", 1), **other) as loader:
        return [next(loader) for _ in range(count)]


def test_same_seed_same_bytes_with_0_and_4_workers(mixed: SampleSource) -> None:
    """Across an epoch's end, with a film, damaged files and a codec in the loop."""
    before_the_end = Position(len(mixed) - 32)
    alone = digest(taken(mixed, 16, start=before_the_end))
    assert digest(taken(mixed, 16, workers=4, start=before_the_end)) == alone
    assert digest(taken(mixed, 16, start=before_the_end)) == alone, "also when damaged files are known already"
    assert digest(taken(mixed, 16, start=before_the_end, seed=2)) != alone
    assert not multiprocessing.active_children()


def test_forked_workers_give_the_same(mixed: SampleSource) -> None:
    """Also after this process has used the codecs and OpenCV's threads."""
    method: Method = "fork"
    alone = digest(taken(mixed, 4))
    assert digest(taken(mixed, 4, workers=2, method=method)) == alone


def test_a_run_continues_where_it_stopped_with_another_batch_and_other_workers(mixed: SampleSource) -> None:
    whole = [key for batch in taken(mixed, 12) for key in batch.keys]
    with Loader(mixed, 3, 0, seed=1) as loader:
        before = [key for _ in range(4) for key in next(loader).keys]
        assert loader.position == Position(12)
    with Loader(mixed, 4, 2, seed=1, start=loader.position, method="fork") as loader:
        after = [key for _ in range(6) for key in next(loader).keys]
        assert loader.position == Position(36)
    assert before + after == whole


def test_what_was_made_ahead_does_not_count(mixed: SampleSource) -> None:
    with Loader(mixed, 2, 1, seed=1, ahead=4, method="fork") as loader:
        next(loader)
        time.sleep(0.2)
        assert loader.position == Position(2)


def test_ranks_share_each_batch(mixed: SampleSource) -> None:
    whole = taken(mixed, 3, seed=5)
    with Loader(mixed, 6, 0, seed=5) as one:
        big = [next(one) for _ in range(3)]
    ranks = [taken(mixed, 3, seed=5, rank=rank, world=2) for rank in range(2)]
    for number in range(3):
        both = ranks[0][number].keys + ranks[1][number].keys
        assert both == big[number].keys
        assert torch.equal(torch.cat([ranks[0][number].gt, ranks[1][number].gt]), big[number].gt)
    assert whole[0].keys == ranks[0][0].keys


def test_waiting_is_measured() -> None:
    class Slow:
        """Takes 20 ms for a sample."""

        quarantine = Quarantine({})

        def __len__(self) -> int:
            return 10

        def get(self, key: Key) -> Sample:
            time.sleep(0.02)
            return Sample(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), None, key, "slow")

        def counted(self) -> Counter[str]:
            return Counter()

        def close(self) -> None: ...

    with Loader(Slow(), 2, 0, seed=1) as loader:  # type: ignore[arg-type]
        next(loader)
        assert 0.5 < loader.wait_share <= 1
        loader.restart_clock()
        time.sleep(0.05)
        assert loader.wait_share == 0


def test_damaged_files_are_told_once_and_left_out(mixed: SampleSource) -> None:
    said: list[Any] = []
    names = {name for batch in taken(mixed, 90, workers=2, emit=said.append, method="fork") for name in batch.names}
    told = [event.text for event in said if isinstance(event, Notice)]
    assert len(told) == 1
    assert "0004.png" in told[0]
    assert not any(name.endswith("0004.png") for name in names)


@pytest.mark.parametrize("workers", [0, 2])
def test_too_many_damaged_files_end_the_run_in_one_sentence(tmp_path: Path, workers: int) -> None:
    folder = pictures(tmp_path / "set", 6)
    (folder / "0003.png").write_bytes(b"not a picture")
    source = build([PictureData(roots=(folder,), gt_size=16, crop_pad=16)], Classic(), 2)
    with pytest.raises(InputError, match=r"1 of 6 files of data\[0\] .* max_bad allows 5%; the first: .*0003\.png"):
        taken(source, 10, workers=workers, method="fork")
    assert not multiprocessing.active_children()


def test_one_bad_pair_is_one_sentence(tmp_path: Path) -> None:
    gt, lq = pairs(tmp_path, 5)
    (lq / "0003.png").write_bytes((lq / "0003.png").read_bytes()[:200])
    source = build([PairedData(gt=gt, lq=lq, gt_size=16)], Paired(), 2)
    with pytest.raises(InputError, match=r"1 of 5 files .* cannot be used.*lq/0003\.png") as caught:
        taken(source, 10)
    assert "\n" not in str(caught.value)
    ample = build([PairedData(gt=gt, lq=lq, gt_size=16, max_bad=0.2)], Paired(), 2)
    assert len(taken(ample, 10)) == 10


def test_a_corrupt_film_among_good_ones_is_left_out_and_alone_is_one_sentence(tmp_path: Path) -> None:
    good = film(tmp_path / "good.mkv", scene(0, 12))
    bad = tmp_path / "bad.mkv"
    bad.write_bytes(good.read_bytes()[:300])
    said: list[Any] = []
    source = build([VideoData(paths=(good, bad), gt_size=32, max_bad=0.5)], MILD, 2, emit=said.append)
    assert any("bad.mkv" in getattr(event, "text", "") and event.level == "warning" for event in said)
    assert {name.split(" ")[0] for batch in taken(source, 3) for name in batch.names} == {str(good)}
    with pytest.raises(InputError, match=r"1 of 2 files of data\[0\] cannot be used.*bad\.mkv"):
        build([VideoData(paths=(good, bad), gt_size=32)], MILD, 2)
    with pytest.raises(InputError, match=r"none of its films can be used; the first: .*bad\.mkv"):
        build([VideoData(paths=(bad,), gt_size=32)], MILD, 2)


class Faulty(SampleSource):
    """Fails at one sample in a way of its own."""

    def __init__(self, folder: Path, how: str) -> None:
        inner = build([PictureData(roots=(folder,), gt_size=16, crop_pad=16)], Classic(), 2)
        super().__init__(inner.streams, [1.0])
        self.how = how

    def get(self, key: Key) -> Sample:
        if key.index == 4:
            if self.how == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ZeroDivisionError("a bug")
        return super().get(key)


@pytest.mark.fault
def test_a_worker_that_dies_is_one_sentence_with_the_file(tmp_path: Path) -> None:
    source = Faulty(pictures(tmp_path / "set", 8), "dies")
    with pytest.raises(InputError, match=r"data process vidsr-data-\d died while it read .*\.png \(signal 9\)"):
        taken(source, 4, workers=2, method="fork")
    assert not multiprocessing.active_children()


def test_a_bug_in_a_worker_keeps_its_traceback(tmp_path: Path) -> None:
    source = Faulty(pictures(tmp_path / "set", 8), "bug")
    with pytest.raises(RuntimeError, match="ZeroDivisionError: a bug"):
        taken(source, 4, workers=2, method="fork")


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    source = build([PictureData(roots=(pictures(tmp_path / "set", 8),), gt_size=16, crop_pad=16)], Classic(), 2)
    reader, writer = os.pipe()
    parent = os.fork()
    if not parent:
        loader = Loader(source, 2, 2, seed=1, method="fork")
        next(loader)
        pids = [child.pid for child in multiprocessing.active_children()]
        os.write(writer, " ".join(map(str, pids)).encode())
        os.kill(os.getpid(), signal.SIGKILL)
    os.close(writer)
    workers = [int(pid) for pid in os.read(reader, 100).split()]
    os.close(reader)
    os.waitpid(parent, 0)
    until = time.monotonic() + 20
    while any(map(alive, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(workers) == 2
    assert not any(map(alive, workers))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except OSError:
        return False


def test_samples_that_do_not_fit_together_are_named() -> None:
    samples = [Sample(torch.zeros(t, 3, 4, 4), None, Key(0, 0, t), f"file{t}") for t in (1, 2)]
    with pytest.raises(InputError, match="file1 and file2 do not go into one batch"):
        collate(samples)


def test_sets_are_mixed_by_weight_and_roots_within_them(mixed: SampleSource) -> None:
    shares = {stream.name.split("/")[-1]: share for stream, share in zip(mixed.streams, mixed._mix.shares, strict=True)}
    assert shares == pytest.approx({"data[0]": 1 / 4, "one": 30 / 42 / 2, "two": 12 / 42 / 2, "data[2]": 1 / 4})
    assert len(mixed.fingerprint) == 16
    assert np.isclose(sum(shares.values()), 1)
