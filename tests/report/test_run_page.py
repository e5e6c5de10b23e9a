"""`upscale --report-page`: the page about a run, whole and damaged."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from tests.clips import packaged
from tests.excerpts import excerpt
from tests.report.test_page import Elements, data_of, picture_of
from vidsr.api import upscale, upscale_all
from vidsr.cli.main import run
from vidsr.errors import OutputError, UsageError
from vidsr.events import Concealed, Progress, Repeated, Stage, ignore
from vidsr.report.run_page import KEPT, LISTED, Recorder, picture_at
from vidsr.report.stretch import decoded


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "in.mkv"
    return excerpt(packaged("bikes.mp4"), path, 16, shrink=8, codec="libx264", options={"g": "8", "bf": "0"})


@pytest.fixture(scope="module")
def page(film: Path) -> str:
    target = film.with_name("page.html")
    words = ["-o", str(film.with_name("out.mkv")), "-s", "2", "--report-page", str(target), "-q"]
    assert run(["upscale", str(film), *words]) == 0
    return target.read_text(encoding="utf-8")


def test_the_run_is_told(page: str) -> None:
    assert Elements(page).open == []
    said = (
        "16 in, 16 out",
        "Phases of the run",
        "Work of each stage",
        "Speed",
        "Frames that needed no network",
        "Verified",
    )
    for words in ("in.mkv upscaled by animevideov3", "16 frames at their times", *said):
        assert words in page
    assert "<h2>Damage</h2>" not in page


def test_before_and_after_are_of_the_same_moment(film: Path, page: str) -> None:
    shots = data_of(page)["shots"]
    after = [picture for _, picture in decoded(film.with_name("out.mkv"))]
    assert [shot["name"] for shot in shots] == ["0:00:00.080", "0:00:00.320", "0:00:00.520"]
    for shot, number in zip(shots, (2, 8, 13), strict=True):
        assert np.array_equal(picture_of(shot["layers"][1]["src"]), after[number])
        before = picture_of(shot["layers"][0]["src"]).astype(int)
        errors = [np.abs(before - picture).mean() for picture in after]
        assert int(np.argmin(errors)) == number


def test_an_excerpt_shows_its_own_part(film: Path, tmp_path: Path) -> None:
    upscale(film, tmp_path / "out.mkv", scale=2, start="0.2", frames=6, report_page=tmp_path / "page.html")
    shots = data_of((tmp_path / "page.html").read_text(encoding="utf-8"))["shots"]
    assert [shot["name"] for shot in shots] == ["0:00:00.240", "0:00:00.320", "0:00:00.400"]
    for shot in shots:
        one, two = (picture_of(layer["src"]).astype(int) for layer in shot["layers"])
        assert np.abs(one - two).mean() < 8


def test_damage_is_listed_with_its_time_and_picture(film: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mkv"
    with av.open(str(film)) as old, av.open(str(broken), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(packet for packet in old.demux() if packet.size):
            data = bytearray(bytes(packet))
            if number == 5:
                data[len(data) // 3 :] = bytes(len(data) - len(data) // 3)
            damaged = av.Packet(bytes(data))
            damaged.pts, damaged.dts, damaged.time_base = packet.pts, packet.dts, packet.time_base
            damaged.duration, damaged.stream, damaged.is_keyframe = packet.duration or 0, copy, packet.is_keyframe
            new.mux(damaged)
    report = upscale(broken, tmp_path / "out.mkv", scale=2, report_page=tmp_path / "page.html")
    assert report.exit_code == 7
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<h2>Damage</h2>" in html
    assert "finished with declared loss" in html
    assert "0:00:00.200" in html
    noted = [shot for shot in data_of(html)["shots"] if shot["note"]]
    assert [shot["name"] for shot in noted] == ["0:00:00.200"]


def test_a_picture_is_found_by_its_time(film: Path, page: str) -> None:
    from fractions import Fraction

    pictures = [picture for _, picture in decoded(film.with_name("out.mkv"))]
    for number in (0, 7, 15):
        assert np.array_equal(picture_at(film.with_name("out.mkv"), Fraction(number, 25)), pictures[number])


def test_what_is_kept_of_a_long_run_is_bounded() -> None:
    heard = Recorder(ignore)
    heard.hear(Stage("upscale"))
    for number in range(50_000):
        heard.hear(Progress(number, None, 0.0, 1.0, number // 2))
        heard.hear(Repeated(number / 25, "x"))
    assert KEPT / 2 <= len(heard.points) <= KEPT
    done = [point[1] for point in heard.points]
    assert done == sorted(done)
    assert done[-1] > 49_000
    assert len(heard.damages) == LISTED


def test_everything_is_passed_on() -> None:
    said: list[object] = []
    heard = Recorder(said.append)
    events = [Stage("open"), Progress(1, 2, 0.0, 1.0), Concealed(1.0)]
    for event in events:
        heard.hear(event)
    assert said == events


def test_a_page_that_would_replace_a_film_is_refused(film: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--report-page: .* is the input itself"):
        upscale(film, tmp_path / "out.mkv", report_page=film)
    with pytest.raises(OutputError, match="--report-page: folder"):
        upscale(film, tmp_path / "out.mkv", report_page=tmp_path / "missing" / "page.html")
    with pytest.raises(UsageError, match="one input"):
        upscale_all([film, film], tmp_path, report_page=tmp_path / "page.html")
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(UsageError, match="is a picture"):
        upscale(tmp_path / "a.png", tmp_path / "b.png", report_page=tmp_path / "page.html")
    assert not (tmp_path / "out.mkv").exists()
