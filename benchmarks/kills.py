"""Runs that are killed at random moments, and then run again: is the result always that of an undisturbed run?

    python -m benchmarks.kills [--trials N] [--seed S]

Every trial starts a run of a made clip in segments, with two workers, on a network that only takes time. At a random
moment the supervisor, or one of its workers, is killed with SIGKILL; sometimes the journal is then cut at a random
byte, as a power cut might leave it. The same command is run again, is killed again half of the time, and at last left
alone. Writes benchmarks/results/kills.json: outcomes, how much was computed twice, and what was left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np

from tests.clips import make_clip
from tests.jobs.forked import WORKERS, Server, processes_of, workers_of
from tests.measure import planes
from vidsr.jobs.film import work_folder

from .common import RESULTS, machine, save, tell

FRAMES = 60
SHARDS = 6
DELAY = 0.04
LONGEST = 1.4
"""Seconds after which a run is over, about."""


def same(first: Path, second: Path) -> bool:
    """Whether two files hold the same frames and are otherwise the same, byte for byte."""
    if first.read_bytes() == second.read_bytes():
        return True
    pairs = zip(planes(first), planes(second), strict=True)
    return all(np.array_equal(a, b) for one, other in pairs for a, b in zip(one, other, strict=True))


def strike(pid: int, rng: random.Random) -> str:
    """Kill the supervisor or one of its workers; who it was."""
    workers = workers_of(pid)
    target = rng.choice([pid, *workers])
    with suppress(ProcessLookupError):
        os.kill(target, signal.SIGKILL)
        return "supervisor" if target == pid else "worker"
    return "nobody"


def trial(server: Server, clip: Path, folder: Path, whole: Path, rng: random.Random) -> dict[str, Any]:
    """One film: killed, cut, killed again, finished."""
    output, work = folder / "out.mkv", work_folder(folder / "out.mkv", None)
    told: dict[str, Any] = {"killed": [], "codes": [], "lost": 0, "left": 0, "partial": 0}
    for attempt in range(6):
        pid = server.start(clip, output, SHARDS, DELAY, overwrite=True)
        if attempt < 1 + rng.randrange(3):
            time.sleep(rng.uniform(0.05, LONGEST))
            told["killed"].append(strike(pid, rng))
        code = server.end()
        told["codes"].append(code)
        told["left"] += _outlived(pid)
        if code == 0:
            break
        if output.exists():  # killed between the rename and its end
            told["partial"] += not same(output, whole)
        if rng.random() < 0.5:
            told["lost"] += _cut(work / "journal", rng)
    told["finished"] = code == 0
    told["equal"] = output.exists() and same(output, whole)
    names = [path.name for path in folder.iterdir() if path.name != "out.mkv"]
    told["kept_aside"] = sum(".old-" in name for name in names)  # a journal cut in its first line says nothing
    told["left_files"] = len(names) - told["kept_aside"]
    shutil.rmtree(folder)
    return told


def _outlived(session: int) -> int:
    """Processes of a run that are still there two seconds after its supervisor ended."""
    until = time.monotonic() + 2
    while (left := len(list(processes_of(session)))) and time.monotonic() < until:
        time.sleep(0.02)
    return left


def _cut(journal: Path, rng: random.Random) -> int:
    """Cut the journal at any byte; 1 if there was one."""
    if not journal.exists():
        return 0
    os.truncate(journal, rng.randrange(journal.stat().st_size + 1))
    return 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--result", type=Path, default=RESULTS / "kills.json")
    asked = parser.parse_args()
    rng = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = {"preset": "ultrafast", "x264-params": "keyint=6:min-keyint=6:scenecut=0"}
        clip = make_clip(folder / "in.mp4", frames=FRAMES, options=words)
        with closing(Server(folder)) as server:
            (folder / "whole").mkdir()
            server.start(clip, folder / "whole" / "out.mkv", SHARDS)
            assert server.end() == 0
            found = []
            for number in range(asked.trials):
                (folder / "films").mkdir(exist_ok=True)
                found.append(trial(server, clip, folder / "films", folder / "whole" / "out.mkv", rng))
                if not found[-1]["equal"] or found[-1]["left"]:
                    tell(f"trial {number}: {found[-1]}")
            said = (folder / "stderr.txt").read_text()
    save(asked.result, summary(found, asked.seed, said))


def summary(found: list[dict[str, Any]], seed: int, said: str) -> dict[str, Any]:
    killed = Counter(who for item in found for who in item["killed"])
    totals = {
        "trials": len(found),
        "seed": seed,
        "kills": dict(killed),
        "journals_cut": sum(item["lost"] for item in found),
        "exit_codes": dict(Counter(str(code) for item in found for code in item["codes"])),
        "equal_to_undisturbed": sum(item["equal"] for item in found),
        "finished": sum(item["finished"] for item in found),
        "partial_outputs": sum(item["partial"] for item in found),
        "processes_left": sum(item["left"] for item in found),
        "files_left": sum(item["left_files"] for item in found),
        "works_kept_aside": sum(item["kept_aside"] for item in found),
        "tracebacks": said.count("Traceback"),
        "workers": WORKERS,
        "segments": SHARDS,
    }
    tell(json.dumps(totals))
    return {"machine": machine(), **totals}


if __name__ == "__main__":
    main()
