"""The supervisor: every task done once whatever dies, a bounded number of tries, and the first cause at the end."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.workers import Film, Launcher, alive
from vidsr.errors import DeviceError, InputError, OutputError, StoppedError
from vidsr.events import Event, Notice, Progress, ignore
from vidsr.flow import Cancel
from vidsr.jobs import track
from vidsr.jobs.local import ENDS, Local
from vidsr.jobs.messages import Beat, Done, Executor, Lost, Message, Retired, Said, Task, error_to_failed
from vidsr.jobs.supervise import Supervisor
from vidsr.jobs.track import TRIES

HANG = 20.0
"""Seconds after which a run counts as hung."""


class Scripted:
    """An executor whose workers do what `act` says of a task and an attempt, in an order that a seed chooses.

    Acts: "done", "lost", "hang", or an error, which is what the task fails with.
    """

    def __init__(self, act: Callable[[Task, int], Any], workers: int = 1, seed: int = 0) -> None:
        self._act, self._seed, self._rng = act, seed, random.Random(seed)
        self._ends = [0] * workers
        self._busy: dict[int, Task] = {}
        self._said: deque[Message] = deque()
        self.begun: list[str] = []
        self.attempts: Counter[str] = Counter()
        self.cancelled: list[str] = []
        self.waits = 0

    def _idle(self) -> list[int]:
        return [worker for worker, ends in enumerate(self._ends) if ends < ENDS and worker not in self._busy]

    @property
    def capacity(self) -> int:
        return sum(ends < ENDS for ends in self._ends)

    @property
    def free(self) -> int:
        return len(self._idle())

    def submit(self, task: Task) -> None:
        self._busy[self._rng.choice(self._idle())] = task
        self.begun.append(task.id)

    def wait(self, timeout: float) -> list[Message]:
        self.waits += 1
        assert self.waits < 100_000, "the supervisor goes round and round"
        for worker in self._rng.sample(sorted(self._busy), self._rng.randint(0, len(self._busy))):
            self._end(worker, self._busy[worker])
        told = self._rng.randint(0, len(self._said)) if self._seed else len(self._said)  # some messages take their time
        return [self._said.popleft() for _ in range(told)]

    def _end(self, worker: int, task: Task) -> None:
        act = self._act(task, self.attempts[task.id])
        if act == "hang":
            return
        self.attempts[task.id] += 1
        del self._busy[worker]
        if act == "done":
            self._ends[worker] = 0
            self._said.append(Done(task.id, {}))
        elif act == "lost":
            self._lose(worker, task.id, "ended with signal 9 (SIGKILL)")
        else:
            self._said.append(error_to_failed(task.id, act))
            if not isinstance(act, InputError | OutputError):
                self._lose(worker, None, "was ended after its task failed")

    def _lose(self, worker: int, task: str | None, cause: str) -> None:
        self._ends[worker] += 1
        self._said.append(Lost(task, f"worker {worker + 1} (fake)", cause))
        if self._ends[worker] >= ENDS:
            self._said.append(Retired(f"worker {worker + 1} (fake)", cause))

    def cancel(self, task_id: str) -> None:
        for worker, task in list(self._busy.items()):
            if task.id == task_id:
                del self._busy[worker]
                self.cancelled.append(task_id)
                self._said.append(Lost(task_id, f"worker {worker + 1} (fake)", "was ended"))

    def close(self) -> None: ...


def run(executor: Executor, films: Sequence[Film], emit: Callable[[Event], None] = ignore) -> list[Any]:
    return Supervisor(executor, films, emit, Cancel()).run()


def numbers(count: int) -> list[dict[str, Any]]:
    return [{"number": number, "span_text": f"{number} to {number + 1}"} for number in range(count)]


def done(task: Task, attempt: int) -> str:
    return "done"


def warnings(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Notice) and event.level == "warning"]


@pytest.mark.parametrize("seed", range(200))
def test_with_random_deaths_every_task_is_done_once(seed: int) -> None:
    rng = random.Random(seed)
    deaths: dict[str, int] = {}

    def act(task: Task, attempt: int) -> Any:
        planned = deaths.setdefault(task.id, rng.choices([0, 1, 2], [8, 1, 1])[0])
        return rng.choice(["lost", DeviceError("sticky"), MemoryError()]) if attempt < planned else "done"

    films = [Film(f"film {number}", numbers(rng.randint(0, 30))) for number in range(rng.randint(1, 5))]
    executor = Scripted(act, rng.randint(1, 8), seed)
    try:
        outcomes = run(executor, films)
    except DeviceError as error:
        outcomes = [error]
    assert max(executor.attempts.values()) <= TRIES
    for film, outcome in zip(films, outcomes, strict=True):
        assert film.calls["first"] <= 1
        assert film.calls["joined"] + film.calls["failed"] == 1
        if executor.capacity:
            assert outcome == f"{film.name} is whole"
        if film.calls["joined"]:
            assert len(film.results) == film.frames_total
    assert not any(count > 1 + deaths[task] for task, count in executor.attempts.items()), "done again"


def test_an_earlier_film_goes_first_and_the_next_one_fills_the_gaps() -> None:
    films = [Film("a", numbers(3)), Film("b", numbers(3)), Film("c", [])]
    executor = Scripted(done)
    assert run(executor, films) == ["a is whole", "b is whole", "c is whole"]
    segments = [f"{name}:{number}" for name in "ab" for number in range(3)]
    expected = ["a:prepare", *segments[:3], "a:join", "b:prepare", *segments[3:], "b:join", "c:prepare", "c:join"]
    assert executor.begun == expected


def test_a_free_worker_goes_on_with_the_next_film() -> None:
    """One segment of the first film takes as long as all of the second."""
    second = Film("b", numbers(4))
    films = [Film("a", numbers(2)), second]
    run(Scripted(lambda task, attempt: "hang" if task.id == "a:1" and not second.calls["joined"] else "done", 2), films)
    assert [film.calls["joined"] for film in films] == [1, 1]


def test_a_film_that_needs_no_preparation_and_no_segment_is_joined() -> None:
    film = Film("a", [])
    film.first = lambda: None  # type: ignore[method-assign]
    executor = Scripted(done)
    assert run(executor, [film]) == ["a is whole"]
    assert executor.begun == ["a:join"]


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("poison", [{0}, {3}, {7}, {0, 7}])
def test_a_poison_segment_fails_its_film_and_all_others_are_kept(workers: int, poison: set[int]) -> None:
    films = [Film("a", numbers(8)), Film("b", numbers(2))]
    bad = {f"a:{number}" for number in poison}
    executor = Scripted(lambda task, attempt: "lost" if task.id in bad else "done", workers)
    error, whole = run(executor, films)
    assert whole == "b is whole"
    assert len(films[0].results) == 8 - len(poison)
    assert isinstance(error, DeviceError)
    assert films[0].calls["joining"] == 0
    assert films[0].error is error
    assert "of a failed 3 times, first because worker" in str(error)
    assert any(f"segment {n} ({n} to {n + 1}) of a" in str(error) for n in poison)
    assert str(error).endswith("ended with signal 9 (SIGKILL)" + ("; 1 more failed too" if len(poison) > 1 else "")
                               + "; the other segments are kept")  # fmt: skip
    assert {executor.attempts[task] for task in bad} == {TRIES}
    if len(poison) == 1:  # two may come one after the other to one worker
        assert executor.capacity == workers


def test_restarts_are_told() -> None:
    events: list[Event] = []
    film = Film("a", numbers(3))
    run(Scripted(lambda task, attempt: "lost" if task.id == "a:1" and attempt < 2 else "done"), [film], events.append)
    assert warnings(events) == [
        "worker 1 (fake) ended with signal 9 (SIGKILL); segment 1 restarted (1 of 2)",
        "worker 1 (fake) ended with signal 9 (SIGKILL); segment 1 restarted (2 of 2)",
    ]


def test_the_only_film_raises_its_error_with_the_traceback_of_the_worker() -> None:
    cause = RuntimeError("CUDA error: an illegal memory access\nmore words")
    film = Film("a", numbers(2))
    with pytest.raises(
        DeviceError, match=r"segment 0 \(0 to 1\) of a failed 3 times, first because RuntimeE"
    ) as raised:
        run(Scripted(lambda task, attempt: cause if task.id == "a:0" else "done"), [film])
    assert "more words" not in str(raised.value)
    assert "more words" in str(raised.value.__cause__)


@pytest.mark.parametrize(("kind", "word"), [("prepare", "preparing"), ("join", "joining")])
def test_a_film_whose_preparation_or_join_always_dies_fails(kind: str, word: str) -> None:
    films = [Film("a", numbers(2)), Film("b", numbers(2))]
    poison = f"a:{kind}"
    error, whole = run(Scripted(lambda task, attempt: "lost" if task.id == poison else "done", 2), films)
    assert str(error).startswith(f"{word} a failed 3 times, first because worker")
    assert whole == "b is whole"


@pytest.mark.parametrize("task", ["a:prepare", "a:2", "a:join"])
def test_an_error_of_the_user_ends_its_film_at_once_and_no_other(task: str) -> None:
    films = [Film("a", numbers(6)), Film("b", numbers(2))]
    executor = Scripted(lambda given, attempt: InputError("cut short", "hint") if given.id == task else "done", 2)
    error, whole = run(executor, films)
    assert (type(error), str(error), error.hint) == (InputError, "cut short", "hint")
    assert films[0].error is error
    assert whole == "b is whole"
    assert executor.attempts[task] == 1


def test_who_works_on_a_film_that_is_over_is_stopped() -> None:
    def act(task: Task, attempt: int) -> Any:
        return (
            InputError("bad")
            if task.id == "a:0"
            else "hang"
            if task.id.startswith("a:") and task.id[2].isdigit()
            else "done"
        )

    films = [Film("a", numbers(9)), Film("b", numbers(2))]
    executor = Scripted(act, 3)
    error, whole = run(executor, films)
    assert isinstance(error, InputError)
    assert whole == "b is whole"
    begun = {task for task in executor.begun if task.startswith("a:")}
    assert set(executor.cancelled) == begun - {"a:prepare", "a:0"}
    assert len(begun) <= 4


@pytest.mark.parametrize("hook", ["first", "prepared", "finished", "joining", "joined"])
def test_an_error_of_a_hook_ends_its_film_and_no_other(hook: str) -> None:
    def broken(*_: Any) -> Any:
        raise OutputError("no space left")

    films = [Film("a", numbers(3)), Film("b", numbers(3))]
    setattr(films[0], hook, broken)
    error, whole = run(Scripted(done, 2), films)
    assert isinstance(error, OutputError)
    assert films[0].error is error
    assert films[0].calls["failed"] == 1
    assert whole == "b is whole"


@pytest.mark.parametrize("hook", ["first", "prepared", "finished", "joining", "joined", "failed"])
def test_a_signal_inside_a_hook_ends_the_run(hook: str) -> None:
    def stopped(*_: Any) -> Any:
        raise StoppedError("stopped by SIGINT", 2)

    films = [Film("a", numbers(3)), Film("b", numbers(3))]
    setattr(films[0], hook, stopped)
    act = (lambda task, attempt: InputError("bad")) if hook == "failed" else done
    with pytest.raises(StoppedError):
        run(Scripted(act), films)


def test_an_error_while_ending_a_film_does_not_hide_the_first() -> None:
    def broken(error: BaseException) -> None:
        raise OutputError("the lock is gone")

    film = Film("a", numbers(1))
    film.failed = broken  # type: ignore[method-assign]
    with pytest.raises(InputError, match="bad") as raised:
        run(Scripted(lambda task, attempt: InputError("bad")), [film])
    assert "the lock is gone" in raised.value.__notes__[-1]


@pytest.mark.parametrize("workers", [1, 4])
def test_all_workers_gone_ends_every_film_with_what_happened_first(workers: int) -> None:
    first = DeviceError("--device: cuda:3 is absent", "vidsr doctor shows")
    told: list[int] = []

    def act(task: Task, attempt: int) -> Any:
        told.append(1)
        return first if len(told) == 1 else "lost"

    films = [Film("a", numbers(3)), Film("b", numbers(3))]
    errors = run(Scripted(act, workers), films)
    assert all(isinstance(error, DeviceError) for error in errors)
    if workers > 1:  # with one, the preparation of the first film fails as often as a task may, and that is told
        assert str(errors[0]) in (
            "no worker is left for a: --device: cuda:3 is absent",
            "preparing a failed 3 times, first because --device: cuda:3 is absent",
        ) or "worker" in str(errors[0])
    assert [film.calls["failed"] for film in films] == [1, 1]
    assert "cuda:3 is absent" in str(errors[0]) + str(errors[1])


class Told:
    """An executor that says what a test wants, and has as many workers as it wants."""

    def __init__(self, *rounds: tuple[int, list[Message]]) -> None:
        self.rounds, self.capacity, self.free = deque(rounds), 1, 1

    def submit(self, task: Task) -> None: ...

    def wait(self, timeout: float) -> list[Message]:
        self.capacity, said = self.rounds.popleft()
        return said

    def cancel(self, task_id: str) -> None: ...

    def close(self) -> None: ...


def test_workers_that_cannot_be_started_are_the_cause() -> None:
    cause = "cannot be started: too many open files"
    with pytest.raises(DeviceError, match=f"no worker is left for a: worker 1 {cause}"):
        run(Told((0, [Lost(None, "worker 1", cause), Retired("worker 1", cause)])), [Film("a", numbers(1))])


def test_messages_of_tasks_that_nobody_knows_change_nothing() -> None:
    failed = error_to_failed("x:1", InputError("bad"))
    stray = [Done("x:1", {}), Lost("x:1", "worker 9", "ended"), Beat("x:1", 1000, 1), failed, Done("a:prepare", {})]
    film, events = Film("a", []), list[Event]()
    assert run(Told((1, stray), (1, [Done("a:join", {})])), [film], events.append) == ["a is whole"]
    assert warnings(events) == []
    assert max(event.done for event in events if isinstance(event, Progress)) == 0


def test_two_tasks_of_one_id_are_a_bug_that_is_noticed() -> None:
    film = Film("a", numbers(2))
    film.prepared = lambda result: [Task("a:0", "segment", {}), Task("a:0", "segment", {})]  # type: ignore[method-assign]
    with pytest.raises(AssertionError, match="two segments have one id"):
        run(Scripted(done), [film])


def test_progress_adds_up_over_films_and_running_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(track, "PROGRESS_EVERY", 0.0)
    monkeypatch.setattr(track, "SAME_EVERY", 0.0)
    film, events = Film("a", numbers(2)), list[Event]()
    film.rate = 2.0
    executor = Told(
        (1, [Beat("a:prepare", 70, 1)]),  # no frames of the film
        (1, [Done("a:prepare", {})]),
        (1, [Beat("a:0", 5, 1)]),
        (1, [Lost("a:0", "worker 1", "ended")]),
        (1, [Done("a:1", {})]),
        (1, [Beat("a:0", 3, 1)]),
        (1, [Done("a:0", {})]),
        (1, [Beat("a:join", 50, 1)]),
        (1, [Done("a:join", {})]),
    )
    run(executor, [film], events.append)
    told = [(event.done, event.total, event.seconds) for event in events if isinstance(event, Progress)]
    assert told == [
        (0, None, 0), (0, 2, 0), (5, 2, 2.5), (0, 2, 0), (1, 2, 0.5), (4, 2, 2.0),
        (2, 2, 1), (2, 2, 1), (2, 2, 1), (2, 2, 1),
    ]  # fmt: skip


def test_progress_that_does_not_move_is_told_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now, film, events = [1000.0], Film("a", []), list[Event]()
    monkeypatch.setattr(track.time, "monotonic", lambda: now[0])
    meter = track.Meter([track.Way(film, 0)], events.append)
    for tick in range(100):
        now[0] = 1000 + tick / 20
        meter.tell([])
    assert len(events) == 5
    film.frames_done = 1
    meter.tell([])
    assert len(events) == 6


def test_the_speed_counts_from_the_first_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Preparing takes seconds, and a beat comes once a second: neither is to distort the first figure."""
    now, film, events = [1000.0], Film("a", []), list[Event]()
    monkeypatch.setattr(track.time, "monotonic", lambda: now[0])
    way = track.Way(film, 0)
    meter = track.Meter([way], events.append)
    for _ in range(5):
        meter.tell([track.Job(way, Task("a:prepare", "prepare", {}), done=9)])
        now[0] += 1
    segment = track.Job(way, Task("a:0", "segment", {}))
    meter.tell([segment])
    now[0] += 1
    segment.done = 20
    meter.tell([segment])
    assert [event.fps for event in events if isinstance(event, Progress)] == [0] * 6 + [20]


