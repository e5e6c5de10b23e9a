"""The benchmarks that run the pipeline: without pixels, along a timeline, and on a GPU; here dry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu_suite, pipeline_cost, simulated, timeline
from tests.clips import make_clip
from vidsr import pipeline
from vidsr.bench import InTurn
from vidsr.flow import Flow
from vidsr.media.sample import make_sample
from vidsr.options import Options

ROOT = Path(__file__).parent.parent


def test_the_pipeline_is_real_and_pixels_are_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    frame_of = simulated.NoEncoding._av_frame

    def watched(self: simulated.NoEncoding, frame: Any) -> Any:
        made.append(frame)
        return frame_of(self, frame)

    monkeypatch.setattr(simulated.NoEncoding, "_av_frame", watched)
    clip = make_sample(tmp_path / "clip.mkv", 64, 48, 2)
    with pipeline_cost.prepared(clip, 3, lambda tally: Flow()) as job:
        simulated.run_without_pixels(job, 10, 0.0)
        assert list(job.tally.pts) == list(range(10))
        assert job.decoder.frames_in == 10
        assert job.tally.reused == 0
    addresses = {frame.planes[0].__array_interface__["data"][0] for frame in made}
    assert (len(made), len(addresses)) == (10, 1)
    assert made[0].planes[0].shape == (96, 128)


def test_cost_is_told_for_every_stage(tmp_path: Path) -> None:
    clip = make_sample(tmp_path / "clip.mkv", 64, 48, 2)
    asked = pipeline_cost.arguments(["--size", "64x48", "--frames", "12", "--repeat", "1", "--device-ms", "0", "2"])
    found = pipeline_cost.measure(asked, clip)
    names = ["source", "decode", "reuse", "convert", "batch", "infer", "assemble", "encode", "mux"]
    assert list(found["microseconds_per_frame"]) == names
    assert found["runs"][0]["device_fps"] is None
    assert found["runs"][1]["device_fps"] == 2000
    assert found["runs"][1]["fps"]["max"] < 2000
    text = pipeline_cost.in_short(found)
    assert "a device of 2000 fps" in text
    assert "64x48 to 128x96" in text


def test_intervals_are_joined_and_their_overlap_counted() -> None:
    assert timeline.joined([(3, 4), (0, 1), (0.5, 2), (2.1, 2.5)], gap=0.2) == [(0, 2.5), (3, 4)]
    found = timeline.overlap({"a": [(0.0, 4.0)], "b": [(2.0, 6.0), (8.0, 10.0)]})
    assert found["seconds"] == 10
    assert found["busy"] == {"a": 0.4, "b": 0.6}
    assert found["at_least_working"] == pytest.approx({"1": 0.8, "2": 0.2})


def test_work_is_charged_to_the_stage_that_holds_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("benchmarks.timeline.time.perf_counter", lambda: now[0])

    def stage(items: Any, before: float, after: float) -> Any:
        for item in items:
            now[0] += before
            yield item
            now[0] += after

    tally = timeline.Timeline()
    first = tally.timed("first", stage(range(2), 1.0, 0.0))
    waited = tally.timed("wait for first", first)
    list(tally.timed("second", stage(waited, 0.25, 0.5)))
    spent = {name: sum(b - a for a, b in spans) for name, spans in tally.work.items()}
    assert spent == {"first": 2.0, "second": 1.5}


def test_streams_are_read_from_a_trace(tmp_path: Path) -> None:
    events = [
        {"cat": "kernel", "name": "conv", "ts": 10, "dur": 5, "args": {"stream": 7}},
        {"cat": "gpu_memcpy", "name": "Memcpy HtoD (Pinned -> Device)", "ts": 0, "dur": 4, "args": {"stream": 20}},
        {"cat": "gpu_memcpy", "name": "Memcpy DtoH (Device -> Pinned)", "ts": 20, "dur": 4, "args": {"stream": 24}},
        {"cat": "cpu_op", "name": "aten::conv2d", "ts": 0, "dur": 100},
    ]
    (tmp_path / "trace.json").write_text(json.dumps({"traceEvents": events}))
    lanes = timeline.cuda_lanes(tmp_path / "trace.json")
    assert set(lanes) == {"compute, stream 7", "upload, stream 20", "download, stream 24"}
    assert lanes["compute, stream 7"][0] == pytest.approx((10e-6, 15e-6))


def test_a_run_is_traced_stage_by_stage(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", frames=3, size=(32, 32), audio=None)
    options = Options(device="cpu", precision="fp32", reuse="off", overwrite=True, encoder_preset="ultrafast")
    found = timeline.traced(clip, tmp_path, options, pipeline.write)
    assert found["frames"] == 3
    assert {"decode", "convert", "infer", "assemble", "encode"} <= found["stages"]["lanes_ms"].keys()
    assert all(a <= b for lane in found["stages"]["lanes_ms"].values() for a, b in lane)
    assert all(a[1] <= b[0] for lane in found["stages"]["lanes_ms"].values() for a, b in pairwise(lane))


def test_a_step_ends_when_its_time_is_spent_and_when_it_fails() -> None:
    def plenty(setting: Any) -> Any:
        yield "first", {"fps": 2.0}
        yield "second", {"fps": 3.0}

    def broken(setting: Any) -> Any:
        yield "one", {"error": "no such runtime"}
        raise RuntimeError("the device is gone")

    kept: list[str] = []
    steps = [
        gpu_suite.Step("plenty", plenty, 0.0),
        gpu_suite.Step("broken", broken, 1.0),
        gpu_suite.Step("b", plenty, 1.0),
    ]
    found = gpu_suite.run(steps, None, gpu_suite.Budget(1000.0), lambda results: kept.append(json.dumps(results)))
    assert list(found["plenty"]["items"]) == ["first"]
    assert "after 'first'" in found["plenty"]["skipped"]
    assert found["broken"]["error"] == "RuntimeError: the device is gone"
    assert list(found["b"]["items"]) == ["first", "second"]
    assert len(kept) == 4 + 3  # after every item and after every step
    text = gpu_suite.table(found)
    assert "broken: 1 items, 1 failed" in text
    assert "skipped: " in text


def test_the_shares_of_the_steps_are_the_whole_time() -> None:
    assert sum(step.share for step in gpu_suite.steps()) == pytest.approx(1.0)


@pytest.mark.slow
def test_the_suite_runs_dry(tmp_path: Path) -> None:
    result = tmp_path / "found.json"
    steps = ("ceilings", "end to end", "runtimes", "kernels", "incremental", "overlap")
    words = [word for step in steps for word in ("--only", step)]
    command = [sys.executable, "-m", "benchmarks.gpu_suite", "--dry", "--result", str(result), *words]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | {"TRITON_INTERPRET": "1"}
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(result.read_text())["steps"]
    assert list(found) == list(steps)
    errors = [
        (name, key, item) for name, step in found.items() for key, item in step["items"].items() if "error" in item
    ]
    assert not errors, done.stderr
    assert not [step for step in found.values() if {"error", "skipped"} & step.keys()]
    kernels = found["kernels"]["items"]
    assert kernels["changes 16x16"]["worst"] == 0
    assert kernels["to planes fp16 16x16"]["worst"] <= 1
    assert "planes to planes fp16 16x16" in kernels
    assert "ceilings: " in done.stdout


def test_in_turn_is_what_the_costs_by_stage_are_made_with(tmp_path: Path) -> None:
    clip = make_sample(tmp_path / "clip.mkv", 64, 48, 2)
    with pipeline_cost.prepared(clip, 2, InTurn) as job:
        assert isinstance(job.flow, InTurn)
