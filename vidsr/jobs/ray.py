"""An executor whose workers are those of a Ray cluster. Joins run on this machine, where the output is.

Ray itself is only seen by another process, the bridge (`vidsr.jobs.bridge`): this one holds the pipes to it.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import time
from collections import deque
from contextlib import closing
from importlib import import_module
from importlib.util import find_spec

from ..errors import DeviceError, UsageError
from .devices import cuda_count
from .link import Link, start
from .local import STALL, Local
from .messages import Done, Failed, Lost, Message, Retired, Task, failed_to_error, from_line, to_line

REACH = 5.0
"""Seconds in which the head node takes a connection."""
START = 60.0
"""Seconds in which the cluster takes us in."""
SILENCE = 60.0
"""Seconds without a sign of the bridge after which the cluster counts as lost."""

_LOOK = 0.1
"""Seconds between two looks at the bridge and at joins."""
_GRACE = 8.0
"""Seconds for the bridge to end its workers and to leave the cluster."""
_QUIET = {"RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_USAGE_STATS_ENABLED": "0", "PYTHONWARNINGS": "ignore"}
_RESUMED = "finished segments are kept: the same command goes on from there"


class Cluster:
    """An Executor (see `messages`) with the workers of the Ray cluster at `address`, `auto` or `host:port`.

    This machine must be a node of it. `launch` is the module and the function that start a worker process, on any
    machine; a task that does not move for `stall` seconds is ended. Raises UsageError when there is no such cluster or
    no Ray, DeviceError when it is lost, also in `wait`.
    """

    def __init__(self, address: str, launch: str = "vidsr.jobs.link:launch", *, stall: float = STALL) -> None:
        _check(address)
        self._address, self._launch, self._stall = address, launch, stall
        self._selector = selectors.DefaultSelector()
        self._said: list[Message] = []
        self._tasks: set[str] = set()
        self._joins: deque[Task] = deque()
        self._here: Local | None = None
        self._joining: set[str] = set()
        self._all = self._ready = 0
        self._heard = time.monotonic()
        self._closed = False
        words = ["--address", address, "--launch", launch, "--stall", str(stall)]
        process = start("vidsr.jobs.bridge", *words, **_QUIET)
        self._link = Link(process, self._selector, 0.0)
        self._link.watch(self._hear)
        try:
            self._meet()
        except BaseException:
            self.close()
            raise

    def _meet(self) -> None:
        """Wait until the cluster has told what workers it has."""
        until = time.monotonic() + START
        while not self._all:
            self._listen(_LOOK)
            if time.monotonic() > until:
                hint = "ray status shows whether it runs"
                raise UsageError(f"--cluster {self._address}: no answer within {START:g} s", hint)

    @property
    def capacity(self) -> int:
        """Workers that live or are being started."""
        return max(self._all, 1 if self._joining or self._joins else 0)

    @property
    def free(self) -> int:
        """Workers that have no task."""
        return max(0, self._ready - len(self._tasks))

    def submit(self, task: Task) -> None:
        """Give a task to a free worker; a join to the worker of this machine."""
        if task.kind == "join":
            self._joins.append(task)
            self._join_next()
        else:
            self._tasks.add(task.id)
            self._link.send(json.dumps(["task", json.loads(to_line(task))]))

    def wait(self, timeout: float) -> list[Message]:
        """What was said since the last call, in order for each worker; waits up to `timeout` seconds for the first.

        Raises DeviceError when the cluster is lost.
        """
        until = time.monotonic() + timeout
        while True:
            left = max(0.0, until - time.monotonic())
            self._listen(0 if self._said else min(left, _LOOK))
            self._listen_here()
            if self._said or not left:
                said, self._said = self._said, []
                return said

    def cancel(self, task_id: str) -> None:
        """Kill whoever works on the task, which then is Lost; nothing happens when nobody does."""
        if task_id in self._joining and self._here:
            self._here.cancel(task_id)
        elif task_id in self._tasks:
            self._link.send(json.dumps(["cancel", task_id]))
        for task in [task for task in self._joins if task.id == task_id]:
            self._joins.remove(task)
            self._said.append(Lost(task_id, "worker of this machine", "had not begun when its task was cancelled"))

    def close(self) -> None:
        """End all workers and wait for their end; may be called twice."""
        if self._closed:
            return
        self._closed = True
        self._link.hang_up()
        if self._here:
            self._here.close()
        until = time.monotonic() + _GRACE
        while self._link.process.poll() is None and time.monotonic() < until:
            self._link.lines()
            time.sleep(0.01)
        self._link.process.kill()
        while self._link.process.poll() is None:
            time.sleep(0.01)
        self._link.close()
        self._selector.close()

    def _listen(self, timeout: float) -> None:
        for key, _ in self._selector.select(timeout):
            key.data()
        now = time.monotonic()
        if self._link.process.poll() is not None:
            self._hear()  # what it said before it ended
            words = self._link.last_words().splitlines()[-1:]
            raise self._lost(f"its bridge ended{': ' if words else ''}{''.join(words)[:200]}")
        if now - self._heard > SILENCE:
            raise self._lost(f"it gave no sign of life for {SILENCE:g} s")

    def _lost(self, why: str) -> DeviceError:
        return DeviceError(f"the cluster at {self._address} is lost: {why}", _RESUMED)

    def _hear(self) -> None:
        self._heard = time.monotonic()
        for line in self._link.lines():
            if line.startswith(b'["seats"'):
                _, self._all, self._ready = json.loads(line)
            else:
                self._take(from_line(line.decode("ascii")))

    def _take(self, message: Message | Task) -> None:
        assert not isinstance(message, Task)
        if isinstance(message, Failed) and not message.task:  # of the bridge itself
            raise failed_to_error(message)
        if isinstance(message, Done | Failed | Lost):
            self._tasks.discard(message.task or "")
        elif isinstance(message, Retired):
            self._all -= 1  # the bridge will say so too
        self._said.append(message)

    def _join_next(self) -> None:
        if self._here is None:
            module, _, name = self._launch.partition(":")
            device, launch = "cuda:0" if cuda_count() else "cpu", getattr(import_module(module), name)
            self._here = Local([device], launch, stall=self._stall)
        while self._joins and self._here.free:
            task = self._joins.popleft()
            self._joining.add(task.id)
            self._here.submit(task)

    def _listen_here(self) -> None:
        if self._here is None:
            return
        for message in self._here.wait(0):
            if isinstance(message, Done | Failed | Lost):
                self._joining.discard(message.task or "")
            self._said.append(message)
        self._join_next()


def _check(address: str) -> None:
    """Refuse what can be seen at once; Ray itself takes minutes to find out that nobody is there."""
    if find_spec("ray") is None:
        raise UsageError("--cluster needs Ray, which is not installed", "pip install 'vidsr-upscaler[cluster]'")
    if "://" in address:
        hint = "run vidsr on a node of the cluster: ray start --address=HEAD:6379, then --cluster auto; docs/cluster.md"
        raise UsageError(f"--cluster {address}: the address of a node is needed, such as auto or head:6379", hint)
    found = os.environ.get("RAY_ADDRESS", "auto") if address == "auto" else address
    host, _, port = found.rpartition(":")
    if found == "auto":
        return
    if not host or not port.isdigit():
        raise UsageError(f"--cluster {address}: must be auto or host:port, such as head:6379")
    try:
        with closing(socket.create_connection((host.strip("[]"), int(port)), REACH)):
            pass
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageError(f"--cluster {address}: nobody answers there ({why})", "ray start --head starts one") from error
