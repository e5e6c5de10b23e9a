"""Mutated inputs through the whole pipeline, each outcome classed by an oracle that knows the undamaged result.

    python -m benchmarks.faults --runs 1200 --out benchmarks/results/faults.json

Small clips of five kinds (MP4, fragmented MP4, Matroska, MPEG-TS, AVI) are damaged by seed: bits flipped, bytes
deleted or zeroed, the end cut off. Each goes through `vidsr.upscale` in a child process, which a crash ends and a
clock watches. The network repeats pixels and the encoder is lossless, so every difference comes from the input.

    whole      equal to the undamaged result in every frame, time and audio packet
    altered    every frame and packet is there at its time, some with other content: no checksum, no way to know
    moved      every frame and packet is there, some at another time, the one that the damaged file itself now states
    declared   something is lost or moved, and the report says so: exit code 7, or a note or count that names it
    unchecked  the end is missing, the container states no length, and the report says that it could not be checked
    refused    an error of vidsr.errors, nothing left behind
    silent     frames, packets or times differ and nothing is said
    crash      any other exception, or the death of the process
    hang       no answer within LIMIT seconds
"""

from __future__ import annotations

import argparse
import json
import platform
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, TextIO

import av

from benchmarks.oracle import Result, judge, noted, read_result
from tests.clips import make_clip
from tests.faults import mutate

LIMIT = 30.0
"""Seconds without an answer after which a run counts as hung."""
FRAMES = 48
"""Frames of each clip."""
PER_CHILD = 120
"""Runs that share one process."""
MEMORY = 8 << 30
"""Bytes of address space of a child."""
OUTCOMES = ("whole", "altered", "moved", "declared", "unchecked", "refused", "silent", "crash", "hang")
_H264 = {"options": {"g": "12", "bf": "2", "preset": "veryfast"}}
_MPEG4 = {"codec": "mpeg4", "audio": "libmp3lame", "time_base": Fraction(1, 24)}
CLIPS: dict[str, tuple[str, dict[str, Any]]] = {
    "mp4": ("clip.mp4", _H264),
    "fragmented": ("fragmented.mp4", _H264 | {"container": {"movflags": "frag_keyframe+delay_moov"}}),
    "mkv": ("clip.mkv", _H264),
    "ts": ("clip.ts", _H264),
    "avi": ("clip.avi", _MPEG4),
}
"""Name of the file and what `make_clip` is asked for."""


def make_clips(folder: Path) -> dict[str, Path]:
    """The undamaged clips: 48 frames of 64x64 with two seconds of sound."""
    return {kind: make_clip(folder / name, frames=FRAMES, **words) for kind, (name, words) in CLIPS.items()}


class Bench:
    """Runs one damaged clip after another in this process."""

    def __init__(self, folder: Path) -> None:
        from tests.fakes import Repeater, describe
        from vidsr import pipeline

        pipeline.load_model = lambda spec, **_: describe(Repeater(1))  # type: ignore[attr-defined]
        self.folder = folder
        (folder / "out").mkdir(exist_ok=True)
        self.clips = {kind: folder / name for kind, (name, _) in CLIPS.items()}
        self.good = {kind: self._undamaged(kind) for kind in CLIPS}

    def _undamaged(self, kind: str) -> Result:
        report = self._upscale(self.clips[kind])
        if report.exit_code or report.frames_out != FRAMES:
            raise RuntimeError(f"the undamaged {kind} is not whole: {report.frames_out} frames, {report.losses}")
        return read_result(Path(report.output))

    def _upscale(self, path: Path) -> Any:
        from vidsr.api import upscale

        return upscale(path, self.folder / "out" / "out.mkv", overwrite=True, codec="ffv1", precision="fp32")

    def run(self, kind: str, seed: int) -> dict[str, Any]:
        """The outcome of one seed, as a JSON object."""
        good = self.good[kind]
        damaged = mutate(self.clips[kind], seed)
        (self.folder / "out" / "out.mkv").unlink(missing_ok=True)
        begun = time.monotonic()
        told = self._outcome(damaged, good)
        damaged.unlink()
        threads = [thread.name for thread in threading.enumerate() if thread.name.startswith("vidsr-")]
        files = sorted(path.name for path in (self.folder / "out").iterdir())
        expected = [] if told["outcome"] in ("refused", "crash") else ["out.mkv"]
        seconds = round(time.monotonic() - begun, 3)
        left = {"threads_left": threads, "files_left": [name for name in files if name not in expected]}
        return {"clip": kind, "seed": seed, "seconds": seconds, "frames": len(good.times)} | told | left

    def _outcome(self, path: Path, good: Result) -> dict[str, Any]:
        from vidsr.errors import VidsrError

        try:
            report = self._upscale(path)
        except VidsrError as error:
            said = str(error).replace(f"{self.folder}/", "")
            return {"outcome": "refused", "exit_code": error.exit_code, "said": said}
        except Exception as error:
            return {"outcome": "crash", "exit_code": 1, "said": f"{type(error).__name__}: {error}"}
        found = read_result(Path(report.output))
        said = "; ".join(report.losses[:3]) or "; ".join(noted(report))
        return {
            "outcome": judge(found, good, report, path),
            "exit_code": report.exit_code,
            "said": said,
            "frames_out": report.frames_out,
            "packets_lost": len(good.audio) - len(found.audio),
        }


