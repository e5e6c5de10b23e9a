"""Does every loss teach every weight? Asked before the first step and after each validation.

Three published trainers had a loss that was logged and taught nothing, or a network that stopped learning after a
validation; nobody saw it for months. The check changes no weight, no buffer and no random number.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from vidsr.errors import DeviceError, UsageError
from vidsr.models.recover import shown

from .optim import Learner

COMPILED_APART = {torch.float32: 1e-3, torch.bfloat16: 0.05, torch.float16: 0.01}
"""Largest difference that torch.compile may make to a picture in [0, 1]."""


def gradient_norms(losses: Mapping[str, Tensor], generator: Learner, resting: Collection[str] = ()) -> dict[str, float]:
    """The norm of the gradient that each loss alone gives the generator; 0 for one of `resting` that is zero itself.

    Raises UsageError for a loss that gives some weight no gradient; DeviceError for one that is not finite.
    """
    names, weights = zip(*generator.net.named_parameters(), strict=True)
    norms = {}
    for name, loss in losses.items():
        if name in resting and loss.requires_grad and float(loss.detach()) == 0:
            norms[name] = 0.0
            continue
        scaled = generator.scaler.scale(loss)
        found = torch.autograd.grad(scaled, weights, retain_graph=True, allow_unused=True) if loss.requires_grad else ()
        norms[name] = _checked(name, dict(zip(names, found or [None] * len(names), strict=True))) / float(
            generator.scaler.get_scale()
        )
    return norms


def _checked(loss: str, gradients: Mapping[str, Tensor | None]) -> float:
    largest = {name: 0.0 if value is None else float(value.abs().max()) for name, value in gradients.items()}
    dead = [name for name, value in largest.items() if value == 0]
    if dead:
        raise UsageError(
            f"loss {loss} gives {len(dead)} of {len(largest)} tensors of the generator no gradient: {shown(dead)}",
            "leave the loss out, or check that its weight and its inputs are what was meant",
        )
    norm = float(torch.nn.utils.get_total_norm([value for value in gradients.values() if value is not None]))
    if not all(torch.isfinite(torch.tensor(value)) for value in largest.values()):
        raise DeviceError(f"loss {loss} gives a gradient that is not finite", "loop.precision=fp32 may help")
    return norm


def compare_compiled(learner: Learner, x: Tensor, output: Tensor) -> None:
    """Raises DeviceError when what torch.compile made gives other pictures than the network itself."""
    with torch.no_grad():
        eager = learner.eager(x)
    assert isinstance(eager, Tensor)
    apart, allowed = float((eager - output).abs().max()), COMPILED_APART[learner.dtype]
    if not apart <= allowed:
        raise DeviceError(
            f"loop.compile: the compiled network differs from the network by {apart:.3g}, allowed is {allowed:g}",
            "loop.compile=off trains without it",
        )


class Quiet:
    """Inside, a discriminator works as in training, and afterwards its spectral norms and running means are as before.

    In eval mode it would do as well but for its first pass of all, when its norms are not yet known.
    """

    def __init__(self, discriminator: Learner | None) -> None:
        self._net = discriminator.net if discriminator else None
        self._kept: list[Tensor] = []

    def __enter__(self) -> None:
        if self._net is not None:
            self._kept = [buffer.clone() for buffer in self._net.buffers()]

    def __exit__(self, *_: object) -> None:
        if self._net is not None:
            for buffer, kept in zip(self._net.buffers(), self._kept, strict=True):
                buffer.copy_(kept)
            self._net.train()
