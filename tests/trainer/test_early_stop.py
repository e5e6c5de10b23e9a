"""The best checkpoint, and when training stops because nothing gets better."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from trainer.metrics.options import Validation
from trainer.state import Counters
from trainer.watch import judge

SETS = [{"kind": "video", "name": "film", "gt": "film.mkv"}]


def judged(values: list[float | None], **stop: Any) -> tuple[list[int], list[int]]:
    """After each of `values` of a metric (None: it could not be measured): the best one's place, and how many
    validations in a row were no gain."""
    metric = stop.pop("metric", "psnr_y")
    metrics = [{"kind": "psnr"}, {"kind": "tof"}]
    options = Validation.model_validate({"sets": SETS, "metrics": metrics, "early_stop": {"metric": metric, **stop}})
    state: Any = SimpleNamespace(counters=Counters(), best=None, gained=None)
    best, worse = [], []
    for place, value in enumerate(values):
        state.counters.iteration = place
        judge(state, options, {} if value is None else {metric: value})
        best.append(state.best.iteration if state.best else -1)
        worse.append(state.counters.worse)
    return best, worse


def test_the_best_is_the_highest_or_the_lowest_as_the_metric_says() -> None:
    assert judged([30, 31, 30.5, 32])[0] == [0, 1, 1, 3]
    assert judged([3, 2, 2.5, 1], metric="film/tof")[0] == [0, 1, 1, 3]


def test_validations_without_a_gain_are_counted_in_a_row() -> None:
    assert judged([30, 31, 30, 30, 31, 31.1, 30])[1] == [0, 0, 1, 2, 3, 0, 1]


def test_a_step_below_the_least_gain_is_none() -> None:
    assert judged([30, 30.05, 30.3], least_gain=0.1)[1] == [0, 1, 0]


def test_what_cannot_be_measured_is_no_gain() -> None:
    assert judged([None, 30, None, math.nan, 31]) == ([-1, 1, 1, 1, 4], [1, 0, 1, 2, 0])


def test_the_best_and_the_end_may_follow_different_metrics() -> None:
    options = Validation.model_validate(
        {
            "sets": SETS,
            "metrics": [{"kind": "psnr"}, {"kind": "tof"}],
            "best": "tof",
            "early_stop": {"metric": "psnr_y"},
        }
    )
    state: Any = SimpleNamespace(counters=Counters(iteration=5), best=None, gained=None)
    judge(state, options, {"psnr_y": 30, "tof": 2})
    state.counters.iteration = 6
    judge(state, options, {"psnr_y": 29, "tof": 1})
    assert (state.best.iteration, state.best.metric, state.counters.worse) == (6, "tof", 1)


@pytest.mark.parametrize("first", [math.inf, 50.0])
def test_nothing_is_better_than_equal(first: float) -> None:
    assert judged([first, math.inf, math.inf])[1][-1] >= 1