def test_what_an_earlier_run_finished_is_progress_but_no_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(track, "PROGRESS_EVERY", 0.0)
    monkeypatch.setattr(track, "SAME_EVERY", 0.0)
    film, events = Film("a", numbers(1)), list[Event]()
    prepared = film.prepared

    def resumed(result: dict[str, Any]) -> list[Task]:
        film.frames_done = 100_000
        return prepared(result)

    film.prepared = resumed  # type: ignore[method-assign]
    executor = Told((1, []), (1, [Done("a:prepare", {})]), (1, []), (1, [Done("a:0", {})]), (1, [Done("a:join", {})]))
    wait = executor.wait
    monkeypatch.setattr(executor, "wait", lambda timeout: time.sleep(0.01) or wait(timeout))
    run(executor, [film], events.append)
    progress = [event for event in events if isinstance(event, Progress)]
    assert progress[-1].done == 100_001
    assert 0 < max(event.fps for event in progress) < 101


def test_progress_is_told_at_most_ten_times_a_second_and_at_the_end() -> None:
    film, events = Film("a", numbers(500)), list[Event]()
    begun = time.monotonic()
    run(Scripted(done), [film], events.append)
    progress = [event for event in events if isinstance(event, Progress)]
    assert len(progress) <= 2 + (time.monotonic() - begun) / track.PROGRESS_EVERY
    assert (progress[-1].done, progress[-1].total) == (500, 500)


