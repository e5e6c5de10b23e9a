"""Iterations per second of `vidsr train` and of the reference's trainer, on the same pictures, in turns.

    python -m benchmarks.train_speed CLIP [--stage net|gan] [--rounds N] [--iterations N] [--batch N] …

Both train SRVGG-16 x4 with the constants of Real-ESRGAN's recipes: crops of 400, ground truth of 256, the second-order
chain with one draw per batch, a pair pool, losses on sharpened pictures; in the stage `gan` with a U-Net discriminator,
in neither with a VGG loss. Each has one process with one thread that learns, and one that loads. While one works, all
processes of the other are stopped, so that nothing is loaded ahead on the other's time; every round begins with another
one, and the first is not counted. Writes benchmarks/results/train_speed.json, where other stages stay as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean, median
from types import TracebackType
from typing import Any

import av
import cv2

from .common import RESULTS, machine, save, spread, tell
from .oracle_degrade import ENVIRONMENT
from .reference import make_environment, versions

RESULT = RESULTS / "train_speed.json"
SERVER = Path(__file__).with_name("oracle_train_server.py")
PICTURES = 24
PARTS = ("waiting", "degrading", "sharpening", "learning")
"""Of an iteration; sharpening is a part of degrading."""
Turn = list[dict[str, float]]


class Trainer:
    """A trainer in a process group of its own, which is stopped but for its turns. Use it in a `with` statement."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    def turn(self, iterations: int) -> Turn:
        """What each of so many iterations took. Raises SystemExit when the trainer has ended."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        os.killpg(self._child.pid, signal.SIGCONT)
        self._child.stdin.write(f"{iterations}\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with {self._child.wait()}; what it said is above")
        os.killpg(self._child.pid, signal.SIGSTOP)
        found: Turn = json.loads(line)
        return found

    def __enter__(self) -> Trainer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe is not None
            pipe.close()


def write_pictures(clip: Path, folder: Path) -> None:
    """PICTURES frames of a film, spread over it, as PNG."""
    folder.mkdir()
    with av.open(str(clip)) as container:
        frames = list(container.decode(video=0))
    for number in range(PICTURES):
        pixels = frames[number * len(frames) // PICTURES].to_ndarray(format="bgr24")
        cv2.imwrite(str(folder / f"{number:03}.png"), pixels)


def serve(asked: Mapping[str, Any]) -> None:
    """Be the trainer of vidsr, as oracle_train_server.py is the reference's."""
    import torch

    from trainer import loop
    from trainer import run as running
    from trainer.config import parse
    from trainer.parts import Run

    torch.set_num_threads(1)
    replies, sys.stdout = sys.stdout, sys.stderr

    def obey(run: Run) -> str:
        clock = Clock(run)
        for line in sys.stdin:
            replies.write(json.dumps([clock.step() for _ in range(int(line))]) + "\n")
            replies.flush()
        return "finished"

    class Clock:
        """Where an iteration's time goes."""

        def __init__(self, run: Run) -> None:
            self.run, self.taking, self.figures = run, 0.0, dict[str, float]()
            self._take, self._advance = run.feed.take, loop.advance
            self.sharpening = Timed(run.feed)
            run.feed.take = self.take  # type: ignore[method-assign]
            loop.advance = self.advance

        def take(self) -> Any:
            began = time.perf_counter()
            batch = self._take()
            self.taking += time.perf_counter() - began
            return batch

        def advance(self, run: Run, means: dict[str, float], batches: Any) -> None:
            self.figures = means
            self._advance(run, means, batches)

        def step(self) -> dict[str, float]:
            self.taking = self.sharpening.seconds = 0.0
            self.run.feed.wait_share()
            began, cpu = time.perf_counter(), time.process_time()
            loop.step(self.run)
            wall = time.perf_counter() - began
            waiting = self.run.feed.wait_share() * wall
            return {
                "wall": wall, "cpu": time.process_time() - cpu, "waiting": waiting, "degrading": self.taking - waiting,
                "sharpening": self.sharpening.seconds, "learning": wall - self.taking, "l1": self.figures["l1"],
            }  # fmt: skip

    running.train = obey
    running.start(parse(configuration(asked)), Path(asked["listing"]).parent / "run")


