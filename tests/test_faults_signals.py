"""Signals at any moment: one exit code, in time, nothing left, and the output of before or the new one."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import av
import pytest

from tests.child import Child
from tests.clips import make_clip
from tests.faults import left_behind

pytestmark = pytest.mark.fault

FRAMES = 30
DELAY = 0.02
OLD = b"the output of before"
HANG = 10.0
"""Seconds after which a run that was told to stop counts as hung."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    started = Child(tmp_path_factory.mktemp("child"))
    yield started
    started.close()


@pytest.fixture
def child(server: Child) -> Iterator[Child]:
    yield server
    server.stop()


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """A run of about a second onto an output that exists."""
    clip = make_clip(tmp_path / "in.mkv", frames=FRAMES)
    (tmp_path / "out.mkv").write_bytes(OLD)
    return ["upscale", str(clip), "-o", str(tmp_path / "out.mkv"), "-y", "--codec", "ffv1", "-q"]


def is_whole(path: Path) -> bool:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0)) == FRAMES


def wait_for(folder: Path, suffix: str) -> None:
    """Until the run has a file of this kind in `folder`; of a lock, until it names its holder."""
    until = time.monotonic() + HANG
    # A muxer may keep what it has in memory until it closes the file: an output counts while it is still empty.
    while not any(path.suffix == suffix and (suffix == ".part" or _size(path)) for path in folder.iterdir()):
        assert time.monotonic() < until, f"no {suffix} file appeared"
        time.sleep(0.005)


def _size(path: Path) -> int:
    """Bytes in a file that may vanish meanwhile."""
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
def test_a_signal_at_any_moment_leaves_the_old_output_or_the_new_one(
    tmp_path: Path, child: Child, arguments: list[str], signum: int
) -> None:
    rng = random.Random(signum)
    stopped = 0
    for _ in range(10):
        (tmp_path / "out.mkv").write_bytes(OLD)
        pid = child.start(arguments, DELAY)
        wait_for(tmp_path, ".lock")  # by now the handlers are in place
        time.sleep(rng.uniform(0, FRAMES * DELAY * 1.1))
        told = time.monotonic()
        with suppress(ProcessLookupError):  # it may have ended by itself
            os.kill(pid, signum)
        code = child.end()
        assert time.monotonic() - told < HANG
        assert code in (0, 128 + signum)
        assert left_behind(tmp_path) == []
        new = (tmp_path / "out.mkv").read_bytes() != OLD
        assert is_whole(tmp_path / "out.mkv") if new else code == 128 + signum
        stopped += code != 0
    assert stopped >= 5
    assert "Traceback" not in child.said.read_text()


def test_after_sigkill_the_next_run_cleans_up_and_succeeds(tmp_path: Path, child: Child, arguments: list[str]) -> None:
    for _ in range(3):
        pid = child.start(arguments, delay=0.1)
        wait_for(tmp_path, ".part")  # at once, after the first time: the killed run left one
        time.sleep(0.3)
        os.kill(pid, signal.SIGKILL)
        assert child.end() == -signal.SIGKILL
        assert (tmp_path / "out.mkv").read_bytes() == OLD
    child.start(arguments)
    assert child.end() == 0
    assert is_whole(tmp_path / "out.mkv")
    assert left_behind(tmp_path) == []


def test_a_second_signal_ends_at_once(tmp_path: Path, child: Child, arguments: list[str]) -> None:
    pid = child.start(arguments, delay=60.0)
    wait_for(tmp_path, ".lock")
    time.sleep(0.3)
    begun = time.monotonic()
    os.kill(pid, signal.SIGINT)
    time.sleep(0.3)
    os.kill(pid, signal.SIGINT)
    assert child.end() == 130
    assert time.monotonic() - begun < HANG
    assert (tmp_path / "out.mkv").read_bytes() == OLD


def test_a_second_run_on_one_output_is_told_who_is_first(tmp_path: Path, child: Child, arguments: list[str]) -> None:
    second = Child(tmp_path)
    try:
        pid = child.start(arguments, DELAY)
        wait_for(tmp_path, ".lock")
        second.start(arguments)
        assert second.end() == 9
        assert f"another vidsr (pid {pid}" in second.said.read_text()
        assert child.end() == 0
        assert is_whole(tmp_path / "out.mkv")
    finally:
        second.close()


def test_a_closed_stderr_does_not_end_a_run(tmp_path: Path, child: Child, arguments: list[str]) -> None:
    child.start([word for word in arguments if word != "-q"], close=True)
    assert child.end() == 0
    assert is_whole(tmp_path / "out.mkv")
