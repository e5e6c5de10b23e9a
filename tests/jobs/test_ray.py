"""What only a cluster has: nodes that come and go, files that are sent, and all the ways in which it is not there."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.nodes import Nodes, descendants, free_port
from vidsr.errors import DeviceError, UsageError
from vidsr.jobs import outpost, ranges, ray
from vidsr.jobs.messages import Done, Failed, Lost, Message, Retired, Task, from_line, to_line
from vidsr.jobs.outpost import Desk, Outpost, Place
from vidsr.jobs.ranges import Home, Mirror, home_of
from vidsr.jobs.ray import Cluster

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes of processes cannot be selected there")
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (extra: cluster)")

HANG = 60.0
"""Seconds after which a test counts as hung."""


def test_a_cluster_needs_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="not installed") as caught:
        Cluster("auto")
    assert "cluster]" in caught.value.hint


@needs_ray
@pytest.mark.parametrize("address", ["ray://head:10001", "head", "head:", "head:port", ""])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="--cluster"):
        Cluster(address)


@needs_ray
def test_an_address_where_nobody_is_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="nobody answers there"):
        Cluster(f"127.0.0.1:{free_port()}")


@needs_ray
def test_who_answers_and_is_no_cluster_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "START", 3.0)
    monkeypatch.setattr(ray, "_GRACE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        with pytest.raises(UsageError, match="no answer within 3 s"):
            Cluster(f"127.0.0.1:{server.getsockname()[1]}")
        assert descendants(os.getpid()) == [os.getpid()]


@needs_ray
@pytest.mark.parametrize(
    ("error", "said", "hint"),
    [
        (ConnectionError("Could not find any running Ray instance.\nMore."), "Could not find any running", "ray start"),
        (RuntimeError("Version mismatch: Ray 2.40 here"), "Version mismatch: Ray 2.40 here", "same versions"),
        (RuntimeError("RPC error: InvalidAuthToken: of no use"), "share a token", "RAY_AUTH_TOKEN"),
    ],
)
def test_a_cluster_that_does_not_take_us_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, error: Exception, said: str, hint: str
) -> None:
    from vidsr.jobs import bridge

    def init(**_: Any) -> None:
        raise error

    monkeypatch.setattr(bridge.ray, "init", init)
    with pytest.raises(UsageError, match=f"--cluster auto: .*{said}") as caught:
        bridge.connect("auto")
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)


@needs_ray
@pytest.mark.slow
def test_nodes_come_and_go_and_the_head_last(monkeypatch: pytest.MonkeyPatch) -> None:
    with Nodes() as nodes:
        head = nodes.head("--num-cpus=1")
        for name, value in nodes.env.items():
            monkeypatch.setenv(name, value)
        executor = Cluster(nodes.address, "tests.jobs.far:launch")
        heard: list[Message] = []

        def until(found: Callable[[], Any]) -> Any:
            end = time.monotonic() + HANG
            while not (now := found()):
                assert time.monotonic() < end, heard
                heard.extend(executor.wait(0.2))
            return now

        try:
            assert executor.capacity == 1
            node = nodes.join("127.0.0.1", "--num-cpus=1")
            until(lambda: executor.free == 2)
            for number in range(2):
                executor.submit(Task(f"film:{number}", "segment", {"acts": ["look 600"]}))
            until(lambda: len({getattr(m, "task", "") for m in heard} - {""}) == 2)
            node.kill()
            [lost] = until(lambda: [m for m in heard if isinstance(m, Lost) and m.task])
            assert until(lambda: executor.capacity == 1)
            [gone] = until(lambda: [m for m in heard if isinstance(m, Retired)])
            assert (gone.worker, gone.cause) == (lost.worker, "lost its machine")
            head.kill()
            with pytest.raises(DeviceError, match="is lost") as caught:
                until(lambda: False)
            assert "the same command" in caught.value.hint
            assert "\n" not in str(caught.value)
        finally:
            executor.close()


class Call:
    """A method of an actor that lives in this process."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.remote = method


