"""The workers of a Ray cluster: one for each GPU of each node, or one for each node where there is no GPU.

Nodes come and go. A worker that ends is started again where it was; one whose node is gone is not, and a node that
joins gets workers as well.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ..errors import DeviceError
from ..events import Notice
from .local import ENDS, SILENCE
from .messages import Done, Failed, Lost, Message, Retired, Said, Task, from_line, to_line
from .outpost import Outpost, Place, versions
from .ranges import Home

BUSY = 30.0
"""Seconds after which it is told that a worker waits for its device."""
POSTS = 200
"""Posts of beats in a second, from all workers together: what takes the desk a third of a core."""


@dataclass
class Seat:
    """A place for one worker after the other. `life` ends when its worker does."""

    place: Place
    node: str
    actor: Any = None
    life: Any = None
    heard: float = 0.0
    ready: bool = False
    told: bool = False
    task: str | None = None
    ends: int = 0
    """Ends in a row with nothing done between them."""


class Seats:
    """All workers. `place` is what their places have in common; `say` is told every line for the supervisor."""

    def __init__(self, desk: Any, here: str, place: Place, say: Callable[[str], None]) -> None:
        self._desk, self._here, self._place, self._say = desk, here, place, say
        self._seats: dict[int, Seat] = {}
        self._empty: list[Seat] = []
        """Whose workers have ended: a new one is started once it is known that the node still lives."""
        self._numbers, self._names = count(1), count(1)
        self._known: set[str] = set()
        self._kind: str | None = None
        self._expected = 0
        self._clock, self._now = 0.0, time.monotonic()

    def counts(self) -> tuple[int, int]:
        """Workers that live or are being started, and those of them that have started."""
        return len(self._seats) + len(self._empty), sum(seat.ready for seat in self._seats.values())

    def lives(self) -> dict[Any, int]:
        """What Ray reports as ready when a worker has ended, and the number of its seat."""
        return {seat.life: number for number, seat in self._seats.items()}

    def free(self, kind: str) -> Seat | None:
        """A worker without a task; to prepare a film, which reads all of it, one on this machine if there is one."""
        idle = [seat for seat in self._seats.values() if seat.ready and seat.task is None]
        return max(idle, key=lambda seat: kind == "prepare" and seat.node == self._here, default=None)

    def give(self, seat: Seat, task: Task, home: Home) -> None:
        seat.task = task.id
        seat.actor.give.remote(to_line(task), home)

    def cancel(self, task: str) -> None:
        for seat in self._seats.values():
            if seat.task == task:
                seat.actor.cancel.remote(task)

    def look(self, nodes: list[dict[str, Any]]) -> None:
        """Make seats on nodes that are new, and give up those on nodes that are gone."""
        alive = {node["NodeID"]: node for node in nodes if node["Alive"]}
        if self._kind is None:
            self._kind = "GPU" if any(node["Resources"].get("GPU") for node in alive.values()) else "CPU"
        self._expected = sum(int(node["Resources"].get("GPU", 0)) or 1 for node in alive.values())
        for name in alive.keys() - self._known:
            self._settle(name, alive[name])
        for seat in [seat for seat in self._seats.values() if seat.node not in alive]:
            self._gone(seat, "lost its machine")
        empty, self._empty = self._empty, []
        for seat in empty:
            if seat.node in alive:
                self._start(seat)
            else:
                self._say(to_line(Retired(seat.place.name, "lost its machine")))
        if not self._known:
            raise DeviceError(f"no node of the cluster offers a {self._kind}", "ray status shows what they offer")

    def _settle(self, node: str, found: dict[str, Any]) -> None:
        """One worker for each GPU; where the cluster has none, one for all cores of the node."""
        cores, gpus = int(found["Resources"].get("CPU", 0)), int(found["Resources"].get("GPU", 0))
        host = found["NodeManagerHostname"]
        shares = [max(1, cores // gpus)] * gpus if self._kind == "GPU" else [cores] * bool(cores)
        for index, threads in enumerate(shares):
            device = "cuda:0" if gpus else "cpu"  # Ray shows each worker its own GPU only
            shown = f"GPU {index}" if gpus else "cpu"
            name = f"worker {next(self._names)} ({shown} on {host})"
            self._start(Seat(replace(self._place, name=name, device=device, threads=threads), node))
            self._known.add(node)

    def _start(self, seat: Seat) -> None:
        number = next(self._numbers)
        old = seat.place
        every = max(1.0, self._expected / POSTS)
        seat.place = replace(old, seat=number, every=every)
        gpu = old.device != "cpu"
        where = NodeAffinitySchedulingStrategy(seat.node, soft=False)
        needs = {"num_gpus": 1, "num_cpus": 0} if gpu else {"num_cpus": old.threads}
        actor = ray.remote(Outpost).options(**needs, max_concurrency=4, scheduling_strategy=where)
        seat.actor = actor.remote(seat.place, self._desk)
        seat.life = seat.actor.run.remote()
        seat.heard, seat.ready, seat.task = self._clock, False, None
        self._seats[number] = seat

    def hear(self, number: int, line: str) -> None:
        """What a worker said. Nothing counts of one that was given up."""
        seat = self._seats.get(number)
        if seat is None:
            return
        seat.heard = self._clock
        if line.startswith("hello "):
            self._welcome(seat, json.loads(line.removeprefix("hello ")))
        elif not line.startswith('{"is":"Beat"'):
            self._note(seat, from_line(line))
            self._say(line)
        elif not line.startswith('{"is":"Beat","task":"",'):
            self._say(line)

    def _welcome(self, seat: Seat, hello: dict[str, Any]) -> None:
        there = hello["versions"]
        wrong = {name: wanted for name, wanted in versions().items() if there.get(name) != wanted}
        other = [f"{name} {there.get(name)} instead of {wanted}" for name, wanted in wrong.items()]
        if other:
            self._gone(seat, f"has {', '.join(other)}")
        seat.ready = not other

    def _note(self, seat: Seat, message: Message | Task) -> None:
        if isinstance(message, Done | Failed | Lost) and message.task == seat.task:
            seat.task = None
        if isinstance(message, Done):
            seat.ends = 0
        elif isinstance(message, Retired):
            if seat.task:
                self._say(to_line(Lost(seat.task, seat.place.name, message.cause)))
            self._forget(seat)

    def ended(self, number: int) -> None:
        """A worker has ended, and all was heard that it said."""
        seat = self._seats.get(number)
        if seat is None:
            return
        try:
            ray.get(seat.life)
            cause = "ended"
        except Exception as error:
            cause = _cause(error)
        self._end(seat, cause)

    def judge(self) -> None:
        """Give up workers of which nothing was heard; tell of those that cannot start.

        The clock stands still while this process does: then none of them is to blame.
        """
        now = time.monotonic()
        self._clock += min(now - self._now, 1.0)
        self._now = now
        for seat in list(self._seats.values()):
            silent = self._clock - seat.heard
            if seat.ready and silent > SILENCE:
                self._end(seat, f"gave no sign of life for {SILENCE:g} s and was ended")
            elif not seat.ready and silent > BUSY and not seat.told:
                seat.told = True
                text = f"{seat.place.name} has not started yet: its device is in use, or its machine is slow"
                self._say(to_line(Said("", Notice(text, "warning"))))

    def _end(self, seat: Seat, cause: str) -> None:
        """Its worker is gone: another takes its place, or none where it ended too often."""
        self._forget(seat)
        seat.ends += 1
        self._say(to_line(Lost(seat.task, seat.place.name, cause)))
        if seat.ends < ENDS:
            self._empty.append(seat)
        else:
            self._say(to_line(Retired(seat.place.name, cause)))

    def _gone(self, seat: Seat, cause: str) -> None:
        """No other worker takes its place."""
        self._forget(seat)
        self._say(to_line(Lost(seat.task, seat.place.name, cause)))
        self._say(to_line(Retired(seat.place.name, cause)))

    def _forget(self, seat: Seat) -> None:
        """Whatever is still of this worker, nothing it does counts any more."""
        del self._seats[seat.place.seat]
        self._desk.revoke.remote(seat.place.seat)
        ray.kill(seat.actor)

    def close(self, grace: float) -> None:
        """End all workers."""
        for seat in self._seats.values():
            seat.actor.close.remote()
        if lives := list(self.lives()):
            ray.wait(lives, num_returns=len(lives), timeout=grace, fetch_local=False)


def _cause(error: Exception) -> str:
    """Why a worker ended, in words."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if "node" in str(error) and "died" in str(error):
        return "lost its machine"
    if isinstance(error, ray.exceptions.RayTaskError):
        return f"failed: {lines[-1][:200]}"
    return "ended: its process is gone"
