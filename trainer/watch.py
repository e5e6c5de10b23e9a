"""What is looked at while training: validation, the best so far, the lines of the log."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext

from vidsr.events import Notice, clock

from . import alarms, rng
from .degrade.codec_tally import coded, failures, not_coded
from .metrics.options import Validation
from .parts import Run
from .state import Best, State

QUIET = frozenset({"it_s", "wait_share", "g_lr", "d_lr"})
"""What the line for people has no room for."""


def validate(run: Run) -> None:
    """Measure the network where it is due; the first process does, and tells the others what came of it."""
    config, counters, state = run.config.validation, run.state.counters, run.state
    last = counters.iteration == run.config.loop.iterations
    if not config or counters.validated == counters.iteration or not (last or counters.iteration % config.every == 0):
        return
    figures: dict[str, float] = {}
    if run.validator:
        with rng.kept(), run.stop.at_once() if run.world.size == 1 else nullcontext():
            figures = run.validator.run(state.shown, counters.iteration, run.folder, run.log and run.log.board)
    figures = run.world.tell(figures)
    counters.validated = counters.iteration
    run.unchecked = True
    judge(state, config, figures)
    if run.log:
        run.log.write("validation", counters.iteration, figures)


def judge(state: State, config: Validation, figures: Mapping[str, float]) -> None:
    """Whether the network is the best so far, and whether it still gains by the metric that may end the run."""
    done = state.counters.iteration
    if is_gain(config, config.deciding, figures, state.best):
        state.best = Best(str(config.deciding), figures[str(config.deciding)], done)
    stop = config.early_stop
    if stop is None:
        return
    if is_gain(config, stop.metric, figures, state.gained, stop.least_gain):
        state.gained = Best(stop.metric, figures[stop.metric], done)
        state.counters.worse = 0
    else:
        state.counters.worse += 1


def is_gain(
    config: Validation, metric: str | None, figures: Mapping[str, float], before: Best | None, least: float = 0.0
) -> bool:
    """Whether `metric` is better than `before`, by at least `least`; the first figure is. NaN and no figure never."""
    if metric is None or math.isnan(figures.get(metric, math.nan)):
        return False
    if before is None:
        return True
    step = figures[metric] - before.value
    step = step if config.direction(metric) == "higher" else -step
    return step > 0 and step >= least


def record(run: Run, means: Mapping[str, float], seconds: float) -> None:
    """Write a line of the log every so many iterations."""
    counters, loop = run.state.counters, run.config.loop
    run.window.add({name: value for name, value in means.items() if math.isfinite(value)} | {"seconds": seconds})
    if run.adversary and (stalemate := run.adversary.balance.seen(means.get("d", math.nan))):
        run.emit(Notice(stalemate, "warning"))
    if run.log is None or (counters.iteration % loop.log_every and counters.iteration != loop.iterations):
        return
    line = run.window.take()
    line["it_s"] = 1 / line.pop("seconds")
    line["wait_share"] = run.feed.wait_share()
    line |= {f"{name[0]}_lr": learner.rate for name, learner in
             {"g": run.state.generator, "d": run.state.discriminator}.items() if learner}  # fmt: skip
    run.log.write("train", counters.iteration, line)
    _tell_codecs(run, run.feed.counted())
    run.emit(Notice(progress(counters.iteration, loop.iterations, line)))


def _tell_codecs(run: Run, counted: Counter[str]) -> None:
    """Write down how many clips went through codecs and how often those failed; say so where they did."""
    assert run.log is not None
    if counted:
        figures = {f"{name}_failed": count for name, count in failures(counted).items()}
        figures |= {"coded": coded(counted), "not_coded": not_coded(counted)}
        run.log.write("codecs", run.state.counters.iteration, figures)
    if trouble := alarms.codecs(counted):
        run.emit(Notice(f"degrade: {trouble}", "warning"))


def progress(done: int, total: int, line: Mapping[str, float]) -> str:
    """One line for people."""
    left = clock((total - done) / line["it_s"])[:-4]
    losses = ", ".join(f"{name} {value:.4g}" for name, value in line.items() if name not in QUIET)
    return f"{done}/{total}, {line['it_s']:.2f} it/s, {line['wait_share']:.0%} waiting for data, {left} left: {losses}"
