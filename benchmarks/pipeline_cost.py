"""What the pipeline costs besides pixels: microseconds per frame by stage, and the frame rate that it can carry.

    python -m benchmarks.pipeline_cost [--frames N] [--size WxH] [--batch N] [--device-ms F ...]

The job is 1080p to 4K with a device that is simulated: it takes a fixed time per batch and computes nothing. Decoder,
conversions and encoder hand over shared planes. Everything else is the pipeline of `vidsr upscale`, with its threads.
Writes benchmarks/results/pipeline_cost.json and prints it in short.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from vidsr import pipeline
from vidsr.bench import InTurn
from vidsr.events import ignore
from vidsr.flow import Flow
from vidsr.media.sample import make_sample
from vidsr.options import Options
from vidsr.record import Tally
from vidsr.running import Run
from vidsr.stages.source import open_source

from .common import RESULTS, machine, save, spread
from .simulated import run_without_pixels

GOAL = 400
"""Frames per second that the pipeline is to carry."""
THREADS = {"decode": ("source", "decode"), "write": ("encode", "mux")}
"""Stages of two of the three threads; all others share the third."""


@contextmanager
def prepared(clip: Path, batch: int, flow: Callable[[Tally], Flow]) -> Iterator[Run]:
    """A run of `vidsr upscale` on `clip`, at twice its size, ready to start."""
    options = Options(device="cpu", batch=batch, reuse="exact", scale=2, precision="fp32")
    tally = Tally(ignore)
    with closing(open_source(clip, options.max_pixels)) as source:
        yield pipeline.prepared(source, clip.with_suffix(".out.mkv"), options, tally, flow(tally))


def by_stage(clip: Path, frames: int, batch: int) -> dict[str, float]:
    """Microseconds per frame of each stage, one thread and no queue."""
    with prepared(clip, batch, InTurn) as job:
        run_without_pixels(job, frames, 0.0)
        clocks = {name: stage["seconds"] for name, stage in job.tally.stages(frames).items()}
        warm = job.flow.warmed if isinstance(job.flow, InTurn) else set()
    return {name: 1e6 * seconds / (frames - (name in warm)) for name, seconds in clocks.items()}


def carried(clip: Path, frames: int, batch: int, device_seconds: float) -> float:
    """Frames per second through all threads and queues, the device taking `device_seconds` for each batch."""
    with prepared(clip, batch, lambda tally: Flow()) as job:
        return frames / run_without_pixels(job, frames, device_seconds)[-1]


def measure(asked: argparse.Namespace, clip: Path) -> dict[str, Any]:
    repeated = [by_stage(clip, asked.frames, asked.batch) for _ in range(asked.repeat)]
    stages = {name: median(found[name] for found in repeated) for name in repeated[0]}
    runs = []
    for milliseconds in asked.device_ms:
        rates = spread(carried(clip, asked.frames, asked.batch, milliseconds / 1000) for _ in range(asked.repeat))
        limit = 1000 * asked.batch / milliseconds if milliseconds else None
        runs.append({
            "device_ms_per_batch": milliseconds,
            "device_fps": limit,
            "fps": rates,
            "share_of_device": rates["median"] / limit if limit else None,
        })  # fmt: skip
    return {
        "machine": machine(),
        "input": f"{asked.size[0]}x{asked.size[1]}",
        "output": f"{asked.size[0] * 2}x{asked.size[1] * 2}",
        "batch": asked.batch,
        "frames": asked.frames,
        "goal_fps": GOAL,
        "microseconds_per_frame": stages,
        "microseconds_in_all": sum(stages.values()),
        "runs": runs,
    }


def in_short(found: dict[str, Any]) -> str:
    lines = [f"{found['input']} to {found['output']}, batches of {found['batch']}, no pixel work"]
    lines += [f"  {name:<9} {cost:8.1f} µs per frame" for name, cost in found["microseconds_per_frame"].items()]
    lines.append(f"  {'all':<9} {found['microseconds_in_all']:8.1f} µs per frame, one thread")
    for run in found["runs"]:
        device = f"a device of {run['device_fps']:.0f} fps" if run["device_fps"] else "a device that takes no time"
        share = f", {run['share_of_device']:.0%} of it" if run["share_of_device"] else ""
        lines.append(f"  with {device}: {run['fps']['median']:.0f} fps{share} (goal {found['goal_fps']})")
    return "\n".join(lines)


def main() -> None:
    asked = arguments()
    width, height = asked.size
    with tempfile.TemporaryDirectory() as folder:
        clip = make_sample(Path(folder) / "clip.mkv", width, height, 2)
        found = measure(asked, clip)
    save(asked.result, found)
    sys.stdout.write(in_short(found) + "\n")


def _size(text: str) -> tuple[int, int]:
    width, height = text.split("x")
    return int(width), int(height)


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=_size, default=(1920, 1080), metavar="WxH")
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--device-ms", type=float, nargs="+", default=[0.0, 8.0], help="milliseconds of a batch")
    parser.add_argument("--result", type=Path, default=RESULTS / "pipeline_cost.json")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
