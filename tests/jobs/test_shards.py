"""Sharded equals unsharded: the same frames, bit for bit, at the same times, and all else packet by packet."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.clips import make_clip, packaged
from tests.excerpts import excerpt
from tests.fakes import Repeater, describe
from tests.jobs.inline import Inline
from tests.jobs.test_entry import CLIPS, WHOLE
from tests.measure import planes, psnr
from vidsr import pipeline
from vidsr.events import Event, Notice, ignore
from vidsr.jobs import run
from vidsr.options import Options
from vidsr.record import Report

LOSSLESS = {"codec": "ffv1", "precision": "fp32"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that costs nothing, and workers in this process."""
    monkeypatch.setattr(pipeline, "load_model", lambda spec, **_: describe(Repeater(2)))
    monkeypatch.setattr(run, "_executor", lambda options: Inline(2))


def undisturbed(clip: Path, output: Path, **choices: Any) -> Report:
    return pipeline.run(clip, output, Options(**LOSSLESS | choices), ignore)


def sharded(clip: Path, output: Path, shards: int, emit: Callable[[Event], None] = ignore, **choices: Any) -> Report:
    [report] = run.upscale([(clip, output)], Options(**LOSSLESS | choices, shards=shards), emit)
    assert isinstance(report, Report)
    return report


def packets(path: Path) -> list[tuple[Any, ...]]:
    """Of every packet: stream, times and bytes."""
    with av.open(str(path)) as container:
        return [(p.stream_index, p.pts, p.dts, p.duration, bytes(p)) for p in container.demux() if p.size]


def assert_equal(first: Path, second: Path) -> None:
    for a, b in zip(planes(first), planes(second), strict=True):
        assert all(map(np.array_equal, a, b))
    both = [sorted(packets(path), key=lambda packet: packet[0]) for path in (first, second)]
    assert [p[:3] for p in both[0] if p[0] == 0] == [p[:3] for p in both[1] if p[0] == 0]
    assert [p for p in both[0] if p[0]] == [p for p in both[1] if p[0]]


ACCOUNT = ("frames_in", "frames_out", "reused", "repeated", "dropped", "concealed", "retimed", "losses", "verified")


NAMED = ("closed", "open", "bframes", "vfr", "open ts", "early nut", "one key", "two frames", "edit list")
"""Kinds of inputs that are cut in every way; the others once."""


def clips() -> dict[str, Callable[[Path], Path]]:
    real = {"bigbuckbunny": 8, "bikes": 4, "carphone": 2}  # with sound, but for the last
    made = {**CLIPS, **{name: make for name, (make, _) in WHOLE.items()}}
    shrunk = {name: partial(_shrunk, name, factor) for name, factor in real.items()}
    return made | shrunk


def _shrunk(name: str, factor: int, folder: Path) -> Path:
    """A real clip, smaller, in groups of ten pictures."""
    words = {"g": "10", "preset": "ultrafast"}
    source = packaged(f"{name}{'_pristine' * (name == 'carphone')}.mp4")
    return excerpt(source, folder / f"{name}.mp4", 48, shrink=factor, codec="libx264", sound=True, options=words)


@pytest.mark.parametrize("name", clips())
def test_every_number_of_segments_gives_the_same_film(name: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    clip = clips()[name](tmp_path / "in")
    whole = undisturbed(clip, tmp_path / "whole.mkv")
    for shards in (1, 2, 3, 5, 8) if name in NAMED else (4,):
        report = sharded(clip, tmp_path / f"{shards}.mkv", shards)
        assert_equal(tmp_path / "whole.mkv", tmp_path / f"{shards}.mkv")
        assert list(report.pts) == list(whole.pts)
        assert [getattr(report, key) for key in ACCOUNT] == [getattr(whole, key) for key in ACCOUNT]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_with_x264_seams_are_no_worse_than_the_rest(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    clip = clips()["bikes"](tmp_path / "in")
    words = {"codec": "x264", "encoder_preset": "medium"}
    exact, whole = tmp_path / "exact.mkv", tmp_path / "whole.mp4"
    undisturbed(clip, exact)
    undisturbed(clip, whole, **words)
    report = sharded(clip, tmp_path / "cut.mp4", 4, **words)
    assert report.frames_out == 48
    shown = {path: [(p.pts, p.duration) for p in video_packets(path)] for path in (whole, tmp_path / "cut.mp4")}
    assert sorted(shown[whole]) == sorted(shown[tmp_path / "cut.mp4"])
    assert [p for p in packets(whole) if p[0]] == [p for p in packets(tmp_path / "cut.mp4") if p[0]]
    straight, cut = (quality(exact, path) for path in (whole, tmp_path / "cut.mp4"))
    assert min(cut) > min(straight) - 0.5
    keys = [number for number, packet in enumerate(video_packets(tmp_path / "cut.mp4")) if packet.is_keyframe]
    assert len(keys) >= 4
    assert all(min(cut[max(0, key - 2) : key + 3]) > min(straight) - 0.5 for key in keys)


def video_packets(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [packet for packet in container.demux(video=0) if packet.size]


def quality(exact: Path, path: Path) -> list[float]:
    """dB of each frame against what went into the encoder."""
    return [psnr(zip(a, b, strict=True), 255) for a, b in zip(planes(exact), planes(path), strict=True)]


def test_an_input_that_cannot_be_cut_says_why(tmp_path: Path) -> None:
    said: list[Event] = []
    sharded(make_clip(tmp_path / "in.mp4", frames=6), tmp_path / "out.mkv", 3, said.append)
    told = [event.text for event in said if isinstance(event, Notice)]
    assert any("not cut into segments: decoding can begin at no second keyframe" in text for text in told)
    assert len(told) == len(set(told)), "each thing is said once"


def test_near_starts_anew_with_each_segment(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    clip = clips()["closed"](tmp_path / "in")
    first, second = (sharded(clip, tmp_path / f"{name}.mkv", 3, reuse="near:4") for name in "ab")
    assert_equal(tmp_path / "a.mkv", tmp_path / "b.mkv")
    assert first.frames_out == second.frames_out == 60
