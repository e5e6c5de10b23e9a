"""A film on a Ray cluster of two machines, of which one dies; and what a cluster costs the machine that leads it.

    python -m benchmarks.cluster [--part load|death] [--tasks N] [--workers N ...]

The machines are network namespaces with folders of their own, so the input comes to them by ranges and their segments
come back through the object store: root is needed for that. Writes benchmarks/results/cluster.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.common import RESULTS, tell
from tests.clips import packaged
from tests.excerpts import excerpt
from tests.jobs.nodes import Nodes, descendants
from tests.jobs.workers import Film
from vidsr.api import upscale
from vidsr.events import Event, Notice, Progress, ignore
from vidsr.flow import Cancel
from vidsr.jobs.messages import Done, Task
from vidsr.jobs.ray import Cluster
from vidsr.jobs.supervise import Supervisor

RESULT = RESULTS / "cluster.json"

NET = "vidsr"
"""Of the bridge between the machines, and the beginning of all other names."""
MACHINES = 2
"""That compute; the head node, which has the input and gets the output, does not."""
FRAMES, SHARDS = 48, 6
KILLED_AT = 10
"""Frames after which a machine dies: both are in the middle of a segment then, or have finished one."""
CHOICES: dict[str, Any] = {"codec": "ffv1", "container": "mkv", "precision": "fp32", "scale": 2}

TICK = os.sysconf("SC_CLK_TCK")


@contextmanager
def machines(count: int, hidden: Path) -> Iterator[list[list[str]]]:
    """What is put before commands to run them on other machines: with addresses and a /tmp of their own, without
    `hidden`."""
    assert hidden.is_relative_to("/tmp"), f"{hidden} is not in /tmp, which each machine has for itself"
    with ExitStack() as stack:
        ip("link", "add", NET, "type", "bridge")
        stack.callback(ip, "link", "del", NET)
        ip("addr", "add", f"{address(0)}/24", "dev", NET)
        ip("link", "set", NET, "up")
        yield [stack.enter_context(_machine(number)) for number in range(1, count + 1)]


@contextmanager
def _machine(number: int) -> Iterator[list[str]]:
    name, ends = f"{NET}{number}", (f"{NET}h{number}", f"{NET}f{number}")
    ip("netns", "add", name)
    try:
        ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1], "netns", name)
        ip("link", "set", ends[0], "master", NET, "up")
        inside = ["netns", "exec", name]
        for words in ("link set lo up", f"addr add {address(number)}/24 dev {ends[1]}", f"link set {ends[1]} up"):
            ip(*inside, "ip", *words.split())
        yield ["ip", *inside, "sh", "-c", 'mount -t tmpfs tmpfs /tmp && exec "$@"', "sh"]
    finally:
        ip("netns", "del", name)


def address(number: int) -> str:
    """Of a machine; 0 is the one of the command line."""
    return f"10.77.31.{number + 1}"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def demonstrate(frames: int = FRAMES) -> dict[str, Any]:
    """Upscale a real clip on two machines and kill one; the result against that of an undisturbed run in one piece."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/tmp")))
        coding = {"g": "4", "preset": "ultrafast"}
        clip = excerpt(
            packaged("bigbuckbunny.mp4"), folder / "in.mp4", frames,
            box=(600, 300, 64, 64), codec="libx264", sound=True, options=coding,
        )  # fmt: skip
        before = stack.enter_context(machines(MACHINES, folder))
        for words in before:
            subprocess.run([*words, "test", "!", "-e", str(clip)], check=True)  # nobody else sees it
        nodes = stack.enter_context(Nodes(address(0)))
        nodes.head("--num-cpus=0")
        far = [nodes.join(address(number), "--num-cpus=1", before=at) for number, at in enumerate(before, 1)]
        os.environ |= nodes.env
        killer = Killer(far[0].kill, folder / ".cluster.mkv.vidsr" / "journal")
        begun = time.monotonic()
        report = upscale(clip, folder / "cluster.mkv", cluster=nodes.address, shards=SHARDS, emit=killer, **CHOICES)
        taken = time.monotonic() - begun
        sent = transfer(nodes.address, folder)
        assert killer.killed_at is not None, "the run was over before the machine died"
        upscale(clip, folder / "whole.mkv", shards=1, **CHOICES)
        first, second = list(pictures(folder / "whole.mkv")), list(pictures(folder / "cluster.mkv"))
        return {
            "frames": report.frames_out,
            "shards": SHARDS,
            "killed_at_frame": killer.killed_at,
            "seconds": round(taken, 1),
            "pts_equal": [pts for pts, _ in first] == [pts for pts, _ in second],
            "pictures_equal": all(np.array_equal(a, b) for (_, a), (_, b) in zip(first, second, strict=True)),
            "sound_equal": sound(folder / "whole.mkv") == sound(folder / "cluster.mkv"),
            "exit_code": report.exit_code,
            "journal_bytes_per_segment": killer.journal,
            "transfer": sent,
            "verified": report.verified,
            "said": killer.said,
        }


