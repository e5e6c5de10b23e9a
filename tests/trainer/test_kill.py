"""Signals, and death at any moment."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.trainer import fakes
from tests.trainer.child import Child
from tests.trainer.fakes import equal
from trainer import checkpoint
from trainer.log import read_log

fakes.one_thread()
ITERATIONS, EVERY = 12, 3
WORDS: dict[str, Any] = {
    "gan": fakes.GAN, "pair_pool": 5, "loop": {"iterations": ITERATIONS}, "checkpoint": {"every": EVERY, "keep": 2},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the configuration lies, and an undisturbed run of it in `whole`."""
    folder = tmp_path_factory.mktemp("kills")
    chosen = fakes.config(folder, **WORDS)
    chosen.save(folder / "run.yaml")
    fakes.train(chosen, folder / "whole")
    return folder


@pytest.fixture(scope="module")
def child(folder: Path) -> Iterator[Child]:
    child = Child(folder)
    yield child
    child.close()


@pytest.fixture(scope="module")
def whole(folder: Path) -> dict[str, Any]:
    return fakes.comparable(fakes.last(folder / "whole"))


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_resuming_ends_as_if_it_had_not_come(
    child: Child, folder: Path, whole: dict[str, Any], signum: int, code: int
) -> None:
    run = folder / f"signal{signum}"
    child.start("train", "run", folder / "run.yaml", "-o", run, delay=0.02)
    child.reach(4)
    child.kill(signum)
    assert child.end() == code
    kept = fakes.last(run).iteration
    assert 4 <= kept == child.iteration < ITERATIONS
    assert f"error: stopped by {signal.Signals(signum).name}" in child.said.read_text()
    assert child.run("train", "resume", run) == 0
    assert equal(fakes.comparable(fakes.last(run)), whole)


def test_death_at_any_moment_loses_no_more_than_the_steps_since_the_last_checkpoint(
    child: Child, folder: Path, whole: dict[str, Any]
) -> None:
    rng = random.Random(6)
    run = folder / "killed"
    child.start("train", "run", folder / "run.yaml", "-o", run, delay=0.01)
    for moment in (2, 5, 8, 11):
        child.reach(moment)
        time.sleep(rng.random() * 0.05)
        child.kill(signal.SIGKILL)
        assert child.end() == -signal.SIGKILL
        reached, kept = child.iteration, fakes.last(run).iteration
        assert kept >= (reached - 1) // EVERY * EVERY, "an iteration is told before its own checkpoint is written"
        child.start("train", "resume", run, delay=0.01)
        child.reach(kept + 1)
        assert child.iteration == kept + 1, "the run goes on right behind it"
    assert child.end() == 0
    assert equal(fakes.comparable(fakes.last(run)), whole)
    assert [line["iteration"] for line in read_log(run) if line["kind"] == "train"] == [ITERATIONS]
    assert [int(path.stem) for path in checkpoint.listed(run)] == [ITERATIONS - EVERY, ITERATIONS]


def test_a_full_disk_is_one_sentence_and_costs_no_checkpoint(child: Child, folder: Path, whole: dict[str, Any]) -> None:
    run = folder / "full"
    child.start("train", "run", folder / "run.yaml", "-o", run, delay=0.02)
    child.reach(4)
    child.kill(signal.SIGTERM)
    assert child.end() == 143
    before = {path.name: path.read_bytes() for path in checkpoint.listed(run)}
    size = max(map(len, before.values()))
    said = len(child.said.read_text())
    assert child.run("train", "resume", run, limit=size // 2) == 4
    told = child.said.read_text()[said:]
    assert "cannot be written: file too large" in told
    assert sum(line.startswith("error:") for line in told.splitlines()) == 1
    assert {path.name: path.read_bytes() for path in checkpoint.listed(run)} == before
    assert child.run("train", "resume", run) == 0
    assert equal(fakes.comparable(fakes.last(run)), whole)


def test_a_crash_has_its_exit_code_and_saves_nothing_broken(child: Child, folder: Path) -> None:
    """A file of the data set that vanishes in the middle: more are missing than may be."""
    data = fakes.pictures(folder / "own")
    fakes.config(folder / "own", **WORDS).save(folder / "own" / "run.yaml")
    run = folder / "crashed"
    child.start("train", "run", folder / "own" / "run.yaml", "-o", run, delay=0.05)
    child.reach(1)
    for path in data.iterdir():
        path.unlink()
    assert child.end() == 3
    assert [int(path.stem) for path in checkpoint.listed(run)] == [n for n in (0, 3) if n <= child.iteration]


def test_two_runs_do_not_share_a_folder(child: Child, folder: Path) -> None:
    from trainer import run as running
    from vidsr.errors import BusyError

    run = folder / "shared"
    child.start("train", "run", folder / "run.yaml", "-o", run, delay=0.05)
    child.reach(1)
    with pytest.raises(BusyError, match=rf"another vidsr \(pid {child.pid}, since .*\) is writing shared"):
        running.resume(run)
    assert child.end() == 0
