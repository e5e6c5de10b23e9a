"""Distance in the features of a network that knows anime.

Sources: K. He et al., "Deep Residual Learning for Image Recognition", 2015; M. Baas, danbooru-pretrained (2019), whose
ResNet-50 tells 6,000 tags of Danbooru; B. Wang et al., "APISR: Anime Production Inspired Real-World Anime
Super-Resolution", 2024, for the places and the weights. APISR's published code takes the features off the graph, so
that nothing reaches the generator; here they stay on it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidsr.errors import UsageError

from ..weights import Published, fit, load
from .base import Frozen, Loss
from .context import LossContext
from .options import Anime
from .trunk import IMAGENET

FILE = Published(
    "resnet50-13306192.pth",
    "13306192",
    "https://github.com/RF5/danbooru-pretrained/releases/download/v0.1/resnet50-13306192.pth",
)

STAGES = {"stage1": (3, 64, 1), "stage2": (4, 128, 2), "stage3": (6, 256, 2), "stage4": (3, 512, 2)}
"""Blocks, inner channels and stride of each."""

FIRST = 4
"""Place of stage1 in the file's list of layers, after convolution, normalisation, activation and pooling."""

MINIMUM = 32
"""Pixels that five halvings leave one of."""


class Bottleneck(nn.Module):
    """N C h w to N 4F h/s w/s, and the same before the last normalisation."""

    def __init__(self, inputs: int, features: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * features
        self.conv1, self.bn1 = nn.Conv2d(inputs, features, 1, bias=False), nn.BatchNorm2d(features)
        self.conv2 = nn.Conv2d(features, features, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(features)
        self.conv3, self.bn3 = nn.Conv2d(features, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        inner = functional.relu(self.bn1(self.conv1(x)))
        last = self.conv3(functional.relu(self.bn2(self.conv2(inner))))
        return functional.relu(self.bn3(last) + self.downsample(x)), last


class ResNet50(Frozen):
    """N 3 H W float RGB in [0, 1] to the results of convolutions: the first, and the last of every stage.

    Key names are those of the file, without the `0.` in front.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_module("0", nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False))
        self.add_module("1", nn.BatchNorm2d(64))
        inputs = 64
        for place, (count, features, stride) in enumerate(STAGES.values(), FIRST):
            blocks = [Bottleneck(inputs, features, stride)]
            blocks += [Bottleneck(4 * features, features, 1) for _ in range(count - 1)]
            self.add_module(str(place), nn.Sequential(*blocks))
            inputs = 4 * features
        self.register_buffer("mean", torch.tensor(IMAGENET[0]).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(IMAGENET[1]).view(3, 1, 1), persistent=False)

    def forward(self, rgb: Tensor) -> dict[str, Tensor]:
        stem = self.get_submodule("0")((rgb - self.mean.to(rgb)) / self.deviation.to(rgb))
        found = {"stem": stem}
        x = functional.max_pool2d(functional.relu(self.get_submodule("1")(stem)), 3, stride=2, padding=1)
        for place, name in enumerate(STAGES, FIRST):
            for block in self.get_submodule(str(place)).children():
                x, found[name] = block(x)
        return found


class AnimeLoss(Loss):
    """Sum over stages of their weight times the mean absolute difference of features."""

    def __init__(self, options: Anime) -> None:
        super().__init__(options)
        self.layers = options.layers
        self.trunk = ResNet50()
        state = load(FILE, options.weights, options.sha256, "anime")
        body = {key[2:]: value for key, value in state.items() if key.startswith("0.")}
        counters = {key: value for key, value in self.trunk.state_dict().items() if key.endswith("batches_tracked")}
        fit(self.trunk, {**counters, **body}, "loss anime")  # older files have no counters, and none is used

    def distance(self, output: Tensor, target: Tensor, context: LossContext) -> Tensor:
        """Raises UsageError for pictures that the halvings leave nothing of."""
        if min(output.shape[-2:]) < MINIMUM:
            size = "x".join(map(str, output.shape[:-3:-1]))
            raise UsageError(f"loss anime: crops of {size} px, allowed are sides from {MINIMUM} px")
        with torch.no_grad():
            expected = self.trunk(target)
        seen = self.trunk(output)
        parts = [weight * functional.l1_loss(seen[name], expected[name]) for name, weight in self.layers.items()]
        return torch.stack(parts).sum()