def child(folder: Path) -> None:
    """Read jobs from stdin, one JSON list `[kind, seed]` a line, and answer each with one JSON line."""
    import resource

    import torch

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    torch.set_num_threads(1)
    bench = Bench(folder)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        kind, seed = json.loads(line)
        sys.stdout.write(json.dumps(bench.run(kind, seed)) + "\n")
        sys.stdout.flush()


def run_jobs(jobs: Sequence[tuple[str, int]], folder: Path) -> Iterator[dict[str, Any]]:
    """The outcome of every job, in order. A child that dies or hangs costs only the run it was in."""
    left = list(jobs)
    while left:
        group, left = left[:PER_CHILD], left[PER_CHILD:]
        while group:
            done = 0
            for told in _in_child(group, folder):
                done += 1
                yield told
            group = group[done:]


def _in_child(jobs: Sequence[tuple[str, int]], folder: Path) -> Iterator[dict[str, Any]]:
    """Outcomes until the jobs end, or up to and with the first crash or hang."""
    command = [sys.executable, "-m", "benchmarks.faults", "--child", str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout
    process.stdin.write("".join(json.dumps(job) + "\n" for job in jobs))
    process.stdin.close()
    answers: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_forward, args=(process.stdout, answers), daemon=True).start()
    try:
        if answers.get(timeout=4 * LIMIT) != "ready\n":
            raise RuntimeError("the child did not start")
        for kind, seed in jobs:
            try:
                line = answers.get(timeout=LIMIT)
            except queue.Empty:
                yield {"clip": kind, "seed": seed, "outcome": "hang", "said": f"no answer in {LIMIT:.0f} s"}
                return
            if not line:
                yield {"clip": kind, "seed": seed, "outcome": "crash", "said": f"process ended with {process.wait()}"}
                return
            yield json.loads(line)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _forward(stream: TextIO, answers: queue.Queue[str]) -> None:
    """Every line of `stream`, and an empty string at its end."""
    for line in stream:
        answers.put(line)
    answers.put("")


def summary(results: Sequence[dict[str, Any]], seed: int) -> dict[str, Any]:
    """Counts by outcome, over all and by clip, and what the figures depend on."""
    by_clip = {kind: Counter(r["outcome"] for r in results if r["clip"] == kind) for kind in CLIPS}
    total = Counter(r["outcome"] for r in results)
    return {
        "injected": len(results),
        "outcomes": {name: total[name] for name in OUTCOMES},
        "by_clip": {kind: {name: counts[name] for name in OUTCOMES} for kind, counts in by_clip.items()},
        "threads_left": sum(bool(r.get("threads_left")) for r in results),
        "files_left": sum(bool(r.get("files_left")) for r in results),
        "slowest_seconds": max((r.get("seconds", 0.0) for r in results), default=0.0),
        "first_seed": seed,
        "python": platform.python_version(),
        "pyav": av.__version__,
        "ffmpeg": {name: ".".join(map(str, version)) for name, version in av.library_versions.items()},
    }


def jobs_of(runs: int, seed: int) -> list[tuple[str, int]]:
    """`runs` jobs, the kinds of clip in turn, seeds counting up from `seed`."""
    kinds = list(CLIPS)
    return [(kinds[number % len(kinds)], seed + number) for number in range(runs)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/faults.json"))
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child)
        return
    with tempfile.TemporaryDirectory() as name:
        make_clips(Path(name))
        results = list(run_jobs(jobs_of(arguments.runs, arguments.seed), Path(name)))
    told = summary(results, arguments.seed)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"summary": told}), *map(json.dumps, results)]
    arguments.out.write_text("\n".join(lines) + "\n")
    sys.stdout.write(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
