"""Runs that are over in a second, and ways to disturb them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.clips import picture
from trainer import checkpoint, loop
from trainer import run as running
from trainer.checkpoint import Saved
from trainer.config import Config, parse
from trainer.parts import Run
from vidsr.events import Event

PICTURES = 5
GT = 16


def pictures(folder: Path, count: int = PICTURES, size: int = 32) -> Path:
    """A folder of PNG files, which is made when it is not there."""
    folder = folder / "pictures"
    if not folder.exists():
        folder.mkdir(parents=True)
        for index in range(count):
            shown = picture(5 * index, size, size)
            cv2.imwrite(str(folder / f"{index}.png"), shown[..., ::-1])
    return folder


def values(folder: Path, **changes: Any) -> dict[str, Any]:
    """A net stage of the smallest network on pictures; `loop` and the like are laid over the groups."""
    base: dict[str, Any] = {
        "name": "tiny",
        "seed": 7,
        "scale": 2,
        "net": {"kind": "srvgg", "features": 4, "convolutions": 1},
        "data": [{"kind": "pictures", "roots": [str(pictures(folder))], "gt_size": GT, "crop_pad": 24}],
        "degrade": {"kind": "video", "steps": [{"kind": "blur"}, {"kind": "shrink"}]},
        "losses": [{"kind": "l1"}],
        "optim": {"kind": "adam", "lr": 1e-3, "eps": 1e-4},  # else tiny gradients make rounding errors large
        "schedule": {"kind": "constant"},
        "loop": {"iterations": 4, "batch": 2, "workers": 0, "device": "cpu"},
        "checkpoint": {"every": 1000},
        "export": None,
    }
    merged = {name: base[name] | changes[name] if name in ("loop", "checkpoint") else changes[name] for name in changes}
    return base | merged


def config(folder: Path, **changes: Any) -> Config:
    return parse(values(folder, **changes))


GAN: dict[str, Any] = {
    "discriminator": {"kind": "unet-sn", "features": 2},
    "loss": {"kind": "vanilla", "weight": 0.1},
}

ONLY_MPEG2: dict[str, Any] = {"h264": None, "mpeg4": None, "hevc": None, "vp9": None, "av1": None}
"""Of a codec step: the fastest one alone."""

EVERYTHING: dict[str, Any] = {
    "gan": GAN | {"warmup": 2, "ramp": 4, "on": "usm"},
    "degrade": {"kind": "classic", "gt_size": GT},
    "pair_pool": 5,
    "losses": [{"kind": "l1", "on": "usm"}, {"kind": "ldl"}, {"kind": "fft", "weight": 0.1}],
    "schedule": {"kind": "cosine", "warmup": 3},
    "swa": {"start": 0.5, "every": 2},
}
"""All that has a state, in one run."""


def train(chosen: Config, folder: Path) -> list[Event]:
    """Run to the end; what was said."""
    said: list[Event] = []
    running.start(chosen, folder, said.append)
    return said


def last(run: Path) -> Saved:
    return checkpoint.pick(run, "last")


def comparable(saved: Saved) -> dict[str, Any]:
    """The state without the clock."""
    counters = {name: value for name, value in saved.state["counters"].items() if name != "seconds"}
    return saved.state | {"counters": counters}


@contextmanager
def before_each_step(monkeypatch: pytest.MonkeyPatch, act: Callable[[Run], None]) -> Iterator[None]:
    """Inside, `act` is called with the run ahead of every iteration."""
    step = loop.step

    def disturbed(run: Run) -> None:
        act(run)
        step(run)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "step", disturbed)
        yield


@contextmanager
def stopped_after(monkeypatch: pytest.MonkeyPatch, iteration: int) -> Iterator[None]:
    """Inside, a run gets SIGTERM while iteration `iteration` is computed."""
    import os
    import signal

    def act(run: Run) -> None:
        if run.state.counters.iteration == iteration - 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with before_each_step(monkeypatch, act):
        yield


def one_thread() -> None:
    """Two threads on tiny pictures only wait for each other."""
    torch.set_num_threads(1)


def equal(first: Any, second: Any) -> bool:
    """Whether two trees are the same, every bit of every tensor."""
    if isinstance(first, Tensor):
        return isinstance(second, Tensor) and first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, np.ndarray):
        return isinstance(second, np.ndarray) and np.array_equal(first, second)
    if isinstance(first, Mapping):
        return (
            isinstance(second, Mapping)
            and first.keys() == second.keys()
            and all(equal(item, second[key]) for key, item in first.items())
        )
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(equal, first, second))
    return bool(first == second)
