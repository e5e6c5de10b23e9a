"""What a run has to answer for at its end: the finished file, what is missing, and the report."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .events import Notice, Stage
from .media.completeness import gaps, shortfall
from .media.files import KINDS
from .media.gaps import picture_gaps
from .media.verify import Sent, verify
from .numbered import verify_pictures
from .record import Report, Tally

if TYPE_CHECKING:
    from .prepare import Plan
    from .running import Run
    from .stages.infer import Inference

MAX_DOUBTS = 5
"""Gaps that may be meant and are told one by one."""


def verified(run: Run, sent: Sent, path: Path | None) -> tuple[str, ...]:
    """Check the file at `path`, None when it cannot be read again, and what came in against what the input states.

    Losses are declared, not raised.
    """
    claims = _held_against_claims(run)
    _tell_gaps(run)
    if not run.plan.options.verify:
        return ()
    if path is None:
        run.tally.emit(Notice("the output cannot be read again, so it was not verified", "detail"))
        return "nothing of the output, which cannot be read again", claims
    run.tally.emit(Stage("verify"))
    check = run.flow.cancel.check
    if run.plan.container in KINDS:
        return (*verify_pictures(path, run.plan.output, sent, check), claims)
    return (*verify(path, sent, check), claims)


def _held_against_claims(run: Run) -> str:
    """Declare what the input states and does not hold; what was found, in words."""
    source = run.source
    _tell_short(run)
    if run.excerpt.partly:
        return "the input was read only as far as was asked for"
    missing = shortfall(source.claims, source.seen)
    if missing:
        run.tally.lose(missing)
    elif not source.claims.any:
        return "the input states no length, so its completeness could not be checked"
    return missing or "the input is as long as it states"


def _tell_short(run: Run) -> None:
    """Say where an excerpt has fewer frames than were asked for."""
    count, taken = run.excerpt.count, run.excerpt.taken
    if count is not None and taken < count and not run.excerpt.partly:
        run.tally.emit(Notice(f"the input ends early: {taken} of {count} frames", "warning"))


def _tell_gaps(run: Run) -> None:
    """Holes in the middle: lost where picture and sound agree, else a note, for they may be meant."""
    base, offset = run.plan.target.time_base, run.plan.offset
    pictures = [(a - offset, b - offset) for a, b in picture_gaps(run.tally.pts, base)]
    seen, start = run.source.seen, run.tally.pts[0] * base - offset
    if not run.excerpt.whole:
        seen, start = run.excerpt.within(seen), Fraction(0)
    lost, doubts = gaps(run.source.claims, seen, pictures, start)
    for text in lost:
        run.tally.lose(text)
    for text in doubts[:MAX_DOUBTS]:
        run.tally.emit(Notice(text, "warning"))
    if len(doubts) > MAX_DOUBTS:
        run.tally.emit(Notice(f"{len(doubts) - MAX_DOUBTS} more gaps like these", "warning"))


def settle(run: Run) -> None:
    """Note in the run's tally what was counted elsewhere: at the decoder and at the network."""
    tally, inference, direct = run.tally, run.inference, run.direct
    tally.computed = _work(run, run.passes) + (direct.work if direct else 0.0)
    tally.kept = direct.kept if direct else inference.kept
    if run.transparency and run.plan.options.alpha_upsampler == "model":  # a whole picture is colours and alpha
        tally.computed = (tally.computed + _work(run, run.transparency.passes)) / 2
        tally.kept += sum(each.kept for each in run.transparency.passes)
    if run.retimer:
        tally.inserted, tally.removed = run.retimer.inserted, run.retimer.removed
        what = f"{tally.inserted} frames shown again, {tally.removed} left out"
        tally.emit(Notice(f"--fps {run.plan.options.fps}: {what}"))
    tally.frames_in = run.decoder.frames_in if run.excerpt.whole else tally.came_in
    tally.runtime, tally.precision = inference.runner.name, inference.runner.precision


def _work(run: Run, passes: list[Inference]) -> float:
    """What all `passes` computed, in whole pictures; none, where there was nothing to do yet."""
    costs = [run.plan.network.scale ** (2 * number) for number in range(len(run.passes))]  # pixels of each pass
    return float(sum(cost * each.work for cost, each in zip(costs, passes, strict=False)) / sum(costs))


def report_of(plan: Plan, tally: Tally, streams: tuple[dict[str, Any], ...], verified: tuple[str, ...]) -> Report:
    """The account of a run that `settle` was called for."""
    frames, wall = len(tally.pts), tally.wall_seconds
    stages = tally.stages(frames)
    base = plan.target.time_base
    return Report(
        input=str(plan.input),
        output=str(plan.output),
        model=plan.network.name,
        device=str(plan.engine.device),
        precision=tally.precision,
        width=plan.target.width,
        height=plan.target.height,
        frames_in=tally.frames_in,
        frames_out=frames,
        reused=tally.reused,
        **tally.losses_by_kind(),
        inserted=tally.inserted,
        removed=tally.removed,
        seconds=float((tally.pts[-1] - tally.pts[0]) * base) if frames else 0.0,
        wall_seconds=round(wall, 3),
        fps=round(frames / wall, 3),
        stages=stages,
        bound_by=max(stages, key=lambda name: stages[name]["seconds"]),
        share_reused=round(tally.reused / frames, 4) if frames else 0.0,
        work_share=round(tally.computed / frames, 4) if frames else 0.0,
        kept_bytes=tally.kept,
        runtime=tally.runtime,
        time_base=str(base),
        pts=tally.pts,
        streams=streams,
        verified=verified,
        notes=tuple(tally.notes),
        losses=tuple(tally.losses),
        exit_code=7 if tally.losses and not plan.options.allow_loss else 0,
    )
