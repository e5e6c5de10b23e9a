"""GIF and APNG: read with their own delays, written with those of the film, and what their skeletons say."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.clips import FEATURE_PTS, make_clip
from tests.fakes import Repeater, describe
from tests.faults import one_thread, stray_threads
from vidsr import pipeline
from vidsr.api import upscale
from vidsr.errors import InputError, OutputError, UsageError
from vidsr.jobs.batch import pairs
from vidsr.media.animations import TICK, Animation, end_at, is_animated, muxer_words, read_animation
from vidsr.options import Options
from vidsr.pictures import PictureReport
from vidsr.record import Report
from vidsr.stages import moving

from .picture_files import chunk, noise, save

COLOURS = 4


@pytest.fixture(autouse=True)
def repeater(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(pipeline, "load_model", lambda spec, **_: describe(Repeater(2)))
    with one_thread():
        yield
    assert stray_threads() == []


def run(input: Path, output: Path | None, **choices: Any) -> Report:
    report = upscale(input, output, **{"device": "cpu", "precision": "fp32", **choices})
    assert isinstance(report, Report)
    there = report.frames_in + report.repeated + report.inserted
    assert there - report.dropped - report.removed == report.frames_out
    return report


def skeleton(path: Path) -> Animation:
    found = read_animation(path)
    assert found is not None
    return found


def _codes(indices: Sequence[int]) -> bytes:
    """LZW of GIF with a clear code before every pixel, so that all codes have three bits."""
    bits = "".join(f"{code:03b}"[::-1] for index in indices for code in (COLOURS, index)) + f"{COLOURS + 1:03b}"[::-1]
    data = bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8))
    return b"".join(bytes([len(data[at : at + 255])]) + data[at : at + 255] for at in range(0, len(data), 255)) + b"\0"


def gif(path: Path, pictures: Sequence[tuple[int, int, bytes]], loops: int | None = None) -> Path:
    """A GIF of 4x4 pixels made by hand: of each picture the delay in 1/100 s, the disposal, and 16 indices into black,
    red, green and what is transparent.
    """
    table = bytes([0, 0, 0, 255, 0, 0, 0, 255, 0, 9, 9, 9])
    data = b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0x80 | 1, 0, 0) + table
    if loops is not None:
        data += b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<H", loops) + b"\0"
    for delay, disposal, indices in pictures:
        data += b"!\xf9\x04" + struct.pack("<BHB", disposal << 2 | 1, delay, 3) + b"\0"
        data += b"," + struct.pack("<HHHHB", 0, 0, 4, 4, 0) + b"\x02" + _codes(indices)
    path.write_bytes(data + b";")
    return path


def apng(path: Path, delays: Sequence[tuple[int, int]], plays: int = 0, stated: int | None = None) -> Path:
    """An APNG of 8x8 pixels made by hand: gray pictures, each shown for a fraction of a second."""
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
    data += chunk(b"acTL", struct.pack(">II", len(delays) if stated is None else stated, plays))
    count = 0
    for number, delay in enumerate(delays):
        data += chunk(b"fcTL", struct.pack(">IIIIIHHBB", count, 8, 8, 0, 0, *delay, 0, 0))
        lines = zlib.compress(b"".join(b"\0" + bytes([number * 6] * 8) for _ in range(8)))
        data += chunk(b"fdAT", struct.pack(">I", count + 1) + lines) if number else chunk(b"IDAT", lines)
        count += 2 if number else 1
    path.write_bytes(data + chunk(b"IEND", b""))
    return path


def shown(path: Path, form: str = "rgb24") -> list[Any]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format=form) for frame in container.decode(video=0)]


PLAIN = [bytes([number % 3] * 16) for number in range(3)]


def test_the_delays_of_a_gif_are_those_of_the_film(tmp_path: Path) -> None:
    source = gif(tmp_path / "a.gif", [(7, 1, PLAIN[0]), (3, 1, PLAIN[1]), (150, 1, PLAIN[2])], loops=0)
    report = run(source, tmp_path / "out.mkv", codec="ffv1")
    assert (report.time_base, [*report.pts]) == ("1/100", [0, 7, 10])
    assert report.losses == ()
    assert "the animation is played for ever" in report.notes
    colours = [frame[0, 0].tolist() for frame in shown(tmp_path / "out.mkv")]
    assert colours == [[0, 0, 0], [255, 0, 0], [0, 255, 0]]
    again = run(source, tmp_path / "out.gif")
    assert [*again.pts] == [0, 7, 10]
    assert skeleton(tmp_path / "out.gif").delays == [7 * TICK, 3 * TICK, 150 * TICK]
    assert shown(tmp_path / "out.gif")[2][0, 0].tolist() == [0, 255, 0]


def test_delays_too_short_to_be_shown_are_what_players_make_of_them(tmp_path: Path) -> None:
    source = gif(tmp_path / "a.gif", [(0, 1, PLAIN[0]), (1, 1, PLAIN[1]), (2, 1, PLAIN[2])])
    report = run(source, tmp_path / "out.mkv")
    assert [*report.pts] == [0, 10, 20]
    assert any("2 pictures have a delay too short to be shown" in note for note in report.notes)


def test_disposal_is_obeyed(tmp_path: Path) -> None:
    """Kept, restored to what was before, and cleared: what the third colour, which is transparent, lets through."""
    half = bytes([3] * 8 + [2] * 8)
    source = gif(tmp_path / "a.gif", [(9, 1, PLAIN[1]), (9, 3, half), (9, 1, bytes([3] * 15 + [0]))])
    run(source, tmp_path / "out.mkv", codec="ffv1")
    first, second, third = shown(tmp_path / "out.mkv")
    assert first[0, 0].tolist() == first[7, 7].tolist() == [255, 0, 0]
    assert (second[0, 0].tolist(), second[7, 0].tolist()) == ([255, 0, 0], [0, 255, 0])
    assert (third[7, 0].tolist(), third[7, 7].tolist()) == ([255, 0, 0], [0, 0, 0])


def test_the_delays_of_an_apng_are_exact_and_do_not_drift(tmp_path: Path) -> None:
    """FFmpeg rounds each to 1/100,000 s: 3337 for 1001/30000."""
    source = apng(tmp_path / "a.apng", [(1001, 30000)] * 40)
    report = run(source, tmp_path / "out.mkv")
    assert Fraction(report.time_base) * report.pts[-1] == 39 * Fraction(1001, 30000)
    run(source, tmp_path / "out.apng")
    assert skeleton(tmp_path / "out.apng").delays == [Fraction(1001, 30000)] * 40
    values = [int(frame[0, 0, 0]) for frame in shown(tmp_path / "out.apng")]
    assert values[:12] == [number * 6 for number in range(12)]


def test_uneven_delays_of_an_apng(tmp_path: Path) -> None:
    source = apng(tmp_path / "a.apng", [(1, 24), (3, 0), (2, 7)], plays=3)
    assert skeleton(source).delays == [Fraction(1, 24), Fraction(3, 100), Fraction(2, 7)]
    run(source, tmp_path / "out.apng")
    found = skeleton(tmp_path / "out.apng")
    assert (found.delays, found.plays) == (skeleton(source).delays, 3)


@pytest.mark.parametrize("name", ["out.gif", "out.apng"])
def test_a_film_becomes_an_animation_that_ends_when_it_does(tmp_path: Path, name: str) -> None:
    clip = make_clip(tmp_path / "a.mkv", pts=FEATURE_PTS, time_base=Fraction(1, 1000), held=(4, 5))
    report = run(clip, tmp_path / name)
    assert report.frames_out == len(FEATURE_PTS)
    assert report.verified[0] == "16 frames at their times"
    assert any("aac" in note and "drop" in note for note in report.notes)
    base, times = skeleton(tmp_path / name).clock
    exact = [Fraction(value, 1000) for value in (*FEATURE_PTS, 791)]
    wanted = exact if name == "out.apng" else [int(time / TICK + Fraction(1, 2)) * TICK for time in exact]
    assert [time * base for time in times] == wanted
    assert skeleton(tmp_path / name).plays == 0


def test_an_apng_holds_every_sample(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", codec="ffv1", pix_fmt="bgr0", audio=None)
    run(clip, tmp_path / "out.apng")
    for made, frame in zip(shown(tmp_path / "out.apng"), shown(clip), strict=True):
        np.testing.assert_array_equal(made, frame.repeat(2, 0).repeat(2, 1))


def test_sixteen_bits_in_an_apng(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", frames=2, codec="ffv1", pix_fmt="gbrp12le", audio=None)
    run(clip, tmp_path / "out.apng")
    with av.open(str(tmp_path / "out.apng")) as container:
        frame = next(container.decode(video=0))
    assert frame.format.name == "rgb48be"
    wanted = shown(clip, "rgb48le")[0].repeat(2, 0).repeat(2, 1).astype(int)
    assert np.abs(frame.to_ndarray(format="rgb48le").astype(int) - wanted).max() <= 16


def test_a_gif_is_near_to_the_film(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", frames=4, codec="ffv1", pix_fmt="bgr0", audio=None)
    run(clip, tmp_path / "out.gif")
    for made, frame in zip(shown(tmp_path / "out.gif"), shown(clip), strict=True):
        wrong = made.astype(float) - frame.repeat(2, 0).repeat(2, 1)
        assert 10 * np.log10(255**2 / (wrong**2).mean()) > 30


def test_a_png_that_is_animated_is_a_film(tmp_path: Path) -> None:
    source = apng(tmp_path / "a.png", [(1, 10), (1, 5)])
    assert is_animated(source)
    report = run(source, None)
    assert Path(report.output).suffix == ".mkv"
    assert report.frames_out == 2
    still = save(tmp_path / "b.png", noise(3, np.uint8))
    assert not is_animated(still)
    assert not is_animated(tmp_path / "absent.png")


def test_an_animated_png_has_the_output_of_a_film(tmp_path: Path) -> None:
    source, clip = apng(tmp_path / "a.png", [(1, 10), (1, 5)]), make_clip(tmp_path / "a.mkv", frames=2, audio=None)
    with pytest.raises(UsageError, match="would have outputs of one name"):
        pairs([source, clip], None, Options())
    save(source, noise(3, np.uint8))
    assert len(pairs([source, clip], None, Options())) == 2


def test_a_still_png_is_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vidsr import upscaler

    monkeypatch.setattr(upscaler, "load_model", lambda *_, **__: describe(Repeater(2)))
    report = upscale(save(tmp_path / "b.png", noise(3, np.uint8)), device="cpu", precision="fp32")
    assert isinstance(report, PictureReport)


@pytest.mark.parametrize("make", ["gif", "apng"])
def test_an_animation_that_is_cut_short_is_declared(tmp_path: Path, make: str) -> None:
    if make == "gif":
        source = gif(tmp_path / "a.gif", [(9, 1, PLAIN[number % 3]) for number in range(6)])
    else:
        source = apng(tmp_path / "a.apng", [(1, 10)] * 6)
    data = source.read_bytes()
    assert skeleton(source).fault == ""
    source.write_bytes(data[: len(data) * 3 // 4])
    report = run(source, tmp_path / "out.mkv")
    assert report.exit_code == 7
    assert any("input is damaged" in loss for loss in report.losses)


def test_what_an_animation_cannot_be_is_refused(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", frames=3, rate=Fraction(120), audio=None)
    with pytest.raises(UsageError, match="at most 50 pictures a second of a GIF, the input has 120"):
        run(clip, tmp_path / "out.gif")
    close = make_clip(tmp_path / "b.mkv", pts=[0, 2, 400, 800], time_base=Fraction(1, 1000), audio=None)
    with pytest.raises(OutputError, match="two are closer"):
        run(close, tmp_path / "out.gif")
    assert not (tmp_path / "out.gif").exists()
    with pytest.raises(UsageError, match="holds one kind of pictures only"):
        run(clip, tmp_path / "out.apng", codec="x264")
    with pytest.raises(UsageError, match="cannot be computed in segments"):
        run(clip, tmp_path / "out.apng", shards=2)
    with pytest.raises(UsageError, match="--crf: gif has no such setting"):
        run(clip, tmp_path / "out.gif", crf=3)


def test_the_fastest_gif(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", frames=9, rate=Fraction(50), audio=None)
    run(clip, tmp_path / "out.gif")
    assert skeleton(tmp_path / "out.gif").delays == [2 * TICK] * 9


@pytest.mark.parametrize(
    ("loops", "plays", "words"), [(None, 1, {"loop": "-1"}), (0, 0, {"loop": "0"}), (4, 5, {"loop": "4"})]
)
def test_how_often_a_gif_is_played(tmp_path: Path, loops: int | None, plays: int, words: dict[str, str]) -> None:
    source = gif(tmp_path / "a.gif", [(9, 1, PLAIN[0]), (9, 1, PLAIN[1])], loops)
    assert skeleton(source).plays == plays
    assert muxer_words("gif", skeleton(source)) == words
    run(source, tmp_path / "out.gif")
    assert skeleton(tmp_path / "out.gif").plays == plays
    run(source, tmp_path / "out.apng")
    assert skeleton(tmp_path / "out.apng").plays == plays


@settings(deadline=None)
@given(st.fractions(Fraction(1, 60), 70000, max_denominator=100000))
def test_any_last_delay_can_be_written(shown: Fraction) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as name:
        source = apng(Path(name) / "a.apng", [(1, 10), (1, 10)])
        end_at(source, Fraction(0), shown)
        delays = skeleton(source).delays
        with av.open(str(source)) as container:
            assert len([*container.decode(video=0)]) == 2  # checksums hold
    assert delays[0] == Fraction(1, 10)
    assert abs(delays[1] - min(shown, 65535)) <= max(Fraction(1, 60000), shown / 60000)


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"GIF89a", b"\x89PNG\r\n\x1a\n", b""]))
def test_no_bytes_are_too_strange(data: bytes, head: bytes) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as name:
        path = Path(name) / "a.gif"
        path.write_bytes(head + data)
        found = read_animation(path)
        is_animated(path)
    assert found is None or len(found.delays) <= 200


def webp(path: Path, frames: list[Any], delays: list[int], loops: int = 0) -> Path:
    """A lossless animated WebP of RGBA frames."""
    animation = cv2.Animation()
    animation.frames = [np.ascontiguousarray(frame[..., [2, 1, 0, 3]]) for frame in frames]
    animation.durations, animation.loop_count = np.array(delays, np.int32), loops
    assert cv2.imwriteanimation(str(path), animation, [cv2.IMWRITE_WEBP_QUALITY, 101])
    return path


@pytest.mark.parametrize("block", [1 << 26, 3 * 37 * 23])
def test_an_animated_webp_is_a_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(moving, "_BLOCK", block)
    frames = [noise(4, np.uint8, seed=number) | np.array([0, 0, 0, 255], np.uint8) for number in range(7)]
    source = webp(tmp_path / "a.webp", frames, [40, 50, 60, 5, 200, 40, 70], loops=2)
    report = run(source, tmp_path / "out.mkv", codec="ffv1")
    assert (report.time_base, [*report.pts]) == ("1/1000", [0, 40, 90, 150, 250, 450, 490])
    assert "the animation is played 2 times" in report.notes
    for made, frame in zip(shown(tmp_path / "out.mkv"), frames, strict=True):
        np.testing.assert_array_equal(made, frame[..., :3].repeat(2, 0).repeat(2, 1))
    run(source, tmp_path / "out.apng")
    assert (skeleton(tmp_path / "out.apng").plays, skeleton(tmp_path / "out.apng").clock[1][-1] * 10) == (2, 560)


def test_a_damaged_animated_webp(tmp_path: Path) -> None:
    frames = [noise(4, np.uint8, seed=number) for number in range(5)]
    source = webp(tmp_path / "a.webp", frames, [40] * 5)
    data = bytearray(source.read_bytes())
    source.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="cut short"):
        run(source, tmp_path / "out.mkv")
    place = data.rindex(b"ANMF")
    data[place + 40 : place + 90] = bytes(50)
    source.write_bytes(data)
    report = run(source, tmp_path / "out.mkv", overwrite=True)
    assert report.exit_code == 7
    assert report.frames_out == 4
    assert report.losses == ("the input holds 4 of the 5 frames its header states",)


def test_a_gif_of_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(b"GIF89a" + bytes(20))
    with pytest.raises(InputError):
        run(tmp_path / "a.gif", tmp_path / "out.mkv")
