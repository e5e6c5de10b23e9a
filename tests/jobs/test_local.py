"""Worker processes: what they say arrives, however they end is told in words, and nothing of them is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.workers import ROOT, Launcher, alive
from vidsr.events import Notice
from vidsr.jobs import link, local, worker
from vidsr.jobs.local import Local
from vidsr.jobs.messages import Beat, Done, Failed, Lost, Message, Retired, Said, Task, to_line

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes of processes cannot be selected there")

HANG = 20.0
"""Seconds after which a test counts as hung."""
STALL = 1.5
"""Seconds without a tick that count as hung, in tests of that: more than starting a worker takes."""


class Ear:
    """Waits for messages, and keeps all that came."""

    def __init__(self, executor: Local) -> None:
        self.executor, self.heard = executor, list[Message]()

    def until(self, kind: type[Any], count: int = 1) -> list[Any]:
        end = time.monotonic() + HANG
        while len(found := [message for message in self.heard if isinstance(message, kind)]) < count:
            assert time.monotonic() < end, self.heard
            self.heard += self.executor.wait(0.5)
        return found

    def warm(self) -> None:
        """Wait until a worker has started, which takes long on a busy machine."""
        self.executor.submit(segment(0))
        self.until(Done)

    def at_work(self) -> None:
        """Wait until a task moves."""
        while not any(beat.task and beat.ticks > 2 for beat in self.until(Beat)):
            self.heard += self.executor.wait(0.5)

    def said(self) -> list[Any]:
        return [message.event for message in self.heard if isinstance(message, Said)]


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    """Fails a test that leaves a process, a zombie or a descriptor."""
    before = _descriptors()
    made = Launcher()
    yield made
    assert all(process.returncode is not None for process in made.started), "not waited for"
    assert not any(alive(process.pid) for process in made.started)
    assert _descriptors() == before


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0


@pytest.fixture
def start(launcher: Launcher) -> Iterator[Callable[..., Ear]]:
    made: list[Local] = []

    def make(*devices: str, **limits: Any) -> Ear:
        made.append(Local(devices or ["fake"], **{"launch": launcher, **limits}))
        return Ear(made[-1])

    yield make
    for executor in made:
        executor.close()


def segment(number: int, *acts: str, **body: Any) -> Task:
    return Task(f"0:segment:{number}", "segment", {"acts": list(acts) or ["work"], **body})


def test_a_task_is_done_with_its_events_and_beats(start: Callable[..., Ear]) -> None:
    ear = start()
    assert (ear.executor.capacity, ear.executor.free) == (1, 1)
    ear.executor.submit(segment(1, "tell hello"))
    assert ear.executor.free == 0
    [done] = ear.until(Done)
    assert done.task == done.result["task"] == "0:segment:1"
    assert ear.said() == [Notice("hello")]
    ear.executor.submit(segment(2, seconds=0.05, frames=6))
    ear.until(Done, 2)
    beats = [message for message in ear.heard if isinstance(message, Beat) and message.task == "0:segment:2"]
    assert {beat.done for beat in beats} & set(range(1, 6)), "frames ride on beats"
    assert [beat.ticks for beat in beats] == sorted(beat.ticks for beat in beats)
    assert ear.executor.free == 1


def test_no_beat_of_a_task_comes_after_its_end(start: Callable[..., Ear]) -> None:
    ear = start()
    for number in range(40):
        ear.executor.submit(segment(number, seconds=0.005))
        ear.until(Done, number + 1)
    ended: set[str] = set()
    for message in ear.heard:
        if isinstance(message, Done):
            ended.add(message.task)
        elif isinstance(message, Beat):
            assert message.task not in ended


def test_what_libraries_print_does_not_harm_the_protocol(start: Callable[..., Ear]) -> None:
    ear = start()
    ear.executor.submit(segment(1, "print"))
    ear.until(Done)
    assert not any(isinstance(message, Lost | Failed) for message in ear.heard)


@pytest.mark.parametrize("act", ["flood", "threads"])
def test_a_worker_that_says_much_is_heard_to_the_end(start: Callable[..., Ear], act: str) -> None:
    ear = start()
    ear.executor.submit(segment(1, act))
    ear.until(Done)
    assert len(ear.said()) == (400 if act == "threads" else 0)


def test_a_task_larger_than_a_pipe_arrives_while_another_worker_is_heard(start: Callable[..., Ear]) -> None:
    ear = start("fake", "fake")
    ear.executor.submit(segment(1, ballast="x" * 3_000_000))
    ear.executor.submit(segment(2))
    assert {done.task for done in ear.until(Done, 2)} == {"0:segment:1", "0:segment:2"}


@pytest.mark.parametrize(
    ("act", "cause"),
    [
        ("signal SIGKILL", "ended with signal 9 (SIGKILL)"),
        ("signal SIGSEGV", "ended with signal 11 (SIGSEGV)"),
        ("signal SIGTERM", "ended with signal 15 (SIGTERM)"),
        ("exit 3", "ended with code 3: [31mthe driver[0m is upset"),
        ("exit 0", "ended with code 0: [31mthe driver[0m is upset"),
    ],
)
def test_an_end_is_told_in_words_and_the_worker_is_replaced(start: Callable[..., Ear], act: str, cause: str) -> None:
    ear = start("cuda:7")
    ear.executor.submit(segment(1, act))
    assert ear.until(Lost) == [Lost("0:segment:1", "worker 1 (cuda:7)", cause)]
    ear.executor.submit(segment(2))
    assert ear.until(Done)[0].task == "0:segment:2"
    if act.startswith("exit"):
        assert ear.said() == [Notice("worker 1 (cuda:7) wrote: [31mthe driver[0m is upset", "detail")]


def test_signals_of_the_terminal_are_left_to_the_supervisor(start: Callable[..., Ear], launcher: Launcher) -> None:
    ear = start()
    ear.executor.submit(segment(1))
    ear.until(Done)  # by now it ignores them
    ear.executor.submit(segment(2, seconds=0.2))
    for number in (signal.SIGINT, signal.SIGHUP):
        launcher.started[0].send_signal(number)
    assert ear.until(Done, 2)[1].result["pid"] == launcher.started[0].pid


@pytest.mark.parametrize("kind", ["DeviceError", "MemoryError", "SystemExit", "RuntimeError"])
def test_a_failure_that_is_not_the_users_ends_the_worker(start: Callable[..., Ear], kind: str) -> None:
    ear = start()
    ear.executor.submit(segment(1, f"raise {kind}"))
    [failed] = ear.until(Failed)
    assert (failed.task, failed.kind, failed.message) == ("0:segment:1", kind, f"{kind} of 0:segment:1")
    assert "Traceback" in failed.detail
    assert failed.exit_code == (6 if kind == "DeviceError" else 1)
    assert ear.until(Lost) == [Lost(None, "worker 1 (fake)", "was ended after its task failed")]
    ear.executor.submit(segment(2))
    ear.until(Done)


@pytest.mark.parametrize(
    "kind", ["UsageError", "InputError", "OutputError", "VerificationError", "BusyError", "WeightsError"]
)
def test_a_failure_that_is_the_users_leaves_the_worker_alone(
    start: Callable[..., Ear], launcher: Launcher, kind: str
) -> None:
    ear = start()
    ear.executor.submit(segment(1, f"raise {kind}"))
    assert ear.until(Failed)[0].kind == kind
    ear.executor.submit(segment(2))
    assert ear.until(Done)[0].result["pid"] == launcher.started[0].pid
    assert len(launcher.started) == 1


def test_an_event_that_cannot_be_told_is_the_failure_of_its_task(start: Callable[..., Ear]) -> None:
    ear = start()
    ear.executor.submit(segment(1, "unsayable"))
    assert ear.until(Failed)[0].kind == "TypeError"


def test_a_library_that_cannot_be_loaded_is_the_failure_of_the_first_task(start: Callable[..., Ear]) -> None:
    ear = start("broken")
    ear.executor.submit(segment(1))
    [failed] = ear.until(Failed)
    assert (failed.kind, failed.message) == ("ImportError", "libtorch.so is not there")


def test_three_ends_in_a_row_retire_a_worker_and_the_others_go_on(start: Callable[..., Ear]) -> None:
    ear = start("fake", "fake")
    ear.executor.submit(segment(0, "hang"))  # the other worker is taken
    for number in range(3):
        assert (ear.executor.capacity, ear.executor.free) == (2, 1)
        ear.executor.submit(segment(number + 1, "signal SIGKILL"))
        ear.until(Lost, number + 1)
    lost = ear.until(Lost)
    assert len({message.worker for message in lost}) == 1
    assert ear.until(Retired) == [Retired(lost[0].worker, "ended with signal 9 (SIGKILL)")]
    assert (ear.executor.capacity, ear.executor.free) == (1, 0)


def test_ends_with_something_done_between_them_do_not_retire(start: Callable[..., Ear]) -> None:
    ear = start()
    for number, act in enumerate(["exit 1", "exit 1", "work", "exit 1", "exit 1", "work"]):
        ear.executor.submit(segment(number, act))
        ear.until(Done if act == "work" else Lost, number // 3 + 1 if act == "work" else 1 + number - number // 3)
    assert (ear.executor.capacity, ear.executor.free) == (1, 1)
    assert not any(isinstance(message, Retired) for message in ear.heard)


def test_a_worker_that_cannot_be_started_is_retired_with_the_reason(start: Callable[..., Ear]) -> None:
    def refuse(device: str, threads: int) -> link.Process:
        raise OSError(24, "Too many open files")

    ear = start("cpu", launch=refuse)
    assert ear.until(Retired) == [Retired("worker 1 (cpu)", "cannot be started: too many open files")]
    assert len(ear.until(Lost)) == local.ENDS
    assert (ear.executor.capacity, ear.executor.free) == (0, 0)


def test_a_task_that_is_cancelled_is_lost_and_no_fault_of_its_worker(start: Callable[..., Ear]) -> None:
    ear = start()
    for number in range(local.ENDS + 1):
        ear.executor.submit(segment(number, "hang"))
        ear.executor.cancel(f"0:segment:{number}")
        assert ear.executor.free == 0
        assert ear.until(Lost, number + 1)[-1].task == f"0:segment:{number}"
    ear.executor.cancel("0:segment:0")  # nobody works on it
    ear.executor.submit(segment(9))
    ear.until(Done)
    assert not any(isinstance(message, Retired) for message in ear.heard)


@pytest.mark.parametrize("act", ["hang", "hang-in-flow"])
def test_a_task_that_does_not_move_is_lost(start: Callable[..., Ear], act: str) -> None:
    ear = start(stall=STALL)
    ear.warm()
    ear.executor.submit(segment(1, act))
    assert ear.until(Lost) == [Lost("0:segment:1", "worker 1 (fake)", "has not moved for 1.5 s and was ended")]


def test_a_slow_task_that_moves_is_left_alone(start: Callable[..., Ear]) -> None:
    ear = start(stall=STALL)
    ear.warm()
    ear.executor.submit(segment(1, "look 2.5"))
    ear.until(Done, 2)
    assert not any(isinstance(message, Lost) for message in ear.heard)


def test_an_idle_worker_need_not_move(start: Callable[..., Ear]) -> None:
    ear = start(stall=STALL)
    ear.warm()
    until = time.monotonic() + 1.5 * STALL
    while time.monotonic() < until:
        ear.heard += ear.executor.wait(0.1)
    assert not any(isinstance(message, Lost) for message in ear.heard)


def test_a_process_that_falls_silent_is_replaced(start: Callable[..., Ear], launcher: Launcher) -> None:
    ear = start(silence=0.6)
    ear.executor.submit(segment(1, "look 60"))
    ear.at_work()
    launcher.started[0].send_signal(signal.SIGSTOP)
    cause = "gave no sign of life for 0.6 s and was ended"
    assert ear.until(Lost) == [Lost("0:segment:1", "worker 1 (fake)", cause)]


def test_nobody_is_to_blame_for_the_time_in_which_nobody_listened(
    start: Callable[..., Ear], launcher: Launcher
) -> None:
    """A suspended machine, or Ctrl-Z: supervisor and workers stand still, the monotonic clock may not."""
    ear = start(silence=STALL, stall=STALL)
    ear.warm()
    ear.executor.submit(segment(1, "look 3"))
    ear.at_work()
    launcher.started[0].send_signal(signal.SIGSTOP)
    time.sleep(2.0)
    launcher.started[0].send_signal(signal.SIGCONT)
    ear.until(Done, 2)
    assert not any(isinstance(message, Lost) for message in ear.heard)


def script(text: str) -> Callable[[str, int], subprocess.Popen[bytes]]:
    """Starts a program that is no worker of ours."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", text]
    return lambda device, threads: subprocess.Popen(command, bufsize=0, stdin=pipe, stdout=pipe, stderr=pipe)


