"""Training command lines in processes of their own, forked so that none pays for loading torch: for signals and limits.

    python -m tests.trainer.child     reads JSON lines {"args": [...], "limit": 0, "delay": 0.0}

Each fork is `vidsr ARGS`. `limit` is the largest file it may write, the nearest thing to a full disk; `delay` seconds
pass ahead of every iteration. `started PID`, `iteration N` and `ended CODE` are told on stdout, CODE negative for a
signal.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.trainer import fakes
from trainer import loop
from trainer.parts import Run
from vidsr.cli import main


def say(text: str) -> None:
    """One line, in one write, so that those of two processes do not mix."""
    os.write(1, f"{text}\n".encode())


def disturb(job: dict[str, Any]) -> None:
    """Limits of the fork, and a step that tells where it is."""
    if job.get("limit"):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["limit"], resource.RLIM_INFINITY))
    step = loop.step

    def slow(run: Run) -> None:
        time.sleep(job.get("delay", 0.0))
        step(run)
        say(f"iteration {run.state.counters.iteration}")

    loop.step = slow


def serve() -> None:
    """Fork a run for every line of stdin."""
    fakes.one_thread()
    with tempfile.TemporaryDirectory() as folder:  # all that is loaded at the first use is then there for every fork
        fakes.train(fakes.config(Path(folder), gan=fakes.GAN, pair_pool=3), Path(folder) / "run")
    say("ready")
    while line := sys.stdin.readline():
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            disturb(job)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            stdout, sys.stdout = sys.stdout, sys.stderr  # the path of the run is not for the one who waits
            assert stdout
            os._exit(main.run(job["args"]))
        say(f"started {pid}")
        say(f"ended {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}")


class Child:
    """The other end of `serve`; what the runs say lies in `said`."""

    def __init__(self, folder: Path) -> None:
        self.said = folder / "stderr.txt"
        root = Path(__file__).parents[2]
        with self.said.open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.trainer.child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=stderr, text=True, cwd=root, env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
        self.pid = 0
        self.iteration = 0
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def start(self, *args: object, limit: int = 0, delay: float = 0.0) -> None:
        """Begin a run."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"args": list(map(str, args)), "limit": limit, "delay": delay}) + "\n")
        self._process.stdin.flush()
        self.iteration = 0
        word, _, pid = self._line().partition(" ")
        assert word == "started"
        self.pid = int(pid)

    def reach(self, iteration: int) -> None:
        """Wait until an iteration is done."""
        while self.iteration < iteration:
            word, _, number = self._line().partition(" ")
            assert word == "iteration", (word, number, self.said.read_text())
            self.iteration = int(number)

    def end(self) -> int:
        """Wait for the run; its exit code."""
        while True:
            word, _, number = self._line().partition(" ")
            if word == "ended":
                self.pid = 0
                return int(number)
            assert word == "iteration", self.said.read_text()
            self.iteration = int(number)

    def run(self, *args: object, **words: Any) -> int:
        """A whole run; its exit code."""
        self.start(*args, **words)
        return self.end()

    def kill(self, signum: int) -> None:
        """Send a signal to the run."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signum)

    def close(self) -> None:
        """End the run that a failed test left, and the server."""
        if self.pid:
            self.kill(signal.SIGKILL)
            self.end()
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


if __name__ == "__main__":
    serve()
