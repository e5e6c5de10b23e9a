"""Workers whose work is to sleep, to fail and to die as their tasks say, and films made of such tasks.

python -m tests.jobs.workers work --device NAME     the process of a worker: light, so that it starts at once
python -m tests.jobs.workers supervise COUNT        a supervisor whose workers hang; tells their process ids
python -m tests.jobs.workers measure                what the supervisor itself costs per task
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vidsr import errors
from vidsr.events import Emit, Notice, Progress, ignore
from vidsr.flow import Cancel, Flow
from vidsr.jobs import worker
from vidsr.jobs.link import Process
from vidsr.jobs.local import Local
from vidsr.jobs.messages import Task
from vidsr.jobs.supervise import Supervisor

ROOT = Path(__file__).parent.parent.parent
BEAT_EVERY = 0.02


class Fake:
    """A workshop. Task bodies: `acts`, one for each attempt, the last for all further ones; `log`, a file for the
    attempts; `seconds`; `frames`."""

    def __init__(self, device: str) -> None:
        self.device = device
        if device == "broken":
            raise ImportError("libtorch.so is not there")

    def do(self, task: Task, say: Emit, cancel: Cancel) -> dict[str, Any]:
        acts = task.body.get("acts", ["work"])
        attempt = _attempt(task)
        name, _, word = acts[min(attempt, len(acts) - 1)].partition(" ")
        ACTS[name](task, say, cancel, word)
        return {"task": task.id, "attempt": attempt, "device": self.device, "pid": os.getpid()}


def _attempt(task: Task) -> int:
    """How often the task was begun before."""
    if "log" not in task.body:
        return 0
    with Path(task.body["log"]).open("a+") as log:
        log.write(f"{task.id}\n")
        log.flush()
        log.seek(0)
        return log.read().splitlines().count(task.id) - 1


def _work(task: Task, say: Emit, cancel: Cancel, word: str) -> None:
    for frame in range(task.body.get("frames", 1)):
        time.sleep(task.body.get("seconds", 0.0))
        say(Progress(frame + 1, None, 0.0, 0.0))


def _tell(task: Task, say: Emit, cancel: Cancel, word: str) -> None:
    say(Notice(word))


def _print(task: Task, say: Emit, cancel: Cancel, word: str) -> None:
    """What libraries do to stdout."""
    sys.stdout.write('{"is":"Done","task":"lie","result":{}}\n')
    sys.stdout.flush()
    os.write(1, b"noise without an end of line")
    subprocess.run(["sh", "-c", "echo noise of a child; cat"], check=True)


def _flood(task: Task, say: Emit, cancel: Cancel, word: str) -> None:
    for _ in range(64):
        os.write(2, b"x" * 65535 + b"\n")


def _signal(task: Task, say: Emit, cancel: Cancel, word: str) -> None:
    os.kill(os.getpid(), getattr(signal, word))
    time.sleep(0.2)


def _exit(task: Task, say: Emit, cancel: Cancel, word: str) -> None:
    sys.stderr.write("\x1b[31mthe driver\x1b[0m is upset\n")
    os._exit(int(word))


def _raise(task: Task, say: Emit, cancel: Cancel, word: str) -> None:
    known = {"MemoryError": MemoryError, "SystemExit": SystemExit, "RuntimeError": RuntimeError}
    raise (known.get(word) or getattr(errors, word))(f"{word} of {task.id}")


def _hang(task: Task, say: Emit, cancel: Cancel, word: str) -> None:
    time.sleep(600)


def _hang_in_flow(task: Task, say: Emit, cancel: Cancel, word: str) -> None:
    """One stage hangs, as in a device, and the others wait for it."""

    def stage() -> Iterator[int]:
        time.sleep(600)
        yield 1

    flow = Flow(cancel)
    flow.run(lambda: list(flow.boundary(stage(), "stage")), "run")


def _look(task: Task, say: Emit, cancel: Cancel, word: str) -> None:
    """Moves, slowly: more than `word` seconds without a frame."""
    until = time.monotonic() + float(word)
    while time.monotonic() < until:
        time.sleep(0.02)
        cancel.check()


def _orphan(task: Task, say: Emit, cancel: Cancel, word: str) -> None:
    """Dies, and leaves a child that holds its stderr open."""
    child = subprocess.Popen(["sleep", "600"])
    Path(word).write_text(str(child.pid))
    os.kill(os.getpid(), signal.SIGKILL)


def _unsayable(task: Task, say: Emit, cancel: Cancel, word: str) -> None:
    say(Notice({1, 2}))  # type: ignore[arg-type]


def _many_threads(task: Task, say: Emit, cancel: Cancel, word: str) -> None:
    """Events from many threads at once."""
    threads = [threading.Thread(target=lambda: [say(Notice("x" * 5000)) for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


ACTS: dict[str, Callable[[Task, Emit, Cancel, str], None]] = {
    "work": _work, "tell": _tell, "print": _print, "flood": _flood, "signal": _signal, "exit": _exit,
    "raise": _raise, "hang": _hang, "hang-in-flow": _hang_in_flow, "look": _look, "orphan": _orphan,
    "unsayable": _unsayable, "threads": _many_threads,
}  # fmt: skip


class Launcher:
    """Starts fakes, and remembers their processes."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[bytes]] = []

    def __call__(self, device: str, threads: int) -> Process:
        command = [sys.executable, "-m", "tests.jobs.workers", "work", "--device", device]
        pipe = subprocess.PIPE
        self.started.append(subprocess.Popen(command, bufsize=0, stdin=pipe, stdout=pipe, stderr=pipe, cwd=ROOT))
        return self.started[-1]


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Film:
    """A film for the supervisor, made of one body per segment. It notes what is asked of it."""

    rate = 25.0

    def __init__(self, name: str, segments: Sequence[dict[str, Any]], **acts: list[str]) -> None:
        self.name = name
        self.frames_total: int | None = None
        self.frames_done = 0
        self.results: dict[str, dict[str, Any]] = {}
        self.calls: Counter[str] = Counter()
        self.error: BaseException | None = None
        self._segments, self._acts = segments, acts

    def _task(self, kind: Any, name: str, body: dict[str, Any]) -> Task:
        return Task(f"{self.name}:{name}", kind, body)

    def first(self) -> Task | None:
        self.calls["first"] += 1
        return self._task("prepare", "prepare", {"acts": self._acts.get("prepare", ["work"])})

    def prepared(self, result: dict[str, Any]) -> list[Task]:
        self.calls["prepared"] += 1
        self.frames_total = len(self._segments)
        return [self._task("segment", str(number), body) for number, body in enumerate(self._segments)]

    def finished(self, task_id: str, result: dict[str, Any]) -> None:
        assert task_id not in self.results, f"{task_id} was finished twice"
        self.results[task_id] = result
        self.frames_done += 1

    def joining(self) -> Task:
        self.calls["joining"] += 1
        assert len(self.results) == len(self._segments)
        return self._task("join", "join", {"acts": self._acts.get("join", ["work"])})

    def joined(self, result: dict[str, Any]) -> str:
        self.calls["joined"] += 1
        return f"{self.name} is whole"

    def failed(self, error: BaseException) -> None:
        self.calls["failed"] += 1
        self.error = error


