"""Checkpoints: one safetensors file for each kept state, on the disk whole or not at all.

    RUN/config.yaml                         the resolved configuration
    RUN/checkpoints/00010000.safetensors    all of the state after 10,000 iterations; the configuration in its header
    RUN/checkpoints/00010000.rank1.safetensors   what only process 1 of a distributed run knows: its pool, its RNG

Weights lie under `generator.*`, `ema.*`, `swa.*` and `discriminator.*`, so that any reader of safetensors finds them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from vidsr.errors import OutputError, UsageError, WeightsError
from vidsr.fs import write_atomically

from .tree import pack, unpack

FORMAT = 1
"""Of the files; raised when an older trainer could not read them."""

KEY = "vidsr.train"
"""Of the JSON in the header."""


@dataclass(frozen=True)
class Saved:
    """A checkpoint as it was read."""

    path: Path
    iteration: int
    config: dict[str, Any]
    """The resolved configuration."""
    state: dict[str, Any]
    """What `State.state_dict` gave."""

    @property
    def best(self) -> int | None:
        """The iteration of the best checkpoint so far; None when nothing was measured."""
        told = self.state.get("best")
        return int(told["iteration"]) if told else None

    def kind(self, wanted: str) -> str:
        """`wanted`, an average (ema, swa), where the run has it; else net, the live weights."""
        return wanted if wanted in ("ema", "swa") and self.state.get(wanted) else "net"

    def weights(self, wanted: str = "ema") -> dict[str, Tensor]:
        """State dict of the generator, of the kind that `kind` tells."""
        kind = self.kind(wanted)
        found: dict[str, Tensor] = self.state["generator"] if kind == "net" else self.state[kind]["weights"]
        return found


def file_of(run: Path, iteration: int, rank: int = 0) -> Path:
    """The name of the checkpoint of an iteration, or of the part of it that belongs to process `rank`."""
    part = f".rank{rank}" if rank else ""
    return run / "checkpoints" / f"{iteration:08}{part}.safetensors"


def listed(run: Path) -> list[Path]:
    """All checkpoints of a run, the oldest first."""
    return sorted(path for path in (run / "checkpoints").glob("????????*.safetensors") if path.stem.isdigit())


def write(path: Path, state: dict[str, Any], config: dict[str, Any], iteration: int) -> None:
    """Keep a state. Raises OutputError when the disk cannot take it; what was there before stays."""
    tensors, skeleton = pack(state)
    header = json.dumps({"format": FORMAT, "iteration": iteration, "config": config, "state": skeleton})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, safetensors.torch.save(tensors, {KEY: header}))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(
            f"checkpoint {path} cannot be written: {reason}", "make room; resume goes on from the checkpoint before it"
        ) from error


def read(path: Path) -> Saved:
    """The state in a checkpoint. Raises WeightsError when it is damaged or none of ours."""
    try:
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        said = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][KEY])
        if said["format"] != FORMAT:
            raise WeightsError(f"checkpoint {path} has format {said['format']}, this vidsr reads {FORMAT}")
        state = unpack(safetensors.torch.load(data), said["state"])
    except OSError as error:
        raise WeightsError(f"checkpoint {path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"checkpoint {path} is damaged, or no checkpoint of vidsr train") from error
    return Saved(path, said["iteration"], said["config"], state)


def pick(run: Path, which: str = "best") -> Saved:
    """The `best` checkpoint of a run by its validation, or the `last`. Raises UsageError when there is none."""
    paths = listed(run)
    if not paths:
        raise UsageError(f"run {run} has no checkpoint", "vidsr train run begins one")
    last = read(paths[-1])
    if which == "last" or last.best is None or not file_of(run, last.best).exists():
        return last
    return read(file_of(run, last.best))


def prune(run: Path, keep: int, spared: Iterable[int]) -> None:
    """Delete all but the newest `keep` checkpoints and those of the iterations `spared`, with their parts."""
    spared = set(spared)
    for path in listed(run)[:-keep]:
        if int(path.stem) not in spared:
            path.unlink(missing_ok=True)
            for part in path.parent.glob(f"{path.stem}.rank*.safetensors"):
                part.unlink(missing_ok=True)
