"""Numbered pictures to a film, a film to numbered pictures, and from one to the other and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.clips import FEATURE_PTS, HDR10, make_clip
from tests.fakes import Faulty, Repeater, describe
from tests.faults import one_thread, stray_threads
from tests.picture_files import ICC, exif, noise, png, save
from vidsr import api, pipeline
from vidsr.api import upscale, upscale_all
from vidsr.cli import main
from vidsr.errors import DeviceError, ExistsError, InputError, OutputError, UsageError
from vidsr.events import Event, Progress
from vidsr.media.image_files.header import Metadata
from vidsr.media.images import read_picture
from vidsr.media.light import to_codes
from vidsr.options import Options
from vidsr.record import Report

LIMIT = 1 << 20
COUNT = 5


@pytest.fixture(autouse=True)
def repeater(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(pipeline, "load_model", lambda spec, **_: describe(Repeater(2)))
    with one_thread():
        yield
    assert stray_threads() == []


def run(input: Path, output: Path, **choices: Any) -> Report:
    report = upscale(input, output, **{"device": "cpu", "precision": "fp32", **choices})
    assert isinstance(report, Report)
    there = report.frames_in + report.repeated + report.inserted
    assert there - report.dropped - report.removed == report.frames_out
    return report


def frames(
    folder: Path, kind: str = "png", channels: int = 3, dtype: Any = np.uint8, first: int = 1, **size: int
) -> list[Any]:
    """COUNT pictures of noise as folder/001.png and so on; their pixels."""
    folder.mkdir(exist_ok=True)
    made = [noise(channels, dtype, seed=number, **size) for number in range(COUNT)]
    for number, pixels in enumerate(made, first):
        save(folder / f"{number:03d}.{kind}", pixels)
    return made


def doubled(pixels: Any) -> Any:
    return pixels.repeat(2, 0).repeat(2, 1)


def decoded(path: Path, form: str) -> list[Any]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format=form) for frame in container.decode(video=0)]


@pytest.mark.parametrize("pattern", ["%03d.png", "*.png", "0?[0-9].png"])
def test_pictures_become_a_film_at_the_rate_given(tmp_path: Path, pattern: str) -> None:
    made = frames(tmp_path / "in", first=8)
    report = run(tmp_path / "in" / pattern, tmp_path / "out.mkv", in_rate="24000/1001", codec="ffv1")
    assert (report.frames_out, report.exit_code, report.losses) == (COUNT, 0, ())
    assert (report.time_base, [*report.pts]) == ("1001/24000", [*range(COUNT)])
    for shown, pixels in zip(decoded(tmp_path / "out.mkv", "rgb24"), made, strict=True):
        np.testing.assert_array_equal(shown, doubled(pixels))
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert container.streams.video[0].average_rate == Fraction(24000, 1001)


@pytest.mark.parametrize("kind", ["png", "tif", "bmp", "webp"])
@pytest.mark.parametrize(("channels", "form"), [(1, "gray"), (3, "rgb24")])
def test_every_kind_of_picture(tmp_path: Path, kind: str, channels: int, form: str) -> None:
    if kind == "webp" and channels == 1:
        pytest.skip("WebP has no gray")
    made = frames(tmp_path / "in", kind, channels)
    run(tmp_path / "in" / f"%03d.{kind}", tmp_path / "out.mkv", in_rate="25", codec="ffv1")
    for shown, pixels in zip(decoded(tmp_path / "out.mkv", form), made, strict=True):
        np.testing.assert_array_equal(shown, doubled(pixels))


@pytest.mark.parametrize(("channels", "form"), [(1, "gray16le"), (3, "gbrp16le")])
@pytest.mark.parametrize("kind", ["png", "tif"])
def test_sixteen_bits_stay_sixteen(tmp_path: Path, kind: str, channels: int, form: str) -> None:
    made = frames(tmp_path / "in", kind, channels, np.uint16)
    run(tmp_path / "in" / f"%03d.{kind}", tmp_path / "out.mkv", in_rate="25", codec="ffv1")
    with av.open(str(tmp_path / "out.mkv")) as container:
        shown = [*container.decode(video=0)]
    assert {frame.format.name for frame in shown} == {form}
    for frame, pixels in zip(shown, made, strict=True):
        np.testing.assert_array_equal(
            frame.to_ndarray(format="gray16le" if channels == 1 else "rgb48le"), doubled(pixels)
        )


def test_deep_pictures_to_ten_bits_have_the_right_range(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number, code in enumerate((0, 32768, 65535)):
        save(tmp_path / "in" / f"{number}.png", np.full((32, 32, 3), code, np.uint16))
    report = run(tmp_path / "in" / "%d.png", tmp_path / "out.mkv", in_rate="25", pix_fmt="yuv420p10le", crf=1)
    assert any("RGB input is coded as YUV" in note for note in report.notes) is False  # asked for by --pix-fmt
    with av.open(str(tmp_path / "out.mkv")) as container:
        shown = [frame.to_ndarray()[:64] for frame in container.decode(video=0)]
    for luma, code in zip(shown, (64, 64 + 438, 940), strict=True):
        assert abs(luma.astype(int) - code).max() <= 1


def test_light_becomes_codes_and_is_told(tmp_path: Path) -> None:
    made = frames(tmp_path / "in", "exr", 3, np.float32)
    report = run(tmp_path / "in" / "*.exr", tmp_path / "out.mkv", in_rate="25", codec="ffv1")
    assert any("linear light becomes codes of 16 bits" in note for note in report.notes)
    for shown, light in zip(decoded(tmp_path / "out.mkv", "rgb48le"), made, strict=True):
        np.testing.assert_array_equal(shown, doubled(to_codes(light, np.dtype(np.uint16))))


def test_a_picture_is_turned_as_its_metadata_asks(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    pixels = noise(3, np.uint8)
    for number in range(2):
        stored = png((37, 23), 8, 2, pixels.tobytes(), (b"eXIf", exif(6)))
        (tmp_path / "in" / f"{number}.png").write_bytes(stored)
    run(tmp_path / "in" / "%d.png", tmp_path / "out.mkv", in_rate="25", codec="ffv1")
    np.testing.assert_array_equal(decoded(tmp_path / "out.mkv", "rgb24")[0], doubled(np.rot90(pixels, -1)))


def test_a_profile_that_is_not_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    save(tmp_path / "in" / "1.png", noise(3, np.uint8), Metadata(icc=ICC["RGB "]))
    report = run(tmp_path / "in" / "%d.png", tmp_path / "out.mkv", in_rate="25")
    assert any("ICC profile" in note for note in report.notes)
    report = run(tmp_path / "in" / "%d.png", tmp_path / "out" / "%d.png", in_rate="25")
    assert not any("ICC profile" in note for note in report.notes)
    assert read_picture(tmp_path / "out" / "1.png", LIMIT).metadata.icc == ICC["RGB "]


def test_transparency_is_kept_or_declared(tmp_path: Path) -> None:
    frames(tmp_path / "in", channels=4)
    report = run(tmp_path / "in" / "%03d.png", tmp_path / "out.mkv", in_rate="25", codec="x264")
    assert any("transparency" in note for note in report.notes)
    report = run(tmp_path / "in" / "%03d.png", tmp_path / "kept.mkv", in_rate="25", codec="ffv1")
    assert not any("transparency" in note for note in report.notes)


def test_a_rate_is_asked_for(tmp_path: Path) -> None:
    frames(tmp_path / "in")
    with pytest.raises(UsageError, match="--in-rate is needed") as caught:
        run(tmp_path / "in" / "%03d.png", tmp_path / "out.mkv")
    assert "--in-rate 24" in caught.value.hint
    assert "frames.txt" in caught.value.hint
    with pytest.raises(UsageError, match="only raw planes and numbered pictures"):
        run(make_clip(tmp_path / "a.mkv"), tmp_path / "out.mkv", in_rate="24")
    with pytest.raises(UsageError, match="only raw planes and numbered pictures"):
        run(tmp_path / "in" / "001.png", tmp_path / "out.mkv", in_rate="24")


def test_a_gap_is_refused_or_declared(tmp_path: Path) -> None:
    made = frames(tmp_path / "in")
    (tmp_path / "in" / "003.png").unlink()
    pattern, out = tmp_path / "in" / "%03d.png", tmp_path / "out.mkv"
    with pytest.raises(InputError, match=r"1 of 5 pictures are missing: 003\.png"):
        run(pattern, out, in_rate="25")
    assert not out.exists()
    report = run(pattern, out, in_rate="25", codec="ffv1", allow_loss=True)
    assert (report.frames_in, report.repeated, report.frames_out, report.exit_code) == (4, 1, 5, 0)
    assert "picture 003.png is missing" in report.notes
    assert report.losses == ("0:00:00.080: the picture before is shown again, its packet gave no picture",)
    for shown, number in zip(decoded(out, "rgb24"), (0, 1, 1, 3, 4), strict=True):
        np.testing.assert_array_equal(shown, doubled(made[number]))


@pytest.mark.parametrize("bad", [1, 3, 5])
def test_a_picture_that_cannot_be_read_is_refused_or_declared(tmp_path: Path, bad: int) -> None:
    frames(tmp_path / "in")
    path = tmp_path / "in" / f"{bad:03d}.png"
    path.write_bytes(path.read_bytes()[:100])
    pattern, out = tmp_path / "in" / "*.png", tmp_path / "out.mkv"
    with pytest.raises(InputError, match=f"{bad:03d}.png"):
        run(pattern, out, in_rate="25")
    assert not out.exists()
    report = run(pattern, out, in_rate="25", codec="ffv1", allow_loss=True)
    assert (report.frames_in, report.frames_out) == (4, 4 if bad == 1 else 5)
    assert report.losses
    assert any(f"{bad:03d}.png" in note for note in report.notes)


def test_numbers_stay_when_the_first_picture_is_lost(tmp_path: Path) -> None:
    frames(tmp_path / "in", first=5)
    (tmp_path / "in" / "005.png").write_bytes(b"no picture")
    run(tmp_path / "in" / "*.png", tmp_path / "out" / "%03d.png", in_rate="25", allow_loss=True)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["006.png", "007.png", "008.png", "009.png", "frames.txt"]


def test_an_excerpt_of_a_sequence_keeps_its_numbers(tmp_path: Path) -> None:
    made = frames(tmp_path / "in", first=5)
    pattern = tmp_path / "in" / "*.png"
    report = run(pattern, tmp_path / "out" / "%03d.png", in_rate="1", start="2", frames=2)
    assert [*report.pts] == [0, 1]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["007.png", "008.png", "frames.txt"]
    np.testing.assert_array_equal(read_picture(tmp_path / "out" / "007.png", LIMIT).pixels, doubled(made[2]))
    report = run(pattern, tmp_path / "faster" / "%d.png", in_rate="1", fps="2")
    assert report.frames_out == 2 * COUNT
    again = run(tmp_path / "faster" / "%d.png", tmp_path / "again.mkv")
    assert float(again.pts[-1] * Fraction(again.time_base)) == 4.5
    with pytest.raises(UsageError, match="audio-file"):
        run(pattern, tmp_path / "heard" / "%d.png", in_rate="1", audio_file=pattern)


def test_pictures_that_do_not_fit_are_refused_by_name(tmp_path: Path) -> None:
    frames(tmp_path / "in")
    pattern, out = tmp_path / "in" / "*.png", tmp_path / "out.mkv"
    for pixels, why in (
        (noise(3, np.uint8, height=24), "004.png is 37x24, the first of its sequence is 37x23"),
        (noise(4, np.uint8), "004.png has transparency"),
        (noise(3, np.uint16), "004.png has 16 bits a sample"),
    ):
        save(tmp_path / "in" / "004.png", pixels)
        with pytest.raises(InputError, match=why):
            run(pattern, out, in_rate="25")
        assert not out.exists()


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (3, np.uint8), (1, np.uint16), (2, np.uint8)])
def test_pictures_with_less_than_the_first_fit(tmp_path: Path, channels: int, dtype: Any) -> None:
    """Programs write a black frame as gray, and an opaque one without transparency."""
    frames(tmp_path / "in", channels=4, dtype=np.uint16)
    pixels = noise(channels, dtype)
    save(tmp_path / "in" / "002.png", pixels)
    run(tmp_path / "in" / "*.png", tmp_path / "out.mkv", in_rate="25", codec="ffv1")
    colours = np.atleast_3d(pixels)[..., : 1 if channels < 3 else 3]
    wanted = np.broadcast_to(colours, (*pixels.shape[:2], 3)).astype(np.uint16) * (257 if dtype == np.uint8 else 1)
    np.testing.assert_array_equal(decoded(tmp_path / "out.mkv", "rgb48le")[1], doubled(wanted))


def test_a_film_becomes_pictures_and_they_the_film_again(tmp_path: Path) -> None:
    clip = make_clip(
        tmp_path / "a.mkv", pts=FEATURE_PTS, time_base=Fraction(1, 1000), held=(4,), codec="ffv1", pix_fmt="bgr0"
    )
    there = run(clip, tmp_path / "out" / "%04d.png", reuse="off")
    names = [f"{number:04d}.png" for number in range(1, len(FEATURE_PTS) + 1)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [*names, "frames.txt"]
    assert [*there.pts] == FEATURE_PTS
    assert there.verified[0] == "16 pictures, each read again"
    assert any("aac" in note and "drop" in note for note in there.notes)
    for name, pixels in zip(names, decoded(clip, "rgb24"), strict=True):
        np.testing.assert_array_equal(read_picture(tmp_path / "out" / name, LIMIT).pixels, doubled(pixels))
    back = run(tmp_path / "out" / "%04d.png", tmp_path / "back.mkv", codec="ffv1")
    assert (back.time_base, [*back.pts]) == ("1/1000", FEATURE_PTS)
    assert any("are shown at the times of" in note for note in back.notes)
    again = run(tmp_path / "out" / "%04d.png", tmp_path / "steady.mkv", in_rate="25")
    assert [*again.pts] == [*range(len(FEATURE_PTS))]


@pytest.mark.parametrize(
    ("ending", "dtype"),
    [
        ("png", np.uint16),
        ("tif", np.uint16),
        ("avif", np.uint16),
        ("jpg", np.uint8),
        ("webp", np.uint8),
        ("bmp", np.uint8),
        ("exr", np.float32),
    ],
)
def test_ten_bits_become_as_many_as_the_format_has(tmp_path: Path, ending: str, dtype: Any) -> None:
    clip = make_clip(tmp_path / "a.mkv", frames=3, codec="libx265", pix_fmt="yuv420p10le", audio=None)
    report = run(clip, tmp_path / "out" / f"%d.{ending}")
    pictures = [read_picture(tmp_path / "out" / f"{number}.{ending}", LIMIT) for number in (1, 2, 3)]
    assert {picture.pixels.dtype for picture in pictures} == {np.dtype(dtype)}
    assert any("10 bits per sample become 8" in note for note in report.notes) == (dtype == np.uint8)
    codes = decoded(clip, "rgb24")[1].astype(float)
    shown = pictures[1].pixels
    eight = to_codes(shown, np.dtype(np.uint8)) if dtype == np.float32 else shown / (257.0 if dtype == np.uint16 else 1)
    assert np.abs(eight[::2, ::2] - codes).mean() < 4


def test_limited_gray_becomes_pictures_of_full_range(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width = stream.height = 16
        stream.pix_fmt, stream.codec_context.color_range = "gray", 1
        frame = av.VideoFrame.from_ndarray(np.full((16, 16), 235, np.uint8), format="gray")
        frame.color_range = 1
        output.mux(stream.encode(frame) + stream.encode(None))
    run(tmp_path / "a.mkv", tmp_path / "out" / "%d.png")
    pixels = read_picture(tmp_path / "out" / "1.png", LIMIT).pixels
    assert pixels.ndim == 2
    assert (pixels == 255).all()


def test_colours_that_pictures_do_not_tell_are_told(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", frames=2, codec="libx265", pix_fmt="yuv420p10le", color=HDR10, audio=None)
    report = run(clip, tmp_path / "out" / "%d.png")
    assert any("do not say that their colours are smpte2084 and bt2020" in note for note in report.notes)
    with pytest.raises(UsageError, match="not made linear"):
        run(clip, tmp_path / "light" / "%d.exr")


def test_a_sequence_becomes_one_of_the_same_numbers(tmp_path: Path) -> None:
    made = frames(tmp_path / "in", first=98)
    (tmp_path / "out").mkdir()
    report = run(tmp_path / "in" / "*.png", tmp_path / "out", in_rate="25")
    assert Path(report.output).parent == tmp_path / "out"
    for number, pixels in enumerate(made, 98):
        np.testing.assert_array_equal(
            read_picture(tmp_path / "out" / f"{number:03d}.png", LIMIT).pixels, doubled(pixels)
        )
    run(tmp_path / "in" / "*.png", tmp_path / "other" / "f%d.tif", in_rate="25")
    names = sorted(path.name for path in (tmp_path / "other").iterdir())
    assert names == ["f100.tif", "f101.tif", "f102.tif", "f98.tif", "f99.tif", "fframes.txt"]


def test_nothing_that_exists_is_replaced_without_being_told(tmp_path: Path) -> None:
    frames(tmp_path / "in")
    out = frames(tmp_path / "out", first=7)
    for call in (run, lambda *a, **k: api.describe(*a, Options(**k))):
        with pytest.raises(ExistsError, match=r"007\.png exists"):
            call(tmp_path / "in" / "*.png", tmp_path / "out" / "%03d.png", in_rate="25")
    with pytest.raises(UsageError, match="is the input itself"):
        run(tmp_path / "in" / "*.png", tmp_path / "in" / "%03d.png", in_rate="25", overwrite=True)
    np.testing.assert_array_equal(read_picture(tmp_path / "out" / "007.png", LIMIT).pixels, out[0])
    run(tmp_path / "in" / "*.png", tmp_path / "out" / "%03d.png", in_rate="25", overwrite=True)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [*(f"{number:03d}.png" for number in range(1, COUNT + 1)), "frames.txt"]


def test_a_run_that_fails_leaves_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames(tmp_path / "in")
    calls = []

    def fault(network: Repeater, rgb: Any, result: Any) -> Any:
        calls.append(rgb)
        if len(calls) > 3:
            raise DeviceError("the device is gone")
        return result

    monkeypatch.setattr(pipeline, "load_model", lambda spec, **_: describe(Faulty(fault)))
    before = frames(tmp_path / "old")
    with pytest.raises(DeviceError):
        run(tmp_path / "in" / "*.png", tmp_path / "new" / "%03d.png", in_rate="25", batch=1)
    calls.clear()
    with pytest.raises(DeviceError):
        run(tmp_path / "in" / "*.png", tmp_path / "old" / "%03d.png", in_rate="25", batch=1, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "old"]
    assert len([*(tmp_path / "old").iterdir()]) == COUNT
    np.testing.assert_array_equal(read_picture(tmp_path / "old" / "001.png", LIMIT).pixels, before[0])


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", frames=2, audio=None)
    with pytest.raises(OutputError, match="does not exist"):
        run(clip, tmp_path / "none" / "below" / "%d.png")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is a file"):
        run(clip, tmp_path / "file" / "%d.png")


def test_what_does_not_go_with_a_sequence_is_refused(tmp_path: Path) -> None:
    frames(tmp_path / "in")
    pattern, out = tmp_path / "in" / "*.png", tmp_path / "out.mkv"
    with pytest.raises(UsageError, match="numbered pictures or an animation cannot be computed in segments"):
        run(pattern, out, in_rate="25", shards=2)
    with pytest.raises(UsageError, match="cannot be computed in segments"):
        run(make_clip(tmp_path / "a.mkv"), tmp_path / "out" / "%d.png", shards=2)
    with pytest.raises(UsageError, match="are not for pictures"):
        run(pattern, out, in_rate="25", in_format="rgb24", in_size="4x4")
    with pytest.raises(UsageError, match="gives its output no name"):
        upscale(pattern, in_rate="25")
    with pytest.raises(UsageError, match="can only be the only input"):
        upscale_all([pattern, tmp_path / "a.mkv"])
    with pytest.raises(UsageError, match="are for one input"):
        upscale_all([pattern, tmp_path / "a.mkv"], in_rate="25")
    with pytest.raises(UsageError, match="named like a video") as caught:
        upscale_all([tmp_path / "in" / "001.png", tmp_path / "in" / "002.png"], out)
    assert "'frames/*.png'" in caught.value.hint
    with pytest.raises(UsageError, match="holds pictures that are not coded"):
        run(pattern, tmp_path / "out" / "%d.png", in_rate="25", codec="x264")
    with pytest.raises(InputError, match="the limit is 100 pixels"):
        run(pattern, out, in_rate="25", max_pixels=100)


def test_the_command_line_says_what_it_would_do_and_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames(tmp_path / "in")
    words = ["upscale", str(tmp_path / "in" / "%03d.png"), "-o", str(tmp_path / "out" / "%03d.jpg")]
    words += ["--in-rate", "12.5", "--device", "cpu", "--report", str(tmp_path / "report.json")]
    assert main.run([*words, "--dry-run"]) == 0
    assert "JPEG files" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]
    assert main.run(words) == 0
    assert "5 pictures, each read again" in capsys.readouterr().err
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["frames_out"], report["time_base"]) == (COUNT, "2/25")
    (tmp_path / "in" / "002.png").write_bytes(b"no picture")
    assert main.run([*words, "-y"]) == 3
    assert "002.png" in capsys.readouterr().err


def test_held_pictures_cost_the_network_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    pixels = noise(3, np.uint8)
    for number in range(COUNT):
        save(tmp_path / "in" / f"{number}.png", pixels)
    report = run(tmp_path / "in" / "%d.png", tmp_path / "out" / "%d.png", in_rate="25")
    assert report.reused == COUNT - 1
    assert len({path.read_bytes() for path in (tmp_path / "out").glob("*.png")}) == 1


def test_events_tell_how_far_a_sequence_is(tmp_path: Path) -> None:
    frames(tmp_path / "in")
    told: list[Event] = []
    run(tmp_path / "in" / "%03d.png", tmp_path / "out.mkv", in_rate="25", emit=told.append)
    totals = {event.total for event in told if isinstance(event, Progress)}
    assert totals == {COUNT}
