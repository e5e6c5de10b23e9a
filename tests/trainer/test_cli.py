"""`vidsr train` from the first command to a film that the new network has upscaled."""

from __future__ import annotations

import json
from pathlib import Path

import av
import pytest

from tests.clips import make_clip
from tests.trainer import fakes
from trainer import recipes
from trainer.log import read_log
from vidsr.cli.main import run as vidsr
from vidsr.models import store

fakes.one_thread()


def test_recipes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert vidsr(["train", "ls"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == recipes.names()
    assert vidsr(["train", "ls", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {name: recipes.description(name) for name in recipes.names()}


def test_a_recipe_becomes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    assert vidsr(["train", "init", "x4plus-net", "-o", str(path), "loop.batch=3"]) == 0
    assert capsys.readouterr().out == f"{path}\n"
    assert "batch: 3" in path.read_text()
    assert vidsr(["train", "init", "x4plus-net", "-o", str(path)]) == 2
    assert "exists" in capsys.readouterr().err


def test_the_schema_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert vidsr(["train", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Config"


@pytest.fixture
def show(tmp_path: Path) -> Path:
    """A configuration of a run on a film, with a validation on its last frames."""
    film = make_clip(tmp_path / "show.mkv", frames=20, size=(64, 48), audio=None)
    changes = {
        "data": [
            {"kind": "video", "paths": [str(film)], "frames": 2, "gt_size": 32, "skip": [[0.6, 9]], "cache_mb": 8},
        ],
        "degrade": {
            "kind": "video",
            "steps": [{"kind": "shrink"}, {"kind": "codec", "av1": None, "hevc": None, "vp9": None}],
        },
        "losses": [{"kind": "charbonnier"}, {"kind": "temporal", "weight": 0.1}],
        "gan": {"discriminator": {"kind": "unet-sn", "features": 2}, "warmup": 1},
        "loop": {"iterations": 4, "log_every": 1},
        "checkpoint": {"every": 2},
        "validation": {
            "every": 2,
            "sets": [{"kind": "video", "name": "held-out", "gt": str(film), "start": 0.6, "frames": 3}],
            "metrics": [{"kind": "psnr"}, {"kind": "flicker"}],
        },
        "export": {"name": "tiny-show", "onnx": False},
    }  # fmt: skip
    fakes.config(tmp_path, **changes).save(tmp_path / "show.yaml")
    return tmp_path / "show.yaml"


def test_from_a_film_to_a_network_that_upscales_it(
    show: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Path] = []
    monkeypatch.setattr("trainer.run.offer", lambda folder, emit: drawn.append(folder))
    run, sheet, large = show.parent / "run", show.parent / "sheet.png", show.parent / "large.mkv"
    assert vidsr(["train", "check", str(show), "--sheet", str(sheet), "--samples", "2"]) == 0
    assert "info: film" in capsys.readouterr().out
    assert sheet.stat().st_size > 1000
    assert vidsr(["train", "run", str(show), "seed=11", "-o", str(run), "--progress", "lines"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{run}\n"
    assert "4/4, " in err
    told = read_log(run)
    assert [line["iteration"] for line in told if line["kind"] == "validation"] == [0, 2, 4]
    assert {"psnr_y", "held-out/psnr_y"} <= next(line.keys() for line in told if line["kind"] == "validation")
    assert drawn == [run]
    assert "seed: 11" in (run / "config.yaml").read_text()
    assert "tiny-show" in store.imported_names()
    assert vidsr(["upscale", str(show.parent / "show.mkv"), "-o", str(large), "--model", "tiny-show"]) == 0
    with av.open(str(large)) as made:
        assert (made.streams.video[0].width, made.streams.video[0].height) == (128, 96)
    capsys.readouterr()
    assert vidsr(["train", "export", str(run), "-o", str(show.parent / "pth"), "--pth"]) == 0
    assert [Path(line).name for line in capsys.readouterr().out.splitlines()] == ["net_g_4.pth", "net_d_4.pth"]
    assert vidsr(["train", "resume", str(run)]) == 0
    assert vidsr(["train", "run", str(show), "-o", str(run)]) == 2
    assert f"run folder {run} is not empty" in capsys.readouterr().err


def test_what_a_validation_lacks_is_found_before_the_run(show: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = show.parent / "none.npz"
    words = [
        f"validation.metrics.0={{kind: niqe, model: {missing}}}",
        f"validation.sets.0.gt={show.parent / 'none.mkv'}",
    ]
    assert vidsr(["train", "check", str(show), *words]) == 3
    errors = [line for line in capsys.readouterr().out.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2
    assert errors[0].startswith("error: validation.metrics.0: ")
    assert str(missing) in errors[0]
    assert errors[1].startswith("error: validation.sets.0: ")
    assert "none.mkv" in errors[1]


def test_without_a_folder_the_run_lies_under_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fakes.config(tmp_path).save(tmp_path / "run.yaml")
    assert vidsr(["train", "run", "run.yaml", "loop.iterations=1", "name=mine"]) == 0
    assert capsys.readouterr().out == f"{Path('runs') / 'mine'}\n"
    assert fakes.last(tmp_path / "runs" / "mine").iteration == 1


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["resume", "nowhere"], 2, "nowhere holds no run: config.yaml is missing"),
        (["export", "nowhere"], 2, "run nowhere has no checkpoint"),
        (["export", "nowhere", "--pth", "--weights", "ema"], 2, "--weights and --pth exclude each other"),
        (["run", "nowhere.yaml"], 2, "configuration nowhere.yaml cannot be read"),
        (["check", "nowhere.yaml"], 2, "configuration nowhere.yaml cannot be read"),
        (["init", "nothing"], 2, "recipe 'nothing' is unknown"),
    ],
)
def test_wrong_calls_are_one_sentence(
    words: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert vidsr(["train", *words]) == code
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert told in lines[0]
