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

WRAPPERS = (
    "params_ema", "params-ema", "params", "state_dict", "model_state_dict", "generator", "net_g", "model", "net",
)  # fmt: skip
"""Names under which training programs put the state dict; averaged weights first, as the reference does."""

PREFIXES = ("module.", "netG.", "_orig_mod.", "generator.", "spandrel.")
"""What wrappers of a network put in front of every name: of training programs, of torch.compile, and of
`models.community`."""

SHOWN = 5
"""Faults that a message names."""


def normalise(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a checkpoint, under the key names of the newest releases; floating-point ones as float32.

    Unwraps one of WRAPPERS, strips PREFIXES that all names have, and translates the names of old ESRGAN files. Raises
    WeightsError when anything in it is not a dense tensor, or when there are no floating-point numbers in it.
    """
    wrapped = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), content)
    faults = [f"{key} is {_kind(value)}" for key, value in wrapped.items() if not _is_dense(value)]
    if not faults and not any(value.is_floating_point() for value in wrapped.values()):
        faults = [f"{key} is {_kind(value)}" for key, value in wrapped.items()]
    if faults or not wrapped:
        raise WeightsError(
            f"the file holds no state dict: {shown(faults) or 'it is empty'}",
            f"expected are tensors, bare or under one of {', '.join(WRAPPERS)}",
        )
    return {key: _single(value) for key, value in rrdb.modern(_stripped(wrapped)).items()}


def _stripped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the prefixes that all names have."""
    named = {str(key): value for key, value in state.items()}
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in named):
            named = {key.removeprefix(prefix): value for key, value in named.items()}
    return named


def _single(value: Tensor) -> Tensor:
    plain = value.detach()
    return (plain.float() if plain.is_floating_point() else plain).contiguous()


def is_known(state: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of a network of this package, whatever the shapes are."""
    return any(item.matches(state) for item in ARCHITECTURES)


def build(state: Mapping[str, Tensor]) -> SRVGGNetCompact | RRDBNet:
    """The network with these weights, in eval mode, without gradients. Raises WeightsError if it fits none."""
    architecture = next((item for item in ARCHITECTURES if item.matches(state)), None)
    if architecture is None:
        raise WeightsError(
            f"the weights fit no known network: their first keys are {shown(list(state))}",
            "expected are those of SRVGGNetCompact (body.0.weight …) or RRDBNet (conv_first.weight …)",
        )
    with torch.device("meta"):  # no memory and no random numbers for weights that are replaced at once
        network: SRVGGNetCompact | RRDBNet = architecture.recover(state)
    check_fit(network.state_dict(), state, f"{network.title}, scale {network.scale}")
    network.load_state_dict(state, strict=True, assign=True)
    network.eval().requires_grad_(False)
    return network


def check_fit(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor], title: str) -> None:
    """Raise WeightsError unless `state` has the keys and shapes of `wanted`, the state dict of network `title`, and no
    others, and finite floating-point numbers only.
    """
    expected = {key: tuple(value.shape) for key, value in wanted.items()}
    faults = [f"{key} is missing" for key in expected if key not in state]
    faults += [f"{key} is unexpected" for key in state if key not in expected]
    faults += [
        f"{key} is {tuple(state[key].shape)}, expected {shape}"
        for key, shape in expected.items()
        if key in state and tuple(state[key].shape) != shape
    ]
    faults += [f"{key} holds {value.dtype}" for key, value in state.items() if not value.is_floating_point()]
    faults += [f"{key} holds values that are not finite" for key in state if not torch.isfinite(state[key]).all()]
    if faults:
        raise WeightsError(
            f"the weights do not fit {title}: {shown(faults)}",
            "the file is damaged, or it is another network under the same names",
        )


def _is_dense(value: Any) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided and not value.is_complex()


def _kind(value: Any) -> str:
    return f"a tensor of {value.dtype}" if isinstance(value, Tensor) else type(value).__name__


def shown(faults: list[str]) -> str:
    """The first of many, and how many more there are."""
    more = f" and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return ", ".join(faults[:SHOWN]) + more
