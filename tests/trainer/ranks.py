"""One of several processes under torchrun: `torchrun --nproc-per-node 2 -m tests.trainer.ranks FOLDER SCENARIO...`.

Each scenario leaves FOLDER/SCENARIO/run, and what its process saw in FOLDER/SCENARIO/RANK.json.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from tests.trainer import fakes
from trainer import loop
from trainer import run as running
from trainer.distributed import from_environment, joined
from trainer.parts import Run
from vidsr.errors import VidsrError

RANK = int(os.environ.get("RANK", "0"))
GAN = {"gan": fakes.GAN, "losses": [{"kind": "l1"}, {"kind": "fft", "weight": 0.1}]}


def equal_halves(run: Run) -> None:
    """Nothing is disturbed."""


def nan_in_one(run: Run) -> None:
    """A weight of process 1 alone makes iterations 2 to 4 of it not finite, without a trace in the weights."""
    if RANK == 1 and 1 <= run.state.counters.iteration < 4:
        take = run.feed.take

        def poisoned() -> object:
            batch = take()
            batch.gt.fill_(float("nan"))
            run.feed.take = take  # type: ignore[method-assign]
            return batch

        run.feed.take = poisoned  # type: ignore[assignment, method-assign]


def signal_in_one(run: Run) -> None:
    """Only process 1 is asked to stop."""
    if RANK == 1 and run.state.counters.iteration == 2:
        os.kill(os.getpid(), signal.SIGTERM)


SCENARIOS: dict[str, Callable[[Run], None]] = {
    "equal_halves": equal_halves, "nan_in_one": nan_in_one, "signal_in_one": signal_in_one,
}  # fmt: skip


def play(folder: Path, name: str) -> dict[str, object]:
    """What this process saw of a run."""
    step, iterations = loop.step, 3 if name == "equal_halves" else 6

    def disturbed(run: Run) -> None:
        SCENARIOS[name](run)
        step(run)

    loop.step = disturbed
    told: list[str] = []
    chosen = fakes.config(folder, **GAN, loop={"iterations": iterations, "batch": 4, "log_every": 1})
    try:
        reason = running.start(chosen, folder / name / "run", lambda event: told.append(str(event)))
        return {"reason": reason, "told": told}
    except VidsrError as error:
        return {"reason": str(error), "code": error.exit_code, "told": told}
    finally:
        loop.step = step


def main() -> None:
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    with joined(from_environment(), torch.device("cpu")):  # once: a group is slow to make
        for name in sys.argv[2:]:
            (folder / name).mkdir(exist_ok=True)
            (folder / name / f"{RANK}.json").write_text(json.dumps(play(folder, name)))


if __name__ == "__main__":
    main()
