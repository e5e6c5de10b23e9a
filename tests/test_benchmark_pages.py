"""The tables and pictures of docs/performance.md, made from results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import charts, common, performance


def test_published_speeds_name_their_source() -> None:
    rows = charts.published()
    assert [row["share"] for row in rows] == sorted((row["share"] for row in rows), reverse=True)
    for row in rows:
        assert set(row) == {"who", "gpu", "network", "tflops", "peak", "derived", "source", "share"}
        assert 0 < row["share"] < 1


def test_the_page_holds_what_was_measured() -> None:
    page = "".join(path.read_text(encoding="utf-8") for path in performance.PAGES)
    assert page == performance.filled(page), "run: python -m benchmarks.performance"
    assert {
        name for _, name, _ in performance.MARKS.findall(page)
    } == performance.TABLES.keys() | performance.PICTURES.keys()


def test_tables_are_made_of_the_results_and_say_what_is_missing(tmp_path: Path) -> None:
    assert performance.table("peers", tmp_path) == "Not measured yet: there is no `benchmarks/results/peers.json`."
    for name, found in results().items():
        common.save(tmp_path / name, found)
    page = performance.filled(
        "".join(f"<!-- table: {name} -->\n<!-- end -->\n" for name in performance.TABLES), tmp_path
    )
    for part in (
        "| ncnn | 300.0 | 3.3 | 33% | 1.50 (1.20 … 2.00) | 1, 60.5 dB |",
        "0.97 (0.96 … 0.98) of the speed of model only. Without reference: no network.",
        "| clip.avi, 64x48, bf16 | 9 | 2 | 3 | 0.200 | 6.00 | 4.80 | 80% | 0.10% | 1.5% | 2.24 |",
        "| clip.avi, 64x48, bf16 | near:2 | 7.00 | 51.5 dB |",
        "| clip.avi, 64x48 | fp32 | 9 | 1 | 2 | 2 |",
        "| infer | 4.5 |",
        "| 8 | 40 | 2000 | 52.0 | 96.0% |",
        "9 films were killed 11 times",
        "With a device of 500 fps it carries 450 (440 … 460) fps.",
        "| SRVGG-16 eager | 195 | 501 |  |",
        "* fused: DeviceError: gone",
    ):
        assert part in page
    assert "Not measured" not in page


def results() -> dict[str, dict[str, Any]]:
    """A small result of each benchmark, in its form."""
    machine = {"processor": "CPU", "cores": 2, "commit": "0123456789", "versions": {"torch": "2.10"}, "gpu": "H200"}
    three = {"min": 1.2, "median": 1.5, "max": 2.0}

    def row(seconds: float, share: float) -> dict[str, Any]:
        values = {"min": share, "median": share, "max": share}
        return {"seconds_median": seconds, "gflops": {"median": share * 10}, "share_of_peak": {"bf16": values}}

    network = {
        "frames": 9, "frames_not_equal": 1, "held": 2, "work_share": 0.2, "ideal_gain": 6.0, "gain": 4.8,
        "share_of_ideal": 0.8, "held_frame_planes": 0.001, "overhead_where_nothing_is_reused": 0.015,
        "cache_bytes_per_pixel": 2243.0,
    }  # fmt: skip
    program = [
        {"reuse": "exact", "tile": 0, "frames_not_equal": 2, "gain": 4.0},
        {"reuse": "near:2", "tile": 0, "gain": 7.0, "psnr_to_exact_db": 51.5},
    ]
    lanes = {"lanes_ms": {"infer": [(0.0, 5.0)], "encode": [(4.0, 6.0)]}, "busy": {"infer": 0.8, "encode": 0.005}}
    return {
        "peers.json": {
            "machine": machine, "threads": {"torch": 2}, "rounds": 3, "absent": {"reference": "no network"},
            "frame": {"model": "m", "width": 64, "height": 48}, "peak_gflops": {"bf16": three},
            "contestants": {"vidsr, model only, bf16": row(0.2, 0.5), "ncnn": row(0.3, 0.33), "peak": row(0.1, 1.0)},
            "model_only": "vidsr, model only, bf16", "times_slower_than_model_only": {"ncnn": three},
            "difference": {"against": "PyTorch fp32", "pictures": {"ncnn": {"worst_code": 1, "psnr_db": 60.5}}},
            "command_line": {
                "seconds_per_frame": {"steady": three},
                "share_of_model_only": {"min": 0.96, "median": 0.97, "max": 0.98},
            },
        },
        "reuse.json": {
            "machine": machine,
            "cases": [
                {"clip": "clip.avi", "size": "64x48", "precision": kind, "network": network, "program": program}
                for kind in ("bf16", "fp32")
            ],
        },
        "reuse_exact.json": {
            "machine": machine,
            "cases": [
                {"clip": "clip.avi", "size": "64x48", "precision": "fp32", "network": network,
                 "program": program[:1] * 2}
            ],
        },
        "pipeline_cost.json": {
            "machine": machine, "input": "64x48", "output": "128x96", "batch": 4, "frames": 9, "goal_fps": 400,
            "microseconds_per_frame": {"infer": 4.5}, "microseconds_in_all": 4.5,
            "runs": [{"device_fps": 500.0, "fps": {"min": 440.0, "median": 450.0, "max": 460.0}}],
        },
        "gpu_suite.json": {
            "machine": machine,
            "steps": {"runtimes": {"items": {"SRVGG-16 eager": {"fps": 195.0, "tflops": 501.0},
                                             "fused": {"error": "DeviceError: gone"}}}},
        },
        "scaling.json": {
            "machine": machine, "delay": 0.2,
            "runs": [{"workers": 8, "segments": 40, "frames": 2000, "seconds": 52.0, "efficiency": 0.96}],
            "bare": [{"frames": 2000, "seconds": 1.5}],
            "per_segment": {"seconds": 0.03, "supervisor_cpu_seconds": 0.001},
        },
        "kills.json": {
            "machine": machine, "trials": 9, "kills": {"supervisor": 5, "worker": 6, "nobody": 2}, "journals_cut": 3,
            "equal_to_undisturbed": 9, "partial_outputs": 0, "processes_left": 0, "files_left": 0,
        },
        "timeline.json": {"frames": 2, "size": "64x48", "stages": lanes, "device": {}},
    }  # fmt: skip


def test_charts_are_drawn_of_what_was_measured(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert charts.draw(tmp_path, tmp_path) == []
    for name, found in results().items():
        common.save(tmp_path / name, found)
    made = charts.draw(tmp_path, tmp_path)
    assert made == list(charts.CHARTS)
    for name in made:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert set(made) == {file for file, _ in performance.PICTURES.values()}


def test_the_list_of_published_speeds_is_plain_data() -> None:
    assert isinstance(yaml.safe_load(charts.PUBLISHED.read_text(encoding="utf-8")), list)
