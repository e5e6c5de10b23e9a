"""`vidsr compare`: tables, JSON, page, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vidsr.cli import main

from .made import pictures, sound, write

SHOWN = pictures(16)
LOSSY = {"codec": "libx264", "options": {"crf": "30"}}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("films")
    heard = sound(16 / 24)
    made = {
        "whole": write(folder / "whole.mkv", SHOWN, heard=heard),
        "copy": write(folder / "copy.mkv", SHOWN, heard=heard),
        "lossy": write(folder / "lossy.mkv", SHOWN, heard=heard, **LOSSY),  # type: ignore[arg-type]
        "short": write(folder / "short.mkv", SHOWN[:5] + SHOWN[6:], heard=heard),
    }
    return {name: str(path) for name, path in made.items()}


def test_tables(films: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["compare", films["whole"], films["copy"]]) == 0
    told = capsys.readouterr().out
    assert "nothing found" in told
    assert "16 pairs" in told
    assert main.run(["compare", films["whole"], films["short"]]) == 0
    told = capsys.readouterr().out
    assert "dropped at 0:00:00.208: 1 picture missing in the second film" in told
    assert "1 of whole.mkv without partner" in told


def test_json(films: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main.run(["compare", films["whole"], films["lossy"], "--json", "-"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert main.run(["compare", films["whole"], films["lossy"], "--json", str(tmp_path / "c.json")]) == 0
    assert json.loads((tmp_path / "c.json").read_text()) == printed
    [match] = printed["matches"]
    assert [film["size"] for film in printed["films"]] == ["128x72", "128x72"]
    assert len(match["frames"]["psnr_y"]) == match["pairs"] == 16
    assert match["summary"]["psnr_min"] == pytest.approx(min(match["frames"]["psnr_y"]))
    capsys.readouterr()
    assert main.run(["compare", films["whole"], films["copy"], "--json", "-"]) == 0
    [match] = json.loads(capsys.readouterr().out)["matches"]
    assert (match["summary"]["mse_y"], match["summary"]["psnr"]) == (0, None)


def test_limits(films: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    call = ["compare", films["whole"], films["lossy"]]
    assert main.run([*call, "--fail-under", "psnr=20", "--fail-under", "ssim_min=0.5"]) == 0
    assert main.run([*call, "--fail-under", "psnr=20", "--fail-under", "psnr_u=80"]) == 7
    assert "failed: " in capsys.readouterr().err
    assert main.run([*call, "--fail-under", "psnr_r=20"]) == 7  # not measured is not enough
    assert main.run(["compare", films["whole"], films["copy"], "--fail-under", "psnr=99", "--fail-on-findings"]) == 0
    assert main.run(["compare", films["whole"], films["short"], "--fail-on-findings"]) == 7


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--fail-under", "psnr"], 2), (["--fail-under", "prsn=3"], 2), (["--fail-under", "psnr=x"], 2),
        (["--json", "missing/c.json"], 2), (["--page", "-"], 2), (["--page", "."], 2),
    ],
)  # fmt: skip
def test_calls_that_are_refused(films: dict[str, str], words: list[str], code: int) -> None:
    assert main.run(["compare", films["whole"], films["copy"], *words]) == code


def test_inputs_that_are_refused(films: dict[str, str], tmp_path: Path) -> None:
    assert main.run(["compare", films["whole"], str(tmp_path / "none.mkv")]) == 3
    assert main.run(["compare", films["whole"], "-"]) == 2
    assert main.run(["compare", films["whole"], films["copy"], "--json", films["copy"]]) == 2
    assert Path(films["copy"]).stat().st_size > 1000


def test_page_shows_the_worst_pictures_of_all_films(films: dict[str, str], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    call = ["compare", films["lossy"], films["short"], "--reference", films["whole"], "--page", str(page)]
    assert main.run(call) == 0
    text = page.read_text(encoding="utf-8")
    assert "lossy.mkv and short.mkv against whole.mkv" in text
    assert "one of the worst: " in text
    assert "1 picture missing in the second film" in text
    assert text.count("<svg") >= 3
