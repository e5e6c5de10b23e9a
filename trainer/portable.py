"""A network in training as weights that `vidsr upscale` reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from torch import Tensor, nn

from vidsr.errors import OutputError
from vidsr.fs import unwritable, write_atomically
from vidsr.models.archs.compact import SLOPES, SRVGGNetCompact, with_slopes

from .options import NetOptions, Srvgg


def unwrapped(net: nn.Module) -> nn.Module:
    """The network inside of what torch.compile, distributed training and averaging put around it."""
    for name in ("_orig_mod", "module"):
        inner = getattr(net, name, None)
        if isinstance(inner, nn.Module):
            return unwrapped(inner)
    return net


def weights_of(net: nn.Module) -> dict[str, Tensor]:
    """Float32 weights on the CPU, a copy, under names that are read again."""
    inner = unwrapped(net)
    state = {key: value.detach().float().cpu().clone() for key, value in inner.state_dict().items()}
    slopes = SLOPES.get(inner.activation) if isinstance(inner, SRVGGNetCompact) else None
    return state if slopes is None else with_slopes(state, slopes)


def with_activation(state: Mapping[str, Tensor], net: NetOptions) -> dict[str, Tensor]:
    """The weights of a checkpoint with what they do not tell: an activation without slopes gets some."""
    slopes = SLOPES.get(net.activation) if isinstance(net, Srvgg) else None
    return dict(state) if slopes is None else with_slopes(dict(state), slopes)


def save(net: nn.Module, path: Path) -> None:
    """Write the weights of `net` as safetensors. Raises OutputError."""
    write(path, weights_of(net), {})


def write(path: Path, state: Mapping[str, Tensor], said: dict[str, str]) -> None:
    """Write weights as safetensors with `said` in the header. Raises OutputError."""
    if path.suffix != ".safetensors":
        raise OutputError(f"weights {path} do not end in .safetensors")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, safetensors.torch.save({key: value.contiguous() for key, value in state.items()}, said))
    except OSError as error:
        raise unwritable(path.parent, error) from error
