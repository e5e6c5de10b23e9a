"""Discriminators; generators come from `vidsr.models.archs`. `options` names them, `build` makes one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from .options import DiscriminatorOptions


def build(options: DiscriminatorOptions) -> nn.Module:
    """The discriminator, on the CPU, in training mode: N 3 H W float RGB in [0, 1] to logits, above zero for real.

    They are N 1 h w, N 1, or a list of such tensors, one per scale. Key names are those of the reference, so that its
    netD files load. Raises WeightsError where the file in the options does not fit.
    """
    from .construct import construct  # here: options are read where torch is not wanted

    return construct(options)
