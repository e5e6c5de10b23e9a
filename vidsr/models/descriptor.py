"""What a loaded network is and needs: all that the stages know about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

ALL_DTYPES = frozenset({"fp32", "fp16", "bf16"})


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A network with its weights.

    `network` maps N 3 H W float32 RGB in [0, 1] to N 3 sH sW float32, not clamped. It is in eval mode, in float32 on
    the CPU, needs no gradients, and may be copied and cast to any of `dtypes`. H and W must be multiples of
    `multiple_of` and at least `minimum`; the caller pads.
    """

    name: str
    arch: str
    """The architecture and its hyper-parameters, for people."""
    scale: int
    receptive_field: int
    """Radius in input pixels: an output pixel depends on no input pixel farther away."""
    multiple_of: int
    minimum: int
    dtypes: frozenset[str]
    """Of fp32, fp16, bf16: those that give pictures without visible difference."""
    parameters: int
    flops_per_pixel: int
    """Twice the multiplications, per input pixel."""
    sha256: str
    """Of the weights as they were found, before any conversion."""
    licence: str
    origin: str
    """The path or the package the weights came from."""
    network: nn.Module
    tiles: bool = True
    """Whether tiles are as good as the whole frame; False where the makers of the architecture advise against them."""
