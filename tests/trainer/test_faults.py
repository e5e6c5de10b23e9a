"""Faults of data and configuration: one sentence each, and the exit code of their kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest

from tests.clips import make_clip, picture
from tests.faults import remux
from tests.trainer import fakes
from tests.trainer.test_config import SENTENCES, TEN
from trainer import run as running
from trainer.data.index import DAMAGED, index_of
from vidsr.cli.main import run as vidsr
from vidsr.errors import InputError, UsageError
from vidsr.events import Notice, ignore

fakes.one_thread()


def film(path: Path, **words: Any) -> Path:
    return make_clip(path, codec="libx264", audio=None, size=(64, 64), frames=12, **words)


def video(*paths: Path, **words: Any) -> list[dict[str, Any]]:
    """Films as data of a run."""
    return [{"kind": "video", "paths": [str(path) for path in paths], "gt_size": fakes.GT, "cache_mb": 8, **words}]


def test_a_corrupt_film_is_left_out_and_told(tmp_path: Path) -> None:
    good, bad = film(tmp_path / "good.mkv"), tmp_path / "bad.mkv"
    bad.write_bytes(b"\x1aE\xdf\xa3" + b"no film at all" * 99)
    said = fakes.train(fakes.config(tmp_path, data=video(good, bad, max_bad=0.6)), tmp_path / "run")
    told = [event.text for event in said if isinstance(event, Notice) and event.level == "warning"]
    assert len(told) == 1
    assert "left out" in told[0]
    assert "bad.mkv" in told[0]
    assert fakes.last(tmp_path / "run").iteration == 4


def test_a_film_with_damage_in_the_middle_is_trained_on_where_it_is_whole(tmp_path: Path) -> None:
    options = {"g": "10", "x264-params": "scenecut=0"}
    whole = make_clip(tmp_path / "whole.mkv", options=options, audio=None, size=(64, 64), frames=60)
    path = remux(whole, tmp_path / "hurt.mkv", "amount=eq(n\\,33)*20")
    index = index_of(path, ignore)
    assert 0 < index.count(DAMAGED) < len(index.frames) / 2
    fakes.train(fakes.config(tmp_path, data=video(path), loop={"iterations": 12}), tmp_path / "run")
    assert fakes.last(tmp_path / "run").iteration == 12


def test_only_corrupt_films_end_the_run_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.mkv").write_bytes(b"nothing")
    fakes.config(tmp_path, data=video(tmp_path / "bad.mkv")).save(tmp_path / "run.yaml")
    assert vidsr(["train", "run", str(tmp_path / "run.yaml"), "-o", str(tmp_path / "run")]) == 3
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert "bad.mkv" in lines[0]


def test_twelve_mistakes_in_a_configuration_are_twelve_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ten.yaml").write_text(TEN)
    assert vidsr(["train", "run", str(tmp_path / "ten.yaml")]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == len(SENTENCES)
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A folder with four pairs, one of which has a small picture of a wrong size."""
    for name in ("gt", "lq"):
        (tmp_path / name).mkdir()
    for index in range(4):
        large = picture(7 * index, 32, 32)
        small = cv2.resize(large, (16, 16) if index != 2 else (15, 16), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(tmp_path / "gt" / f"{index}.png"), large)
        cv2.imwrite(str(tmp_path / "lq" / f"{index}.png"), small)
    words = {"kind": "paired", "gt": str(tmp_path / "gt"), "lq": str(tmp_path / "lq"), "gt_size": fakes.GT}
    fakes.config(tmp_path, data=[words], degrade={"kind": "none"}).save(tmp_path / "run.yaml")
    return tmp_path


def test_one_bad_pair_is_found_before_the_run(pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vidsr(["train", "check", str(pairs / "run.yaml")]) == 3
    out, err = capsys.readouterr()
    errors = [line for line in out.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "2.png" in errors[0]
    assert "15x16" in errors[0]
    assert "1 of" in err


def test_one_bad_pair_ends_a_run_that_allows_none(pairs: Path) -> None:
    from trainer.config import load

    with pytest.raises(InputError, match=r"2\.png"):
        running.start(load(pairs / "run.yaml", ["loop.iterations=30", "data.0.max_bad=0"]), pairs / "run")


def test_one_bad_pair_is_left_out_where_that_is_allowed(pairs: Path) -> None:
    from trainer.config import load

    said = fakes.train(load(pairs / "run.yaml", ["loop.iterations=6", "data.0.max_bad=0.3"]), pairs / "run")
    told = [event.text for event in said if isinstance(event, Notice) and "left out" in event.text]
    assert len(told) == 1
    assert "2.png" in told[0]


def test_missing_weights_of_a_loss_are_told_before_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fakes.config(tmp_path, losses=[{"kind": "l1"}, {"kind": "perceptual"}]).save(tmp_path / "run.yaml")
    assert vidsr(["train", "check", str(tmp_path / "run.yaml")]) == 3
    out = capsys.readouterr().out
    assert "error: losses.1: " in out
    assert "vgg19-dcbb9e9d.pth do not exist" in out
    assert vidsr(["train", "run", str(tmp_path / "run.yaml"), "-o", str(tmp_path / "run")]) == 5
    assert not list((tmp_path / "run").iterdir()), "a run that cannot begin leaves no trace"


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    fakes.config(tmp_path).save(tmp_path / "run.yaml")
    assert vidsr(["train", "run", str(tmp_path / "run.yaml"), "-o", str(tmp_path / "file" / "run")]) == 4
    assert "error: output folder" in capsys.readouterr().err


def test_a_discriminator_that_does_not_fit_the_crop_is_told(tmp_path: Path) -> None:
    data = fakes.values(tmp_path)["data"][0] | {"gt_size": 20}
    with pytest.raises(UsageError, match="unet-sn needs a gt_size that is a multiple of 8, data has 20"):
        fakes.config(tmp_path, data=[data], gan=fakes.GAN)
