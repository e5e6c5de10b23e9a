"""From the reference's arguments to a network: paths, names, addresses, mixed weights, modules of the caller's."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike

from torch import Tensor, nn

from ..errors import UsageError, WeightsError
from ..events import Emit
from ..models import dni
from ..models.builtin import builtin
from ..models.descriptor import ALL_DTYPES, Descriptor
from ..models.files import digest
from ..models.find import Found, find
from ..models.load import describe

Weights = str | PathLike[str]
"""A file, a built-in name, or the address of an official file."""


def network_of(
    scale: int,
    paths: Weights | Sequence[Weights],
    shares: Sequence[float] | None,
    module: nn.Module | None,
    emit: Emit,
) -> Descriptor:
    """The network with its weights, mixed if there are two. Raises UsageError and WeightsError."""
    specs = [paths] if isinstance(paths, str | PathLike) else list(paths)
    share = _share(specs, shares)
    found, *partner = (find(spec_of(path), emit) for path in specs)
    if share is not None:
        found = _mixed(found, partner[0], share)
    if module is not None:
        return _given(module, scale, found)
    network = describe(found, emit=emit)
    if network.scale != scale:
        raise UsageError(f"scale is {scale}, but {network.name} enlarges {network.scale} times", "give its own scale")
    return network


def _share(specs: Sequence[Weights], shares: Sequence[float] | None) -> float | None:
    """The part of the first of two networks, None where there is one."""
    if len(specs) == 1:
        return None
    if len(specs) != 2 or shares is None or len(shares) != 2 or not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise UsageError(
            f"dni_weight is {shares} for {len(specs)} networks, expected are two networks and two numbers of sum 1"
        )
    return float(shares[0])


def _mixed(first: Found, second: Found, share: float) -> Found:
    state = dni.mix(first.state, second.state, share)
    origin = f"{share:g} * {first.origin} + {1 - share:g} * {second.origin}"
    return replace(first, state=state, sha256=digest(state), origin=origin)


def spec_of(path: Weights) -> str:
    """What `load_model` is asked for: the name of a built-in network in place of the address of its official file."""
    spec = str(path)
    if not spec.startswith(("http://", "https://")):
        return spec
    known = next((item.name for item in builtin() if item.url == spec), None)
    if known is None:
        raise UsageError(
            f"model_path {spec} is not the address of an official file", "download the file yourself and give its path"
        )
    return known


class _Given(nn.Module):
    """A module of the caller's under the rules of a Descriptor's: float32 in and out, and `scale` times larger."""

    def __init__(self, module: nn.Module, scale: int) -> None:
        super().__init__()
        self.module, self.scale = module, scale

    def forward(self, rgb: Tensor) -> Tensor:
        result: Tensor = self.module(rgb.to(next(self.module.parameters()).dtype))
        expected = [length * self.scale for length in rgb.shape[-2:]]
        if list(result.shape[-2:]) != expected:
            seen = "x".join(map(str, result.shape[-2:]))
            raise UsageError(f"scale is {self.scale}, but the model made {seen} of {rgb.shape[-2]}x{rgb.shape[-1]}")
        return result.float()


def _given(module: nn.Module, scale: int, found: Found) -> Descriptor:
    """The caller's own module, which takes the weights. Raises WeightsError when they are those of another."""
    try:
        module.load_state_dict(found.state, strict=True)
    except RuntimeError as error:
        first = " ".join(str(error).split())[:200]
        raise WeightsError(f"the weights do not fit the model: {first}", "leave model out: it is recognised") from error
    module.eval()
    return Descriptor(
        name=found.name,
        arch=type(module).__name__,
        scale=scale,
        receptive_field=sys.maxsize,  # not known
        multiple_of=1,
        minimum=1,
        dtypes=ALL_DTYPES,
        parameters=sum(tensor.numel() for tensor in module.parameters()),
        flops_per_pixel=0,
        sha256=found.sha256,
        licence=found.licence,
        origin=found.origin,
        network=_Given(module, scale),
    )
