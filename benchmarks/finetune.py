"""A real fine-tune on this machine: does it beat the network that it started from, on scenes it has not seen?

    python -m benchmarks.finetune OUT --train CLIP[@FROM-TO] … --held-out CLIP[@FROM-TO] … [--lpips WEIGHTS] …

Times are seconds. Training takes the ground truth of the --train parts, validation that of the --held-out parts; the
small pictures of both are made by the same chain of blur, shrinking and H.264 or MPEG-2, with draws of their own for
each part of HELD frames. At the end `vidsr upscale` runs the exported network, by its name, and the network it started
from, on a clip of the first held-out part, and the results are measured once more from the files.

Writes OUT/run (strips, curves, checkpoints, export) and prints JSON, which also goes to OUT/finetune.json. The exit
code is 1 when the fine-tuned network has not beaten its start in PSNR-Y and, where weights are given, in LPIPS.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from trainer.config import Config, parse
from trainer.curves import draw
from trainer.log import read_log
from trainer.metrics.build import build
from trainer.metrics.options import VideoSet
from trainer.run import start
from trainer.validation_sets import Frames, items
from vidsr.events import Event, Notice

from .common import machine, save, tell

NAME = "finetuned"
HELD = 12
"""Frames of a held-out clip that share one draw of degradations."""
CHAIN = [
    {"kind": "blur", "probability": 0.5, "sigma": [0.2, 1.0], "elongated": [0.2, 1.0]},
    {"kind": "shrink"},
    {
        "kind": "codec", "h264": {"quality": [20, 34]}, "mpeg2": {"quality": [3, 12]},
        "mpeg4": None, "hevc": None, "vp9": None, "av1": None, "by_bit_rate": 0,
    },
]  # fmt: skip
"""A show as its discs and streams have it."""


@dataclass(frozen=True)
class Part:
    """A stretch of a film, in seconds; `end` is None for its end."""

    path: Path
    start: float = 0.0
    end: float | None = None

    @classmethod
    def parsed(cls, text: str) -> Part:
        """Of CLIP, or CLIP@FROM-TO where TO may be left out."""
        path, _, times = text.partition("@")
        begin, _, end = times.partition("-")
        return cls(Path(path), float(begin or 0), float(end) if end else None)

    def told(self) -> str:
        """As it was asked for, without folders."""
        return f"{self.path.name}@{self.start:g}-{'' if self.end is None else f'{self.end:g}'}"

    def sets(self, place: int) -> list[dict[str, Any]]:
        """Validation sets of HELD frames each."""
        with av.open(str(self.path)) as container:
            stream = container.streams.video[0]
            rate, seconds = float(stream.average_rate or 24), float(container.duration or 0) / av.time_base
        count = int(((self.end or seconds) - self.start) * rate) // HELD
        return [
            {
                "kind": "video", "name": f"held-{place}-{number}", "gt": str(self.path), "frames": HELD,
                "start": self.start + number * HELD / rate,
            }
            for number in range(max(1, count))
        ]  # fmt: skip


def configuration(asked: argparse.Namespace) -> Config:
    """The run."""
    data = [
        {"kind": "video", "paths": [str(part.path)], "start": part.start, "end": part.end, "gt_size": asked.gt_size}
        for part in asked.train
    ]
    metrics: list[dict[str, Any]] = [{"kind": kind} for kind in ("psnr", "ssim", "warping-error", "tof", "flicker")]
    if asked.lpips:
        by = {"kind": "lpips", "net": "st-vgg", "weights": str(asked.lpips)}
        metrics.append({"kind": "features", "by": by, "every": HELD})
    return parse(
        {
            "name": NAME,
            "seed": asked.seed,
            "scale": asked.scale,
            "net": {"kind": "model", "start": asked.start},
            "data": data,
            "degrade": {"kind": "video", "steps": CHAIN},
            "losses": [{"kind": "charbonnier"}],
            "optim": {"kind": "adam", "lr": asked.lr},
            "schedule": {"kind": "cosine", "warmup": min(20, asked.iterations // 5)},
            "ema": {"decay": 0.99},
            "loop": {
                "iterations": asked.iterations, "batch": asked.batch, "workers": 1, "clip": 1.0, "log_every": 10,
                "device": asked.device,
            },
            "validation": {
                "every": max(1, asked.iterations // 2), "metrics": metrics, "strips": 1,
                "sets": [each for place, part in enumerate(asked.held_out) for each in part.sets(place)],
            },
            "checkpoint": {"every": asked.iterations, "keep": 1},
            "export": {"name": NAME, "licence": asked.licence},
        }
    )  # fmt: skip


def heard(event: Event) -> None:
    """What the run has to say."""
    if isinstance(event, Notice):
        tell(event.text)


def write_clip(path: Path, frames: Frames) -> None:
    """RGB without loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(24))
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "bgr0"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24").reformat(format="bgr0")))
        container.mux(stream.encode(None))


