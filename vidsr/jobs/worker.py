"""The main loop of a worker process: tasks come from stdin, messages go to what was stdout.

    python -m vidsr.jobs.worker --device cuda:0

The supervisor decides when a worker ends: Ctrl-C at the terminal, which reaches the whole group, is ignored here. A
worker never outlives its supervisor: the end of stdin ends it at once, whatever it is doing.
"""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NoReturn, Protocol

from .. import flow
from ..errors import BusyError, InputError, OutputError, UsageError, WeightsError
from ..events import Emit, Event, Progress
from ..runtime.heap import keep_freed_memory
from .messages import Beat, Done, Failed, Message, Said, Task, error_to_failed, from_line, to_line

BEAT_EVERY = 1.0
"""Seconds between two beats."""

_USERS = frozenset(cls.exit_code for cls in (UsageError, InputError, OutputError, BusyError, WeightsError))
_PR_SET_PDEATHSIG = 1  # from linux/prctl.h


class Workshop(Protocol):
    """What does the work: `vidsr.jobs.shard.Workshop`, or a stand-in for it."""

    def do(self, task: Task, say: Emit, cancel: flow.Cancel) -> dict[str, Any]:
        """The result of `task`. It calls `say` or `cancel.check` as often as it moves."""
        ...


def is_users(failed: Failed) -> bool:
    """Whether the cause is the user's to mend: another try would fail alike, and the worker is sound."""
    return failed.exit_code in _USERS


class Talk:
    """What a worker says. One lock keeps lines whole, and the beats of a task before its end."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._lock = threading.Lock()
        self._task, self._frames = "", 0
        self.ticks = 0
        """Rises whenever the work moves; 0 until it can begin."""

    def begin(self, task: str) -> None:
        with self._lock:
            self._task, self._frames = task, 0

    def event(self, event: Event) -> None:
        """Tell an event of the task. Progress comes often and rides on the next beat."""
        self.ticks += 1
        with self._lock:
            if isinstance(event, Progress):
                self._frames = event.done
            else:
                self._write(Said(self._task, event))

    def beat(self) -> None:
        with self._lock:
            self._write(Beat(self._task, self._frames, self.ticks))

    def end(self, message: Done | Failed) -> None:
        """Tell how the task ended. Raises TypeError, with nothing told, for a result that JSON cannot hold."""
        with self._lock:
            self._write(message)
            self._task, self._frames = "", 0

    def _write(self, message: Message) -> None:
        data = memoryview(to_line(message).encode("ascii") + b"\n")
        try:
            while data:
                data = data[os.write(self._handle, data) :]
        except OSError:  # nobody listens any more
            os._exit(0)


class Watched(flow.Cancel):
    """A token that counts, as ticks, how often the work looks at it: what looks is not hung."""

    def __init__(self, talk: Talk) -> None:
        super().__init__()
        self._talk = talk

    def check(self) -> None:
        """Count, but for the queues of a flow: they look while they only wait, perhaps for a stage that hangs."""
        if sys._getframe(1).f_globals is not vars(flow):
            self._talk.ticks += 1
        super().check()


def serve(make: Callable[[], Workshop]) -> NoReturn:
    """Do the tasks that stdin brings, until it ends, with what `make` makes; it is called once, at once.

    A task that fails for a reason that is not the user's ends the process: what a device has computed after its first
    error is not to be trusted. An error of `make` is told as the failure of the first task.
    """
    listen_only_to_supervisor()
    source = private(0, os.open(os.devnull, os.O_RDONLY))
    talk = Talk(private(1, os.dup(2)))
    tasks: SimpleQueue[Task] = SimpleQueue()
    _thread("listen", lambda: _listen(source, tasks))
    _thread("beat", lambda: _beat(talk))
    do = _made(make)
    talk.ticks += 1
    while True:
        _do(do, tasks.get(), talk)


def _do(do: Callable[..., dict[str, Any]], task: Task, talk: Talk) -> None:
    talk.begin(task.id)
    try:
        talk.end(Done(task.id, do(task, talk.event, Watched(talk))))
    except BaseException as error:  # whatever it is, also a SystemExit of some library
        failed = error_to_failed(task.id, error)
        talk.end(failed)
        if not is_users(failed):
            _exit(failed.exit_code)


def _made(make: Callable[[], Workshop]) -> Callable[..., dict[str, Any]]:
    """What does a task; where `make` fails, something that fails alike."""
    try:
        return make().do
    except BaseException as error:
        cause = error

    def refuse(*_: Any) -> NoReturn:
        raise cause

    return refuse


def listen_only_to_supervisor() -> None:
    """Signals that the terminal sends to the whole group are for the supervisor; any other ends the process."""
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):  # blocked by whoever started this process, until they are ignored
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def private(standard: int, instead: int) -> int:
    """A copy of a standard descriptor that neither libraries nor child processes know; `instead` takes its number."""
    copy = os.dup(standard)
    os.dup2(instead, standard)
    os.close(instead)
    return copy


def _thread(name: str, work: Callable[[], None]) -> None:
    """Do `work` in a thread; when it returns or fails, the process ends."""

    def guarded() -> None:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            _exit(code)

    threading.Thread(target=guarded, name=f"vidsr-{name}", daemon=True).start()


def _listen(source: int, tasks: SimpleQueue[Task]) -> None:
    with open(source, "rb") as lines:
        for line in lines:
            task = from_line(line.decode("ascii"))
            assert isinstance(task, Task)
            tasks.put(task)


def _beat(talk: Talk) -> None:
    while True:
        talk.beat()
        time.sleep(BEAT_EVERY)


def _exit(code: int) -> NoReturn:
    """End at once: a device that failed may hang in an orderly end, and nothing here is worth one."""
    sys.stderr.flush()
    os._exit(code)


def _workshop(device: str) -> Workshop:
    from .shard import Workshop  # brings av and torch: only now, so that it is told when they cannot be loaded

    return Workshop(device)


def main() -> NoReturn:
    """Entry point of the process."""
    parser = argparse.ArgumentParser("python -m vidsr.jobs.worker", description="A worker of vidsr.")
    parser.add_argument("--device", required=True, help="cpu, cuda:N or mps")
    parser.add_argument("--threads", type=int, default=0, help="cores for computing on a CPU, 0 for all")
    arguments = parser.parse_args()
    if arguments.threads:
        os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # read when torch is loaded
    faulthandler.enable()
    keep_freed_memory()
    serve(lambda: _workshop(arguments.device))


if __name__ == "__main__":
    main()
