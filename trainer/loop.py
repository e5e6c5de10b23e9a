"""READ THIS FIRST: training, from the first iteration to the last.

    samples ─► degrade, pool ─► LQ ─► generator ─► output ─┬─► losses ───────────┐
                             └► GT ────────────────────────┼─► adversarial loss ─┴─► step of the generator
                                                           └─► real or made? ──────► step of the discriminator

Letters of shapes: N samples, T frames of a clip, B = N T pictures that the networks see, H W pixels, h w those of the
input. Everything is RGB in [0, 1], float32 outside the networks.

One iteration is `accumulate` batches on each of the processes. Both gradients are gathered before either network
moves, as in the reference, then averaged over the processes together with the figures that decide whether the step
is taken. So N small batches, N processes and one batch N times as large come to the same step.
"""

from __future__ import annotations

import math
import time

import torch
from torch import Tensor

from . import nan, rng, selfcheck
from .losses.context import LossContext
from .optim import Learner
from .parts import Run
from .sample import Batch
from .schedule import factor, gan_share
from .state import save
from .watch import record, validate


def train(run: Run) -> str:
    """Train until there is a reason to end, save, and return it: finished, early_stop, hours or signal.

    Raises DeviceError when numbers are not finite too often, OutputError when the disk cannot take a checkpoint,
    UsageError when a loss teaches nothing.
    """
    while True:
        validate(run)
        reason = ending(run)
        if reason or worth_keeping(run):
            keep(run)
        if reason:
            return reason
        step(run)


def worth_keeping(run: Run) -> bool:
    """Whether a checkpoint is due: every so often, and where the network is the best so far."""
    done, best = run.state.counters.iteration, run.state.best
    return done % run.config.checkpoint.every == 0 or (best is not None and best.iteration == done)


def keep(run: Run) -> None:
    """Write a checkpoint unless this very state is kept already."""
    if run.saved != run.state.counters.iteration:
        save(run.state, run.config, run.folder, run.world)
        run.saved = run.state.counters.iteration


def ending(run: Run) -> str:
    """Why the run ends here, or an empty text."""
    counters, validation = run.state.counters, run.config.validation
    if counters.iteration >= run.config.loop.iterations:
        return "finished"
    if validation and validation.early_stop and counters.worse >= validation.early_stop.patience:
        return "early_stop"
    return run.reason


def step(run: Run) -> None:
    """One iteration."""
    began = time.monotonic()
    figures: dict[str, Tensor] = {}
    batches = []
    if run.adversary:
        run.adversary.begin()
    for _ in range(run.config.loop.accumulate):
        batch = run.feed.take()
        if run.unchecked:
            check(run, batch)
        backward(run, batch, figures)
        batches.append(batch)
    means = agree(run, figures)
    run.state.counters.iteration += 1
    advance(run, means, batches)
    seconds = time.monotonic() - began
    run.state.counters.seconds += seconds
    record(run, means, seconds)


def backward(run: Run, batch: Batch, figures: dict[str, Tensor]) -> None:
    """Add the gradients of one batch to both networks, and its figures to `figures`, as parts of a mean."""
    share = 1 / run.config.loop.accumulate
    climb = gan_share(run.config.gan, run.state.counters.iteration) if run.config.gan else 1.0
    with torch.set_grad_enabled(climb > 0):
        output = run.state.generator.pictures(batch.lq.flatten(0, 1))
    told: dict[str, Tensor] = {}
    if climb > 0:  # else only the discriminator learns
        told = terms(run, batch, output, climb)
        told["total"] = torch.stack(list(told.values())).sum()
        run.state.generator.backward(told["total"] * share)
    if run.adversary:
        told["d"], told["d_accuracy"] = run.adversary.learn(output, real(run, batch))
        run.adversary.learner.backward(told["d"] * share)
    for name, value in told.items():
        figures[name] = figures.get(name, 0) + value.detach() * share


