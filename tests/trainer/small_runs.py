"""Configurations and run folders that are small enough for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.clips import make_clip
from trainer import checkpoint
from trainer.config import Config, parse
from vidsr.models.archs.compact import SRVGGNetCompact

SCALE = 2


def film(folder: Path, name: str = "film.mkv", **changes: Any) -> Path:
    """12 frames of 64x48, coded without loss."""
    words: dict[str, Any] = {"size": (64, 48), "codec": "ffv1", "audio": None}
    return make_clip(folder / name, **words | changes)


def configuration(folder: Path, **changes: Any) -> Config:
    """A net stage on the film in `folder`, which is made when it is not there."""
    path = folder / "film.mkv"
    path = path if path.exists() else film(folder)
    values: dict[str, Any] = {
        "name": "small",
        "seed": 3,
        "scale": SCALE,
        "net": {"kind": "srvgg", "features": 8, "convolutions": 2},
        "data": [{"kind": "video", "paths": [str(path)], "gt_size": 32, "still": "keep"}],
        "degrade": {"kind": "video", "steps": [{"kind": "shrink"}]},
        "losses": [{"kind": "l1"}],
        "loop": {"iterations": 20, "batch": 2, "workers": 0, "device": "cpu"},
    }
    return parse(values | changes)


def network(seed: int = 1, activation: Any = "prelu") -> SRVGGNetCompact:
    """The network of `configuration`, with small random weights; it nearly repeats its input."""
    torch.manual_seed(seed)
    made = SRVGGNetCompact(8, 2, SCALE, activation)
    nn.init.normal_(made.body[-1].weight, std=0.01)
    return made


def finished(folder: Path, config: Config, ema: dict[str, Tensor], net: dict[str, Tensor], iteration: int = 20) -> Path:
    """A run folder with one checkpoint."""
    run = folder / "run"
    state = {"generator": net, "ema": {"weights": ema, "updates": 1}, "swa": None, "best": None}
    checkpoint.write(checkpoint.file_of(run, iteration), state, config.resolved(), iteration)
    return run
