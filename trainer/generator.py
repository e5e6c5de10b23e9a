"""The generator of a run, and the weights it begins with."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vidsr.errors import UsageError, WeightsError
from vidsr.events import Emit, Notice, ignore
from vidsr.models.archs.compact import SRVGGNetCompact
from vidsr.models.archs.rrdb import RRDBNet
from vidsr.models.files import parse, read_bytes
from vidsr.models.find import find
from vidsr.models.recover import build as recovered
from vidsr.models.recover import normalise
from vidsr.models.store import is_path

from . import checkpoint
from .options import Model, NetOptions, Rrdb, Srvgg
from .weights import fit

Network = SRVGGNetCompact | RRDBNet


def build(options: NetOptions, scale: int, emit: Emit = ignore, kept: dict[str, Tensor] | None = None) -> Network:
    """The generator in training mode on the CPU: N 3 H W to N 3 sH sW float32 RGB, [0, 1] nominal.

    `kept` are the weights of a run that goes on; those that it began with are then not needed any more. Raises
    UsageError when its scale is another one, WeightsError when the weights are missing, damaged or do not fit.
    """
    if isinstance(options, Model):
        network = recovered(kept) if kept is not None else _started(options, emit)
    else:
        network = _made(options if kept is None else options.model_copy(update={"start": None}), scale, emit)
    if network.scale != scale:
        raise UsageError(
            f"net: {network.title} of {options.start} has scale {network.scale}, the run has scale {scale}",
            f"scale={network.scale} fits it; net.start_partial=true takes over what fits another scale",
        )
    return network.train().requires_grad_(True)


def _made(options: Srvgg | Rrdb, scale: int, emit: Emit) -> Network:
    if isinstance(options, Srvgg):
        network: Network = SRVGGNetCompact(options.features, options.convolutions, scale, options.activation)
    else:
        network = RRDBNet(options.features, options.blocks, options.growth, scale)
    if options.start is not None:
        state = read_start(options.start, options.start_key, emit)
        state = _fitting(network, state, options.start, emit) if options.start_partial else state
        fit(network, state, f"net.start {options.start} for {network.title}, scale {scale}")
    return network


def _started(options: Model, emit: Emit) -> Network:
    """The network that the weights belong to. One of another architecture cannot be trained here."""
    try:
        return recovered(read_start(options.start, options.start_key, emit))
    except WeightsError as error:
        raise WeightsError(f"net.start {options.start}: {error}", error.hint) from error


def read_start(start: str, key: str, emit: Emit) -> dict[str, Tensor]:
    """The state dict that a run begins with: of a model's name, a weights file, or the folder of an earlier run."""
    path = Path(start)
    if path.is_dir():
        return checkpoint.pick(path).weights()
    if is_path(start) and not path.exists():
        raise WeightsError(
            f"net.start {start} does not exist",
            "name a model, a weights file, or the folder of the run before this one",
        )
    if is_path(start):
        data = read_bytes(path)
        state = parse(path, data)
        return _keyed(data, key) or state if path.suffix.lower() == ".pth" else state
    found = find(start, emit)
    if found.graph:
        raise UsageError(f"net.start: {start} is an ONNX file, which cannot be trained", "name a .safetensors or .pth")
    return found.state


def _keyed(data: bytes, key: str) -> dict[str, Tensor] | None:
    """The weights under `key` in a checkpoint of the reference, which `parse` has found harmless."""
    content: Any = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    inner = content.get(key) if isinstance(content, dict) else None
    return normalise(inner) if isinstance(inner, dict) else None


def _fitting(network: nn.Module, state: dict[str, Tensor], start: str, emit: Emit) -> dict[str, Tensor]:
    """The network's own weights, replaced by those of `state` that have the same name and shape."""
    own = network.state_dict()
    taken = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    if not taken:
        raise WeightsError(f"net.start {start}: none of its {len(state)} tensors fits the network")
    emit(Notice(f"{len(taken)} of {len(own)} tensors begin with {start}, the others are random"))
    return {**own, **taken}
