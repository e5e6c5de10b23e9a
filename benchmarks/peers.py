"""vidsr against its peers on one machine: the reference, ncnn and plain PyTorch, in one process tree, in turn.

    python -m benchmarks.peers [--size 180|360|720] [--rounds N] [--frames N] [--reference-python PATH]

Every round times each contestant once, each time in another order, on the same frame of a real clip. Also timed: the
3x3 convolution that bounds them all. Writes benchmarks/results/peers.json: seconds per frame, GFLOP/s, shares of the
peak, ratios as smallest, median and largest over the rounds, and how far the pictures differ from the reference's.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from tests.clips import packaged
from tests.excerpts import excerpt
from vidsr.models.load import load_model
from vidsr.options import Options
from vidsr.runtime import ceilings
from vidsr.runtime.device import DTYPES, pick_device, pick_precision
from vidsr.runtime.heap import keep_freed_memory

from .common import RESULTS, Contestant, alternate, machine, ratios, save, spread, tell
from .contestants import (
    LIKE_OURS,
    PLAIN_FP32,
    REFERENCE,
    WHOLE,
    CommandLine,
    Field,
    Frame,
    add_ncnn,
    add_peaks,
    add_plain,
    add_reference,
    add_vidsr,
)  # fmt: skip

CLIP = "bigbuckbunny.mp4"
SIZES = {"90": 8, "180": 4, "360": 2, "720": 1}
"""Height of the frame, and how many times smaller than the clip that is."""


def summary(arena: Field, taken: dict[str, list[float]], wanted: str) -> dict[str, Any]:
    """Rates, shares of the peak of each round, ratios to vidsr, and differences of the pictures."""
    flops = {item.name: item.flops for item in arena.contestants}
    peaks = {
        kind: [max(flops[name] / taken[name][turn] for name in taken if name.startswith(f"peak {kind}"))
               for turn in range(len(next(iter(taken.values()))))]
        for kind in ceilings.precisions(torch.device("cpu"))
    }  # fmt: skip
    rows = {}
    for name, seconds in taken.items():
        rates = [flops[name] / value for value in seconds]
        rows[name] = {
            "seconds": [round(value, 6) for value in seconds],
            **{f"seconds_{key}": value for key, value in spread(seconds).items()},
            "gflops": spread(rate / 1e9 for rate in rates),
            "share_of_peak": {
                kind: spread(a / b for a, b in zip(rates, peak, strict=True)) for kind, peak in peaks.items()
            },
        }
    ours = next(name for name in taken if name.startswith(wanted))
    others = [name for name in taken if not name.startswith(("peak", ours))]
    return {
        "peak_gflops": {kind: spread(value / 1e9 for value in peak) for kind, peak in peaks.items()},
        "contestants": rows,
        "model_only": ours,
        "times_slower_than_model_only": {name: ratios(taken, name, ours) for name in others},
        "difference": differences(arena.pictures),
    }


def differences(pictures: dict[str, Frame]) -> dict[str, Any]:
    """Each picture against the reference's, or against PyTorch's in fp32 where there is none: codes and dB."""
    base = REFERENCE if REFERENCE in pictures else PLAIN_FP32
    found = {}
    for name, picture in pictures.items():
        apart = np.abs(picture.astype(int) - pictures[base])
        error = float(np.mean(apart.astype(float) ** 2))
        found[name] = {
            "worst_code": int(apart.max()),
            "psnr_db": round(10 * math.log10(255**2 / error), 2) if error else None,
        }
    return {"against": base, "pictures": found}


def real_frames(asked: argparse.Namespace, folder: Path) -> tuple[Path, Frame]:
    """A lossless clip of real frames at the size asked for, and its last frame."""
    clip = excerpt(packaged(CLIP), folder / "clip.mkv", asked.frames, shrink=SIZES[asked.size])
    with av.open(str(clip)) as container:
        *_, last = islice(container.decode(video=0), asked.frames)
    return clip, np.asarray(last.to_ndarray(format="rgb24"), np.uint8)


def measure(asked: argparse.Namespace, folder: Path, stack: ExitStack) -> Iterator[tuple[str, Any]]:
    """The parts of the result, in order."""
    yield "machine", machine()
    clip, frame = real_frames(asked, folder)
    height, width = frame.shape[:2]
    arena = Field(frame, load_model(asked.model).flops_per_pixel * height * width)
    precision = pick_precision("auto", pick_device("cpu"), frozenset(DTYPES))
    yield "frame", {"clip": CLIP, "width": width, "height": height, "model": asked.model, "flops": arena.flops}
    yield "threads", {"torch": torch.get_num_threads(), "processors": os.cpu_count()}
    yield "reference", add_reference(arena, stack, asked, folder)
    add_ncnn(arena, asked.model)
    add_plain(arena, asked.model)
    options = {"model": asked.model, "device": "cpu", "reuse": "off"}
    add_vidsr(arena, stack, clip, Options(**options))
    if precision != "fp32":
        add_vidsr(arena, stack, clip, Options(**options, precision="fp32"), "vidsr, model only")
    words = ("-m", asked.model, "--device", "cpu", "--reuse", "off", "--codec", "x264", "--encoder-preset", "ultrafast")
    command = CommandLine(clip, asked.frames, words)
    arena.contestants.append(Contestant(WHOLE, command.seconds, arena.flops))
    add_peaks(arena)
    yield "absent", arena.absent
    taken = alternate(arena.contestants, asked.rounds, asked.settle)
    yield "rounds", asked.rounds
    yield from summary(arena, taken, f"{LIKE_OURS}, {precision}").items()
    counted = command.runs[1:]  # the first warmed up
    ours = taken[f"{LIKE_OURS}, {precision}"]
    yield (
        "command_line",
        {
            "frames": asked.frames,
            "seconds_per_frame": {key: spread(run[key] for run in counted) for key in counted[0]},
            "share_of_model_only": spread(a / b for a, b in zip(ours, taken[WHOLE], strict=True)),
        },
    )


def main() -> None:
    asked = arguments()
    keep_freed_memory()  # as the command line does; the reference runs in a process of its own, as it is
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        save(asked.result, dict(measure(asked, folder, stack)))
    tell(f"wrote {asked.result}")


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="animevideov3")
    parser.add_argument("--size", choices=SIZES, default="180", help="height of the frame")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, default=16, help="frames of the command line's clip")
    parser.add_argument("--settle", type=float, default=0.25, help="seconds of rest before each timing")
    parser.add_argument("--reference-python", type=Path, help="Python of an environment that has the reference")
    parser.add_argument("--reference-folder", type=Path, default=Path(tempfile.gettempdir()) / "vidsr-reference",
                        help="where that environment is made when none is given; 5.4 GB")  # fmt: skip
    parser.add_argument("--result", type=Path, default=RESULTS / "peers.json")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
