"""Files of another machine: the same packets as here, only what is read is fetched, no failure passes for an end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.clips import make_clip
from vidsr.errors import InputError
from vidsr.jobs.journal import identify
from vidsr.jobs.messages import Done, Task, from_line, to_line
from vidsr.jobs.ranges import Home, Mirror, absolute, home_of
from vidsr.media import distant
from vidsr.media.distant import UnreachableError, is_distant, name_or_file, open_bytes
from vidsr.media.libav import open_input
from vidsr.scan import scan

pytestmark = pytest.mark.skipif(not hasattr(os, "getuid"), reason="blocks come through a Unix socket")

PIXELS = 1 << 20


class Far:
    """A mirror, what it fetched, and what goes wrong there."""

    def __init__(self, folder: Path) -> None:
        self.fetched: list[tuple[str, int]] = []
        self.fails_at: int | None = None
        self.failure: Exception = ConnectionError("the desk is gone")
        self.mirror = Mirror(self._fetch, folder)

    def _fetch(self, path: str, number: int) -> bytes:
        self.fetched.append((path, number))
        if len(self.fetched) - 1 == self.fails_at:
            raise self.failure
        with Path(path).open("rb") as file:
            file.seek(number * distant.BLOCK)
            return file.read(distant.BLOCK)

    def sees(self, path: Path) -> Path:
        """The placeholder of a file: as for a worker on whose machine it is not, or is another one."""
        there = Home({str(path): replace(identify(path), tail="other")}, {})
        film = {"input": str(path), "output": None, "options": {"model": "animevideov3", "report": None}}
        task, _ = self.mirror.translate(Task("0", "prepare", {"film": film}), there)
        return Path(task.body["film"]["input"])


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Far]:
    monkeypatch.setattr(distant, "BLOCK", 1024)
    monkeypatch.setattr("vidsr.jobs.ranges.BLOCK", 1024)
    distant._kept.clear()
    made = Far(tmp_path / "far")
    yield made
    made.mirror.close()
    distant._kept.clear()


def packets(path: Path) -> list[tuple[int | None, int | None, bytes]]:
    with open_input(path) as container:
        return [(packet.pts, packet.dts, bytes(packet)) for packet in container.demux()]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_the_packets_are_those_of_the_file_itself(far: Far, tmp_path: Path, name: str) -> None:
    clip = make_clip(tmp_path / name)
    there = far.sees(clip)
    assert is_distant(there)
    assert (there.stat().st_size, there.stat().st_mtime_ns) == (clip.stat().st_size, clip.stat().st_mtime_ns)
    assert there.stat().st_blocks == 0
    assert packets(there) == packets(clip)
    assert scan(there, PIXELS).keys == scan(clip, PIXELS).keys
    assert {path for path, _ in far.fetched} == {str(clip)}


def test_only_what_is_read_is_fetched(far: Far, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4")
    size = clip.stat().st_size
    with clip.open("ab") as file:  # a box that holds nothing, a gigabyte of it
        file.write((1 << 30).to_bytes(4, "big") + b"free")
        file.truncate(size + (1 << 30))
    there = far.sees(clip)
    assert packets(there) == packets(clip)
    assert len(far.fetched) < size / distant.BLOCK + 40


def test_bytes_are_the_same_at_every_place(far: Far, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(bytes(number * 7 % 251 for number in range(5000)))
    with open_bytes(far.sees(path)) as there, path.open("rb") as here:
        for place, length in [(0, 10), (1020, 10), (1024, 1024), (4999, 5), (5000, 1), (9000, 3), (0, -1)]:
            assert there.seek(place) == here.seek(place)
            assert there.read(length) == here.read(length)
        assert there.seek(-3, os.SEEK_END) == 4997
        assert there.read() == path.read_bytes()[-3:]
    here_too = tmp_path / "here"
    here_too.write_bytes(b"x")
    assert name_or_file(here_too) == f"file:{here_too}"
    with open_bytes(here_too) as file:
        assert file.read() == b"x"


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize(
    ("failure", "seen"), [(ConnectionError("gone"), UnreachableError), (InputError("it was changed"), InputError)]
)
def test_no_failure_passes_for_the_end_of_the_film(
    far: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, failure: Exception, seen: type[Exception]
) -> None:
    """Whichever block cannot be had: the error arrives, not a shorter film."""
    clip = make_clip(tmp_path / name)
    there = far.sees(clip)
    packets(there)
    reads = len(far.fetched)
    assert reads > 3
    far.failure = failure
    for number in range(reads):
        distant._kept.clear()
        far.fetched.clear()
        far.fails_at = number
        with pytest.raises(seen):
            packets(there)


def test_what_is_shared_is_left_as_it_is(far: Far, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv")
    work = tmp_path / "work"
    work.mkdir()
    (work / ".probe").touch()
    film = {"input": str(clip), "output": str(tmp_path / "b.mkv"), "options": {"model": "m", "report": "r"}}
    task = Task("0", "segment", {"film": film, "path": str(work / "0.segment")})
    home = home_of(task, {str(work): ".probe"})
    same, send = far.mirror.translate(task, home)
    assert (same.body["film"]["input"], same.body["film"]["output"]) == (film["input"], film["output"])
    assert (same.body["path"], send) == (task.body["path"], None)
    (work / ".probe").unlink()
    other, send = far.mirror.translate(task, home)
    assert send == task.body["path"]
    assert far.mirror.home(other.body["path"]) == task.body["path"]
    assert Path(other.body["path"]).parent.is_dir()


def test_paths_mean_the_same_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pth").touch()
    film = {"input": "in.mkv", "output": None, "options": {"model": "w.pth"}}
    body = absolute(Task("0", "segment", {"film": film, "path": "work/0.segment", "span": 1})).body
    options = {"model": str(tmp_path / "w.pth")}
    assert body["film"] == {"input": str(tmp_path / "in.mkv"), "output": None, "options": options}
    assert (body["path"], body["span"]) == (str(tmp_path / "work" / "0.segment"), 1)
    named = film | {"output": "out.mkv", "options": {"model": "animevideov3"}}
    body = absolute(Task("0", "prepare", {"film": named})).body
    assert (body["film"]["output"], body["film"]["options"]) == (str(tmp_path / "out.mkv"), named["options"])


def test_what_comes_back_tells_of_files_at_home(far: Far, tmp_path: Path) -> None:
    """The name that a worker chose for the output beside its placeholder is one beside the input."""
    clip = make_clip(tmp_path / "a b.mkv")
    there = far.sees(clip)
    line = to_line(Done("0", {"output": str(there.with_name("a b_x2.mkv"))}))
    assert from_line(far.mirror.home(line)) == Done("0", {"output": str(tmp_path / "a b_x2.mkv")})


def test_weights_are_copied_whole(far: Far, tmp_path: Path) -> None:
    clip, weights = make_clip(tmp_path / "a.mkv"), tmp_path / "w.safetensors"
    weights.write_bytes(os.urandom(5000))
    film = {"input": str(clip), "output": None, "options": {"model": str(weights), "report": None}}
    task = Task("0", "prepare", {"film": film})
    home = home_of(task, {})
    elsewhere = Home({path: replace(identity, head="other") for path, identity in home.inputs.items()}, {})
    there, _ = far.mirror.translate(task, elsewhere)
    copied = Path(there.body["film"]["options"]["model"])
    assert copied != weights
    assert copied.read_bytes() == weights.read_bytes()


def test_folders_of_workers_that_were_killed_are_removed(far: Far, tmp_path: Path) -> None:
    left = tmp_path / "far" / "of-the-dead"
    left.mkdir()
    (left / "film.mkv").touch()
    other = Far(tmp_path / "far")
    assert not left.exists()
    assert far.mirror.root.is_dir()
    other.mirror.close()
    assert not other.mirror.root.exists()
