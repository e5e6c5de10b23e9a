"""`doctor --page` and `bench --page`: the same facts as on the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.test_page import Elements
from vidsr.bench import Ceilings, Measured, Speed
from vidsr.cli import bench, doctor
from vidsr.cli.main import run
from vidsr.report.page import render
from vidsr.runtime.ceilings import Ceiling


def test_the_doctor_writes_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "encode_once", lambda name: f"<{name}> tried")
    assert run(["doctor", "--page", str(tmp_path / "a.html")]) == 0
    html = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert Elements(html).open == []
    for words in (
        "What this machine can do",
        "Encoders",
        "&lt;x264&gt; tried",
        "Weights",
        "animevideov3",
        "cache folder",
    ):
        assert words in html
    assert "<x264> tried" in capfd.readouterr().out


def test_a_page_of_measurements() -> None:
    stages = {"decode": Speed(10, 0.5), "infer": Speed(10, 5.0)}
    measured = Measured((640, 360), "net", 4, "cpu", "eager", "fp32", stages, Speed(10, 6.0), 1.25, 0.5)
    page = bench.page_of(Ceilings({"fp32": Ceiling(2.5, "1 64 64 64")}, 12.0), [measured])
    [plot], [table] = page.plots, page.tables
    assert plot.labels == ["decode", "infer", "end to end"]
    assert plot.series == {"ms": [50.0, 500.0, 600.0]}
    assert ("infer", "500.00 ms", "2.00 fps") in table.rows
    assert ("network", "1.250 TFLOP/s", "50% of the peak") in table.rows
    assert "640x360" in render(page)


@pytest.mark.parametrize("command", ["doctor", "bench"])
def test_nothing_but_a_page_is_replaced(command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "film.mkv").write_bytes(b"film")
    assert run([command, "--page", str(tmp_path / "film.mkv")]) == 2
    assert "no page" in capfd.readouterr().err
    assert (tmp_path / "film.mkv").read_bytes() == b"film"
    assert run([command, "--page", str(tmp_path / "missing" / "a.html")]) == 4
