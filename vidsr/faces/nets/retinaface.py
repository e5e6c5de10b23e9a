"""RetinaFace: scores, boxes and five landmarks of faces on three scales.

Source: J. Deng et al., "RetinaFace: Single-Shot Multi-Level Face Localisation in the Wild", CVPR 2020, and the layouts
of the weights that facexlib releases, on ResNet-50 and on MobileNet 0.25.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Backbone = Literal["resnet50", "mobilenet0.25"]
STEPS = (8, 16, 32)
"""Pixels between two anchors, on each scale."""
SIDES = ((16, 32), (64, 128), (256, 512))
"""Sides of the anchors, in pixels."""
SPREAD = (0.1, 0.2)
"""By which offsets of centres and of sizes are scaled."""


def _conv_bn(inputs: int, outputs: int, side: int = 3, stride: int = 1, slope: float | None = 0.0) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([] if slope is None else [nn.LeakyReLU(slope)]))


def _separable(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.LeakyReLU(0.1),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(0.1),
    )


class MobileNet(nn.Module):
    """MobileNet v1 of a quarter of the width: features of 64, 128 and 256 channels."""

    widths = (64, 128, 256)

    def __init__(self) -> None:
        super().__init__()
        pairs = [(8, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1)]
        self.stage1 = nn.Sequential(_conv_bn(3, 8, stride=2, slope=0.1), *(_separable(*pair) for pair in pairs))
        self.stage2 = nn.Sequential(_separable(64, 128, 2), *(_separable(128, 128, 1) for _ in range(5)))
        self.stage3 = nn.Sequential(_separable(128, 256, 2), _separable(256, 256, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first = self.stage1(x)
        second = self.stage2(first)
        return first, second, self.stage3(second)


class Bottleneck(nn.Module):
    """Of ResNet-50 (K. He et al., CVPR 2016), its stride in the 3 x 3 convolution."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        changes = stride > 1 or inputs != 4 * width
        self.downsample = _conv_bn(inputs, 4 * width, 1, stride, None) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        out = functional.relu(self.bn1(self.conv1(x)))
        out = self.bn3(self.conv3(functional.relu(self.bn2(self.conv2(out)))))
        return functional.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """ResNet-50 without its head: features of 512, 1024 and 2048 channels."""

    widths = (512, 1024, 2048)

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.layer1, self.layer2 = self._layer(64, 64, 3, 1), self._layer(256, 128, 4, 2)
        self.layer3, self.layer4 = self._layer(512, 256, 6, 2), self._layer(1024, 512, 3, 2)

    @staticmethod
    def _layer(inputs: int, width: int, count: int, stride: int) -> nn.Sequential:
        rest = (Bottleneck(4 * width, width, 1) for _ in range(count - 1))
        return nn.Sequential(Bottleneck(inputs, width, stride), *rest)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        first = self.layer2(self.layer1(x))
        second = self.layer3(first)
        return first, second, self.layer4(second)


class Pyramid(nn.Module):
    """Features of all scales with the same width, each with those of the coarser one added."""

    def __init__(self, widths: tuple[int, int, int], width: int, slope: float) -> None:
        super().__init__()
        self.output1, self.output2, self.output3 = (_conv_bn(inputs, width, 1, slope=slope) for inputs in widths)
        self.merge1, self.merge2 = _conv_bn(width, width, slope=slope), _conv_bn(width, width, slope=slope)

    def forward(self, features: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        fine, middle, coarse = self.output1(features[0]), self.output2(features[1]), self.output3(features[2])
        middle = self.merge2(middle + functional.interpolate(coarse, middle.shape[2:], mode="nearest"))
        fine = self.merge1(fine + functional.interpolate(middle, fine.shape[2:], mode="nearest"))
        return fine, middle, coarse


class Context(nn.Module):
    """Convolutions that look 3, 5 and 7 pixels wide (SSH: M. Najibi et al., ICCV 2017)."""

    def __init__(self, width: int, slope: float) -> None:
        super().__init__()
        half, quarter = width // 2, width // 4
        self.conv3X3 = _conv_bn(width, half, slope=None)
        self.conv5X5_1, self.conv5X5_2 = _conv_bn(width, quarter, slope=slope), _conv_bn(quarter, quarter, slope=None)
        self.conv7X7_2, self.conv7x7_3 = _conv_bn(quarter, quarter, slope=slope), _conv_bn(quarter, quarter, slope=None)

    def forward(self, x: Tensor) -> Tensor:
        five = self.conv5X5_1(x)
        parts = [self.conv3X3(x), self.conv5X5_2(five), self.conv7x7_3(self.conv7X7_2(five))]
        return functional.relu(torch.cat(parts, 1))


class Head(nn.Module):
    """`count` numbers for each of the two anchors of a place."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.count = count
        self.conv1x1 = nn.Conv2d(width, 2 * count, 1)

    def forward(self, x: Tensor) -> Tensor:
        numbers: Tensor = self.conv1x1(x)
        return numbers.permute(0, 2, 3, 1).reshape(len(x), -1, self.count)


class RetinaFace(nn.Module):
    """N 3 H W BGR, 0 to 255 less the mean (104, 117, 123), to numbers of A anchors.

    These are scores N A 2, boxes N A 4 and landmarks N A 10.

    The state dict is that of the released files without their prefix `module.`.
    """

    mean = (104.0, 117.0, 123.0)

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.body = ResNet() if backbone == "resnet50" else MobileNet()
        width = 256 if backbone == "resnet50" else 64
        slope = 0.1 if width <= 64 else 0.0
        self.fpn = Pyramid(self.body.widths, width, slope)
        self.ssh1, self.ssh2, self.ssh3 = (Context(width, slope) for _ in range(3))
        self.ClassHead = nn.ModuleList(Head(width, 2) for _ in STEPS)
        self.BboxHead = nn.ModuleList(Head(width, 4) for _ in STEPS)
        self.LandmarkHead = nn.ModuleList(Head(width, 10) for _ in STEPS)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scales = zip((self.ssh1, self.ssh2, self.ssh3), self.fpn(self.body(pictures)), strict=True)
        features = [context(x) for context, x in scales]
        scores, boxes, marks = (
            torch.cat([head(x) for head, x in zip(heads, features, strict=True)], 1)
            for heads in (self.ClassHead, self.BboxHead, self.LandmarkHead)
        )
        return scores.softmax(-1), boxes, marks


def anchors(height: int, width: int) -> Tensor:
    """A 4: centre x, centre y, width and height of every anchor, in pixels, in the order of the network's numbers."""
    found = []
    for step, sides in zip(STEPS, SIDES, strict=True):
        rows, columns = -(-height // step), -(-width // step)
        places = torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, torch.tensor(sides, dtype=torch.float32)
        y, x, side = torch.meshgrid(*places, indexing="ij")
        found.append(torch.stack([x * step, y * step, side, side], -1).reshape(-1, 4))
    return torch.cat(found)


def decoded(boxes: Tensor, marks: Tensor, anchor: Tensor) -> tuple[Tensor, Tensor]:
    """Offsets N A 4 and N A 10 to boxes (left, top, right, bottom) and landmarks N A 5 2, in pixels."""
    centre, size = anchor[:, :2], anchor[:, 2:]
    middle = centre + boxes[..., :2] * SPREAD[0] * size
    extent = size * torch.exp(boxes[..., 2:] * SPREAD[1])
    points = marks.reshape(*marks.shape[:-1], 5, 2) * SPREAD[0] * size[:, None] + centre[:, None]
    return torch.cat([middle - extent / 2, middle + extent / 2], -1), points