class Direct:
    """An actor that is no actor."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def __getattr__(self, name: str) -> Call:
        return Call(getattr(self._actor, name))


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[Outpost, Desk]]:
    """A worker that sees none of our files, without a cluster between."""
    monkeypatch.setattr(ranges, "_shared_input", lambda path, home: False)
    monkeypatch.setattr(outpost, "CHUNK", 1000)
    monkeypatch.setattr(outpost, "Mirror", lambda fetch: Mirror(fetch, tmp_path / "far"))
    desk = Desk()
    place = Place(7, "worker 7 (cpu on b)", "cpu", 1, "tests.jobs.far:launch_copier", 300.0, 1.0)
    made = Outpost(place, Direct(desk), get=lambda answer: answer)
    thread = threading.Thread(target=made.run)
    thread.start()
    yield made, desk
    made.close()
    thread.join(HANG)


def told(desk: Desk, kind: type[Any]) -> Any:
    end = time.monotonic() + HANG
    while time.monotonic() < end:
        for seat, line in desk.take(1.0):
            assert seat == 7
            if not line.startswith("hello ") and isinstance(message := from_line(line), kind):
                return message
    raise AssertionError(f"no {kind}")


def part(input: Path, path: Path, start: int, end: int) -> Task:
    film = {"input": str(input), "output": str(path.parent / "out.mkv"), "options": {"model": "m", "report": None}}
    return Task(f"0:{start}", "segment", {"film": film, "path": str(path), "start": start, "end": end})


@pytest.fixture
def input(tmp_path: Path) -> Path:
    path = tmp_path / "in.mkv"
    path.write_bytes(os.urandom(3_500_000))
    return path


def test_a_part_of_the_input_goes_out_and_the_segment_comes_back(
    far: tuple[Outpost, Desk], tmp_path: Path, input: Path
) -> None:
    worker, desk = far
    work = tmp_path / "work"
    work.mkdir()
    task = part(input, work / "00000.segment", 2_000_000, 2_010_500)
    worker.give(to_line(task), home_of(task, {str(work): ".probe"}))
    done = told(desk, Done)
    assert (done.task, done.result["size"]) == (task.id, 3_500_000)
    assert done.result["input"] == str(input)  # and not what it is called over there
    assert (work / "00000.segment").read_bytes() == input.read_bytes()[2_000_000:2_010_500]
    assert [path.name for path in work.iterdir()] == ["00000.segment"]


def test_an_input_that_is_changed_meanwhile_is_refused(far: tuple[Outpost, Desk], tmp_path: Path, input: Path) -> None:
    worker, desk = far
    task = part(input, tmp_path / "0.segment", 0, 10)
    home = home_of(task, {str(tmp_path): ".probe"})
    worker.give(to_line(task), home)
    told(desk, Done)
    input.write_bytes(b"another film")
    task = part(input, tmp_path / "1.segment", 3_000_000, 3_000_010)
    worker.give(to_line(task), home)
    failed = told(desk, Failed)
    assert (failed.kind, failed.message) == ("InputError", f"input {input} was changed while it was read")
    assert not (tmp_path / "1.segment").exists()


def test_a_disk_that_is_full_at_home_is_told_as_that(far: tuple[Outpost, Desk], tmp_path: Path, input: Path) -> None:
    worker, desk = far
    task = part(input, tmp_path / "gone" / "0.segment", 0, 10)
    worker.give(to_line(task), Home(home_of(task, {}).inputs, {str(tmp_path / "gone"): ".probe"}))
    failed = told(desk, Failed)
    assert (failed.task, failed.kind, failed.exit_code) == (task.id, "OutputError", 4)
    assert str(tmp_path / "gone") in failed.message


def test_pieces_of_a_segment_must_make_up_what_was_sent(tmp_path: Path) -> None:
    desk = Desk()
    assert desk.write(1, str(tmp_path / "0.segment"), 0, b"half") == ""
    failed = from_line(desk.seal(1, str(tmp_path / "0.segment"), "0" * 64))
    assert isinstance(failed, Failed)
    assert "instead of 0000" in failed.message
    assert not (tmp_path / "0.segment").exists()


def test_a_worker_that_was_given_up_can_do_nothing_any_more(tmp_path: Path) -> None:
    desk = Desk()
    desk.revoke(1)
    for call in (
        lambda: desk.post(1, []),
        lambda: desk.write(1, str(tmp_path / "0.segment"), 0, b"late"),
        lambda: desk.seal(1, str(tmp_path / "0.segment"), ""),
    ):
        with pytest.raises(PermissionError):
            call()
    assert list(tmp_path.iterdir()) == []
