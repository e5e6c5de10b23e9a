"""Previews of small real clips, from the command line to the page, and what they say the whole run would take."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import pytest

from tests.clips import packaged
from tests.excerpts import excerpt
from tests.report.test_page import data_of, picture_of
from vidsr.cli.main import run
from vidsr.frames import Box
from vidsr.options import Options
from vidsr.report.crops import most_different
from vidsr.report.estimate import Film, Sample, estimate
from vidsr.report.model import Shot
from vidsr.report.moving import WAYS, clip
from vidsr.report.preview import Variant, preview
from vidsr.report.sheets import WHOLE, sheet
from vidsr.report.stretch import Coded, Input, decoded, source_frames
from vidsr.upscaler import Upscaler


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "bikes & co.mp4"
    return excerpt(packaged("bikes.mp4"), path, 40, shrink=8, codec="libx264", sound=True)


@pytest.fixture(scope="module")
def made(film: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A page with two versions of two frames, and what was printed."""
    page = tmp_path_factory.mktemp("page") / "page.html"
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr("click.echo", lambda text, **_: said.append(text))
        words = ["--at", "0.4", "--at", "1.2", "-m", "animevideov3", "-p", "fast", "-s", "2", "--stretch", "3"]
        assert run(["preview", str(film), "-o", str(page), *words, "--clips", "h264", "--sheets", "--json", "-q"]) == 0
    return page, json.loads(said[0])


def test_the_page_shows_what_a_run_makes(film: Path, made: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    page, told = made
    shots = data_of(page.read_text(encoding="utf-8"))["shots"]
    assert told["shown"] == pytest.approx([0.4, 1.2])
    assert [[layer["name"] for layer in shot["layers"]] for shot in shots] == [["bicubic", "animevideov3", "fast"]] * 2
    from vidsr.api import upscale

    upscale(film, tmp_path / "out.mp4", scale=2, start="0.4", frames=3)
    _, expected = next(decoded(tmp_path / "out.mp4"))
    assert np.array_equal(picture_of(shots[0]["layers"][1]["src"]), expected)


def test_the_baseline_is_the_input_enlarged(film: Path, made: tuple[Path, dict[str, Any]]) -> None:
    shots = data_of(made[0].read_text(encoding="utf-8"))["shots"]
    with av.open(str(film)) as container:
        frames = [frame for frame in container.decode(video=0) if frame.time is not None and frame.time >= 0.399]
        small = frames[0].to_ndarray(format="rgb24")
    shown = picture_of(shots[0]["layers"][0]["src"])
    assert shown.shape == (2 * small.shape[0], 2 * small.shape[1], 3)
    back = cv2.resize(shown, small.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(back.astype(int) - small).mean() < 3


def test_versions_differ_in_the_close_ups(made: tuple[Path, dict[str, Any]]) -> None:
    html = made[0].read_text(encoding="utf-8")
    sources = [re.search(rf'id="crop-0-0-{layer}"[^>]* src="([^"]+)"', html) for layer in range(3)]
    crops = [picture_of(source[1]) for source in sources if source]
    assert len(crops) == 3
    assert np.abs(crops[0].astype(int) - crops[1]).mean() > 1


def test_files_are_written_and_named(made: tuple[Path, dict[str, Any]]) -> None:
    page, told = made
    assert told["files"] == [str(page), *(str(page.with_name(f"page_{number}.png")) for number in (1, 2))]
    for name in told["files"][1:]:
        assert cv2.imread(name).shape[1] > WHOLE
    assert page.read_text(encoding="utf-8").count("<video") == 6


def test_estimates_are_of_the_whole_film(made: tuple[Path, dict[str, Any]]) -> None:
    for one in made[1]["tried"]:
        assert one["frames"] == 40
        assert one["seconds"] > 0
        assert one["size"] > 10_000
        assert one["fps"] == pytest.approx(40 / one["seconds"])
        assert one["memory"] > 50e6


def test_size_is_foreseen(film: Path, tmp_path: Path) -> None:
    """Within 25 % of what the run makes, sound included, from 10 of 40 frames."""
    from vidsr.api import upscale

    found = preview(film, [Variant("a", Options(scale=2))], auto=2, length=5)
    upscale(film, tmp_path / "out.mp4", scale=2)
    assert found.tried[0].estimate.size == pytest.approx((tmp_path / "out.mp4").stat().st_size, rel=0.25)


def test_telling_frames_are_chosen_when_none_is_named(
    film: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["-o", str(tmp_path), "--auto", "2", "--stretch", "2", "-s", "2", "--progress", "none"]
    assert run(["preview", str(film), *words]) == 0
    page = tmp_path / "bikes & co_preview.html"
    assert page.is_file()
    out = capfd.readouterr().out
    assert "animevideov3" in out
    assert str(page) in out
    assert run(["preview", str(film), *words]) == 2
    assert "exists" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--at", "99"], 2, "there is no frame at 0:01:39.000"),
        (["--at", "soon"], 2, "--at: 'soon' is not allowed"),
        (["-m", "animevideov3", "-m", "animevideov3"], 2, "asked for twice"),
        (["-p", "none-such"], 2, "--preset"),
        (["-s", "99"], 2, "--scale"),
        (["-o", "/no/such/folder/a.html"], 4, "does not exist"),
    ],
)
def test_what_cannot_be_done_is_refused(
    film: Path, words: list[str], code: int, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["preview", str(film), *words, "--progress", "none"]) == code
    assert said in capfd.readouterr().err
    assert not list(film.parent.glob("*.html"))


def test_a_missing_input_and_a_pipe_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["preview", str(tmp_path / "missing.mkv")]) == 3
    assert "does not exist" in capfd.readouterr().err
    (tmp_path / "a.jpg").write_bytes(b"picture")
    assert run(["preview", str(tmp_path / "a.jpg")]) == 3
    assert "is a picture" in capfd.readouterr().err
    assert run(["preview", "-", "-o", str(tmp_path / "a.html")]) == 3
    assert "no file" in capfd.readouterr().err