def test_the_speed_is_that_of_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(track.time, "monotonic", lambda: now[0])
    film, events = Film("a", []), list[Event]()
    meter = track.Meter([track.Way(film, 0)], events.append)
    for second in range(60):
        now[0] += 1
        film.frames_done += 10 if second < 30 else 2
        meter.tell([])
    speeds = [event.fps for event in events if isinstance(event, Progress)]
    assert speeds[0] == 0
    assert speeds[29] == pytest.approx(10)
    assert speeds[59] == pytest.approx(2)
    film.frames_done = 0
    meter.tell([], now=True)
    assert events[-1] == Progress(0, None, 0, 0)


def test_no_clock_but_the_monotonic_one_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: random.uniform(-1e9, 1e9))
    assert run(Scripted(done, 2), [Film("a", numbers(50))]) == ["a is whole"]


def test_events_of_workers_are_passed_on() -> None:
    events: list[Event] = []
    run(Told((1, [Said("a:prepare", Notice("hello")), Done("a:prepare", {})]), (1, [Done("a:join", {})])),
        [Film("a", [])], events.append)  # fmt: skip
    assert Notice("hello") in events


# With processes.


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    made = Launcher()
    yield made
    assert all(process.returncode is not None for process in made.started), "not waited for"
    assert not any(alive(process.pid) for process in made.started)


