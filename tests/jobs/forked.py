"""Whole runs with supervisor and workers in processes of their own, forked so that none has to load PyTorch.

    python -m tests.jobs.forked          reads JSON lines {"clip", "output", "shards", "delay", "most", "words"}

For each line it forks a supervisor, and that forks its workers: `vidsr.jobs.run.upscale` with two CPU workers and a
network that repeats pixels and takes `delay` seconds a frame. `started PID` and `ended CODE` are told on stdout.
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.fakes import Faulty, Repeater, describe
from vidsr import pipeline
from vidsr.cli.messages import outcome
from vidsr.cli.signals import stoppable
from vidsr.events import ignore
from vidsr.jobs import run
from vidsr.jobs.local import Local
from vidsr.jobs.shard import Workshop
from vidsr.jobs.worker import serve as serve_tasks
from vidsr.options import Options

WORKERS = 2


def slow(seconds: float) -> Any:
    """A stand-in for `load_model` whose network sleeps before every frame."""

    def fault(network: Repeater, rgb: Tensor, out: Tensor) -> Tensor:
        time.sleep(seconds)
        return out

    return lambda spec, **_: describe(Faulty(fault, 1))


class Forked:
    """What `vidsr.jobs.local` needs of a process, for one that was forked."""

    def __init__(self, device: str, threads: int) -> None:
        (task_end, self_in), (self_out, said_end), (self_err, err_end) = os.pipe(), os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            for number, end in enumerate((task_end, said_end, err_end)):
                os.dup2(end, number)
            os.closerange(3, 256)  # also the lock of the output: only the supervisor holds it
            serve_tasks(lambda: Workshop(device))
        for end in (task_end, said_end, err_end):
            os.close(end)
        self.stdin = io.FileIO(self_in, "wb")
        self.stdout, self.stderr = io.FileIO(self_out, "rb"), io.FileIO(self_err, "rb")
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, signum: int) -> None:
        if self._code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signum)


def supervise(job: dict[str, Any]) -> int:
    """One run, in this process; its exit code."""
    pipeline.load_model = slow(job["delay"])  # type: ignore[attr-defined]
    run._executor = lambda options: Local(["cpu"] * WORKERS, launch=Forked)  # type: ignore[assignment,arg-type]
    if job["most"]:  # bytes in any file: what a full disk does, without one
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["most"], job["most"]))
    options = Options(codec="ffv1", precision="fp32", shards=job["shards"], **job["words"])
    try:
        with stoppable():
            run.upscale([(Path(job["clip"]), Path(job["output"]))], options, ignore)
    except BaseException as error:
        message, _, code = outcome(error)
        sys.stderr.write(f"{message}\n")
        return code
    return 0


def serve() -> None:
    """Fork a run for every line of stdin."""
    torch.set_num_threads(1)
    _say("ready")
    while line := sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            os.setsid()
            os._exit(supervise(json.loads(line)))
        _say(f"started {pid}")
        _say(f"ended {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Server:
    """The other end of `serve`."""

    def __init__(self, folder: Path) -> None:
        self.said = folder / "stderr.txt"
        with self.said.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.jobs.forked"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=stderr, text=True, cwd=Path(__file__).parents[2],
            )  # fmt: skip
        self._running: int | None = None
        assert self._answer() == "ready"

    def _answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def start(self, clip: Path, output: Path, shards: int = 6, delay: float = 0.0, most: int = 0, **words: Any) -> int:
        """Begin a run; the process id of its supervisor. No file may grow beyond `most` bytes, if that is given."""
        assert self._process.stdin
        job = {"clip": str(clip), "output": str(output), "shards": shards, "delay": delay, "most": most, "words": words}
        self._process.stdin.write(json.dumps(job) + "\n")
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
        """Kill the run that a failed test left."""
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


def workers_of(pid: int) -> list[int]:
    """Process ids of the workers of a supervisor that live."""
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def processes_of(session: int) -> Iterator[int]:
    """Every process of the session that a supervisor leads, zombies left out."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(") ")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                yield int(path.parent.name)


if __name__ == "__main__":
    serve()
