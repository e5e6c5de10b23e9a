"""A small version of `benchmarks.faults`: mutated files through the whole pipeline, none of them lost in silence."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.faults import CLIPS, OUTCOMES, jobs_of, make_clips, run_jobs, summary

pytestmark = pytest.mark.fault

RUNS = 60
SEED = 5000


def test_mutations_are_whole_declared_or_refused(tmp_path: Path) -> None:
    make_clips(tmp_path)
    results = list(run_jobs(jobs_of(RUNS, SEED), tmp_path))
    told = summary(results, SEED)
    bad = [result for result in results if result["outcome"] in ("silent", "crash", "hang")]
    assert bad == []
    assert sum(told["outcomes"][name] for name in OUTCOMES) == told["injected"] == RUNS
    assert (told["threads_left"], told["files_left"]) == (0, 0)
    assert Counter(result["clip"] for result in results) == dict.fromkeys(CLIPS, RUNS // len(CLIPS))
    assert told["outcomes"]["declared"] > 0
    assert told["outcomes"]["refused"] > 0


def test_the_oracle_sees_a_silent_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness itself: with every declaration withheld, it must object."""
    from benchmarks import faults
    from tests.fakes import Repeater, describe
    from tests.faults import one_thread
    from vidsr import account, pipeline

    monkeypatch.setattr(pipeline, "load_model", lambda spec, **_: describe(Repeater(1)))
    make_clips(tmp_path)
    with one_thread():
        bench = faults.Bench(tmp_path)
    monkeypatch.setattr(account, "shortfall", lambda claims, seen: "")
    monkeypatch.setattr(account, "_tell_gaps", lambda run: None)
    with one_thread():
        outcomes = Counter(bench.run("mkv", seed)["outcome"] for seed in range(SEED, SEED + 15))
    assert outcomes["silent"] > 0
