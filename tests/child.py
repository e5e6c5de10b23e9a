"""A vidsr command line in processes of their own, without the cost of starting one: for signals and limits.

    python -m tests.child          reads JSON lines {"args": [...], "delay": 0.02, "close": false, "pipes": ["a", "b"]}

For each line it forks; the fork is `vidsr ARGS` with a network that repeats pixels and takes `delay` seconds a frame.
`pipes` are named pipes that become its stdin and stdout, in place of nothing. `started PID` and `ended CODE` are told
on stdout, CODE negative for the signal that ended it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.fakes import Faulty, Repeater, describe
from vidsr import pipeline
from vidsr.cli import main


def slow(seconds: float) -> Any:
    """A stand-in for `load_model` whose network sleeps before every frame."""

    def fault(network: Repeater, rgb: Tensor, out: Tensor) -> Tensor:
        time.sleep(seconds)
        return out

    return lambda spec, **_: describe(Faulty(fault, 1))


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def join(stdin: str = "", stdout: str = "") -> None:
    """Let two named pipes be stdin and stdout; each waits for its other end."""
    for fd, name, mode in ((0, stdin, os.O_RDONLY), (1, stdout, os.O_WRONLY)):
        other = os.open(name or os.devnull, mode)
        os.dup2(other, fd)
        os.close(other)


def serve() -> None:
    """Fork a run for every line of stdin."""
    torch.set_num_threads(1)
    say("ready")
    while line := sys.stdin.readline():
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            if job.get("close"):
                os.close(2)
            join(*job.get("pipes", ()))
            pipeline.load_model = slow(job["delay"])  # type: ignore[attr-defined]
            os._exit(main.run(job["args"]))
        say(f"started {pid}")
        say(f"ended {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}")


class Child:
    """The other end of `serve`."""

    def __init__(self, folder: Path) -> None:
        self.said = folder / "stderr.txt"
        with self.said.open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                cwd=Path(__file__).parent.parent,
            )
        self._running: int | None = None
        assert self._answer() == "ready"

    def _answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def start(self, args: list[str], delay: float = 0.0, close: bool = False, pipes: Sequence[str] = ()) -> int:
        """Begin a run; its process id."""
        assert self._process.stdin
        self._process.stdin.write(
            json.dumps({"args": args, "delay": delay, "close": close, "pipes": list(pipes)}) + "\n"
        )
        self._process.stdin.flush()
        word, pid = self._answer().split()
        assert word == "started"
        self._running = int(pid)
        return self._running

    def end(self) -> int:
        """Wait for the run; its exit code."""
        word, code = self._answer().split()
        assert word == "ended"
        self._running = None
        return int(code)

    def stop(self) -> None:
        """Kill the run that a failed test left, so that the next test finds none."""
        if self._running is not None:
            with suppress(ProcessLookupError):
                os.kill(self._running, signal.SIGKILL)
            self.end()

    def close(self) -> None:
        self.stop()
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


if __name__ == "__main__":
    serve()