@pytest.mark.parametrize(
    "line",
    [
        "'garbage'",
        "'[' * 100_000",
        "b'\\xff'.decode('latin-1')",
        """'{"is":"Done","task":"of another","result":{}}'""",
        """'{"is":"Task","id":"1","kind":"join","body":{}}'""",
        "''",
    ],
)
def test_who_sends_what_is_no_message_is_ended(start: Callable[..., Ear], line: str) -> None:
    ear = start(launch=script(f"import time; print({line}, flush=True); time.sleep(600)"))
    ear.executor.submit(segment(1))
    assert ear.until(Lost)[0] == Lost(
        "0:segment:1", "worker 1 (fake)", "sent something that is no message, and was ended"
    )


def test_a_line_without_an_end_does_not_fill_the_memory(
    start: Callable[..., Ear], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "_LONGEST", 1 << 20)
    ear = start(launch=script("import sys\nwhile True: sys.stdout.write('x' * 65536)"))
    assert ear.until(Lost)[0].cause == "sent something that is no message, and was ended"


def test_half_a_message_of_a_process_that_ended_does_not_count(start: Callable[..., Ear]) -> None:
    ear = start(launch=script("""print('{"is":"Beat","task":"","do', end='', flush=True)"""))
    assert ear.until(Lost)[0].cause == "ended with code 0"


