"""--start, --end, --frames: the frames and the sound of the whole film, and no others."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clips import make_clip, make_feature_clip
from tests.fakes import Repeater, describe
from tests.jobs.test_entry import CLIPS
from tests.measure import planes
from vidsr import api, excerpt, pipeline
from vidsr.api import upscale, upscale_all
from vidsr.errors import InputError, UsageError
from vidsr.events import Event, Notice
from vidsr.options import parse, seconds

LOSSLESS = {"codec": "ffv1", "precision": "fp32"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "load_model", lambda spec, **_: describe(Repeater(2)))
    monkeypatch.setattr(excerpt, "WORTHWHILE", 0)


def times(path: Path, kind: str = "video") -> list[Fraction]:
    """Seconds at which the packets of the first stream of a kind begin, in order."""
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return sorted(p.pts * p.time_base for p in container.demux(stream) if p.pts is not None)


def samples(path: Path) -> Any:
    """All samples of the first audio stream, from time 0 on."""
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)])


@pytest.mark.parametrize("name", [name for name in CLIPS if name != "bikes"])
def test_an_excerpt_holds_the_frames_of_the_whole_film(name: str, tmp_path: Path) -> None:
    clip, whole, part = CLIPS[name](tmp_path), tmp_path / "film.mkv", tmp_path / "part.mkv"
    report = upscale(clip, whole, shards=1, **LOSSLESS)
    pts = [value * Fraction(report.time_base) for value in report.pts]
    first, last = len(pts) // 2 + 1, len(pts) - 5
    with av.open(str(clip)) as container:
        origin = Fraction(container.start_time or 0, av.time_base)
    shift = max(0, -min(0, origin))  # pictures before zero were moved
    start, end = pts[first] - shift - origin, pts[last] - shift - origin
    made = upscale(clip, part, start=f"{float(start):.6f}", end=f"{float(end):.6f}", **LOSSLESS)
    assert made.frames_in == made.frames_out == last - first
    assert made.exit_code == 0
    wanted = list(planes(whole))[first:last]
    assert all(all(map(np.array_equal, a, b)) for a, b in zip(planes(part), wanted, strict=True))
    moved = [value - pts[first] for value in pts[first:last]]
    assert [value * Fraction(made.time_base) for value in made.pts] == moved


def test_what_is_not_wanted_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = CLIPS["open"](tmp_path)
    decoded: list[Any] = []
    known = pipeline.pictures
    monkeypatch.setattr(pipeline, "pictures", lambda *args: (decoded.append(p) or p for p in known(*args)))
    upscale(clip, tmp_path / "part.mkv", start="2", frames=3, **LOSSLESS)
    assert len(decoded) < 35  # the keyframe before the nearest one, of one each half a second; 60 in all


def test_a_number_of_frames(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=40)
    report = upscale(clip, tmp_path / "out.mp4", frames=7)
    assert (report.frames_in, report.frames_out, report.exit_code) == (7, 7, 0)
    assert times(tmp_path / "out.mp4") == [Fraction(n, 24) for n in range(7)]
    assert max(times(tmp_path / "out.mp4", "audio")) < Fraction(7, 24)
    assert max(times(tmp_path / "out.mp4", "audio")) > Fraction(6, 24)
    assert "only as far as was asked for" in " ".join(report.verified)


@pytest.mark.parametrize("bounds", [{"end": "2.5"}, {"frames": 24}], ids=["end", "frames"])
def test_copied_sound_is_what_lies_in_the_excerpt(bounds: dict[str, Any], tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=96)
    upscale(clip, tmp_path / "out.mkv", start="1.5", **bounds)
    with av.open(str(clip)) as old, av.open(str(tmp_path / "out.mkv")) as new:
        before = [(p.pts * p.time_base, bytes(p)) for p in old.demux(audio=0) if p.size]
        after = [(p.pts * p.time_base, bytes(p)) for p in new.demux(audio=0) if p.size]
    wanted = [(time - Fraction(3, 2), data) for time, data in before if Fraction(3, 2) <= time < Fraction(5, 2)]
    assert [data for _, data in after] == [data for _, data in wanted]
    assert all(abs(a - b) <= Fraction(1, 500) for (a, _), (b, _) in zip(after, wanted, strict=True))


@pytest.mark.parametrize("bounds", [{"end": "2.5"}, {"frames": 24}], ids=["end", "frames"])
def test_sound_that_is_encoded_is_cut_to_the_sample(bounds: dict[str, Any], tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=96, audio="flac")
    upscale(clip, tmp_path / "out.mkv", start="1.5", audio="pcm_s16le", **bounds)
    whole, part = samples(clip), samples(tmp_path / "out.mkv")
    channels = round(len(whole) / (4 * 48000))
    assert len(part) == 48000 * channels
    assert np.array_equal(part, whole.reshape(-1)[72000 * channels : 120000 * channels].astype(part.dtype))


def test_subtitles_and_chapters_are_cut(tmp_path: Path) -> None:
    clip = make_feature_clip(tmp_path / "in.mkv")
    upscale(clip, tmp_path / "out.mkv", start="0.2", end="0.6", precision="fp32")
    with av.open(str(tmp_path / "out.mkv")) as container:
        begin, frames = Fraction(0), container.chapters()
        texts = [
            (p.stream_index, p.pts * p.time_base, (p.pts + p.duration) * p.time_base)
            for p in container.demux(container.streams.subtitles)
            if p.size
        ]
    length = Fraction(417, 1000)  # until the first frame that is not in it
    assert texts
    assert all(begin <= start < end <= length for _, start, end in texts)
    assert [chapter["metadata"]["title"] for chapter in frames] == ["Opening", "Ending"]
    assert frames[0]["start"] == 0
    assert max(chapter["end"] * chapter["time_base"] for chapter in frames) <= length


def test_an_excerpt_of_a_pipe_format(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=30, codec="ffv1", audio=None)
    upscale(clip, tmp_path / "whole.y4m", precision="fp32", scale=1)
    upscale(tmp_path / "whole.y4m", tmp_path / "part.mkv", start="0.5", frames=4, **LOSSLESS)
    wanted = [tuple(p.repeat(2, 0).repeat(2, 1) for p in picture) for picture in planes(tmp_path / "whole.y4m")][12:16]
    assert len(wanted) == len(list(planes(tmp_path / "part.mkv"))) == 4


def test_damage_outside_is_no_loss_of_an_excerpt(tmp_path: Path) -> None:
    clip = CLIPS["closed"](tmp_path)
    data = bytearray(clip.read_bytes())
    with av.open(str(clip)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    place = packets[14].pos + 40
    data[place : place + 60] = bytes(60)
    clip.write_bytes(data)
    assert upscale(clip, tmp_path / "whole.mkv", **LOSSLESS).exit_code == 7
    assert upscale(clip, tmp_path / "part.mkv", start="1.6", **LOSSLESS).exit_code == 0
    assert upscale(clip, tmp_path / "begin.mkv", end="0.3", **LOSSLESS).exit_code == 0


def test_the_end_of_the_film_before_that_of_the_excerpt_is_told(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=24)
    said: list[Event] = []
    report = upscale(clip, tmp_path / "out.mp4", start="0.5", frames=100, emit=said.append)
    assert report.frames_out == 12
    assert [n.text for n in said if isinstance(n, Notice) and "12 of 100" in n.text]
    assert upscale(clip, tmp_path / "late.mp4", end="7").frames_out == 24


@pytest.mark.parametrize(
    ("choices", "said"),
    [({"start": "7"}, "no frame at or after --start, 0:00:07.000: the last one is at 0:00:00.958"),
     ({"start": "0.51", "end": "0.52"}, "no frame before --end, the next one is at 0:00:00.542")],
    ids=["behind", "between"],
)  # fmt: skip
def test_an_excerpt_without_frames_is_refused(choices: dict[str, Any], said: str, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=24)
    with pytest.raises(InputError, match=said):
        upscale(clip, tmp_path / "out.mp4", **choices)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.parametrize(
    ("time", "value"),
    [("12.5", Fraction(25, 2)), ("1:30", Fraction(90)), ("0:12:34.567", Fraction(754567, 1000)), ("90:00", 5400)],
)
def test_times_are_read_as_people_write_them(time: str, value: Fraction) -> None:
    assert seconds(time) == value
    assert parse({"start": time}).start == time


@pytest.mark.parametrize("time", ["", "-1", "1:75", "1:2:3:4", "soon", "1e3", "5:", "nan"])
def test_what_is_no_time_is_refused(time: str) -> None:
    with pytest.raises(UsageError, match="--start"):
        parse({"start": time})


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_the_end_must_come_after_the_start(start: int, end: int) -> None:
    values = {"start": str(start), "end": str(end)}
    if end > start:
        assert parse(values).end == str(end)
    else:
        with pytest.raises(UsageError, match="is not after --start"):
            parse(values)


def test_segments_of_an_excerpt_are_refused(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=24)
    with pytest.raises(UsageError, match="an excerpt cannot be computed in segments"):
        upscale(clip, tmp_path / "out.mp4", start="0.5", shards=2)


@pytest.mark.parametrize(("rate", "count"), [("48", 80), ("12", 20), ("24000/1001", 40), ("25", 42)])
def test_another_rate_keeps_duration_and_sound(rate: str, count: int, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=40)
    report = upscale(clip, tmp_path / "out.mp4", fps=rate)
    found = times(tmp_path / "out.mp4")
    assert len(found) == report.frames_out == count
    assert found == [n / Fraction(rate) for n in range(count)]
    assert abs(count / Fraction(rate) - Fraction(40, 24)) <= 1 / Fraction(rate)
    assert report.frames_in + report.inserted - report.removed == report.frames_out
    assert times(tmp_path / "out.mp4", "audio") == times(clip, "audio")
    assert (report.exit_code, report.inserted) == (0, report.reused)


def test_another_rate_of_an_excerpt_with_variable_times(tmp_path: Path) -> None:
    clip = CLIPS["vfr"](tmp_path)
    report = upscale(clip, tmp_path / "out.mkv", fps="30", start="1", end="2", **LOSSLESS)
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert container.streams.video[0].average_rate == 30
    grid = [Fraction(number, 30) for number in range(report.frames_out)]
    assert [value * Fraction(report.time_base) for value in report.pts] == grid
    assert abs(report.frames_out - 30) <= 2


def test_many_films_give_an_excerpt_of_each(tmp_path: Path) -> None:
    films = [make_clip(tmp_path / f"{number}.mp4", frames=20 + number) for number in range(2)]
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film")
    (tmp_path / "out").mkdir()
    done = upscale_all([*films, broken], tmp_path / "out", frames=5, start="0.2")
    assert [getattr(outcome, "frames_out", None) for outcome in done.values()] == [5, 5, None]
    assert isinstance(done[broken], InputError)


def test_a_plan_of_an_excerpt_estimates_no_whole_film(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=24)
    assert "for 24 frames" in api.describe(clip, tmp_path / "out.mp4", parse({}))
    assert "estimate none" in api.describe(clip, tmp_path / "out.mp4", parse({"frames": 5}))
