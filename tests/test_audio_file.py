"""--audio-file: sound from another file, in step with the picture, copied or encoded anew."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.clips import add_sound, make_clip, mux_in_order
from tests.fakes import Repeater, describe
from vidsr import pipeline
from vidsr.api import upscale
from vidsr.errors import InputError, UsageError
from vidsr.events import Event, Notice

ENCODERS = {"wav": "pcm_s16le", "flac": "flac", "ogg": "libopus", "mp3": "libmp3lame", "m4a": "aac"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "load_model", lambda spec, **_: describe(Repeater(2)))


def make_sound(path: Path, seconds: float = 2.0) -> Path:
    with av.open(str(path), "w") as output:
        mux_in_order(output, add_sound(output, ENCODERS[path.suffix[1:]], 0, seconds)())
    return path


def audio(path: Path) -> tuple[Fraction, Any]:
    """Seconds of the first sample from the first picture on, and all samples of one channel."""
    with av.open(str(path)) as container:
        [stream] = container.streams.audio
        frames = list(container.decode(stream))
    with av.open(str(path)) as container:
        picture = next(container.decode(video=0))
        begun = picture.pts * picture.time_base
    mono = [f.to_ndarray() if f.format.is_planar else f.to_ndarray().reshape(f.samples, -1).T for f in frames]
    return frames[0].pts * frames[0].time_base - begun, np.concatenate(mono, axis=1)[0]


@pytest.mark.parametrize("kind", ENCODERS)
def test_sound_of_any_kind_begins_with_the_picture(kind: str, tmp_path: Path) -> None:
    clip, sound = make_clip(tmp_path / "in.mp4", frames=48, audio=None), make_sound(tmp_path / f"sound.{kind}")
    report = upscale(clip, tmp_path / "out.mkv", audio_file=sound)
    assert report.exit_code == 0
    assert [stream["kind"] for stream in report.streams] == ["video", "audio"]
    begun, samples = audio(tmp_path / "out.mkv")
    assert abs(begun) < Fraction(1, 40)  # padding before the first sample of lossy codecs
    assert len(samples) == pytest.approx(96000, abs=2500)
    with av.open(str(sound)) as old, av.open(str(tmp_path / "out.mkv")) as new:
        before, after = ([bytes(p) for p in box.demux(audio=0) if p.size] for box in (old, new))
        assert before == after


@pytest.mark.parametrize(
    ("name", "codec"), [("out.ts", "aac"), ("out.mp4", "pcm_s16le"), ("out.webm", "opus"), ("out.mov", "pcm_s16le")]
)
def test_what_the_container_cannot_hold_is_encoded_and_told(name: str, codec: str, tmp_path: Path) -> None:
    clip, sound = make_clip(tmp_path / "in.mp4", frames=24), make_sound(tmp_path / "sound.wav", 1.0)
    report = upscale(clip, tmp_path / name, audio_file=sound, **({"codec": "vp9"} if name.endswith("webm") else {}))
    with av.open(str(tmp_path / name)) as container:
        [stream] = container.streams.audio
        assert stream.codec_context.codec.canonical_name == codec
    assert any("cannot hold pcm_s16le" in note for note in report.notes) == (codec != "pcm_s16le")
    assert any("--audio-file takes its place" in note for note in report.notes)


def test_sound_of_an_excerpt_is_that_of_its_time(tmp_path: Path) -> None:
    clip, sound = make_clip(tmp_path / "in.mp4", frames=72, audio=None), make_sound(tmp_path / "sound.flac", 3.0)
    upscale(clip, tmp_path / "out.mkv", audio_file=sound, audio="pcm_s16le", start="1", end="2")
    with av.open(str(sound)) as container:
        whole = np.concatenate([frame.to_ndarray().reshape(-1, 2) for frame in container.decode(audio=0)])[:, 0]
    begun, samples = audio(tmp_path / "out.mkv")
    assert begun == 0
    assert np.array_equal(samples, whole[48000:96000].astype(samples.dtype))


def test_it_is_kept_in_segments(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=24, audio=None)
    sound = make_sound(tmp_path / "sound.flac", 1.0)
    from tests.jobs.inline import Inline
    from vidsr.jobs import run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_executor", lambda options: Inline(2))
        report = upscale(clip, tmp_path / "out.mkv", audio_file=sound, shards=2)
    assert [stream["kind"] for stream in report.streams] == ["video", "audio"]
    assert len(audio(tmp_path / "out.mkv")[1]) == 48000


def test_lengths_that_differ_are_told(tmp_path: Path) -> None:
    clip, sound = make_clip(tmp_path / "in.mp4", frames=24, audio=None), make_sound(tmp_path / "sound.wav", 3.0)
    said: list[Event] = []
    upscale(clip, tmp_path / "out.mkv", audio_file=sound, emit=said.append)
    [told] = [event.text for event in said if isinstance(event, Notice) and "lasts" in event.text]
    assert told.endswith("lasts 0:00:03.000, the pictures 0:00:01.000")


@pytest.mark.fault
@pytest.mark.parametrize("kind", ["wav", "flac", "mp3"])
def test_a_sound_file_that_is_cut_short_is_a_declared_loss(kind: str, tmp_path: Path) -> None:
    clip, sound = make_clip(tmp_path / "in.mp4", frames=24, audio=None), make_sound(tmp_path / f"sound.{kind}", 1.0)
    sound.write_bytes(sound.read_bytes()[: sound.stat().st_size // 2])
    report = upscale(clip, tmp_path / "out.mkv", audio_file=sound)
    assert report.exit_code == 7
    assert any(f"sound.{kind} is not whole" in loss for loss in report.losses)


@pytest.mark.parametrize(
    ("choices", "error", "said"),
    [({"audio_file": "no.wav"}, InputError, "--audio-file no.wav is no file"),
     ({"audio_file": "in.mp4"}, InputError, "holds no sound"),
     ({"audio_file": "sound.wav", "audio": "none"}, UsageError, "exclude each other"),
     ({"audio_file": "sound.wav", "out_format": "y4m"}, UsageError, "holds no sound")],
    ids=["missing", "silent", "none", "y4m"],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_written(
    choices: dict[str, Any], error: type[Exception], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip(Path("in.mp4"), audio=None)
    make_sound(Path("sound.wav"), 0.5)
    with pytest.raises(error, match=said):
        upscale("in.mp4", "out.mkv", **choices)
    with pytest.raises(UsageError, match="is --audio-file itself"):
        upscale("in.mp4", "sound.wav", audio_file="sound.wav", overwrite=True)
    assert sorted(path.name for path in Path().iterdir()) == ["in.mp4", "sound.wav"]
