"""The process between the supervisor and Ray: tasks come from stdin, messages go to what was stdout.

    python -m vidsr.jobs.bridge --address auto

Ray's client library logs to stderr, takes signals, starts threads, and ends its process when the head node is gone. In
a process of its own it does that to nobody else, and what it does not answer cannot hold up the supervisor.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NoReturn
from uuid import uuid4

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ..errors import DeviceError, UsageError, VidsrError
from .local import SILENCE
from .messages import Lost, Task, error_to_failed, from_line, to_line
from .outpost import Desk, Place
from .ranges import absolute, home_of
from .seats import Seats
from .worker import listen_only_to_supervisor, private

TURN = 0.05
"""Seconds between two looks at new tasks."""
TELL = 1.0
"""Seconds between two signs of life."""
LOOK = 2.0
"""Seconds between two looks at the nodes of the cluster."""
GRACE = 3.0
"""Seconds for workers that were asked to end."""


class Bridge:
    """Brings tasks to the seats of the cluster and their messages to the supervisor."""

    def __init__(self, handle: int, launch: str, stall: float) -> None:
        self._handle = handle
        self.orders: SimpleQueue[list[Any] | None] = SimpleQueue()
        self.nodes: SimpleQueue[list[dict[str, Any]]] = SimpleQueue()
        here = ray.get_runtime_context().get_node_id()
        near = NodeAffinitySchedulingStrategy(here, soft=False)
        actor: Any = ray.remote(Desk).options(num_cpus=0, max_concurrency=32, scheduling_strategy=near)
        self._desk = actor.remote()
        self._seats = Seats(self._desk, here, Place(0, "", "", 0, launch, stall, 0.0), self._say)
        self._mail = self._desk.take.remote(TELL)
        self._waiting: list[Task] = []
        self._probes: dict[str, str] = {}
        self._told, self._next, self._seen = (0, 0), 0.0, time.monotonic()

    def run(self) -> None:
        """Until the supervisor hangs up. Raises DeviceError when the cluster is lost."""
        self._seats.look(_nodes())
        self._tell()
        while True:
            while not self.orders.empty():
                order = self.orders.get()
                if order is None:
                    return
                self._obey(*order)
            self._assign()
            self._turn()
            self._tell()

    def _turn(self) -> None:
        lives = self._seats.lives()
        ready, _ = ray.wait([self._mail, *lives], num_returns=1, timeout=TURN, fetch_local=False)
        ended = [life for life in ready if life in lives]
        if ended:
            ready, _ = ray.wait(list(lives), num_returns=len(lives), timeout=0, fetch_local=False)
            ended = ready
            self._hear()
        if ended or self._mail in ready:
            self._hear()
        for life in ended:
            self._seats.ended(lives[life])
        while not self.nodes.empty():
            self._seen = time.monotonic()
            self._seats.look(self.nodes.get())
        if time.monotonic() - self._seen > SILENCE:
            raise DeviceError("the head node of the cluster does not answer")
        self._seats.judge()

    def _hear(self) -> None:
        """Take the mail; at its end all is there that was said before this call."""
        mail: list[tuple[int, str]] = ray.get(self._mail)
        self._mail = self._desk.take.remote(TELL)
        for seat, line in mail:
            self._seats.hear(seat, line)

    def _obey(self, order: str, what: Any) -> None:
        if order == "task":
            task = from_line(json.dumps(what))
            assert isinstance(task, Task)
            self._waiting.append(absolute(task))
        else:
            self._waiting = [task for task in self._waiting if task.id != what]
            self._seats.cancel(what)

    def _assign(self) -> None:
        """Give tasks to free workers. Where there is none any more, they are lost."""
        while self._waiting and not self._seats.counts()[0]:
            self._say(to_line(Lost(self._waiting.pop(0).id, "the cluster", "has no worker left")))
        while self._waiting and (seat := self._seats.free(self._waiting[0].kind)):
            task = self._waiting.pop(0)
            try:
                self._seats.give(seat, task, home_of(task, self._probed(task)))
            except VidsrError as error:
                self._say(to_line(error_to_failed(task.id, error)))

    def _probed(self, task: Task) -> dict[str, str]:
        """A file in the folder in which the task writes, by which a worker knows whether it shares it."""
        if "path" not in task.body:
            return {}
        folder = Path(task.body["path"]).parent
        if str(folder) not in self._probes:
            name = self._probes[str(folder)] = f"probe-{uuid4().hex}.segment.part"  # a film clears such away
            with suppress(OSError):  # whoever writes the segments will tell
                (folder / name).touch()
        return {str(folder): self._probes[str(folder)]}

    def _tell(self) -> None:
        """How many workers there are; also a sign of life."""
        now = time.monotonic()
        if self._seats.counts() != self._told or now >= self._next:
            self._told, self._next = self._seats.counts(), now + TELL
            self._say(json.dumps(["seats", *self._told]))

    def _say(self, line: str) -> None:
        say(self._handle, line)

    def close(self) -> None:
        """End the workers and leave the cluster."""
        for folder, name in self._probes.items():
            with suppress(OSError):
                (Path(folder) / name).unlink()
        self._seats.close(GRACE)
        ray.shutdown()


def say(handle: int, line: str) -> None:
    """Write a line to the supervisor."""
    data = memoryview(line.encode("ascii") + b"\n")
    try:
        while data:
            data = data[os.write(handle, data) :]
    except OSError:  # nobody listens any more
        os._exit(0)


def connect(address: str) -> None:
    """Join the cluster. Raises UsageError."""
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False, logging_level=logging.CRITICAL)
    except Exception as error:
        why, hint = _refused(error)
        raise UsageError(f"--cluster {address}: {why}", hint) from error


def _refused(error: BaseException) -> tuple[str, str]:
    """Why a cluster does not take us, and what to do."""
    if "InvalidAuthToken" in "".join(traceback.format_exception(error)):
        hint = "set RAY_AUTH_MODE and RAY_AUTH_TOKEN as for its nodes; docs/cluster.md"
        return "its nodes share a token, which is missing here or another one", hint
    why = (str(error).strip() or type(error).__name__).splitlines()[0]
    return why, "start Ray on this machine too (ray start), with the same versions everywhere; docs/cluster.md"


def _listen(source: int, orders: SimpleQueue[list[Any] | None]) -> None:
    with open(source, "rb") as lines:
        for line in lines:
            orders.put(json.loads(line))
    orders.put(None)


def _nodes() -> list[dict[str, Any]]:
    untyped: Any = ray.nodes
    found: list[dict[str, Any]] = untyped()
    return found


def _watch(nodes: SimpleQueue[list[dict[str, Any]]]) -> None:
    """Look at the nodes. In a thread of its own: the answer of a head node that is gone takes long."""
    while True:
        time.sleep(LOOK)
        with suppress(Exception):  # its silence is noticed
            nodes.put(_nodes())


def main() -> NoReturn:
    """Entry point of the process."""
    parser = argparse.ArgumentParser("python -m vidsr.jobs.bridge", description="Leads from vidsr to a Ray cluster.")
    parser.add_argument("--address", required=True, help="auto, or host:port of the head node")
    parser.add_argument("--launch", required=True, help="module:function that starts a worker process")
    parser.add_argument("--stall", type=float, required=True, help="seconds in which a task moves")
    arguments = parser.parse_args()
    listen_only_to_supervisor()
    source = private(0, os.open(os.devnull, os.O_RDONLY))
    handle = private(1, os.dup(2))
    code = 0
    try:
        connect(arguments.address)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Ray takes it
        bridge = Bridge(handle, arguments.launch, arguments.stall)
        threading.Thread(target=_listen, args=(source, bridge.orders), daemon=True).start()
        threading.Thread(target=_watch, args=(bridge.nodes,), daemon=True).start()
        bridge.run()
        bridge.close()
    except BaseException as error:
        failed = error_to_failed("", _lost(arguments.address, error))
        say(handle, to_line(failed))
        code = failed.exit_code
    sys.stderr.flush()
    os._exit(code)


def _lost(address: str, error: BaseException) -> BaseException:
    """The error to tell: whatever Ray raises in the middle of a run is the loss of the cluster."""
    if isinstance(error, ray.exceptions.RayError):
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        error = DeviceError(
            f"the cluster at {address} is lost: {why}", "finished segments are kept, the same command resumes"
        )
    return error


if __name__ == "__main__":
    main()
