"""Learned perceptual distance.

Sources: R. Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018 (heads of
version 0.1 over torchvision's AlexNet or VGG16), and A. Ghildyal and F. Liu, "Shift-tolerant Perceptual Similarity
Metric", 2022 (own networks with blurred poolings). All weights are files that users give.
"""

from __future__ import annotations

import re
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidsr.errors import UsageError, WeightsError

from ..weights import Published, fit, load
from .base import Frozen, Loss, full
from .context import LossContext
from .filters import unit
from .options import LPIPS
from .trunk import VGG16, WIDTHS

ALEXNET = Published(
    "alexnet-owt-7be5be79.pth", "7be5be79", "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
)
TRUNKS = {"alex": ALEXNET, "vgg": VGG16}


def _wheel(name: str, sha256: str, package: str, place: str) -> Published:
    return Published(name, sha256, f"the wheel of {package} on PyPI, where it is {place}")


FILES = {
    "alex": _wheel(
        "lpips-alex.pth", "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        "lpips 0.1.4", "lpips/weights/v0.1/alex.pth",
    ),
    "vgg": _wheel(
        "lpips-vgg.pth", "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        "lpips 0.1.4", "lpips/weights/v0.1/vgg.pth",
    ),
    "st-alex": _wheel(
        "alex_shift_tolerant.pth", "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee",
        "stlpips-pytorch 0.0.2", "stlpips_pytorch/weights/vST0.0/alex_shift_tolerant.pth",
    ),
    "st-vgg": _wheel(
        "vgg_shift_tolerant.pth", "44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250",
        "stlpips-pytorch 0.0.2", "stlpips_pytorch/weights/vST0.0/vgg_shift_tolerant.pth",
    ),
}  # fmt: skip

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Mean and standard deviation of R, G, B in [-1, 1]."""

MINIMUM = 32
"""Pixels that all poolings of every network leave one of."""


class Blur(nn.Module):
    """Every second pixel after a filter of 1 2 1 in both directions, on a picture mirrored by two pixels."""

    filt: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("filt", (taps[:, None] * taps).expand(channels, 1, 3, 3).clone())

    def forward(self, x: Tensor) -> Tensor:
        padded = functional.pad(x, (2, 2, 2, 2), mode="reflect")
        return functional.conv2d(padded, self.filt, stride=2, groups=x.shape[1])


def _pool(size: int, channels: int, tolerant: bool) -> list[nn.Module]:
    return [nn.MaxPool2d(size, 1), Blur(channels)] if tolerant else [nn.MaxPool2d(size, 2)]


def _alex(tolerant: bool) -> list[list[nn.Module]]:
    """The layers of AlexNet between one tap and the next; their places in the whole list are those in the files."""
    first = nn.Conv2d(3, 64, 11, stride=1 if tolerant else 4, padding=2)
    return [
        [first, *([Blur(64)] if tolerant else []), nn.ReLU()],
        [*_pool(3, 64, tolerant), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU()],
        [*_pool(3, 192, tolerant), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()],
        [nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()],
        [nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()],
    ]


def _vgg(tolerant: bool) -> list[list[nn.Module]]:
    """The same of VGG16."""
    parts: list[list[nn.Module]] = []
    inputs = 3
    for block, (width, count) in enumerate(zip(WIDTHS, (2, 2, 3, 3, 3), strict=True)):
        part = _pool(2, inputs, tolerant) if block else []
        for _ in range(count):
            part += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
            inputs = width
        parts.append(part)
    return parts


class LPIPSDistance(Frozen):
    """Two N 3 H W RGB in [0, 1], each side 32 px or more, to N distances; 0 is equal."""

    shift: Tensor
    scale: Tensor

    def __init__(self, net: str) -> None:
        super().__init__()
        parts = (_alex if net.endswith("alex") else _vgg)(net.startswith("st-"))
        widths = (64, 192, 384, 256, 256) if net.endswith("alex") else WIDTHS
        self.layers = nn.Sequential(*(layer for part in parts for layer in part))
        self.ends = [0]
        for part in parts:
            self.ends.append(self.ends[-1] + len(part))
        self.heads = nn.ParameterList(torch.zeros(1, width, 1, 1) for width in widths)
        self.register_buffer("shift", torch.tensor(SHIFT).view(3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).view(3, 1, 1), persistent=False)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Raises UsageError for smaller pictures."""
        if min(first.shape[-2:]) < MINIMUM:
            size = "x".join(map(str, first.shape[:-3:-1]))
            raise UsageError(f"lpips: pictures of {size} px, allowed are sides from {MINIMUM} px")
        x, y = self._scaled(full(first)), self._scaled(full(second))
        total = torch.zeros(len(x), dtype=x.dtype, device=x.device)
        for (start, end), head in zip(pairwise(self.ends), self.heads, strict=True):
            x, y = self.layers[start:end](x), self.layers[start:end](y)
            total = total + (head * (unit(x) - unit(y)).square()).sum(1).mean((1, 2))
        return total

    def _scaled(self, rgb: Tensor) -> Tensor:
        return (2 * rgb - 1 - self.shift.to(rgb)) / self.scale.to(rgb)


def load_lpips(options: LPIPS) -> LPIPSDistance:
    """The distance with its weights, on the CPU. Raises WeightsError."""
    network = LPIPSDistance(options.net)
    state = load(FILES[options.net], options.weights, options.sha256, "lpips")
    if options.net in TRUNKS:
        state |= load(TRUNKS[options.net], options.trunk, options.trunk_sha256, "lpips", "trunk")
    names = ((_own_name(key), value) for key, value in state.items())
    expected = network.state_dict()
    fit(network, {name: value for name, value in names if name in expected}, f"loss lpips, net {options.net}")
    if any(bool((head < 0).any()) for head in network.heads):
        raise WeightsError("loss lpips: the heads have negative weights, allowed are those from 0", "take its own file")
    network.requires_grad_(False).eval()
    return network


def _own_name(key: str) -> str:
    """Of `net.slice2.6.weight` and `features.6.weight`, `layers.6.weight`; of `lin0.model.1.weight`, `heads.0`."""
    if found := re.fullmatch(r"(?:net\.slice\d|features)\.(\d+)\.(weight|bias|filt)", key):
        return f"layers.{found[1]}.{found[2]}"
    found = re.fullmatch(r"lin(\d)\.model\.1\.weight", key)
    return f"heads.{found[1]}" if found else key


class LPIPSLoss(Loss):
    """Mean of the distances of all pictures."""

    def __init__(self, options: LPIPS) -> None:
        super().__init__(options)
        self.network = load_lpips(options)

    def distance(self, output: Tensor, target: Tensor, context: LossContext) -> Tensor:
        result: Tensor = self.network(output, target)
        return result.mean()