def test_a_child_that_holds_stderr_does_not_hide_the_end(start: Callable[..., Ear], tmp_path: Path) -> None:
    ear = start()
    ear.executor.submit(segment(1, f"orphan {tmp_path / 'pid'}"))
    try:
        assert ear.until(Lost)[0].cause == "ended with signal 9 (SIGKILL)"
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


class Undying:
    """A process in a broken driver: no signal reaches it. `says` goes to its stdout when it is looked at."""

    def __init__(self, device: str, threads: int) -> None:
        self.says: deque[bytes] = deque()
        self.code: int | None = None
        ends = [os.pipe() for _ in range(3)]
        self.stdin, self.stdout, self.stderr = (
            os.fdopen(ends[0][1], "wb", 0), os.fdopen(ends[1][0], "rb", 0), os.fdopen(ends[2][0], "rb", 0)
        )  # fmt: skip
        self.others = [ends[0][0], ends[1][1], ends[2][1]]

    def poll(self) -> int | None:
        if self.says:
            os.write(self.others[1], self.says.popleft() + b"\n")
        return self.code

    def close(self) -> None:
        for handle in self.others:
            os.close(handle)

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


def test_a_process_that_cannot_be_killed_is_given_up(
    start: Callable[..., Ear], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_UNKILLABLE", 0.3)
    made: list[Undying] = []

    def launch(device: str, threads: int) -> Undying:
        made.append(Undying(device, threads))
        return made[-1]

    ear = start(launch=launch, stall=0.3)
    ear.executor.submit(segment(1))
    cause = "gave no sign of life for 0.3 s and was ended, but does not end"
    assert ear.until(Retired) == [Retired("worker 1 (fake)", cause)]
    assert ear.until(Lost) == [Lost("0:segment:1", "worker 1 (fake)", cause)]
    assert len(made) == 1
    made[0].close()


def test_what_a_killed_process_says_does_not_count(start: Callable[..., Ear], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_UNKILLABLE", 0.5)
    process = Undying("fake", 0)
    ear = start(launch=lambda device, threads: process)
    ear.executor.submit(segment(1))
    process.says.extend([b"garbage", b'{"is":"Done","task":"0:segment:1","result":{}}'])
    assert ear.until(Lost)[0].task == "0:segment:1"
    assert not process.says
    assert not any(isinstance(message, Done) for message in ear.heard)
    process.close()


def test_what_a_process_says_last_counts(start: Callable[..., Ear]) -> None:
    made: list[Undying] = []

    def launch(device: str, threads: int) -> Undying:
        made.append(Undying(device, threads))
        return made[-1]

    ear = start(launch=launch)
    ear.executor.submit(segment(1))
    made[0].says.append(b'{"is":"Done","task":"0:segment:1","result":{}}')
    made[0].code = 0
    assert ear.until(Lost) == [Lost(None, "worker 1 (fake)", "ended with code 0")]
    assert ear.until(Done)[0].task == "0:segment:1"
    made[1].code = 0
    for process in made:
        process.close()


def test_close_ends_also_who_does_not_want_to(start: Callable[..., Ear], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_GRACE", 0.2)
    text = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    processes: list[subprocess.Popen[bytes]] = []

    def launch(device: str, threads: int) -> subprocess.Popen[bytes]:
        processes.append(script(f"{text}print('up', flush=True); time.sleep(600)")(device, threads))
        assert processes[-1].stdout
        assert processes[-1].stdout.readline() == b"up\n"
        return processes[-1]

    ear = start("fake", "fake", launch=launch)
    ear.executor.close()
    assert [process.returncode for process in processes] == [-signal.SIGKILL] * 2
    ear.executor.close()
    assert ear.executor.capacity == 0


def test_close_ends_workers_that_are_at_work_or_still_starting(
    start: Callable[..., Ear], launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_GRACE", HANG)  # none of them needs more than to be asked
    ear = start("fake", "fake", "fake")
    ear.executor.submit(segment(1, "look 60"))
    ear.at_work()
    ear.executor.close()
    assert all(process.returncode in (0, -signal.SIGTERM) for process in launcher.started)


@pytest.mark.parametrize(
    ("act", "code"), [("hang", 0), ("raise DeviceError", 6), ("raise RuntimeError", 1), ("raise InputError", 0)]
)
def test_a_worker_ends_with_its_stdin_or_when_it_is_not_sound(launcher: Launcher, act: str, code: int) -> None:
    process = launcher("fake", 0)
    assert isinstance(process, subprocess.Popen)
    assert process.stdin
    assert process.stdout
    assert process.stderr
    process.stdin.write(to_line(segment(1, act)).encode() + b"\n")
    while b'"task":"0:segment:1"' not in process.stdout.readline():
        pass
    if code == 0:
        process.stdin.close()
    assert process.wait(HANG) == code
    for pipe in (process.stdin, process.stdout, process.stderr):
        pipe.close()


def test_no_worker_outlives_a_supervisor_that_is_killed() -> None:
    command = [sys.executable, "-m", "tests.jobs.workers", "supervise", "3"]
    supervisor = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert supervisor.stdout
    pids = [int(word) for word in supervisor.stdout.readline().split()]
    assert len(pids) == 3
    assert all(alive(pid) for pid in pids)
    supervisor.kill()
    supervisor.wait()
    supervisor.stdout.close()
    until = time.monotonic() + 3.0
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < until, "workers live on"
        time.sleep(0.01)


def test_workers_that_compute_on_the_cpu_share_the_cores(
    start: Callable[..., Ear], launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[str, int]] = []

    def launch(device: str, threads: int) -> link.Process:
        given.append((device, threads))
        return launcher(device, threads)

    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(9)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    start("cpu", "cuda:0", "cpu", launch=launch)
    assert given == [("cpu", 4), ("cuda:0", 0), ("cpu", 4)]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    start("cpu", launch=launch)
    assert given[-1] == ("cpu", 0)


def test_the_real_worker_starts_with_the_modules_of_this_process_and_no_others(
    start: Callable[..., Ear], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "random", "av", "torch"):  # a folder with files from strangers
        (tmp_path / f"{name}.py").write_text("import os; os._exit(77)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(ROOT), *(path for path in sys.path if path)])
    before = threading.active_count()
    ear = start("cpu", launch=link.launch)
    ear.executor.submit(Task("0:prepare", "prepare", {}))
    [failed] = ear.until(Failed)
    assert (failed.kind, failed.message) == ("KeyError", "'film'")
    assert threading.active_count() == before


def test_a_worker_survives_ctrl_c_from_its_first_moment() -> None:
    process = link.launch("cpu", 0)
    assert isinstance(process, subprocess.Popen)
    process.send_signal(signal.SIGINT)
    assert process.stdin
    assert process.stdout
    assert process.stderr
    assert b'"is":"Beat"' in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.stdin.close()
    process.stdout.read()
    assert process.wait(HANG) == 0
    assert process.stderr.read() == b""
    process.stdout.close()
    process.stderr.close()


def test_signals_that_come_while_a_worker_is_started_are_not_lost() -> None:
    caught: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, frame: caught.append(number))
    try:
        with link._signals_held():
            signal.raise_signal(signal.SIGHUP)  # to this thread; another one would take it at once
            assert caught == []
        assert caught == [signal.SIGHUP]
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_number_of_threads_is_set_before_torch_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[str | None] = []
    monkeypatch.setattr(worker, "serve", lambda make: served.append(os.environ.get("OMP_NUM_THREADS")))
    monkeypatch.setattr(worker, "keep_freed_memory", lambda: True)
    monkeypatch.setattr(worker.faulthandler, "enable", lambda: None)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    for words in (["--threads", "0"], ["--threads", "3"]):
        monkeypatch.setattr(sys, "argv", ["worker", "--device", "cpu", *words])
        worker.main()
    assert served == ["7", "3"]
