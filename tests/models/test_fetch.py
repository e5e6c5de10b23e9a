"""Downloads from servers that cut, lie and send other things."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from pathlib import Path

import pytest

from vidsr.errors import WeightsError
from vidsr.events import Download, Event
from vidsr.models import fetch as fetching
from vidsr.models.fetch import fetch, official_url

from .server import Server, serving

CONTENT = random.Random(6).randbytes(700_001)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "PAUSE", 0.0)


def get(server: Server, target: Path, *, known: bool = True) -> list[Event]:
    events: list[Event] = []
    size, sha256 = (len(CONTENT), SHA256) if known else (None, None)
    fetch(f"{server.url}/net.pth", target, size=size, sha256=sha256, emit=events.append)
    return events


HALF = len(CONTENT) // 2
GOOD = {  # kind: the ranges that are asked for
    "normal": [None],
    "cuts": [None, HALF, HALF + (len(CONTENT) - HALF) // 2],
    "no_range": [None, HALF],
    "lies": [None, HALF, None],
    "mute": [None, HALF, None],
    "busy": [None, None, None],
    "no_length": [None],
    "refuses_range": [None, HALF, None],
}


@pytest.mark.parametrize("kind", GOOD)
def test_the_whole_file_arrives(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "made" / "net.pth"
    with serving(CONTENT, kind) as server:
        events = get(server, target)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["net.pth"]
    assert server.asked == [start and f"bytes={start}-" for start in GOOD[kind]]
    assert events[-1] == Download("net.pth", len(CONTENT), len(CONTENT))
    assert all(isinstance(event, Download) and 0 < event.done <= event.total for event in events)


BAD = {
    "html": r"web page \(text/html\)",
    "disguised_html": "is a web page.*; deleted",
    "wrong": f"sha256 differs \\(expected {SHA256}, got [0-9a-f]{{64}}\\); deleted",
    "missing": "HTTP 404, expected 200",
    "endless": f"more than the expected {len(CONTENT)} bytes; deleted",
    "long": f"announces {len(CONTENT) + 1} bytes, expected {len(CONTENT)}",
}


@pytest.mark.parametrize("kind", BAD)
def test_anything_else_is_refused_at_once_and_leaves_nothing(tmp_path: Path, kind: str) -> None:
    with serving(CONTENT, kind) as server, pytest.raises(WeightsError, match=BAD[kind]):
        get(server, tmp_path / "net.pth")
    assert list(tmp_path.iterdir()) == []
    assert len(server.asked) == 1


def test_tries_are_bounded(tmp_path: Path) -> None:
    with serving(CONTENT, "down") as server, pytest.raises(WeightsError, match=r"failed 5 times: .* HTTP 503"):
        get(server, tmp_path / "net.pth")
    assert len(server.asked) == 5


def test_nobody_listens(tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        pass
    with pytest.raises(WeightsError, match="failed 5 times"):
        get(server, tmp_path / "net.pth")


def test_a_later_run_continues(tmp_path: Path) -> None:
    (tmp_path / ".net.pth.part").write_bytes(CONTENT[:1000])
    with serving(CONTENT) as server:
        get(server, tmp_path / "net.pth")
    assert server.asked == ["bytes=1000-"]
    assert (tmp_path / "net.pth").read_bytes() == CONTENT


@pytest.mark.parametrize("left", [b"x" * 1000, b"x" * len(CONTENT), CONTENT + b"x", b""])
def test_a_wrong_beginning_is_noticed_and_thrown_away(tmp_path: Path, left: bytes) -> None:
    (tmp_path / ".net.pth.part").write_bytes(left)
    with serving(CONTENT) as server:
        get(server, tmp_path / "net.pth")
    assert server.asked[-1] is None
    assert (tmp_path / "net.pth").read_bytes() == CONTENT


def test_without_a_hash_nothing_is_stitched_together(tmp_path: Path) -> None:
    (tmp_path / ".net.pth.part").write_bytes(b"x" * 1000)
    with serving(CONTENT, "cuts") as server:
        get(server, tmp_path / "net.pth", known=False)
    assert server.asked == [None, None, None]
    assert (tmp_path / "net.pth").read_bytes() == CONTENT


def test_a_good_file_is_not_fetched_again_and_a_bad_one_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "net.pth"
    with serving(CONTENT) as server:
        for before in (CONTENT, CONTENT[:-1]):
            target.write_bytes(before)
            get(server, target)
            assert target.read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_two_processes_fetch_one_file_once(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from vidsr.models.fetch import fetch;"
        "fetch(sys.argv[1], pathlib.Path(sys.argv[2]), size=int(sys.argv[3]), sha256=sys.argv[4])"
    )
    with serving(CONTENT) as server:
        call = [
            sys.executable,
            "-c",
            code,
            server.url + "/net.pth",
            str(tmp_path / "net.pth"),
            str(len(CONTENT)),
            SHA256,
        ]
        children = [subprocess.Popen(call) for _ in range(2)]
        assert [child.wait(60) for child in children] == [0, 0]
    assert server.asked == [None]
    assert (tmp_path / "net.pth").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["net.pth"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with serving(CONTENT) as server, pytest.raises(WeightsError, match="file cannot be written"):
        get(server, tmp_path / "file" / "net.pth")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/net.pth", "net.pth"])
def test_other_kinds_of_address_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(WeightsError, match="is not allowed"):
        fetch(url, tmp_path / "net.pth", size=1, sha256=None)


def test_a_mirror_takes_the_place_of_the_release(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://host/project/v1/net.pth"
    assert official_url(url) == url
    monkeypatch.setenv("VIDSR_WEIGHTS_URL", "http://mirror/weights/")
    assert official_url(url) == "http://mirror/weights/net.pth"
