"""The discriminator's part in an iteration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from .alarms import Balance
from .losses.gan import GanLoss
from .nets.spectral import SpectralConv2d
from .optim import Learner, Output


class Adversary:
    """A discriminator, its loss, and the rule when its spectral norms are measured anew.

    Each pass in training mode makes one step of their power iteration. Here only the first pass of an iteration does,
    once per step of the optimiser as in the paper (Miyato et al., 2018): so all passes of an iteration see the same
    network, and many small batches come to the same as a large one.
    """

    def __init__(self, learner: Learner, loss: GanLoss) -> None:
        self.learner, self._loss = learner, loss
        self.balance = Balance(loss.guess)
        """Whether it learns."""

    def begin(self) -> None:
        """A new iteration: the next pass measures the spectral norms."""
        self.learner.net.train()

    def teach(self, output: Tensor, real: Tensor) -> Tensor:
        """The adversarial loss of the generator, a scalar; the gradient goes through the discriminator and leaves none
        there. `output` and `real` are B 3 H W."""
        with self._frozen():
            made = self._logits(output)
            with torch.no_grad():
                true = self._logits(real) if self._loss.needs_real else None
        return self._loss.generator(made, true)

    def learn(self, output: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of the discriminator, and the share of logits that it has right; both scalars."""
        true, made = self._logits(real), self._logits(output.detach())
        return self._loss.discriminator(made, true), self._loss.accuracy(made, true)

    def _logits(self, x: Tensor) -> Output:
        result = self.learner(x)
        for layer in self.learner.net.modules():
            if isinstance(layer, SpectralConv2d):
                layer.eval()
        return result

    @contextmanager
    def _frozen(self) -> Iterator[None]:
        self.learner.net.requires_grad_(False)
        try:
            yield
        finally:
            self.learner.net.requires_grad_(True)
