"""The finished file against what was sent to it, where containers read back otherwise than they were written."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.clips import make_clip, make_feature_clip
from tests.fakes import Repeater, describe
from vidsr import pipeline
from vidsr.api import upscale
from vidsr.media.verify import kinds_of


@pytest.fixture(autouse=True)
def repeater(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "load_model", lambda spec, **_: describe(Repeater(2)))


@pytest.mark.parametrize("extension", ["mkv", "mp4"])
def test_cover_art_is_one_kind_in_every_container(extension: str, tmp_path: Path) -> None:
    source = make_feature_clip(tmp_path / "in.mkv")
    upscale(source, tmp_path / f"out.{extension}", drop=("incompatible",))
    wanted = Counter(video=1, audio=2, subtitle=2, cover=1, attachment=extension == "mkv")
    with av.open(str(tmp_path / f"out.{extension}")) as container:
        assert kinds_of(container) == +wanted


def test_raw_sound_of_mov_is_no_loss(tmp_path: Path) -> None:
    """The index of MOV counts samples of raw sound, not packets."""
    source = make_clip(tmp_path / "in.mov", audio="pcm_s16le")
    report = upscale(source, tmp_path / "out.mov")
    assert (report.exit_code, report.losses) == (0, ())


def test_an_output_is_a_whole_input(tmp_path: Path) -> None:
    """AAC begins before zero, and the length that Matroska states of it counts that too."""
    source = make_clip(tmp_path / "in.mkv")
    for number in range(3):
        target = tmp_path / f"{number}.mkv"
        report = upscale(source, target, scale=1)
        assert (report.exit_code, report.losses) == (0, ())
        source = target


def test_pauses_between_subtitles_of_mp4_are_not_sent_twice(tmp_path: Path) -> None:
    """MP4 fills the time between two subtitles with empty samples, which are not packets that were carried."""
    source = make_feature_clip(tmp_path / "in.mkv")
    upscale(source, tmp_path / "one.mp4", drop=("incompatible",))
    report = upscale(tmp_path / "one.mp4", tmp_path / "two.mp4", scale=1)
    assert (report.exit_code, report.losses) == (0, ())


@pytest.mark.parametrize("extension", ["mkv", "mp4"])
def test_the_empty_packet_at_the_end_of_flac_is_not_counted(extension: str, tmp_path: Path) -> None:
    report = upscale(make_clip(tmp_path / "in.mp4"), tmp_path / f"out.{extension}", audio="flac")
    assert report.verified


@pytest.mark.parametrize(
    ("name", "codec", "audio"),
    [("in.mkv", "libx264", "alac"), ("in.avi", "mpeg4", "libmp3lame")],
)
def test_whole_sound_is_no_loss(name: str, codec: str, audio: str, tmp_path: Path) -> None:
    """ALAC packets in Matroska have no length; the header of AVI counts an empty chunk before MP3."""
    source = make_clip(tmp_path / name, codec=codec, audio=audio, time_base=Fraction(1, 24))
    report = upscale(source, tmp_path / "out.mkv")
    assert (report.exit_code, report.losses) == (0, ())


def test_a_picture_that_begins_late_is_no_loss(tmp_path: Path) -> None:
    """FFmpeg gives a stream of which it has seen nothing the length of the whole file."""
    pts = [480 + number for number in range(12)]
    source = make_clip(tmp_path / "in.mkv", pts=pts, time_base=Fraction(1, 24), audio_seconds=21)
    report = upscale(source, tmp_path / "out.mkv")
    assert (report.exit_code, report.losses) == (0, ())
