"""Workers for the nodes of a cluster, started by names that the nodes can look up.

python -m tests.jobs.far --device NAME     a worker whose work is to copy its input, or to do what its task says
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.jobs.workers import ROOT, Fake, Launcher
from vidsr.events import Emit
from vidsr.flow import Cancel
from vidsr.jobs import worker
from vidsr.jobs.link import Process
from vidsr.jobs.messages import Task
from vidsr.media.distant import open_bytes

launch = Launcher()


class Copier:
    """A workshop that writes a part of its input, from `start` to `end`, into its segment."""

    def __init__(self, device: str) -> None:
        self.device = device

    def do(self, task: Task, say: Emit, cancel: Cancel) -> dict[str, Any]:
        if "film" not in task.body:
            return Fake(self.device).do(task, say, cancel)
        input, start, end = Path(task.body["film"]["input"]), task.body["start"], task.body["end"]
        with open_bytes(input) as file:
            file.seek(start)
            data = file.read(end - start)
        Path(task.body["path"]).write_bytes(data)
        return {"sha256": hashlib.sha256(data).hexdigest(), "input": str(input), "size": input.stat().st_size}


def launch_copier(device: str, threads: int) -> Process:
    command, pipe = [sys.executable, "-m", "tests.jobs.far", "--device", device], subprocess.PIPE
    return subprocess.Popen(command, bufsize=0, stdin=pipe, stdout=pipe, stderr=pipe, cwd=ROOT)


if __name__ == "__main__":
    worker.serve(lambda: Copier(sys.argv[-1]))
