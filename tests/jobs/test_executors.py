"""What every executor does, whether its workers are processes of this machine or of a cluster."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.nodes import Nodes
from tests.jobs.workers import Film, Launcher, alive
from vidsr.events import Notice, ignore
from vidsr.flow import Cancel
from vidsr.jobs.local import Local
from vidsr.jobs.messages import Beat, Done, Executor, Failed, Lost, Message, Retired, Said, Task
from vidsr.jobs.supervise import Supervisor

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes of processes cannot be selected there")

HANG = 30.0
"""Seconds after which a test counts as hung."""
WORKERS = 2
STALL = 8.0
"""Seconds without a tick that count as hung: more than starting a worker takes on a busy machine."""


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """A cluster of one node that says it has as many GPUs as there are to be workers."""
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed (extra: cluster)")
    with Nodes() as made:
        made.head("--num-cpus=1", f"--num-gpus={WORKERS}")
        yield made


@pytest.fixture(params=["local", "cluster"])
def executor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Executor]:
    made = _local() if request.param == "local" else _cluster(request.getfixturevalue("nodes"), monkeypatch)
    yield made
    made.close()
    made.close()


def _local() -> Executor:
    return Local(["fake"] * WORKERS, Launcher(), stall=STALL)


def _cluster(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> Executor:
    from vidsr.jobs.ray import Cluster

    for name, value in nodes.env.items():
        monkeypatch.setenv(name, value)
    return Cluster(nodes.address, "tests.jobs.far:launch", stall=STALL)


class Ear:
    """Waits for messages, and keeps all that came."""

    def __init__(self, executor: Executor) -> None:
        self.executor, self.heard = executor, list[Message]()

    def until(self, kind: type[Any], count: int = 1) -> list[Any]:
        return self.wait(lambda: [m for m in self.heard if isinstance(m, kind)], count)

    def wait(self, found: Callable[[], list[Any]], count: int = 1) -> list[Any]:
        end = time.monotonic() + HANG
        while len(now := found()) < count:
            assert time.monotonic() < end, self.heard
            self.heard += self.executor.wait(0.2)
        return now

    def idle(self, count: int) -> None:
        self.wait(lambda: [None] * self.executor.free, count)

    def give(self, *acts: str, **body: Any) -> None:
        self.idle(1)
        number = body.pop("number", 0)
        self.executor.submit(Task(f"film:{number}", "segment", {"acts": list(acts), **body}))

    def at_work(self, count: int = 1) -> None:
        """Wait until so many tasks move."""
        self.wait(lambda: list({m.task for m in self.heard if isinstance(m, Beat) and m.task}), count)


@pytest.fixture
def ear(executor: Executor) -> Ear:
    return Ear(executor)


def test_tasks_are_done_side_by_side_with_their_events(ear: Ear) -> None:
    assert ear.executor.capacity == WORKERS
    ear.idle(WORKERS)
    ear.give("hang", number=0)
    assert ear.executor.free == WORKERS - 1
    ear.give("tell \u2603 of \udc80", number=1)
    [done] = ear.until(Done)
    assert (done.task, done.result["task"]) == ("film:1", "film:1")
    assert [said for said in ear.heard if isinstance(said, Said)] == [Said("film:1", Notice("\u2603 of \udc80"))]
    assert ear.executor.free == WORKERS - 1


def test_frames_are_told_in_beats_none_after_the_end(ear: Ear) -> None:
    ear.give("work", frames=8, seconds=0.25)
    ear.until(Done)
    ear.heard += ear.executor.wait(0.3)
    of_task = [m for m in ear.heard if getattr(m, "task", None) == "film:0"]
    assert isinstance(of_task[-1], Done)
    frames = [m.done for m in of_task if isinstance(m, Beat)]
    assert frames == sorted(frames)
    assert 0 < frames[-1] <= 8


def test_a_join_is_done_too(ear: Ear) -> None:
    ear.idle(1)
    ear.executor.submit(Task("film:join", "join", {}))
    assert [done.task for done in ear.until(Done)] == ["film:join"]


def test_a_large_task_and_much_talk_arrive_whole(ear: Ear) -> None:
    ear.give("threads", ballast="x" * 2_000_000)
    ear.until(Done)
    assert sum(isinstance(m, Said) for m in ear.heard) == 8 * 50


def test_a_worker_that_dies_is_told_and_replaced(ear: Ear) -> None:
    ear.give("signal SIGKILL")
    [lost] = ear.until(Lost)
    assert lost.task == "film:0"
    assert "SIGKILL" in lost.cause
    assert lost.worker.startswith("worker ")
    assert ear.executor.capacity == WORKERS
    ear.give("work", number=1)
    ear.until(Done)


def test_a_fault_that_is_not_the_users_ends_its_worker(ear: Ear, tmp_path: Path) -> None:
    ear.give("raise DeviceError")
    [failed] = ear.until(Failed)
    assert (failed.task, failed.kind, failed.exit_code) == ("film:0", "DeviceError", 6)
    [lost] = ear.until(Lost)
    assert lost.task is None
    assert ear.executor.capacity == WORKERS


def test_a_fault_of_the_user_leaves_the_worker(ear: Ear) -> None:
    ear.give("raise InputError")
    ear.until(Failed)
    ear.idle(WORKERS)
    ear.heard += ear.executor.wait(0.5)
    assert not [m for m in ear.heard if isinstance(m, Lost)]


def test_three_ends_in_a_row_retire_workers_until_none_is_left(ear: Ear) -> None:
    number = 0
    while ear.executor.capacity:
        if ear.executor.free:
            ear.give("exit 9", number=number)
            number += 1
        ear.heard += ear.executor.wait(0.2)
    ear.until(Retired, WORKERS)
    assert ear.executor.free == 0
    lost = ear.wait(lambda: [m.task for m in ear.heard if isinstance(m, Lost) and m.task], number)
    assert sorted(lost) == sorted(f"film:{n}" for n in range(number))
    assert 3 * WORKERS <= number <= 3 * WORKERS + WORKERS


def test_a_task_that_is_cancelled_is_lost_and_its_worker_ends(ear: Ear) -> None:
    ear.executor.cancel("nobody has it")
    ear.give("hang")
    ear.at_work()
    ear.executor.cancel("film:0")
    [lost] = ear.until(Lost)
    assert (lost.task, "cancelled" in lost.cause) == ("film:0", True)
    ear.idle(WORKERS)


def test_a_task_that_hangs_is_lost_though_its_worker_beats(ear: Ear) -> None:
    ear.give("work", number=1)  # by then its worker has started
    ear.until(Done)
    ear.give("hang")
    [lost] = ear.until(Lost)
    assert lost.task == "film:0"
    assert "has not moved for 8 s" in lost.cause
    assert ear.executor.capacity == WORKERS


def test_nothing_is_left_after_the_end(ear: Ear, tmp_path: Path) -> None:
    ear.give("work", frames=1)
    pid = ear.until(Done)[0].result["pid"]
    ear.give("hang", number=1)
    assert alive(pid)
    ear.executor.close()
    end = time.monotonic() + HANG
    while alive(pid):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_films_come_through_whatever_happens_to_workers(ear: Ear, tmp_path: Path) -> None:
    """The supervisor over real processes: deaths, faults and one that only says that it failed."""
    log = str(tmp_path / "log")
    bodies = [
        {"acts": acts, "log": log, "frames": 2}
        for acts in (["work"], ["signal SIGKILL", "work"], ["raise DeviceError", "work"], ["work"], ["exit 3", "work"])
    ]
    film = Film("film", bodies, prepare=["work"], join=["work"])
    assert Supervisor(ear.executor, [film], ignore, Cancel()).run() == ["film is whole"]
    assert len(film.results) == len(bodies)
    assert film.calls["joined"] == 1


def test_a_worker_on_its_own_dies_with_whoever_holds_it(ear: Ear) -> None:
    """Its holder is this process, or an actor on a node: SIGKILL of that leaves no worker at a device."""
    if isinstance(ear.executor, Local):
        pytest.skip("the holder is this process: tests/jobs/test_local.py")
    ear.give("work")
    pid = ear.until(Done)[0].result["pid"]
    parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    assert [m.task for m in ear.until(Lost)] == [None]
    assert not alive(pid)
    ear.idle(WORKERS)
