"""`vidsr bench`: the stages alone, the ceilings, the made clip, and what the command prints."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from tests.clips import make_clip
from tests.fakes import Repeater, describe
from tests.measure import planes
from vidsr import bench, pipeline
from vidsr.bench import Ceilings, InTurn, Speed, Synchronized, measure, stages_alone
from vidsr.cli import main
from vidsr.errors import InputError
from vidsr.events import Event, Notice
from vidsr.media.sample import make_sample, trim
from vidsr.options import Options
from vidsr.runtime import ceilings
from vidsr.runtime.ceilings import Ceiling

CPU = torch.device("cpu")
STAGES = ["source", "decode", "reuse", "convert", "batch", "infer", "assemble", "encode", "mux"]
PEAKS = Ceilings({"fp32": Ceiling(2.0, "1x64x8x8")}, 10.0)
QUICK: dict[str, Any] = {"device": "cpu", "precision": "fp32", "encoder_preset": "ultrafast", "overwrite": True}


@pytest.fixture
def _small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "load_model", lambda *_, **__: describe(Repeater(2)))


def test_in_turn_finishes_what_is_before_a_boundary_first() -> None:
    said: list[str] = []

    def stage(name: str, items: Any) -> Iterator[int]:
        for item in items:
            said.append(f"{name}{item}")
            yield item

    tally = Synchronized(CPU)
    flow = InTurn(tally)
    first = flow.boundary(tally.timed("a", stage("a", range(3))), "first")
    second = flow.boundary(tally.timed("b", stage("b", first)), "second")
    before = threading.active_count()
    assert list(second) == [0, 1, 2]
    assert threading.active_count() == before
    assert said == ["a0", "a1", "a2", "b0", "b1", "b2"]


def test_clocks_start_anew_after_the_warm_items_of_their_own_block(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(10_000))
    monkeypatch.setattr("vidsr.record.time.perf_counter", lambda: next(now))
    tally = Synchronized(CPU)
    flow = InTurn(tally)
    flow.warm = 2
    first = flow.boundary(tally.timed("a", range(5)), "first")
    assert list(flow.boundary(tally.timed("b", first), "second")) == list(range(5))
    assert flow.warmed == {"a", "b"}
    # Each request takes one tick of this clock: three items after the warm ones, and the request that finds the end.
    assert tally.clocks == {"a": 4, "b": 4}


@pytest.mark.usefixtures("_small_network")
def test_stages_alone_are_those_of_the_pipeline(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=6, held=[2, 3])
    job, stages = stages_alone(clip, tmp_path, Options(**QUICK, reuse="off"))
    assert list(stages) == STAGES
    assert job.tally.reused == 0
    assert {name: speed.frames for name, speed in stages.items()} == {
        name: 6 if name in ("encode", "mux") else 5 for name in STAGES
    }
    assert job.decoder.frames_in == len(list(planes(tmp_path / "alone.mkv"))) == 6


@pytest.mark.usefixtures("_small_network")
def test_measure_reuses_nothing_and_counts_by_the_multiplications(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=8, held=[1, 2, 3, 4])
    said: list[Event] = []
    found = measure(clip, Options(**QUICK, reuse="exact"), PEAKS, 4, said.append)
    assert (found.size, found.scale, found.precision, found.device) == ((64, 64), 2, "fp32", "cpu")
    assert found.end_to_end.frames == 5  # one more than is measured warms up
    assert found.stages["infer"].frames == 4
    assert found.network_tflops == pytest.approx(18 * 64 * 64 * found.stages["infer"].fps / 1e12)
    assert found.share_of_peak == pytest.approx(found.network_tflops / 2)
    assert found.bound_by in STAGES
    assert all(isinstance(event, Notice) for event in said)
    assert not list(tmp_path.glob("*.mkv"))


@pytest.mark.usefixtures("_small_network")
def test_measure_makes_a_clip_and_chooses_how_many_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "MOST", 3)
    found = measure((48, 32), Options(**QUICK), PEAKS)
    assert found.size == (48, 32)
    assert found.stages["infer"].frames == 3


@pytest.mark.usefixtures("_small_network")
def test_a_clip_that_is_too_short_is_refused(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=4)
    with pytest.raises(InputError, match="holds 4 frames where 10 are to be measured"):
        measure(clip, Options(**QUICK), PEAKS, 9)


def test_the_slowest_stage_bounds() -> None:
    speeds = {"decode": Speed(4, 1.0), "infer": Speed(3, 2.0), "mux": Speed(4, 0.0)}
    found = bench.Measured((8, 8), "m", 2, "cpu", "eager", "fp32", speeds, Speed(4, 3.0), 0.1, 0.2)
    assert found.bound_by == "infer"
    assert speeds["mux"].fps == float("inf")


def test_the_made_clip_moves_and_is_the_same_each_time(tmp_path: Path) -> None:
    first = list(planes(make_sample(tmp_path / "a.mkv", 64, 48, 4)))
    again = list(planes(make_sample(tmp_path / "b.mkv", 64, 48, 4)))
    assert [picture[0].shape for picture in first] == [(48, 64)] * 4
    assert all(np.array_equal(a, b) for x, y in zip(first, again, strict=True) for a, b in zip(x, y, strict=True))
    moved = [float(np.mean(a[0] != b[0])) for a, b in pairwise(first)]
    assert min(moved) > 0.5
    with av.open(str(tmp_path / "a.mkv")) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_range) == (1, 1)


def test_trim_copies_the_beginning(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=9)
    whole, short = list(planes(clip)), list(planes(trim(clip, tmp_path / "b.mkv", 5)))
    assert len(short) == 5
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(short, whole, strict=False))


def test_samples_time_short_work_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("vidsr.runtime.ceilings.time.perf_counter", lambda: clock[0])
    calls = [0]

    def work() -> None:
        calls[0] += 1
        clock[0] += 0.001

    taken = ceilings.samples(work, CPU, 0.02)
    assert taken == pytest.approx([0.001] * len(taken))
    assert calls[0] == 2 + 5 * len(taken)  # two calls before, then groups that last as long as SAMPLE
    assert len(taken) >= 3


def test_the_best_shape_is_the_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ceilings.convolution_flops((2, 3, 5)) == 2 * 9 * 64 * 64 * 30
    result: Any = ceilings.convolution_work(CPU, "fp32", (2, 8, 8))()
    assert result.shape == (2, 64, 8, 8)
    seconds = iter([1.0, 0.5])
    monkeypatch.setattr(ceilings, "samples", lambda *_: [next(seconds)])
    best = ceilings.convolution(CPU, "fp32", [(1, 10, 10), (1, 10, 11)])
    assert best == Ceiling(ceilings.convolution_flops((1, 10, 11)) / 0.5 / 1e12, "1x64x10x11")


def test_ceilings_of_this_machine() -> None:
    found = bench.measure_ceilings("cpu", 0.0, [(1, 16, 16), (1, 24, 16)])
    assert set(found.convolution) == set(ceilings.precisions(CPU))
    assert all(peak.tflops > 0 for peak in found.convolution.values())
    assert found.copy_gb_s > 0


@pytest.mark.usefixtures("_small_network")
def test_the_command_prints_data_on_stdout_and_talk_on_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "measure_ceilings", lambda device: PEAKS)
    clip = make_clip(tmp_path / "a.mp4", frames=6)
    words = ["bench", "--input", str(clip), "--frames", "3", "--device", "cpu", "--precision", "fp32"]
    assert main.run([*words, "--json", "-"]) == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert found["ceilings"]["convolution"]["fp32"]["tflops"] == 2.0
    (item,) = found["measured"]
    assert (item["size"], item["stages"]["infer"]["frames"], list(item["stages"])) == ("64x64", 3, STAGES)
    assert "measuring" in shown.err

    target = tmp_path / "found.json"
    assert main.run([*words, "--json", str(target)]) == 0
    shown = capsys.readouterr()
    assert json.loads(target.read_text())["measured"][0]["model"] == "repeater"
    assert {"ceilings", "repeater x2, 64x64, cpu, eager fp32"} <= set(shown.out.splitlines())
    assert "end to end" in shown.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--json", "none/found.json"], "--json: folder none does not exist"),
        (["--precision", "fp99"], "--precision: 'fp99' is not allowed"),
        (["--runtime", "steam"], "--runtime: 'steam' is not allowed"),
        (["--size", "7x7"], "'7x7' is not one of"),
        (["--frames", "0"], "0 is not in the range"),
    ],
)
def test_bad_calls_are_refused_before_anything_is_measured(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "measure_ceilings", lambda device: pytest.fail("something was measured"))
    assert main.run(["bench", *words]) == 2
    assert said in capsys.readouterr().err
