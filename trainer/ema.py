"""Averages of the generator's weights, by `torch.optim.swa_utils`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from .options import Ema, Swa


class Average:
    """A running average of a network; `module` is a network with the averaged weights, in eval mode.

    With Ema options: exponential, which starts as a copy of the network as the reference's does. With Swa options:
    the plain mean of all states it was given.
    """

    def __init__(self, net: nn.Module, options: Ema | Swa) -> None:
        self._options = options
        self._updates = 0
        self._model = AveragedModel(net, multi_avg_fn=self._blend if isinstance(options, Ema) else None)
        self._model.requires_grad_(False).eval()
        if isinstance(options, Ema):
            self.update(net)

    @property
    def module(self) -> nn.Module:
        """The averaged network."""
        found: nn.Module = self._model.module
        return found

    @property
    def updates(self) -> int:
        """How many states are in the average."""
        return self._updates

    def decay(self) -> float:
        """What is kept of the average at the next update; with warm-up, (1 + n) / (10 + n) while that is less."""
        assert isinstance(self._options, Ema)
        steps = self._updates - 1  # the first one only copies
        warm = (1 + steps) / (10 + steps) if self._options.warmup else 1.0
        return min(self._options.decay, warm)

    def _blend(self, averaged: Sequence[Tensor], current: Sequence[Tensor], _: Tensor | int) -> None:
        torch._foreach_lerp_(list(averaged), list(current), 1 - self.decay())

    def update(self, net: nn.Module) -> None:
        """Take the weights of `net` into the average."""
        self._model.update_parameters(net)
        self._updates += 1

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs; `weights` is the state dict of the averaged network."""
        return {"weights": self.module.state_dict(), "updates": self._updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved average."""
        self.module.load_state_dict(state["weights"])
        self._updates = state["updates"]
        self._model.n_averaged.fill_(self._updates)
