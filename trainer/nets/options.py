"""The discriminators and their arguments. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ..strict import Strict


class _Discriminator(Strict):
    features: int = Field(64, ge=1, le=512)
    """Channels after the first convolution; the deeper ones have multiples of it."""
    weights: Path | None = None
    """File to start from (`.pth` in the reference's layout, or `.safetensors`); random when not given."""


class UNetSN(_Discriminator):
    """U-Net with spectral normalisation, one logit per pixel: the discriminator of Real-ESRGAN."""

    kind: Literal["unet-sn"] = "unet-sn"
    skip: bool = True
    """Add the features of the way down to those of the way up."""


class PatchSN(_Discriminator):
    """Several PatchGANs with spectral normalisation, each on a smaller picture: the discriminator of AnimeSR."""

    kind: Literal["patch-sn"] = "patch-sn"
    layers: tuple[Annotated[int, Field(ge=1, le=6)], ...] = Field((3, 3, 3), min_length=1, max_length=6)
    """Convolutions of stride 2 in each of them; as many discriminators as there are numbers."""
    downscale: bool = True
    """Halve the picture from one to the next; without it all of them see the whole."""
    widest: int = Field(8, ge=1, le=32)
    """Largest multiple of `features`."""


class VGGStyle(_Discriminator):
    """Convolutions with batch normalisation down to one logit per picture: the discriminator of ESRGAN."""

    kind: Literal["vgg-style"] = "vgg-style"
    size: Literal[128, 256] = 128
    """Side of the pictures it takes; equals the crop of the GT."""


DiscriminatorOptions = Annotated[UNetSN | PatchSN | VGGStyle, Field(discriminator="kind")]
