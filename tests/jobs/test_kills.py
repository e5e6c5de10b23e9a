"""SIGKILL of a supervisor or a worker at any moment: the same command ends with what an undisturbed run gives.

`benchmarks/kills.py` does the same some hundred times.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.kills import DELAY, SHARDS, same, trial
from tests.clips import make_clip
from tests.jobs.forked import Server, processes_of, workers_of
from tests.jobs.test_entry import CLOSED
from vidsr.jobs.film import work_folder

pytestmark = pytest.mark.fault


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("server"))
    yield started
    started.close()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", frames=60, options=CLOSED)


@pytest.fixture
def run(server: Server) -> Iterator[Server]:
    yield server
    server.stop()


def wait_for_a_segment(journal: Path) -> None:
    """Until the journal holds one."""
    until = time.monotonic() + 20
    while not journal.exists() or journal.read_bytes().count(b"\n") < 2:
        assert time.monotonic() < until, "no segment was finished"
        time.sleep(0.01)


@pytest.mark.parametrize("seed", range(4))
def test_killed_runs_end_like_undisturbed_ones(seed: int, run: Server, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "films").mkdir()
    run.start(clip, tmp_path / "whole" / "out.mkv", SHARDS)
    assert run.end() == 0
    told = trial(run, clip, tmp_path / "films", tmp_path / "whole" / "out.mkv", random.Random(seed))
    assert told["killed"]
    assert told["equal"]
    assert told["finished"]
    assert (told["partial"], told["left"], told["left_files"]) == (0, 0, 0)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
def test_a_signal_stops_the_workers_and_keeps_what_is_done(
    signum: int, run: Server, clip: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mkv"
    pid = run.start(clip, output, SHARDS, DELAY)
    wait_for_a_segment(work_folder(output, None) / "journal")
    os.kill(pid, signum)
    assert run.end() == 128 + signum
    assert not list(processes_of(pid))
    assert not output.exists()
    assert (work_folder(output, None) / "journal").exists()
    run.start(clip, output, SHARDS)
    assert run.end() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mkv"]


def test_workers_that_always_die_end_the_run_with_the_first_cause(run: Server, clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    pid = run.start(clip, output, SHARDS, delay=0.2)
    until = time.monotonic() + 30
    while list(processes_of(pid)) and time.monotonic() < until:
        for worker in workers_of(pid):
            os.kill(worker, signal.SIGKILL)
        time.sleep(0.05)
    assert run.end() == 6
    assert "failed 3 times, first because worker" in run.said.read_text()
    assert not output.exists()


@pytest.mark.parametrize("share", [0.02, 0.5, 0.97], ids=["journal", "segment", "join"])
def test_a_full_disk_ends_the_run_and_the_next_one_goes_on(
    share: float, run: Server, clip: Path, tmp_path: Path
) -> None:
    output, whole = tmp_path / "out.mkv", tmp_path / "whole.mkv"
    run.start(clip, whole, SHARDS)
    assert run.end() == 0
    run.start(clip, output, 2, most=int(whole.stat().st_size * share / (1 if share > 0.9 else 2)))
    assert run.end() == 4
    said = run.said.read_text().splitlines()[-1]
    assert "work folder" in said or "output" in said
    assert not output.exists()
    run.start(clip, output, 2)
    assert run.end() == 0
    assert same(output, whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mkv", "whole.mkv"]