def sample(each: float, keys: list[int], others: list[int]) -> Sample:
    stages = {"infer": {"seconds": 9.0}, "encode": {"seconds": 1.0}}
    done: Any = SimpleNamespace(frames_out=5, device="cpu", work_share=1.0, stages=stages)
    return Sample(0.0, Path("x"), done, 2.0, 4 * each, 0.0, 0.5, 10**9, Coded(keys, others))


def test_the_arithmetic_of_estimates() -> None:
    samples = [sample(1.0, [300], [20] * 4), sample(3.0, [100], [40] * 4)]
    film = Film(frames=1000, cuts=0.0, activity=0.5, others=5000)
    found = estimate(samples, Coded([100, 100], [20] * 8), Coded([100, 100], [10] * 90), film, coding=7)
    each = 2.0 * (1 + 0.9 * (0.5 - 1))  # nine tenths of the work is the network's, and half of it is to be done
    assert found.seconds == pytest.approx(2.0 + 1000 * (each + 0.1))
    keys = 1 + 1000 / 250
    assert found.size == round(keys * 100 * 2 + (1000 - keys) * 10 * 1.5) + 5000
    assert found.memory == 10**9 + 7
    shared = estimate(samples, Coded([100], [20]), Coded([100], [10]), Film(1000, 0.0, 0.5, 0, devices=2), 0)
    assert shared.seconds == pytest.approx(2.0 + 1000 * (each / 2 + 0.1))


def test_an_encoder_of_single_pictures() -> None:
    samples = [sample(1.0, [30] * 5, [])]
    found = estimate(samples, Coded([10] * 5, []), Coded([20] * 50, []), Film(100, 0.1, 1.0, 0), 0)
    assert found.size == 100 * 20 * 3


def test_the_most_different_parts_are_found_and_do_not_overlap() -> None:
    plain = np.full((300, 400, 3), 90, np.uint8)
    other = plain.copy()
    other[200:264, 300:364] = 250
    other[10:74, 20:84] = 160
    boxes = most_different([plain, plain, other], 3)
    assert boxes[0].top <= 200 < 264 <= boxes[0].bottom
    assert boxes[0].left <= 300 < 364 <= boxes[0].right
    assert boxes[1].top <= 10 < boxes[1].bottom
    for one in boxes:
        for two in boxes:
            apart = one.bottom <= two.top or two.bottom <= one.top or one.right <= two.left or two.right <= one.left
            assert one is two or apart
    assert most_different([plain, plain], 3) == ()


def test_a_sheet_shows_every_pixel_of_the_close_ups() -> None:
    layers = {
        name: np.random.default_rng(seed).integers(0, 256, (360, 640, 3), np.uint8) for seed, name in enumerate("ab")
    }
    made = sheet(Shot("0:00:01.000", 1.0, layers, (Box(10, 20, 266, 276),), "dark"))
    doubled = layers["b"][10:266, 20:276].repeat(2, axis=0).repeat(2, axis=1)
    assert made.shape[1] == 2 * 512 + 8
    assert np.array_equal(made[-512:, -512:], doubled)


@pytest.mark.parametrize("codec", list(WAYS))
def test_clips_hold_their_frames(codec: str) -> None:
    import io

    frames = [np.full((90, 160, 3), (30 + 20 * n, 120, 60), np.uint8) for n in range(6)]
    found = clip("x", {"a": frames}, Fraction(24000, 1001), codec)
    with av.open(io.BytesIO(found.versions["a"])) as container:
        shown = list(container.decode(video=0))
        assert float(container.streams.video[0].average_rate or 0) == pytest.approx(24000 / 1001, rel=0.01)
    means = [frame.to_ndarray(format="rgb24")[..., 0].mean() for frame in shown]
    assert means == pytest.approx([30 + 20 * n for n in range(6)], abs=4)
    assert (found.width, found.height) == (160, 90)


def test_frames_are_those_at_their_times(film: Path) -> None:
    input = Input.read(film, Options())
    with av.open(str(film)) as container:
        expected = [(frame.pts, frame.to_ndarray()[: input.traits.height]) for frame in container.decode(video=0)]
    found = list(source_frames(input, 0.4, 3))
    assert [frame.pts for frame in found] == [pts for pts, _ in expected[10:13]]
    assert all(np.array_equal(frame.planes[0], luma) for frame, (_, luma) in zip(found, expected[10:13], strict=True))  # type: ignore[index]


def test_the_picture_is_that_of_the_network(film: Path) -> None:
    """What the page shows before coding is what `Upscaler` makes of the same frame, up to the matrix and the coder."""
    input = Input.read(film, Options())
    [frame] = source_frames(input, 0.4, 1)
    small = input.picture(frame)
    large = Upscaler("animevideov3", device="cpu").enhance(small, 2)
    assert large.shape == (2 * small.shape[0], 2 * small.shape[1], 3)
    assert np.abs(cv2.resize(large, small.shape[1::-1], interpolation=cv2.INTER_AREA).astype(int) - small).mean() < 6
