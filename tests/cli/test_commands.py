"""presets, probe, doctor and demo."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
import yaml

from vidsr import presets
from vidsr.cli import cartoon, demo, doctor, main
from vidsr.media.encoders import ENCODERS

from ..clips import make_clip


def test_presets_list_and_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["presets", "list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == presets.names()
    assert main.run(["presets", "show", "fast"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["options"] == presets.load("fast")
    assert main.run(["presets", "show", "fasd"]) == 2


def test_probe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=12)
    assert main.run(["probe", str(clip), "--json"]) == 0
    claims = json.loads(capsys.readouterr().out)
    assert (claims["frames"], [stream["kind"] for stream in claims["streams"]]) == (12, ["video", "audio"])
    assert main.run(["probe", str(clip)]) == 0
    assert "h264" in capsys.readouterr().out
    assert main.run(["probe", str(tmp_path / "none.mp4")]) == 3


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["doctor", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    states = {row["name"]: row["state"] for row in facts["encoders"]}
    assert set(states) == set(ENCODERS)
    assert {states[name] for name in ("x264", "x265", "svt-av1", "vp9", "ffv1", "prores")} == {"works"}
    assert facts["devices"][0]["name"] == "cpu"
    assert main.run(["doctor"]) == 0
    assert "auto is " in capsys.readouterr().out


@pytest.mark.gpu
def test_doctor_finds_nvdec() -> None:
    assert doctor.decode_once() == "works"


def test_doctor_says_why_an_encoder_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_packets", lambda *_: 0)
    assert doctor.encode_once("x264") == "gave no packet"


def test_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "SIZE", (64, 36))
    folder = tmp_path / "made"
    assert main.run(["demo", "-o", str(folder), "--frames", "4"]) == 0
    assert str(folder / "before-after.png") in capsys.readouterr().out
    with av.open(str(folder / "cartoon_x4.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        assert [(frame.width, frame.height) for frame in container.decode(video=0)] == [(256, 144)] * 4
    with av.open(str(folder / "before-after.png")) as picture:
        assert picture.streams.video[0].width == 2 * (int(demo.SHOWN[1] * 256) - int(demo.SHOWN[0] * 256)) + 8


def test_demo_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert main.run(["demo", "-o", str(tmp_path / "file" / "x")]) == 4


def test_cartoon_moves_on_twos() -> None:
    first, second, third = (cartoon.frame(index, 64, 36) for index in range(3))
    assert first.shape == (36, 64, 3)
    assert np.array_equal(first, second)
    assert not np.array_equal(second, third)


def test_melody_is_sound() -> None:
    wave = cartoon.melody(cartoon.RATE)
    assert (wave.shape, wave.dtype) == ((2, cartoon.RATE), np.float32)
    assert 0.2 < np.abs(wave).max() <= 1
