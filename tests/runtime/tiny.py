"""Networks of the real architectures, tiny and with weights that make every layer count; and a real frame."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.clips import packaged
from vidsr.models.archs.compact import SRVGGNetCompact
from vidsr.models.archs.rrdb import RRDBNet
from vidsr.models.descriptor import ALL_DTYPES, Descriptor
from vidsr.models.export import identity
from vidsr.runtime.onnx import PACKAGES, _onnxruntime

CPU = torch.device("cpu")


def descriptor(network: SRVGGNetCompact | RRDBNet, name: str = "tiny") -> Descriptor:
    """What the loader would say of `network`."""
    return Descriptor(
        name=name,
        arch=network.title,
        scale=network.scale,
        receptive_field=network.receptive_field,
        multiple_of=network.multiple_of,
        minimum=network.multiple_of,
        dtypes=ALL_DTYPES,
        parameters=sum(tensor.numel() for tensor in network.parameters()),
        flops_per_pixel=network.flops_per_pixel,
        sha256=identity(network),
        licence="BSD-3-Clause",
        origin="tests",
        network=network.eval().requires_grad_(False),
    )


def grown(network: nn.Module, gain: float = 1.0) -> nn.Module:
    """Weights that keep the size of what passes through; with a larger `gain` it grows from layer to layer."""
    torch.manual_seed(7)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=gain / layer.weight[0].numel() ** 0.5)
            assert layer.bias is not None
            nn.init.normal_(layer.bias, std=0.1)
    return network


@cache
def tiny(kind: str) -> Descriptor:
    """compact4, compact2, rrdb4, rrdb2 or rrdb1: the architecture and its scale. RRDB has a size rule at 2 and 1."""
    network: SRVGGNetCompact | RRDBNet
    scale = int(kind[-1])
    network = SRVGGNetCompact(8, 2, scale) if kind.startswith("compact") else RRDBNet(8, 1, 4, scale)
    grown(network)
    return descriptor(network, kind)


@cache
def film(height: int, width: int) -> Tensor:
    """1 3 H W float32 RGB in [0, 1]: the upper left of a picture of a real clip."""
    import av

    with av.open(str(packaged("bikes.mp4"))) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    return torch.from_numpy(picture[:height, :width].copy()).permute(2, 0, 1)[None].float() / 255


def onnxruntime() -> Any:
    """The library as vidsr loads it. Skips the test where it, or what exports to it, is not installed."""
    for package in PACKAGES:
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    return _onnxruntime()


def apart(seen: Tensor, expected: Tensor) -> float:
    """dB of the root mean square of `expected` over that of the difference."""
    difference = (seen.double() - expected.double()).square().mean()
    return float(10 * torch.log10(expected.double().square().mean() / difference))
