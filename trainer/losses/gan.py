"""Adversarial losses.

Sources: I. Goodfellow et al., "Generative Adversarial Nets", 2014 (vanilla, in its form for generators that does not
saturate); X. Mao et al., "Least Squares Generative Adversarial Networks", 2017; J. Lim and J. Ye, "Geometric GAN",
2017 (hinge); A. Jolicoeur-Martineau, "The relativistic discriminator", 2018, averaged as in ESRGAN. Sums, halves and
labels are those of the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from vidsr.errors import UsageError

from .base import full
from .options import LSGAN, GanOptions, Hinge, Relativistic, Vanilla

Logits = Tensor | Sequence[Tensor]
"""Of a discriminator: of any shape, or a list of them, one per scale, that count alike."""


class GanLoss:
    """Base of the adversarial losses.

    `weight` is in the generator's loss; the discriminator's always has 1. `needs_real` says that the generator's one
    needs the logits of real pictures, so that the pass for them can be spared elsewhere.
    """

    needs_real = False
    border = 0.0
    """Logits above it mean real."""

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def generator(self, fake_logits: Logits, real_logits: Logits | None = None) -> Tensor:
        """`weight` times what the generator minimises: a scalar float32. `real_logits` get no gradient."""
        if real_logits is None and self.needs_real:
            raise UsageError("gan: relativistic losses need the logits of real pictures in the generator's step")
        return self.weight * _averaged(
            self._generator, fake_logits, fake_logits if real_logits is None else real_logits
        )

    def discriminator(self, fake_logits: Logits, real_logits: Logits) -> Tensor:
        """What the discriminator minimises: a scalar float32. The fake pictures are detached by the caller."""
        return _averaged(self._discriminator, fake_logits, real_logits)

    @torch.no_grad()
    def accuracy(self, fake_logits: Logits, real_logits: Logits) -> Tensor:
        """Share of logits on the right side: a scalar, 1 where it is always right, 0.5 where it guesses."""
        return _averaged(self._accuracy, fake_logits, real_logits)

    @property
    def guess(self) -> float:
        """The discriminator's loss where it cannot tell."""
        undecided = torch.tensor([self.border])
        return float(self.discriminator(undecided, undecided))

    def _generator(self, fake: Tensor, real: Tensor) -> Tensor:
        raise NotImplementedError

    def _discriminator(self, fake: Tensor, real: Tensor) -> Tensor:
        raise NotImplementedError

    def _accuracy(self, fake: Tensor, real: Tensor) -> Tensor:
        return ((fake < self.border).to(fake).mean() + (real > self.border).to(real).mean()) / 2


class LabelledLoss(GanLoss):
    """`distance` from a label: of fakes from that of real pictures for the generator, of both from their own for the
    discriminator, summed."""

    def __init__(self, options: Vanilla | LSGAN | Relativistic, distance: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__(options.weight)
        self.real, self.fake, self._distance = options.real, options.fake, distance

    def to_real(self, logits: Tensor) -> Tensor:
        return self._distance(logits, torch.full_like(logits, self.real))

    def to_fake(self, logits: Tensor) -> Tensor:
        return self._distance(logits, torch.full_like(logits, self.fake))

    def _generator(self, fake: Tensor, real: Tensor) -> Tensor:
        return self.to_real(fake)

    def _discriminator(self, fake: Tensor, real: Tensor) -> Tensor:
        return self.to_real(real) + self.to_fake(fake)


class LeastSquares(LabelledLoss):
    def __init__(self, options: LSGAN) -> None:
        super().__init__(options, functional.mse_loss)
        self.border = (options.real + options.fake) / 2


class RelativisticLoss(LabelledLoss):
    """Cross entropy of each logit less the mean of the other kind, halved. A mean gets no gradient but the fakes' in
    the generator's step, as in the reference."""

    needs_real = True

    def _generator(self, fake: Tensor, real: Tensor) -> Tensor:
        real = real.detach()
        return (self.to_fake(real - fake.mean()) + self.to_real(fake - real.mean())) / 2

    def _discriminator(self, fake: Tensor, real: Tensor) -> Tensor:
        return (self.to_real(real - fake.detach().mean()) + self.to_fake(fake - real.detach().mean())) / 2

    def _accuracy(self, fake: Tensor, real: Tensor) -> Tensor:
        return super()._accuracy(fake - real.mean(), real - fake.mean())


class HingeLoss(GanLoss):
    """The discriminator stops caring beyond a margin of 1; the generator never does."""

    def _generator(self, fake: Tensor, real: Tensor) -> Tensor:
        return -fake.mean()

    def _discriminator(self, fake: Tensor, real: Tensor) -> Tensor:
        return functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()


def build(options: GanOptions) -> GanLoss:
    """The adversarial loss of these options."""
    if isinstance(options, Hinge):
        return HingeLoss(options.weight)
    if isinstance(options, LSGAN):
        return LeastSquares(options)
    if isinstance(options, Relativistic):
        return RelativisticLoss(options, functional.binary_cross_entropy_with_logits)
    return LabelledLoss(options, functional.binary_cross_entropy_with_logits)


def _averaged(compute: Callable[[Tensor, Tensor], Tensor], fake: Logits, real: Logits) -> Tensor:
    """The mean over scales of what `compute` makes of the logits, outside of autocast."""
    fakes = [fake] if isinstance(fake, Tensor) else list(fake)
    reals = [real] if isinstance(real, Tensor) else list(real)
    with torch.autocast(fakes[0].device.type, enabled=False):
        return torch.stack([compute(full(x), full(y)) for x, y in zip(fakes, reals, strict=True)]).mean()