def terms(run: Run, batch: Batch, output: Tensor, climb: float) -> dict[str, Tensor]:
    """The parts of the generator's loss by name, scalars float32 with their weights; `output` is B 3 H W, `climb` a
    factor on the adversarial one."""
    lq, sharp = batch.lq.flatten(0, 1), None if batch.gt_usm is None else batch.gt_usm.flatten(0, 1)
    averaged = None
    if run.state.ema and any(loss.kind == "ldl" for loss in run.losses.values()):
        with torch.no_grad():
            averaged = run.state.ema.module(lq)
    context = LossContext(
        output, batch.gt.flatten(0, 1), lq, sharp, averaged, batch.gt.shape[1], run.state.counters.iteration + 1
    )
    parts = {name: loss(context) for name, loss in run.losses.items()}
    if run.adversary:
        parts["gan"] = run.adversary.teach(output, real(run, batch)) * climb
    return parts


def real(run: Run, batch: Batch) -> Tensor:
    """B 3 H W: what the discriminator is to take for real."""
    chosen = batch.gt_usm if run.config.gan and run.config.gan.on == "usm" else batch.gt
    assert chosen is not None
    return chosen.flatten(0, 1)


def agree(run: Run, figures: dict[str, Tensor]) -> dict[str, float]:
    """Average gradients and figures over all processes; all figures as numbers, with the norms of the gradients.

    This is the one moment of an iteration in which a GPU is waited for. Whether to end is a figure too: a signal may
    reach one process an iteration before the others.
    """
    late = time.monotonic() - run.started > (run.config.loop.hours or math.inf) * 3600
    wishes = {"signal": float(run.stop.signum > 0), "hours": float(late)}
    flat = torch.stack([value.float() for value in figures.values()])
    flat = torch.cat([flat, flat.new_tensor(list(wishes.values()))])
    run.world.mean([flat])
    norms = {name: learner.gather(run.world) for name, learner in learners(run).items()}
    values = torch.cat([flat, torch.stack(list(norms.values()))]).tolist()
    means = dict(zip([*figures, *wishes, *norms], values, strict=True))
    run.reason = next((name for name in wishes if means.pop(name) > 0), run.reason)
    return means


def learners(run: Run) -> dict[str, Learner]:
    """The networks that learn in this iteration, under the names of their gradients' norms."""
    found = {"g_norm": run.state.generator, "d_norm": run.state.discriminator}
    return {name: learner for name, learner in found.items() if learner and learner.has_gradient}


def advance(run: Run, means: dict[str, float], batches: list[Batch]) -> None:
    """Take the step, or skip it where numbers are not finite: all processes do the same, for they see the same."""
    counters, config = run.state.counters, run.config
    turn = learners(run)
    fine = all(math.isfinite(value) or (name in turn and turn[name].may_overflow) for name, value in means.items())
    counters.skipped = 0 if fine else counters.skipped + 1
    lr = factor(config.schedule, counters.iteration - 1, config.loop.iterations)
    for learner in turn.values():
        learner.step(lr) if fine else learner.skip()
    if not fine:
        nan.skip(config.loop.nan, run.folder, run.world.rank, counters.iteration, counters.skipped, batches, run.emit)
    elif "g_norm" in turn:
        average(run)


def average(run: Run) -> None:
    """Take the generator's new weights into its averages."""
    state, swa, done = run.state, run.config.swa, run.state.counters.iteration
    if state.ema:
        state.ema.update(state.generator.net)
    if state.swa and swa and done >= swa.start * run.config.loop.iterations and done % swa.every == 0:
        state.swa.update(state.generator.net)


def check(run: Run, batch: Batch) -> None:
    """The self check, on a batch that is then trained on as any other."""
    run.unchecked = False
    with rng.kept(), selfcheck.Quiet(run.state.discriminator):
        x = batch.lq.flatten(0, 1)
        output = run.state.generator.pictures(x)
        if run.config.loop.compile != "off":
            selfcheck.compare_compiled(run.state.generator, x, output.detach())
        resting = [name for name, loss in run.losses.items() if loss.may_rest]
        norms = selfcheck.gradient_norms(terms(run, batch, output, climb=1.0), run.state.generator, resting)
    if run.log:
        run.log.write("gradient", run.state.counters.iteration, norms)
