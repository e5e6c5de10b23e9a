"""U-Net discriminator with spectral normalisation.

Source: X. Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data", 2021; key
names and order of layers are those of the netD files released with it.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from vidsr.errors import UsageError

from .spectral import SpectralConv2d

STEP = 8
"""H and W are multiples of it: three halvings."""


def _act(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, 0.2)


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class UNetDiscriminatorSN(nn.Module):
    """N 3 H W to N 1 H W logits; H and W are multiples of 8."""

    def __init__(self, features: int = 64, *, skip: bool = True) -> None:
        super().__init__()
        self.skip = skip
        self.conv0 = nn.Conv2d(3, features, 3, padding=1)
        self.conv1 = SpectralConv2d(features, features * 2, 4, stride=2)
        self.conv2 = SpectralConv2d(features * 2, features * 4, 4, stride=2)
        self.conv3 = SpectralConv2d(features * 4, features * 8, 4, stride=2)
        self.conv4 = SpectralConv2d(features * 8, features * 4, 3)
        self.conv5 = SpectralConv2d(features * 4, features * 2, 3)
        self.conv6 = SpectralConv2d(features * 2, features, 3)
        self.conv7 = SpectralConv2d(features, features, 3)
        self.conv8 = SpectralConv2d(features, features, 3)
        self.conv9 = nn.Conv2d(features, 1, 3, padding=1)

    def forward(self, rgb: Tensor) -> Tensor:
        """Raises UsageError where the U-Net's halves would not meet."""
        height, width = rgb.shape[-2:]
        if height % STEP or width % STEP:
            raise UsageError(f"discriminator unet-sn: crops of {width}x{height} px, allowed are multiples of {STEP}")
        whole = _act(self.conv0(rgb))
        half = _act(self.conv1(whole))
        quarter = _act(self.conv2(half))
        x = _act(self.conv3(quarter))
        for conv, beside in ((self.conv4, quarter), (self.conv5, half), (self.conv6, whole)):
            x = _act(conv(_double(x)))
            x = x + beside if self.skip else x
        result: Tensor = self.conv9(_act(self.conv8(_act(self.conv7(x)))))
        return result
