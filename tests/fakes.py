"""Networks that cost nothing, for everything around the network; and devices that fail on demand."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidsr.models.descriptor import ALL_DTYPES, Descriptor


class Repeater(nn.Module):
    """Every pixel `scale` times in both directions. A 1x1 identity convolution stands for the layers."""

    def __init__(self, scale: int = 2) -> None:
        super().__init__()
        self.scale = scale
        self.body = nn.Conv2d(3, 3, 1, bias=False)
        self.body.weight.data = torch.eye(3).reshape(3, 3, 1, 1)
        self.requires_grad_(False)

    def forward(self, rgb: Tensor) -> Tensor:
        self.body(rgb.to(self.body.weight.dtype))
        return functional.interpolate(rgb.float(), scale_factor=self.scale, mode="nearest")


class Faulty(Repeater):
    """Calls `fault` with what goes in and what would come out; what it returns comes out."""

    def __init__(self, fault: Callable[[Repeater, Tensor, Tensor], Tensor], scale: int = 2) -> None:
        super().__init__(scale)
        self.fault = fault

    def forward(self, rgb: Tensor) -> Tensor:
        return self.fault(self, rgb, super().forward(rgb))


def describe(network: Repeater, receptive_field: int = 0) -> Descriptor:
    """A descriptor for a network of this file."""
    return Descriptor(
        name="repeater",
        arch="repeater",
        scale=network.scale,
        receptive_field=receptive_field,
        multiple_of=1,
        minimum=1,
        dtypes=ALL_DTYPES,
        parameters=9,
        flops_per_pixel=18,
        sha256="",
        licence="BSD-3-Clause",
        origin="tests",
        network=network,
    )
