"""Picture files through a network: names, what is kept, folders, and what fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.pictures import page
from tests.fakes import Faulty, Repeater, describe
from tests.picture_files import everything, exif, noise, png, save
from vidsr import pictures, upscaler
from vidsr.errors import ExistsError, InputError, OutputError, StoppedError, UsageError, WeightsError
from vidsr.events import Event, Notice, Progress, ignore
from vidsr.flow import Cancel
from vidsr.media.images import read_picture
from vidsr.options import Options
from vidsr.pictures import PictureReport, is_picture, output_path, upscale_picture, upscale_pictures
from vidsr.pictures import describe as describe_picture

LIMIT = 1 << 20
Use = Callable[[Repeater], None]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    def used(network: Repeater) -> None:
        monkeypatch.setattr(upscaler, "load_model", lambda *_, **__: describe(network))

    return used


@pytest.fixture(autouse=True)
def _repeater(use: Use) -> None:
    use(Repeater(2))


def options(**choices: Any) -> Options:
    return Options(**{"device": "cpu", "precision": "fp32", **choices})


def doubled(pixels: Any) -> Any:
    return pixels.repeat(2, 0).repeat(2, 1)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_picture_from_file_to_file(tmp_path: Path, dtype: Any, channels: int) -> None:
    source = save(tmp_path / "in.png", noise(channels, dtype), everything(channels))
    before = source.read_bytes()
    report = upscale_picture(source, None, options(), ignore)
    assert report.output == str(tmp_path / "in_animevideov3_x2.png")
    assert (report.from_size, report.size) == ((37, 23), (74, 46))
    assert report.verified[-1] == "every pixel"
    assert report.notes == ()
    result = read_picture(Path(report.output), LIMIT)
    np.testing.assert_array_equal(result.pixels, doubled(noise(channels, dtype)))
    assert result.metadata.there() == everything(channels).there() - {"photoshop"}
    assert source.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.png", "in_animevideov3_x2.png"]
    assert json.loads(report.to_json())["size"] == [74, 46]


@pytest.mark.parametrize(
    ("choices", "name"),
    [
        ({}, "a_animevideov3_x2.jpg"),
        ({"suffix": "out"}, "a_out.jpg"),
        ({"suffix": "", "ext": "png"}, "a.png"),
        ({"ext": "webp", "scale": 1.5}, "a_animevideov3_x1.5.webp"),
        ({"height": 40}, "a_animevideov3_40p.jpg"),
        ({"size": "40x30", "ext": "tif"}, "a_animevideov3_40x30.tif"),
    ],
)
def test_names(tmp_path: Path, choices: dict[str, Any], name: str) -> None:
    source = save(tmp_path / "a.jpg", noise(3, np.uint8))
    (tmp_path / "out").mkdir()
    assert Path(upscale_picture(source, None, options(**choices), ignore).output) == tmp_path / name
    assert Path(upscale_picture(source, tmp_path / "out", options(**choices), ignore).output) == tmp_path / "out" / name
    assert output_path(source, tmp_path / "b.bmp", options(**choices), 2) == tmp_path / "b.bmp"


def test_height_and_size(tmp_path: Path) -> None:
    source = save(tmp_path / "a.png", noise(3, np.uint8))
    assert upscale_picture(source, None, options(height=46), ignore).size == (74, 46)
    assert upscale_picture(source, None, options(size="40x30"), ignore).size == (40, 30)


def test_what_would_be_done_is_said_without_doing_it(tmp_path: Path) -> None:
    source = save(tmp_path / "a.jpg", noise(3, np.uint8))
    text = describe_picture(source, None, options(ext="webp"), ignore)
    assert f"{source}  37x23 JPEG, 8 bit" in text
    assert f"{tmp_path / 'a_animevideov3_x2.webp'}  74x46 WebP" in text
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]


@pytest.mark.parametrize(
    ("name", "expected"), [("a.png", True), ("A.JPEG", True), ("a.exr", True), ("a.gif", False), ("png", False)]
)
def test_what_is_taken_for_a_picture(name: str, expected: bool) -> None:
    assert is_picture(Path(name)) is expected


def test_an_unknown_ending_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.pmg is not a picture format, did you mean '\.png'"):
        upscale_picture(tmp_path / "absent.png", tmp_path / "a.pmg", options(), ignore)


def test_an_output_that_is_there_stays_unless_it_may_go(tmp_path: Path) -> None:
    source, target = save(tmp_path / "a.png", noise(3, np.uint8)), tmp_path / "b.png"
    target.write_bytes(b"old")
    with pytest.raises(ExistsError):
        upscale_picture(source, target, options(), ignore)
    assert target.read_bytes() == b"old"
    upscale_picture(source, target, options(overwrite=True), ignore)
    assert read_picture(target, LIMIT).width == 74
    with pytest.raises(UsageError, match="is the input itself"):
        upscale_picture(source, source, options(overwrite=True), ignore)


def test_a_failed_verification_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = save(tmp_path / "a.png", noise(3, np.uint8)), tmp_path / "b.png"
    whole = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda path, data: whole(path, data[:-9]))
    with pytest.raises(OutputError, match="cannot be read again"):
        upscale_picture(source, target, options(), ignore)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_turned_pictures_come_out_upright(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    source.write_bytes(png((37, 23), 8, 2, noise(3, np.uint8).tobytes(), (b"eXIf", exif(6))))
    report = upscale_picture(source, None, options(), ignore)
    assert report.size == (46, 74)
    assert "turned upright, as its EXIF data asks" in report.notes
    result = read_picture(Path(report.output), LIMIT)
    np.testing.assert_array_equal(result.pixels, doubled(np.rot90(noise(3, np.uint8), -1)))
    assert result.notes == ()


def test_light_brighter_than_white_survives(tmp_path: Path) -> None:
    light = noise(3, np.float32) * np.float32(50)
    source = save(tmp_path / "a.exr", light)
    told: list[Event] = []
    report = upscale_picture(source, None, options(), told.append)
    np.testing.assert_allclose(read_picture(Path(report.output), LIMIT).pixels, doubled(light), rtol=1e-4)
    assert any("is brought into the network's range and back" in str(event) for event in told)
    assert report.kind == "RGB, float"


def test_light_and_its_alpha(tmp_path: Path) -> None:
    light = noise(4, np.float32)
    report = upscale_picture(save(tmp_path / "a.exr", light), None, options(), ignore)
    np.testing.assert_allclose(read_picture(Path(report.output), LIMIT).pixels, doubled(light), rtol=1e-4)


def test_negative_light_is_told(tmp_path: Path) -> None:
    told: list[Event] = []
    upscale_picture(save(tmp_path / "a.exr", noise(1, np.float32) - np.float32(0.5)), None, options(), told.append)
    assert any("negative light becomes none" in event.text for event in told if isinstance(event, Notice))


def test_alpha_may_be_dropped(tmp_path: Path) -> None:
    source = save(tmp_path / "a.png", noise(4, np.uint8))
    report = upscale_picture(source, None, options(alpha="drop"), ignore)
    np.testing.assert_array_equal(read_picture(Path(report.output), LIMIT).pixels, doubled(noise(4, np.uint8)[..., :3]))


def test_more_than_eight_bit_are_computed_in_float32(tmp_path: Path) -> None:
    deep, flat = save(tmp_path / "d.png", noise(3, np.uint16)), save(tmp_path / "f.png", noise(3, np.uint8))
    auto = Options(device="cpu")
    assert upscale_picture(deep, None, auto, ignore).precision == "fp32"
    assert upscale_picture(deep, tmp_path / "b.png", options(precision="bf16"), ignore).precision == "bf16"
    assert upscale_picture(flat, None, auto, ignore).precision in ("bf16", "fp32")


@pytest.mark.parametrize(("limit", "what"), [(800, "37x23, the limit is 800"), (3000, "as 74x46 exceeds the limit")])
def test_too_many_pixels_are_refused_before_decoding(
    tmp_path: Path, limit: int, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = save(tmp_path / "a.png", noise(3, np.uint8))
    monkeypatch.setattr("vidsr.media.images._decoded", lambda *_: pytest.fail("decoded"))
    with pytest.raises(InputError, match=what):
        upscale_picture(source, None, options(max_pixels=limit), ignore)


def folder(tmp_path: Path) -> list[Path]:
    """Good, damaged, good, missing."""
    good = save(tmp_path / "a.png", noise(3, np.uint8))
    bad = tmp_path / "b.png"
    bad.write_bytes(good.read_bytes()[:-30])
    return [good, bad, save(tmp_path / "c.jpg", noise(1, np.uint8)), tmp_path / "d.png"]


def test_many_pictures(tmp_path: Path) -> None:
    inputs, target = folder(tmp_path), tmp_path / "out"
    target.mkdir()
    told: list[Event] = []
    outcomes = upscale_pictures([(path, target) for path in inputs], options(), told.append)
    assert [type(outcome) for outcome in outcomes] == [PictureReport, InputError, PictureReport, InputError]
    assert str(inputs[1]) in str(outcomes[1])
    assert "no such file" in str(outcomes[3])
    assert sorted(path.name for path in target.iterdir()) == ["a_animevideov3_x2.png", "c_animevideov3_x2.jpg"]
    assert [event.done for event in told if isinstance(event, Progress)] == [1, 2, 3, 4]
    again = upscale_pictures([(path, target) for path in inputs], options(), ignore)
    assert [type(outcome) for outcome in again] == [ExistsError, InputError, ExistsError, InputError]


def test_two_pictures_for_one_name(tmp_path: Path) -> None:
    """The second is told, not passed over as done and never in place of the first."""
    inputs = [save(tmp_path / "a.png", noise(3, np.uint8)), save(tmp_path / "a.bmp", noise(3, np.uint8, seed=1))]
    pairs = [(path, None) for path in inputs]
    for _ in range(2):
        first, second = upscale_pictures(pairs, options(ext="webp", overwrite=True), ignore)
        assert isinstance(first, PictureReport)
        assert isinstance(second, OutputError)
        assert "is that of" in str(second)
        result = read_picture(Path(first.output), LIMIT).pixels
        np.testing.assert_array_equal(result, doubled(noise(3, np.uint8)))


def test_weights_that_are_refused_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise WeightsError("no")

    monkeypatch.setattr(upscaler, "load_model", refused)
    with pytest.raises(WeightsError):
        upscale_pictures([(path, None) for path in folder(tmp_path)], options(), ignore)


def test_a_signal_ends_the_run_between_two_layers(tmp_path: Path, use: Use) -> None:
    cancel, calls = Cancel(), []

    def stop(_: Repeater, rgb: Any, out: Any) -> Any:
        calls.append(1)
        cancel.set(StoppedError("stopped by SIGINT", 2))
        return out

    use(Faulty(stop))
    with pytest.raises(StoppedError):
        upscale_pictures([(path, None) for path in folder(tmp_path)], options(), ignore, cancel)
    assert len(calls) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png", "c.jpg"]


def test_a_bug_in_one_picture_does_not_end_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, read = folder(tmp_path), pictures.open_picture

    def faulty(path: Path, limit: int) -> Any:
        if path == inputs[0]:
            raise ZeroDivisionError
        return read(path, limit)

    monkeypatch.setattr(pictures, "open_picture", faulty)
    outcomes = upscale_pictures([(path, None) for path in inputs[:3]], options(), ignore)
    assert [type(outcome) for outcome in outcomes] == [ZeroDivisionError, InputError, PictureReport]


def test_the_document_says_what_comes_through(tmp_path: Path) -> None:
    written = (Path(__file__).parents[1] / "docs" / "pictures.md").read_text(encoding="utf-8")
    assert written == page(tmp_path), "run: python -m benchmarks.pictures"
