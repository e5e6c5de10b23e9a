"""The examples run as they are, and do what they say."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from tests.clips import make_clip
from tests.compat_cases import picture

FOLDER = Path(__file__).parent.parent / "examples"


def run(name: str, source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [name, str(source), str(target)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(FOLDER / name), run_name="__main__")
    assert not ended.value.code, ended.value.code


def frames(path: Path) -> list[tuple[float, np.ndarray[Any, Any]]]:
    with av.open(str(path)) as container:
        return [(float(frame.time or 0), frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def test_every_example_is_tested_and_listed() -> None:
    names = {path.name for path in FOLDER.glob("*.py")}
    called = [node.args for node in ast.walk(ast.parse(Path(__file__).read_text())) if isinstance(node, ast.Call)]
    first = {args[0].value for args in called if args and isinstance(args[0], ast.Constant)}
    assert names
    assert names <= first
    listed = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"[{name}]({name})" in listed for name in names)


def test_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=4, size=(32, 32))
    run("video.py", clip, tmp_path / "out.mkv", monkeypatch)
    assert [image.shape for _, image in frames(tmp_path / "out.mkv")] == [(64, 64, 3)] * 4
    assert "4 frames of 64x64" in capsys.readouterr().out


def test_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=5, size=(32, 32), audio=None)
    run("frames.py", clip, tmp_path / "out.mkv", monkeypatch)
    before, after = frames(clip), frames(tmp_path / "out.mkv")
    assert np.allclose([time for time, _ in before], [time for time, _ in after], atol=0.001)
    assert {image.shape for _, image in after} == {(64, 64, 3)}
    light = [image.mean() for _, image in after]
    assert light == sorted(light)
    assert light[-1] > 2 * light[0]


@pytest.mark.parametrize(("channels", "bits"), [(0, 8), (3, 8), (4, 8), (3, 16)])
def test_picture(channels: int, bits: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = picture(channels, 12, 16, bits)
    cv2.imwrite(str(tmp_path / "in.png"), small)
    run("picture.py", tmp_path / "in.png", tmp_path / "out.png", monkeypatch)
    large = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)
    assert large is not None
    assert (large.shape, large.dtype) == ((24, 32, *small.shape[2:]), small.dtype)
    assert np.abs(large.mean((0, 1)) / large.max() - small.mean((0, 1)) / small.max()).max() < 0.05


def test_realesrganer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = picture(3, 12, 16)
    cv2.imwrite(str(tmp_path / "in.png"), small)
    run("realesrganer.py", tmp_path / "in.png", tmp_path / "out.png", monkeypatch)
    large = cv2.imread(str(tmp_path / "out.png"))
    assert large is not None
    assert large.shape == (36, 48, 3)
    assert np.abs(large.mean((0, 1)) - small.mean((0, 1))).max() < 10


def test_a_file_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AssertionError, match="3"):
        run("video.py", tmp_path / "none.mkv", tmp_path / "out.mkv", monkeypatch)
    assert "none.mkv" in capsys.readouterr().out
