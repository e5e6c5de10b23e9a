"""Training runs that are killed at random moments and resumed: what is lost, and is the end that of an undisturbed run?

    python -m benchmarks.train_kills [--trials N] [--seed S]

The run has a discriminator, a pair pool and both averages; a checkpoint is written every third iteration. In each trial
the process is killed with SIGKILL at a random moment, which may lie in a step, in the writing of a checkpoint or before
the first one, and then resumed. Once a run has come to its end the next one begins. Writes
benchmarks/results/train_kills.json: how many iterations each kill cost, and whether all ends are equal, bit for bit.
"""

from __future__ import annotations

import argparse
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.trainer import fakes
from tests.trainer.child import Child
from tests.trainer.fakes import equal
from trainer import checkpoint

from .common import RESULTS, machine, save, tell

ITERATIONS, EVERY = 30, 3
DELAY = 0.02
LONGEST = 1.1
"""Seconds after which a run has begun and made some steps, about."""
WORDS: dict[str, Any] = {
    "gan": fakes.GAN, "pair_pool": 5, "swa": {"start": 0.5, "every": 3}, "loop": {"iterations": ITERATIONS},
    "checkpoint": {"every": EVERY, "keep": 2},
}  # fmt: skip


def newest(run: Path) -> int:
    """The iteration of the newest checkpoint, which must be readable; 0 when there is none."""
    paths = checkpoint.listed(run)
    return checkpoint.read(paths[-1]).iteration if paths else 0


def trial(child: Child, words: tuple[object, ...], run: Path, rng: random.Random) -> dict[str, Any]:
    """One call, killed at a random moment unless it ends before."""
    before = newest(run)
    child.start(*words, delay=DELAY)
    time.sleep(rng.uniform(0.0, LONGEST))
    child.kill(signal.SIGKILL)
    code = child.end()
    reached, kept = max(before, child.iteration), newest(run)
    return {"code": code, "reached": reached, "kept": kept, "lost": max(0, reached - kept)}


def trials(child: Child, folder: Path, count: int, rng: random.Random) -> Iterator[dict[str, Any]]:
    """So many kills, over as many runs as that takes."""
    whole = fakes.comparable(fakes.last(folder / "whole"))
    number, done = 0, 0
    while done < count:
        run = folder / f"run{number}"
        words = ("train", "resume", run) if (run / "config.yaml").exists() else (
            "train", "run", folder / "run.yaml", "-o", run
        )  # fmt: skip
        told = trial(child, words, run, rng)
        if told["code"] == -signal.SIGKILL:
            done += 1
        if told["kept"] == ITERATIONS:
            told["equal"] = equal(fakes.comparable(fakes.last(run)), whole)
            number += 1
        yield told


def summary(found: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    """Totals, and what they were made of."""
    kills = [told for told in found if told["code"] == -signal.SIGKILL]
    ends = [told["equal"] for told in found if "equal" in told]
    return {
        "machine": machine(), "seed": seed, "kills": len(kills), "checkpoint_every": EVERY,
        "most_iterations_lost": max(told["lost"] for told in kills),
        "other_exit_codes": sorted({told["code"] for told in found} - {0, -signal.SIGKILL}),
        "runs_ended": len(ends), "runs_equal": sum(ends), "trials": found,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--result", type=Path, default=RESULTS / "train_kills.json")
    asked = parser.parse_args()
    fakes.one_thread()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chosen = fakes.config(folder, **WORDS)
        chosen.save(folder / "run.yaml")
        fakes.train(chosen, folder / "whole")
        found = []
        with closing(Child(folder)) as child:
            for told in trials(child, folder, asked.trials, random.Random(asked.seed)):
                found.append(told)
                tell(f"{len(found)}: {told}")
        save(asked.result, summary(found, asked.seed))


if __name__ == "__main__":
    main()
