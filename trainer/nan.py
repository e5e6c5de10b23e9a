"""What happens to an iteration whose numbers are not finite: it is skipped and kept to look at; too many end the run.

The decision is made from figures that all processes have alike, so that none waits for another that has left.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import safetensors.torch
import torch

from vidsr.errors import DeviceError, OutputError
from vidsr.events import Emit, Notice
from vidsr.fs import write_atomically

from .options import NanPolicy
from .sample import Batch

MOST_DUMPS = 20
"""Files that are kept for one run and process."""


def skip(
    policy: NanPolicy, run: Path, rank: int, iteration: int, in_a_row: int, batches: Sequence[Batch], emit: Emit
) -> None:
    """Tell of a skipped iteration, keep its batches, and raise DeviceError when there were too many in a row."""
    where = _dump(run, rank, iteration, batches) if policy.dump else None
    kept = f"; its batch is kept in {where}" if where else ""
    cause = _cause(batches)
    emit(Notice(f"iteration {iteration} gave numbers that are not finite and is skipped{cause}{kept}", "warning"))
    if in_a_row > policy.limit:
        raise DeviceError(
            f"{in_a_row} iterations in a row, up to {iteration}, gave numbers that are not finite, allowed are "
            f"{policy.limit}{cause}",
            "a smaller optim.lr, loop.clip=1 or loop.precision=fp32 may help; resume goes on from the last checkpoint",
        )


def _cause(batches: Sequence[Batch]) -> str:
    """Samples that were not finite before any network saw them."""
    bad = [
        name
        for batch in batches
        for name, gt, lq in zip(batch.names, batch.gt, batch.lq, strict=True)
        if not (torch.isfinite(gt).all() and torch.isfinite(lq).all())
    ]
    return f", for the samples themselves are not: {', '.join(bad)}" if bad else ""


def _dump(run: Path, rank: int, iteration: int, batches: Sequence[Batch]) -> Path | None:
    """RUN/nan/ITERATION.rankN.safetensors with gt.0, lq.0, …; None when there are enough of them."""
    folder = run / "nan"
    path = folder / f"{iteration:08}.rank{rank}.safetensors"
    if len(list(folder.glob(f"*.rank{rank}.safetensors"))) >= MOST_DUMPS:
        return None
    tensors = {f"{name}.{place}": getattr(batch, name).cpu().contiguous()
               for place, batch in enumerate(batches) for name in ("gt", "lq")}  # fmt: skip
    names = json.dumps([batch.names for batch in batches])
    try:
        folder.mkdir(exist_ok=True)
        write_atomically(path, safetensors.torch.save(tensors, {"names": names}))
    except (OSError, OutputError):  # the dump only helps to understand; a full disk is told at the next checkpoint
        return None
    return path
