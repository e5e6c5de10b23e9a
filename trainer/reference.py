"""Checkpoints as BasicSR and Real-ESRGAN write them, for people who go on there: net_g_N.pth with `params` and
`params_ema`, net_d_N.pth with `params`. Reading them is `net.start` and `gan.discriminator.weights`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from vidsr.errors import OutputError
from vidsr.fs import write_atomically

from .checkpoint import Saved


def write(saved: Saved, folder: Path) -> list[Path]:
    """The networks of a checkpoint as `.pth` in `folder`; the paths. Raises OutputError.

    Without an average, `params_ema` is left out, as the reference does.
    """
    networks: dict[str, dict[str, Any]] = {"net_g": {"params": saved.weights("net")}}
    if saved.state["ema"]:
        networks["net_g"]["params_ema"] = saved.weights("ema")
    if saved.state["discriminator"]:
        networks["net_d"] = {"params": saved.state["discriminator"]}
    return [_written(folder / f"{name}_{saved.iteration}.pth", content) for name, content in networks.items()]


def _written(path: Path, content: dict[str, Any]) -> Path:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from error
    return path