@pytest.fixture
def workers(launcher: Launcher) -> Iterator[Callable[..., Local]]:
    made: list[Local] = []

    def make(count: int = 2, device: str = "fake", **limits: float) -> Local:
        made.append(Local([device] * count, launcher, **limits))
        return made[-1]

    yield make
    for executor in made:
        executor.close()


@pytest.mark.parametrize("seed", range(3))
def test_processes_that_die_at_random_leave_no_task_undone(
    tmp_path: Path, workers: Callable[..., Local], seed: int
) -> None:
    rng = random.Random(seed)
    log = str(tmp_path / "log")
    ends = ["signal SIGKILL", "signal SIGSEGV", "exit 0", "exit 3", "raise DeviceError", "raise MemoryError"]
    bodies = []
    for _ in range(40):
        deaths = rng.choices([0, 1, 2], [85, 11, 4])[0]
        bodies.append({"acts": [*rng.choices(ends, k=deaths), "work"], "log": log, "seconds": rng.uniform(0, 0.01)})
    films = [Film("a", bodies[:25]), Film("b", bodies[25:])]
    assert run(workers(3), films) == ["a is whole", "b is whole"]
    done = Counter(Path(log).read_text().splitlines())
    assert done == {
        f"{film.name}:{number}": len(body["acts"])
        for film, part in zip(films, (bodies[:25], bodies[25:]), strict=True)
        for number, body in enumerate(part)
    }
    for film in films:
        assert all(result["task"] == task for task, result in film.results.items())