class Timed:
    """How long the unsharp masks of a feed took."""

    def __init__(self, feed: Any) -> None:
        self.seconds = 0.0
        for owner in (feed, feed._degrader):
            if owner._usm is not None:
                owner._usm = self._timed(owner._usm)

    def _timed(self, usm: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def work(pixels: Any) -> Any:
            began = time.perf_counter()
            result = usm(pixels)
            self.seconds += time.perf_counter() - began
            return result

        return work


def configuration(asked: Mapping[str, Any]) -> dict[str, Any]:
    """That of presets/train/x4plus-net.yaml or -gan.yaml with the smaller network, as the reference gets it."""
    gan = {"discriminator": {"kind": "unet-sn", "features": asked["features"]}, "loss": {"kind": "vanilla"}}
    return {
        "name": "speed", "scale": 4,
        "net": {"kind": "srvgg", "features": 64, "convolutions": 16},
        "data": [{"kind": "pictures", "roots": [asked["pictures"]], "gt_size": 256, "crop_pad": 400}],
        "degrade": {"kind": "classic", "draws": "batch", "gt_size": 256},
        "pair_pool": 4 * asked["batch"],
        "losses": [{"kind": "l1", "on": "usm"}],
        "gan": gan if asked["stage"] == "gan" else None,
        "optim": {"kind": "adam", "lr": 1e-4},
        "schedule": {"kind": "constant"},
        "ema": {"decay": 0.999, "warmup": False},
        "loop": {
            "iterations": 400000, "batch": asked["batch"], "workers": 1, "device": "cpu", "log_every": 100000,
            "precision": asked["precision"], "channels_last": asked["precision"] != "fp32",
        },
        "export": None,
    }  # fmt: skip


def compared(taken: Mapping[str, list[Turn]]) -> dict[str, Any]:
    """Medians over rounds, and what the reference takes for each second of ours."""
    per = {
        name: [{key: fmean(step[key] for step in turn) for key in turn[0]} for turn in turns]
        for name, turns in taken.items()
    }
    ours, theirs = per["vidsr"], per["reference"]
    seconds = {name: {key: median(turn[key] for turn in turns) for key in turns[0]} for name, turns in per.items()}
    return {
        "it_s": {name: spread(1 / turn["wall"] for turn in turns) for name, turns in per.items()},
        "wait_share": {name: median(turn["waiting"] / turn["wall"] for turn in turns) for name, turns in per.items()},
        "seconds_per_iteration": seconds,
        "times_faster": spread(b["wall"] / a["wall"] for a, b in zip(ours, theirs, strict=True)),
        "times_faster_in_cpu_time": spread(b["cpu"] / a["cpu"] for a, b in zip(ours, theirs, strict=True)),
        "gain_in": {part: seconds["reference"][part] - seconds["vidsr"][part] for part in PARTS},
    }


def measure(asked: argparse.Namespace, folder: Path) -> dict[str, list[Turn]]:
    """What both took, by round."""
    write_pictures(asked.clip, folder / "pictures")
    words = {"stage": asked.stage, "pictures": str(folder / "pictures"), "batch": asked.batch,
             "features": asked.features, "listing": str(folder / "list.txt"),
             "precision": asked.precision}  # fmt: skip
    os.environ["OMP_NUM_THREADS"] = "1"
    python = make_environment(asked.reference)
    with (
        Trainer("vidsr", [sys.executable, "-m", "benchmarks.train_speed", "--serve", json.dumps(words)]) as ours,
        Trainer("reference", [str(python), str(SERVER), json.dumps(words)]) as theirs,
    ):
        both, taken = [ours, theirs], {"vidsr": list[Turn](), "reference": list[Turn]()}
        for number in range(asked.rounds + 1):
            for trainer in both if number % 2 else both[::-1]:
                turn = trainer.turn(asked.iterations)
                tell(f"round {number}  {trainer.name:<10} {fmean(step['wall'] for step in turn):.3f} s an iteration")
                taken[trainer.name] += [turn] if number else []
    return taken


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("clip", type=Path, nargs="?", help="the pictures are frames of it, best of 720 lines or more")
    parser.add_argument("--stage", choices=["net", "gan"], default="net")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=8, help="of a turn")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="of ours; the reference has fp32")
    parser.add_argument("--features", type=int, default=64, help="of the discriminator")
    parser.add_argument("--reference", type=Path, default=ENVIRONMENT, help="folder of its environment")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    if asked.serve:
        serve(json.loads(asked.serve))
        return
    if asked.clip is None:
        raise SystemExit("a clip is needed")
    with tempfile.TemporaryDirectory() as folder:
        taken = measure(asked, Path(folder))
    found = compared(taken) | {
        "machine": machine(), "reference": versions(asked.reference / "bin" / "python"), "batch": asked.batch,
        "discriminator_features": asked.features if asked.stage == "gan" else None, "rounds": asked.rounds,
        "iterations_of_a_turn": asked.iterations, "threads_that_learn": 1, "processes_that_load": 1,
    }  # fmt: skip
    known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    name = asked.stage if asked.precision == "fp32" else f"{asked.stage} {asked.precision}"
    save(RESULT, known | {name: found})
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
