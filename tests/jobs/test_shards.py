"""Sharded equals unsharded: the same frames, bit for bit, at the same times, and all else packet by packet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.clips import make_clip, packaged
from tests.excerpts import excerpt
from tests.fakes import Repeater, describe
from tests.jobs.inline import Inline
from tests.jobs.test_entry import CLIPS, WHOLE
from tests.measure import planes, psnr
from vidsr import pipeline, running
from vidsr.events import Damaged, Emit, Event, FellBack, Notice, ignore
from vidsr.jobs import run, shard
from vidsr.jobs.messages import Task
from vidsr.jobs.shard import Workshop
from vidsr.options import Options
from vidsr.record import Report
from vidsr.runtime.trust import forget
from vidsr.stages import decode as decode_stage

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


NAMED = (
    "closed",
    "open",
    "bframes",
    "vfr",
    "open ts",
    "early nut",
    "one key",
    "two frames",
    "edit list",
    "bigbuckbunny",
    "bikes",
)
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


class Fragile(Repeater):
    """Gives wrong pictures when its weights are not float32."""

    def __init__(self) -> None:
        super().__init__(2)
        self.tail = nn.Conv2d(3, 3, 1).requires_grad_(False)  # the first layer of a network stays in float32

    def forward(self, rgb: Tensor) -> Tensor:
        return super().forward(rgb) * (1.0 if self.tail.weight.dtype == torch.float32 else 0.9)


def test_every_segment_computes_as_the_first_frame_settled_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fast number format that fails its trial on the first frame is not tried on the first frame of a segment."""
    monkeypatch.setattr(pipeline, "load_model", lambda spec, **_: describe(Fragile()))
    forget()
    clip = CLIPS["closed"](tmp_path)
    whole = undisturbed(clip, tmp_path / "whole.mkv", precision="bf16")
    assert whole.precision == "fp32"
    forget()
    said: list[Event] = []
    report = sharded(clip, tmp_path / "cut.mkv", 3, said.append, precision="bf16")
    assert report.precision == "fp32"
    assert sum(isinstance(event, FellBack) for event in said) == 1
    assert_equal(tmp_path / "whole.mkv", tmp_path / "cut.mkv")


def test_a_join_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be done on a machine without the device that computed the segments."""
    clip = CLIPS["closed"](tmp_path)
    asked: list[str] = []

    class Elsewhere(Inline):
        def submit(self, task: Task) -> None:
            if task.kind == "join":
                self._workshops = [Workshop("cpu")]
                monkeypatch.setattr(running, "make_runtime", lambda *words: asked.append("a runtime"))
            super().submit(task)

    monkeypatch.setattr(run, "_executor", lambda options: Elsewhere())
    assert sharded(clip, tmp_path / "cut.mkv", 3).frames_out == 60
    assert asked == []


def test_a_segment_without_a_picture_is_empty_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = CLIPS["closed"](tmp_path)
    base, decode = Fraction(video_packets(clip)[0].time_base), decode_stage.pictures

    def deaf(read: Iterable[Any], context: Any, emit: Emit) -> Iterator[Any]:
        """A decoder that makes nothing of the second half of the film, and says so."""
        for picture in decode(read, context, emit):
            seconds = float(picture.pts * base)
            if seconds < 1.2:
                yield picture
            else:
                emit(Damaged(seconds, "packet not decodable"))

    monkeypatch.setattr(pipeline, "pictures", deaf)
    monkeypatch.setattr(shard, "pictures", deaf)
    monkeypatch.setattr(decode_stage, "one_each", lambda context: False)
    whole = undisturbed(clip, tmp_path / "whole.mkv", allow_loss=True)
    report = sharded(clip, tmp_path / "cut.mkv", 5, allow_loss=True)
    assert report.frames_out == whole.frames_out < 30
    assert_equal(tmp_path / "whole.mkv", tmp_path / "cut.mkv")
    assert sorted(report.losses) == sorted(whole.losses)


@pytest.mark.parametrize("name", ["closed", "bframes", "open", "hevc"])
@pytest.mark.parametrize("packets", [(12, 24), (24,), (13,), (23, 24)], ids=str)
def test_damage_at_a_seam_is_bridged_as_in_one_piece(name: str, packets: tuple[int, ...], tmp_path: Path) -> None:
    source = CLIPS[name](tmp_path)
    clip = damaged(source, tmp_path / f"damaged{source.suffix}", packets)
    whole = undisturbed(clip, tmp_path / "whole.mkv", allow_loss=True)
    report = sharded(clip, tmp_path / "cut.mkv", 5, allow_loss=True)
    assert_equal(tmp_path / "whole.mkv", tmp_path / "cut.mkv")
    counts = [key for key in ACCOUNT[:8] if key != "reused"]  # the first picture of a segment is never held
    assert [getattr(report, key) for key in counts] == [getattr(whole, key) for key in counts]


def damaged(source: Path, target: Path, numbers: Iterable[int]) -> Path:
    """A copy whose video packets of these numbers hold noise behind their first bytes: a scan sees nothing of it."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        video = old.streams.video[0]
        copies = {stream.index: new.add_stream_from_template(stream, opaque=True) for stream in old.streams}
        count = 0
        for packet in old.demux():
            if not packet.size:
                continue
            if packet.stream_index == video.index:
                if count in set(numbers):
                    packet = _noisy(packet)
                count += 1
            packet.stream = copies[packet.stream_index]
            new.mux(packet)
    return target


def _noisy(packet: Any) -> Any:
    data = bytearray(bytes(packet))
    kept = len(data) // 2
    data[kept:] = np.random.default_rng(len(data)).bytes(len(data) - kept)
    again = av.Packet(bytes(data))
    again.pts, again.dts, again.duration, again.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    again.is_keyframe, again.stream = packet.is_keyframe, packet.stream
    return again


def test_hybrid_material_is_deinterlaced_the_same_wherever_it_is_entered(tmp_path: Path) -> None:
    parts = [make_clip(tmp_path / f"{n}.mkv", frames=24, codec="mpeg2video", audio=None, interlaced=n != 1,
                       options={"g": "12"}, time_base=Fraction(1, 24)) for n in range(3)]  # fmt: skip
    clip = tmp_path / "hybrid.mkv"
    with av.open(str(clip), "w") as new:
        stream, at = None, 0
        for part in parts:
            with av.open(str(part)) as old:
                stream = stream or new.add_stream_from_template(old.streams.video[0])
                for packet in old.demux(video=0):
                    if packet.size:
                        packet.pts, packet.dts = packet.pts + at, packet.dts + at if packet.dts is not None else None
                        packet.stream = stream
                        new.mux(packet)
            at += 1000
    whole = undisturbed(clip, tmp_path / "whole.mkv")
    for shards in (3, 6):
        report = sharded(clip, tmp_path / f"{shards}.mkv", shards)
        assert_equal(tmp_path / "whole.mkv", tmp_path / f"{shards}.mkv")
        assert report.frames_out == whole.frames_out