def read_clip(path: Path) -> Frames:
    """RGB of a file that was written without loss."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def upscaled(config: Config, folder: Path, model: str) -> dict[str, float]:
    """The figures of what `vidsr upscale --model MODEL` makes of the first held-out clip, from its file."""
    assert config.validation is not None
    [item] = items(_first(config), config)
    assert item.gt is not None
    source, target = folder / "held-out.mkv", folder / f"held-out_{Path(model).stem}.mkv"
    write_clip(source, item.lq)
    words = ["upscale", source, "-o", target, "--model", model, "--codec", "ffv1", "--precision", "fp32", "-y", "-q"]
    subprocess.run([sys.executable, "-m", "vidsr", *map(str, words)], check=True)
    output = read_clip(target)
    metrics = [build(options, config.scale) for options in config.validation.metrics]
    return {metric.name: metric(output, item.gt) for metric in metrics}


def _first(config: Config) -> VideoSet:
    assert config.validation is not None
    first = config.validation.sets[0]
    assert isinstance(first, VideoSet)
    return first


def results(config: Config, asked: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """What came of the run, by its log and by the files that `vidsr upscale` made."""
    lines = read_log(asked.out / "run")
    validations = [line for line in lines if line["kind"] == "validation"]
    assert config.validation is not None
    best = max(validations, key=lambda line: line["psnr_y"])
    steps = [line for line in lines if line["kind"] == "train"]
    files = {model: upscaled(config, asked.out, model) for model in (asked.start, NAME)}
    names = config.validation.metric_names
    return {
        "machine": machine(),
        "start": Path(asked.start).name,
        "iterations": validations[-1]["iteration"],
        "best_iteration": best["iteration"],
        "seconds": round(seconds, 1),
        "it_s": round(float(np.median([line["it_s"] for line in steps])), 3),
        "wait_share": round(float(np.median([line["wait_share"] for line in steps])), 4),
        "clips": {kind: [part.told() for part in getattr(asked, kind)] for kind in ("train", "held_out")},
        "before": {name: validations[0].get(name) for name in names},
        "after": {name: best.get(name) for name in names},
        "sets": {name: [validations[0].get(name), best.get(name)] for name in config.validation.allowed if "/" in name},
        "vidsr_upscale": {Path(model).stem: figures for model, figures in files.items()},
        "beaten": beaten(validations[0], best) and beaten(*files.values()),
    }


def beaten(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether pixels are nearer, and features too where they were measured."""
    nearer = after["psnr_y"] > before["psnr_y"]
    return bool(nearer and ("lpips" not in before or after["lpips"] < before["lpips"]))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path, help="a folder that is not there yet")
    parser.add_argument("--train", type=Part.parsed, nargs="+", required=True, metavar="CLIP[@FROM-TO]")
    parser.add_argument("--held-out", type=Part.parsed, nargs="+", required=True, metavar="CLIP[@FROM-TO]")
    parser.add_argument("--start", default="animevideov3", help="model name or weights file to begin with")
    parser.add_argument("--scale", type=int, default=4, help="of that network")
    parser.add_argument("--lpips", type=Path, help="vgg_shift_tolerant.pth, see docs/training.md")
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--gt-size", type=int, default=96)
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--licence", default="unknown", help="of the weights that are made")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    os.environ["VIDSR_HOME"] = str(asked.out.absolute() / "home")  # the user's own models stay as they are
    config = configuration(asked)
    begun = time.monotonic()
    reason = start(config, asked.out / "run", heard)
    found = results(config, asked, time.monotonic() - begun) | {"ended": reason}
    tell(f"curves: {draw(asked.out / 'run')}")
    save(asked.out / "finetune.json", found)
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    raise SystemExit(not found["beaten"])


if __name__ == "__main__":
    main()