def supervise(count: int) -> None:
    """A run in which every worker hangs; says the process ids once all are at work."""
    launcher = Launcher()
    executor = Local(["fake"] * count, launcher)
    for number in range(count):
        executor.submit(Task(str(number), "segment", {"acts": ["hang"]}))
    busy: set[str] = set()
    while len(busy) < count:
        busy |= {getattr(message, "task", "") or "" for message in executor.wait(1.0)} - {""}
    sys.stdout.write(" ".join(str(process.pid) for process in launcher.started) + "\n")
    sys.stdout.flush()
    executor.wait(600)


def measure(tasks: int = 10_000, workers: int = 8) -> None:
    """Processor time of the supervisor for `tasks` that take none."""
    film = Film("film", [{}] * tasks)
    executor = Local(["fake"] * workers, Launcher())
    executor.wait(1.0)
    begun, wall = time.process_time(), time.monotonic()
    Supervisor(executor, [film], ignore, Cancel()).run()
    cpu, wall = time.process_time() - begun, time.monotonic() - wall
    executor.close()
    assert len(film.results) == tasks
    each = 1e6 * cpu / tasks
    sys.stdout.write(f"{tasks} tasks, {workers} workers: {each:.0f} us of processor time each, {wall:.1f} s in all\n")


def main(command: str, *rest: str) -> None:
    if command == "work":
        worker.BEAT_EVERY = BEAT_EVERY
        worker.serve(lambda: Fake(rest[rest.index("--device") + 1]))
    elif command == "supervise":
        supervise(int(rest[0]))
    else:
        measure(*map(int, rest))


if __name__ == "__main__":
    main(*sys.argv[1:])