def test_a_task_that_hangs_is_done_by_another_worker(tmp_path: Path, workers: Callable[..., Local]) -> None:
    events: list[Event] = []
    bodies = [{"acts": ["hang-in-flow", "work"], "log": str(tmp_path / "log")}, {"acts": ["work"]}]
    run(workers(stall=2.0), [Film("a", bodies)], events.append)
    [told] = warnings(events)
    assert told.endswith("(fake) has not moved for 2 s and was ended; segment 0 restarted (1 of 2)")


def test_one_worker_is_enough_to_isolate_a_poison_segment(workers: Callable[..., Local]) -> None:
    film = Film("a", [{"acts": ["work" if number != 1 else "signal SIGKILL"]} for number in range(5)])
    with pytest.raises(DeviceError, match="segment 1"):
        run(workers(1), [film])
    assert len(film.results) == 4


def test_when_every_process_dies_the_run_ends(workers: Callable[..., Local]) -> None:
    films = [Film(name, [{"acts": ["exit 3"]}] * 20) for name in "ab"]
    begun = time.monotonic()
    errors = run(workers(2), films)
    assert time.monotonic() - begun < HANG
    for name, error in zip("ab", errors, strict=True):
        assert f"no worker is left for {name}: worker" in str(error)
        assert "ended with code 3: [31mthe driver[0m is upset" in str(error)


def test_a_library_that_cannot_be_loaded_ends_the_run_with_its_name(workers: Callable[..., Local]) -> None:
    with pytest.raises(DeviceError, match=r"ImportError: libtorch\.so is not there") as raised:
        run(workers(2, "broken"), [Film("a", numbers(2))])
    assert "Traceback" in str(raised.value.__cause__)


def test_cancelling_ends_the_run_soon_and_tells_every_film(workers: Callable[..., Local]) -> None:
    executor, cancel = workers(2), Cancel()
    films = [Film("a", [{"acts": ["hang"]}] * 3), Film("b", [{"acts": ["hang"]}])]
    timer = threading.Timer(0.5, lambda: cancel.set(StoppedError("stopped by SIGTERM", 15)))
    timer.start()
    with pytest.raises(StoppedError, match="SIGTERM"):
        Supervisor(executor, films, ignore, cancel).run()
    timer.join()
    assert [film.calls["failed"] for film in films] == [1, 1]
    assert isinstance(films[0].error, StoppedError)


def test_the_supervisor_needs_no_heavy_library() -> None:
    import subprocess

    code = "import vidsr.jobs.supervise, vidsr.jobs.local, sys; assert not {'torch', 'av', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
