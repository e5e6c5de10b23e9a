"""When each stage works: the pipeline on a clip, every piece of work of every stage with its begin and end.

    python -m benchmarks.timeline [--frames N] [--size WxH] [--device NAME] [CLIP]

Writes benchmarks/results/timeline.json: lanes (threads of the pipeline, and streams of a CUDA device) with intervals
in milliseconds, the share of the time in which each lane works, and the share in which two or more do.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import torch

from vidsr import pipeline
from vidsr.events import ignore
from vidsr.flow import Flow
from vidsr.media.sample import make_sample, trim
from vidsr.options import Options
from vidsr.record import Tally
from vidsr.running import Run
from vidsr.stages.source import open_source

from .common import RESULTS, machine, save

T = TypeVar("T")
Interval = tuple[float, float]
"""Begin and end in seconds."""

GAP = 2e-4
"""Intervals of one lane that lie nearer than this, in seconds, are drawn as one."""


class Timeline(Tally):
    """A Tally that also keeps when each stage worked: while it, and no stage before it, held its thread."""

    def __init__(self) -> None:
        super().__init__(ignore)
        self.work: dict[str, list[Interval]] = defaultdict(list)
        self._thread = threading.local()

    def _clocked(self, name: str, items: Iterator[T]) -> Iterator[T]:
        inner = super()._clocked(name, items)
        while True:
            asking = self._charged()
            asking.append(name)
            try:
                item = next(inner)
            except StopIteration:
                return
            finally:
                self._charged().pop()
            yield item

    def _charged(self) -> list[str]:
        """The stages of this thread that wait for the one before them; time since the last call is the last one's."""
        now, asking = time.perf_counter(), self._thread.__dict__.setdefault("asking", [])
        if asking and not asking[-1].startswith("wait"):
            self.work[asking[-1]].append((self._thread.mark, now))
        self._thread.mark = now
        return asking  # type: ignore[no-any-return]


def joined(intervals: list[Interval], gap: float = 0.0) -> list[Interval]:
    """The intervals in order, those that overlap or lie `gap` apart made one."""
    done: list[Interval] = []
    for begun, ended in sorted(intervals):
        if done and begun - done[-1][1] <= gap:
            done[-1] = (done[-1][0], max(done[-1][1], ended))
        else:
            done.append((begun, ended))
    return done


def overlap(lanes: dict[str, list[Interval]]) -> dict[str, Any]:
    """How long at least 1, 2, … lanes work at once, as shares of the time from the first begin to the last end."""
    marks = sorted(
        (when, change) for lane in lanes.values() for a, b in joined(lane) for when, change in ((a, 1), (b, -1))
    )
    spent: dict[int, float] = defaultdict(float)
    working = 0
    for (when, change), (then, _) in pairwise(marks):
        working += change
        spent[working] += then - when
    length = marks[-1][0] - marks[0][0]
    shares = {str(n): sum(spent[k] for k in spent if k >= n) / length for n in range(1, max(spent) + 1)}
    busy = {name: sum(b - a for a, b in joined(lane)) / length for name, lane in lanes.items()}
    return {"seconds": length, "busy": busy, "at_least_working": shares}


def cuda_lanes(trace: Path) -> dict[str, list[Interval]]:
    """What the streams of the device did, kernels and copies, out of a trace of torch.profiler; in seconds."""
    lanes: dict[str, list[Interval]] = defaultdict(list)
    for event in json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]:
        kind = event.get("cat")
        if kind in ("kernel", "gpu_memcpy", "gpu_memset"):
            begun, what = event["ts"] / 1e6, "compute" if kind == "kernel" else _direction(event["name"])
            lanes[f"{what}, stream {event['args'].get('stream', 0)}"].append((begun, begun + event["dur"] / 1e6))
    return dict(lanes)


def _direction(name: str) -> str:
    return "upload" if "HtoD" in name else "download" if "DtoH" in name else "copy"


def traced(clip: Path, folder: Path, options: Options, write: Callable[[Run, Path], Any]) -> dict[str, Any]:
    """One run on `clip`: the lanes of its stages and, on CUDA, of the device's streams. `write` runs the chain."""
    tally = Timeline()
    with closing(open_source(clip, options.max_pixels)) as source:
        job = pipeline.prepared(source, folder / "timeline.mkv", options, tally, Flow())
        if job.plan.engine.device.type == "cuda":
            kinds = [torch.profiler.ProfilerActivity.CUDA]
            with torch.profiler.profile(activities=kinds) as profile:
                write(job, folder / "timeline.mkv")
                torch.cuda.synchronize()
            profile.export_chrome_trace(str(folder / "trace.json"))
            device = cuda_lanes(folder / "trace.json")
        else:
            write(job, folder / "timeline.mkv")
            device = {}
    found = {"stages": lanes_of({stage: tally.work[stage] for stage in tally.clocks}), "device": lanes_of(device)}
    return {"frames": len(tally.pts), "bound_by": _bound(tally), **found}


def _bound(tally: Tally) -> str:
    stages = tally.stages(len(tally.pts))
    return max(stages, key=lambda name: stages[name]["seconds"])


def lanes_of(lanes: dict[str, list[Interval]]) -> dict[str, Any]:
    """Intervals in milliseconds from the first begin, and how the lanes overlap."""
    lanes = {name: lane for name, lane in lanes.items() if lane}
    if not lanes:
        return {}
    start = min(lane[0][0] for lane in map(joined, lanes.values()))
    shown = {
        name: [(round(1000 * (a - start), 3), round(1000 * (b - start), 3)) for a, b in joined(lane, GAP)]
        for name, lane in lanes.items()
    }
    return {"lanes_ms": shown, **overlap(lanes)}


def main() -> None:
    asked = arguments()
    width, height = map(int, asked.size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        target = folder / "clip.mkv"
        clip = (
            trim(asked.clip, target, asked.frames) if asked.clip else make_sample(target, width, height, asked.frames)
        )
        options = Options(device=asked.device, reuse="off", overwrite=True, codec="x264", encoder_preset=asked.preset)
        found = traced(clip, folder, options, pipeline.write)
    save(asked.result, {"machine": machine(), "clip": asked.clip and asked.clip.name, "size": asked.size, **found})


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", type=Path)
    parser.add_argument("--size", default="320x180", metavar="WxH", help="of the clip that is made when none is given")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--preset", default="medium", help="of x264")
    parser.add_argument("--result", type=Path, default=RESULTS / "timeline.json")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
