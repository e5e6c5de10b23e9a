"""From a state dict of any release to the network it belongs to, with nothing known but names and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..errors import WeightsError
from .archs import compact, rrdb
from .archs.compact import SRVGGNetCompact
from .archs.rrdb import RRDBNet

ARCHITECTURES = (rrdb, compact)

WRAPPERS = ("params_ema", "params", "state_dict")
"""Names under which training programs put the state dict; averaged weights first, as the reference does."""

SHOWN = 5
"""Faults that a message names."""


def normalise(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a checkpoint, float32, under the key names of the newest releases.

    Unwraps `params_ema`, `params` or `state_dict`, strips `module.`, and translates the names of old ESRGAN files.
    Raises WeightsError when anything in it is not a dense floating-point tensor.
    """
    wrapped = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), content)
    faults = [f"{key} is {_kind(value)}" for key, value in wrapped.items() if not _is_dense(value)]
    if faults or not wrapped:
        raise WeightsError(
            f"the file holds no state dict: {_first(faults) or 'it is empty'}",
            f"expected are tensors, bare or under one of {', '.join(WRAPPERS)}",
        )
    stripped = {str(key).removeprefix("module."): value for key, value in wrapped.items()}
    return {rrdb.modern_name(key): value.detach().float().contiguous() for key, value in stripped.items()}


def build(state: Mapping[str, Tensor]) -> SRVGGNetCompact | RRDBNet:
    """The network with these weights, in eval mode, without gradients. Raises WeightsError if it fits none."""
    architecture = next((item for item in ARCHITECTURES if item.matches(state)), None)
    if architecture is None:
        raise WeightsError(
            f"the weights fit no known network: their first keys are {_first(list(state))}",
            "expected are those of SRVGGNetCompact (body.0.weight …) or RRDBNet (conv_first.weight …)",
        )
    with torch.device("meta"):  # no memory and no random numbers for weights that are replaced at once
        network: SRVGGNetCompact | RRDBNet = architecture.recover(state)
    _check_fit(network, state)
    network.load_state_dict(state, strict=True, assign=True)
    network.eval().requires_grad_(False)
    return network


def _check_fit(network: SRVGGNetCompact | RRDBNet, state: Mapping[str, Tensor]) -> None:
    expected = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    faults = [f"{key} is missing" for key in expected if key not in state]
    faults += [f"{key} is unexpected" for key in state if key not in expected]
    faults += [
        f"{key} is {tuple(state[key].shape)}, expected {shape}"
        for key, shape in expected.items()
        if key in state and tuple(state[key].shape) != shape
    ]
    faults += [f"{key} holds values that are not finite" for key in state if not torch.isfinite(state[key]).all()]
    if faults:
        raise WeightsError(
            f"the weights do not fit {network.title}, scale {network.scale}: {_first(faults)}",
            "the file is damaged, or it is another network under the same names",
        )


def _is_dense(value: Any) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided and value.is_floating_point()


def _kind(value: Any) -> str:
    return f"a tensor of {value.dtype}" if isinstance(value, Tensor) else type(value).__name__


def _first(faults: list[str]) -> str:
    more = f" and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return ", ".join(faults[:SHOWN]) + more