class Killer:
    """Listens to a run, and kills a machine in the middle of it."""

    def __init__(self, kill: Callable[[], None], journal: Path) -> None:
        self._kill, self._journal = kill, journal
        self.journal = 0
        self.killed_at: int | None = None
        self.said: list[str] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Notice):
            self.said.append(event.text)
            tell(event.text)
        if isinstance(event, Progress) and event.done >= KILLED_AT and self.killed_at is None:
            self.killed_at = event.done
            lines = self._journal.read_bytes().splitlines()[1:]
            self.journal = round(sum(map(len, lines)) / max(1, len(lines)))
            tell(f"a machine dies at frame {event.done}")
            self._kill()


def transfer(head: str, folder: Path) -> dict[str, float]:
    """A file that a worker reads by ranges and sends back as a segment; by way of the network of one machine."""
    source, megabytes = folder / "bytes", 128
    source.write_bytes(os.urandom(megabytes << 20))
    film = {"input": str(source), "output": None, "options": {"model": "none", "report": None}}
    seconds = {}
    executor = Cluster(head, "tests.jobs.far:launch_copier")
    try:
        warm(executor, 1)
        for name, end in (("little", 1), ("all", megabytes << 20)):
            body = {"film": film, "path": str(folder / name), "start": 0, "end": end}
            begun = time.monotonic()
            executor.submit(Task(name, "segment", body))
            while not any(isinstance(message, Done) for message in executor.wait(1.0)):
                assert time.monotonic() - begun < 60
            seconds[name] = time.monotonic() - begun
    finally:
        executor.close()
    assert (folder / "all").read_bytes() == source.read_bytes()
    taken = seconds["all"] - seconds["little"]
    return {
        "megabytes": megabytes,
        "seconds": round(taken, 2),
        "mb_per_second": round(megabytes / taken),
    }


def pictures(path: Path) -> Iterator[tuple[int, Any]]:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            assert frame.pts is not None
            yield frame.pts, frame.to_ndarray()


def sound(path: Path) -> list[tuple[int | None, bytes]]:
    with av.open(str(path)) as container:
        return [(packet.pts, bytes(packet)) for packet in container.demux(audio=0) if packet.size]


def load(tasks: int, workers: int) -> dict[str, Any]:
    """Processor time per task on the machine of the command line, with work that takes no time."""
    with Nodes() as nodes:
        nodes.head("--num-cpus=1", f"--num-gpus={workers}")
        os.environ |= nodes.env
        executor = Cluster(nodes.address, "tests.jobs.far:launch")
        try:
            warm(executor, workers)
            before, begun = times(), time.monotonic()
            film = Film("film", [{}] * tasks)
            Supervisor(executor, [film], ignore, Cancel()).run()
            wall, after = time.monotonic() - begun, times()
            rest = idle(executor)
        finally:
            executor.close()
    return {
        "workers": workers,
        "tasks": tasks,
        "seconds": round(wall, 1),
        "cpu_ms_per_task": {name: round(1000 * (after[name] - before[name]) / tasks, 3) for name in after},
        "idle_cpu_percent": rest,
    }


def warm(executor: Cluster, workers: int) -> None:
    """Until all workers have started."""
    while executor.free < workers:
        executor.wait(0.2)


def idle(executor: Cluster, seconds: float = 5.0) -> dict[str, float]:
    """Processor time of the supervisor and its bridge while all workers beat, as a share of one core."""
    before, begun = times(), time.monotonic()
    while time.monotonic() - begun < seconds:
        assert not [message for message in executor.wait(0.5) if isinstance(message, Done)]
    wall, after = time.monotonic() - begun, times()
    return {name: round(100 * (after[name] - before[name]) / wall, 2) for name in after}


def times() -> dict[str, float]:
    """Seconds of processor time of this process, of its bridge, and of the desk."""
    found = {"supervisor": time.process_time(), "bridge": 0.0, "desk": 0.0}
    for pid in descendants(os.getpid())[1:]:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        name = "bridge" if b"vidsr.jobs.bridge" in words else "desk" if words.startswith(b"ray::Desk") else None
        if name:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            found[name] += (int(fields[11]) + int(fields[12])) / TICK
    return found


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.cluster", description=__doc__)
    parser.add_argument("--part", choices=["load", "death"], help="measure this only, and keep the rest of the results")
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # nodes and namespaces go with us
    found: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    found["machine"] = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    found["versions"] = {"python": platform.python_version(), "ray": version("ray")}
    if arguments.part != "death":
        rows = {row["workers"]: row for row in found.get("load", [])}
        rows |= {workers: load(arguments.tasks, workers) for workers in arguments.workers}
        found["load"] = [rows[workers] for workers in sorted(rows)]
    if arguments.part != "load":
        found["one_of_two_machines_dies"] = demonstrate()
    RESULT.write_text(json.dumps(found, indent=2) + "\n")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
