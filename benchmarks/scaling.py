"""What sharding costs: many workers whose device only takes time, against one.

    python -m benchmarks.scaling [--workers 1 2 4 8] [--frames N] [--delay SECONDS]

A made clip of tiny frames goes through `vidsr.jobs.run.upscale` with worker processes whose network sleeps for a fixed
time per frame, so that the time of N workers should be an N-th. Loading PyTorch is left out: workers are forked. Also
measured: seconds of a run and of a segment that are not spent on frames, and the processor time of the supervisor for
each segment. Writes benchmarks/results/scaling.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.clips import make_clip
from vidsr.events import ignore
from vidsr.options import Options

from .common import RESULTS, machine, save, tell

GROUP = 10
"""Frames between two keyframes of the clip."""


def measure(clip: Path, folder: Path, workers: int, shards: int, delay: float) -> dict[str, Any]:
    """One run, in this process; its workers are forked."""
    import torch

    from tests.jobs import forked
    from vidsr import pipeline
    from vidsr.jobs import run
    from vidsr.jobs.local import Local

    torch.set_num_threads(1)
    pipeline.load_model = forked.slow(delay)  # type: ignore[attr-defined]
    run._executor = lambda options: Local(["cpu"] * workers, launch=forked.Forked)  # type: ignore[assignment,arg-type]
    options = Options(codec="ffv1", precision="fp32", reuse="off", shards=shards)
    begun, before = time.perf_counter(), _cpu_seconds()
    [report] = run.upscale([(clip, folder / f"{workers}.mkv")], options, ignore)
    seconds, used = time.perf_counter() - begun, _cpu_seconds() - before
    assert not isinstance(report, Exception)
    (folder / f"{workers}.mkv").unlink()
    return {
        "workers": workers,
        "segments": shards,
        "frames": report.frames_out,
        "seconds": round(seconds, 3),
        "seconds_of_frames": round(report.frames_out * delay / workers, 3),
        "efficiency": round(report.frames_out * delay / workers / seconds, 4),
        "supervisor_cpu_seconds": round(used, 3),
    }


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def apart(words: list[str]) -> dict[str, Any]:
    """`measure` in a process of its own, so that its processor time is that of one run."""
    command = [sys.executable, "-m", "benchmarks.scaling", "--one", *words]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result: dict[str, Any] = json.loads(said.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--delay", type=float, default=0.2, help="seconds per frame")
    parser.add_argument("--segments", type=int, default=40)
    parser.add_argument("--one", nargs=5, metavar="", help=argparse.SUPPRESS)
    parser.add_argument("--result", type=Path, default=RESULTS / "scaling.json")
    asked = parser.parse_args()
    if asked.one:
        clip, folder, workers, shards, delay = asked.one
        sys.stdout.write(json.dumps(measure(Path(clip), Path(folder), int(workers), int(shards), float(delay))))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        params = f"keyint={GROUP}:min-keyint={GROUP}:scenecut=0"
        words = {"preset": "ultrafast", "x264-params": params}
        clip = make_clip(folder / "in.mp4", frames=asked.frames, options=words, audio=None)
        runs = []
        for workers in asked.workers:
            runs.append(apart([str(clip), name, str(workers), str(asked.segments), str(asked.delay)]))
            tell(str(runs[-1]))
        tell("no delay, few and many segments")
        many = asked.frames // GROUP
        bare = [apart([str(clip), name, "1", str(shards), "0"]) for shards in (1, many)]
    per_segment = {
        key: round((bare[1][key] - bare[0][key]) / (many - 1), 5) for key in ("seconds", "supervisor_cpu_seconds")
    }
    save(
        asked.result,
        {"machine": machine(), "delay": asked.delay, "runs": runs, "bare": bare, "per_segment": per_segment},
    )
    tell(f"wrote {asked.result}: {per_segment}")


if __name__ == "__main__":
    main()
