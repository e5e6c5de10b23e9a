"""Worker processes on this machine, one for each device.

Everything happens in the thread that calls `Local.wait`; a worker that hangs, floods its stderr or does not read its
tasks holds up nobody.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..events import Notice
from .link import Launch, Link, Process, launch
from .messages import Beat, Done, Failed, Lost, Message, Retired, Said, Task, from_line, to_line
from .worker import is_users

SILENCE = 30.0
"""Seconds without a beat after which a worker counts as hung."""
STALL = 300.0
"""Seconds without a tick after which a task counts as hung; also what a worker may take to load its libraries."""
ENDS = 3
"""Ends in a row, with nothing done between them, after which a worker is not started again."""

_LOOK = 0.1
"""Seconds between two looks at processes and clocks."""
_LONGEST_LOOK = 0.5
"""Seconds between two looks that count, however many they were."""
_GRACE = 2.0
"""Seconds for a process that was asked to end."""
_UNKILLABLE = 10.0
"""Seconds after SIGKILL in which a process ends, if it does: one that waits in a broken driver does not."""


@dataclass
class Worker:
    """A place for one process after the other. `link` is None once it is retired."""

    name: str
    device: str
    threads: int
    link: Link | None = None
    ends: int = 0
    """Ends in a row with nothing done between them."""


class Local:
    """An Executor (see `messages`) with one worker process per entry of `devices`, e.g. `["cuda:0", "cuda:1"]`.

    A worker that gives no sign of life for `silence` seconds, or whose task does not move for `stall` seconds, is
    killed. Close it when done. It belongs to one thread, which must not end before: on Linux a worker ends with the
    thread that started it.
    """

    def __init__(
        self, devices: Sequence[str], launch: Launch = launch, *, silence: float = SILENCE, stall: float = STALL
    ) -> None:
        self._launch, self._silence, self._stall = launch, silence, stall
        self._selector = selectors.DefaultSelector()
        self._said: list[Message] = []
        self._now, self._clock, self._looked = time.monotonic(), 0.0, 0.0
        share = _threads(list(devices).count("cpu"))
        self._workers = [
            Worker(f"worker {number} ({device})", device, share if device == "cpu" else 0)
            for number, device in enumerate(devices, 1)
        ]
        for worker in self._workers:
            self._start(worker)

    @property
    def capacity(self) -> int:
        """Workers that live or are being started."""
        return sum(worker.link is not None for worker in self._workers)

    @property
    def free(self) -> int:
        """Workers that have no task."""
        return sum(1 for _ in self._idle())

    def _idle(self) -> Iterator[Link]:
        for worker in self._workers:
            if worker.link and worker.link.task is None and worker.link.doomed is None:
                yield worker.link

    def submit(self, task: Task) -> None:
        """Give a task to a free worker, to one that has loaded its libraries if there is one."""
        link = max(self._idle(), key=lambda link: link.ticks > 0)
        self._tick()
        link.task, link.moved = task.id, self._clock
        link.send(to_line(task))

    def wait(self, timeout: float) -> list[Message]:
        """What was said since the last call, in order for each worker; waits up to `timeout` seconds for the first."""
        until = time.monotonic() + timeout
        while True:
            left = max(0.0, until - time.monotonic())
            for key, _ in self._selector.select(0 if self._said else min(left, _LOOK)):
                key.data()
            self._look()
            if self._said or not left:
                said, self._said = self._said, []
                return said

    def cancel(self, task_id: str) -> None:
        """Kill whoever works on the task, which then is Lost; nothing happens when nobody does."""
        for worker in self._workers:
            if worker.link and worker.link.task == task_id:
                worker.link.cancelled = True
                self._kill(worker.link, "was ended because its task was cancelled")

    def close(self) -> None:
        """End all workers and wait for their end; may be called twice."""
        links = [worker.link for worker in self._workers if worker.link]
        for link in links:
            link.hang_up()
            link.process.terminate()
        if not _ended_within(_GRACE, links):
            for link in links:
                link.process.kill()
            _ended_within(_UNKILLABLE, links)
        for link in links:
            link.close()
        self._workers.clear()
        self._selector.close()

    def _start(self, worker: Worker, cause: str = "") -> None:
        """Put a new process in the worker's place, or retire it: `cause` is how the last one ended."""
        while worker.ends < ENDS:
            try:
                process = self._launch(worker.device, worker.threads)
            except OSError as error:
                worker.ends += 1
                cause = f"cannot be started: {(error.strerror or str(error)).lower()}"
                self._said.append(Lost(None, worker.name, cause))
            else:
                worker.link = self._linked(worker, process)
                return
        self._said.append(Retired(worker.name, cause))

    def _linked(self, worker: Worker, process: Process) -> Link:
        link = Link(process, self._selector, self._clock)
        link.watch(lambda: self._hear(worker, link))
        return link

    def _hear(self, worker: Worker, link: Link) -> None:
        """Take the messages that are there. Nothing counts that comes from a process which was killed."""
        try:
            for line in link.lines():
                if link.doomed is None:
                    self._take(worker, link, from_line(line.decode("ascii")))
        except (ValueError, RecursionError):
            self._kill(link, "sent something that is no message, and was ended")

    def _take(self, worker: Worker, link: Link, message: Task | Message) -> None:
        link.heard = self._clock
        if isinstance(message, Beat):
            if (message.done, message.ticks) != (link.done, link.ticks):
                link.done, link.ticks, link.moved = message.done, message.ticks, self._clock
        elif isinstance(message, Said):
            link.moved = self._clock
        elif isinstance(message, Done | Failed) and message.task == link.task:
            self._over(worker, link, message)
        else:
            raise ValueError(message)
        self._said.append(message)

    def _over(self, worker: Worker, link: Link, message: Done | Failed) -> None:
        """The worker has no task any more."""
        link.task = None
        if isinstance(message, Done):
            worker.ends = 0
        elif not is_users(message):
            self._kill(link, "was ended after its task failed")

    def _kill(self, link: Link, cause: str) -> None:
        if link.doomed is None:
            link.doomed, link.cause = self._clock, cause
            link.process.kill()

    def _tick(self) -> None:
        """Move the clock by which workers are judged. It stands still while nobody listens to them: after a suspend,
        or a long pause of the supervisor, none of them is to blame for the silence."""
        now = time.monotonic()
        self._clock += min(now - self._now, _LONGEST_LOOK)
        self._now = now

    def _look(self) -> None:
        self._tick()
        if self._clock - self._looked >= _LOOK:
            self._looked = self._clock
            for worker in self._workers:
                if worker.link:
                    self._judge(worker, worker.link)

    def _judge(self, worker: Worker, link: Link) -> None:
        code = link.process.poll()
        patience = self._silence if link.ticks else self._stall  # loading a library may hold the interpreter's lock
        if code is not None:
            self._hear(worker, link)  # what it said before it ended
            self._replace(worker, link, link.cause or _how(code, link))
        elif link.doomed is not None:
            if self._clock - link.doomed > _UNKILLABLE:
                worker.ends = ENDS  # nothing will run on that device
                self._replace(worker, link, f"{link.cause}, but does not end")
        elif self._clock - link.heard > patience:
            self._kill(link, f"gave no sign of life for {patience:g} s and was ended")
        elif link.task and self._clock - link.moved > self._stall:
            self._kill(link, f"has not moved for {self._stall:g} s and was ended")

    def _replace(self, worker: Worker, link: Link, cause: str) -> None:
        if words := link.last_words():
            self._said.append(Said(link.task or "", Notice(f"{worker.name} wrote: {words}", "detail")))
        self._said.append(Lost(link.task, worker.name, cause))
        link.close()
        worker.link = None
        worker.ends += not link.cancelled
        self._start(worker, cause)


def _threads(workers: int) -> int:
    """Cores for each of the workers that compute on the CPU; 0 where the user has said it."""
    if "OMP_NUM_THREADS" in os.environ or not workers:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // workers)


def _how(code: int, link: Link) -> str:
    """How a process ended, in words."""
    if code < 0:
        names = {int(number): f" ({number.name})" for number in signal.Signals}
        return f"ended with signal {-code}{names.get(-code, '')}"
    words = link.last_words().splitlines()[-1:]
    return f"ended with code {code}{': ' if words else ''}{''.join(words)[:200]}"


def _ended_within(seconds: float, links: Sequence[Link]) -> bool:
    """Wait for the processes; whether all have ended."""
    until = time.monotonic() + seconds
    while any(link.process.poll() is None for link in links):
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True
