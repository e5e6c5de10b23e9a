"""From options to a discriminator."""

from __future__ import annotations

from torch import nn

from vidsr.models.files import parse, read_bytes

from ..weights import fit
from .options import DiscriminatorOptions, PatchSN, UNetSN
from .patch_sn import MultiScaleDiscriminator
from .unet_sn import UNetDiscriminatorSN
from .vgg_style import VGGStyleDiscriminator


def construct(options: DiscriminatorOptions) -> nn.Module:
    """See `trainer.nets.build`."""
    network = _network(options)
    if options.weights is not None:
        state = parse(options.weights, read_bytes(options.weights))
        fit(network, state, f"weights {options.weights} for the discriminator {options.kind}")
    return network


def _network(options: DiscriminatorOptions) -> nn.Module:
    if isinstance(options, UNetSN):
        return UNetDiscriminatorSN(options.features, skip=options.skip)
    if isinstance(options, PatchSN):
        return MultiScaleDiscriminator(options.features, options.layers, options.downscale, options.widest)
    return VGGStyleDiscriminator(options.features, options.size)
