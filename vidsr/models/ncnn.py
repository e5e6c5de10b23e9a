"""Read networks in ncnn's form: a text file of layers (`.param`) and a file of numbers (`.bin`).

The layers are compared with those that SRVGGNetCompact and RRDBNet have, connection by connection, so that a file of
another network is refused rather than misread. Layout of the numbers, in the order of the layers: a convolution is a
tag of 4 bytes, its weights (out, in, 3, 3), filled up to 4 bytes, and its bias in float32; a PReLU is its slopes in
float32. Source: ncnn's `modelbin.cpp` and its wiki page "param and model file structure".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import WeightsError
from . import ncnn_layers
from .archs.compact import SLOPES, Activation, with_slopes
from .ncnn_layers import Layer, Sketch

MAGIC = "7767517"
TAGS: dict[int, np.dtype[Any]] = {0x01306B47: np.dtype("<f2"), 0: np.dtype("<f4"), 0x0002C056: np.dtype("<f4")}
"""Of the weights of a convolution; others mean quantised numbers."""


def read_layers(text: str) -> list[Layer]:
    """The layers of a `.param` file without its Split layers. Raises WeightsError when it is none."""
    lines = text.split("\n")
    if lines[0].strip() != MAGIC:
        raise WeightsError(f".param file begins with {lines[0][:20]!r}, expected {MAGIC}")
    layers: list[Layer] = []
    source: dict[str, int] = {}
    try:
        for line in filter(str.strip, lines[2:]):
            kind, _, inputs, outputs, *rest = line.split()
            count, end = int(inputs), int(inputs) + int(outputs)
            places = tuple(source[name] for name in rest[:count])
            if kind != "Split":
                layers.append(Layer(kind, places, dict(map(_value, rest[end:]))))
                places = (len(layers) - 1,)
            source |= dict.fromkeys(rest[count:end], places[0])
    except (ValueError, KeyError, IndexError) as error:
        raise WeightsError(f".param file is damaged at {line[:60]!r}") from error
    return layers


def _value(text: str) -> tuple[int, float | tuple[float, ...]]:
    """`0=64` is parameter 0; `-23310=1,0.2` is parameter 10, an array of one number."""
    key, _, value = text.partition("=")
    number = int(key)
    if number > -23300:
        return number, round(float(value), 6)
    return -23300 - number, tuple(round(float(part), 6) for part in value.split(",")[1:])


def _expected(layers: list[Layer]) -> Sketch:
    """The network that the layers seem to be."""
    kinds = [layer.kind for layer in layers]
    if "PixelShuffle" in kinds:
        activation = _activation(layers)
        convolutions = max(0, kinds.count("PReLU" if activation == "prelu" else "ReLU") - 1)
        return ncnn_layers.compact(convolutions, _first_value(layers, "PixelShuffle"), activation)
    stages, smaller = kinds.count("Interp"), _first_value(layers, "Reorg")
    return ncnn_layers.rrdb(max(0, kinds.count("Convolution") - 4 - stages) // 15, stages, smaller)


def _activation(layers: list[Layer]) -> Activation:
    """PReLU, or that whose slope the first ReLU layer has."""
    layer = next((layer for layer in layers if layer.kind in ("PReLU", "ReLU")), None)
    if layer is None or layer.kind == "PReLU":
        return "prelu"
    return "leakyrelu" if layer.values.get(0, 0.0) == SLOPES["leakyrelu"] else "relu"


def _first_value(layers: list[Layer], kind: str) -> float:
    """Parameter 0 of the first layer of a kind; 1 where there is none."""
    value = next((layer.values.get(0, 1) for layer in layers if layer.kind == kind), 1)
    return value if isinstance(value, float) else 1


def _check_equal(layers: list[Layer], sketch: Sketch) -> None:
    """Raises WeightsError at the first layer that differs in kind, connection or parameter."""
    sizes = {"Convolution": (0, 6), "PReLU": (0,)}  # number of channels and of weights: these may vary
    for place, (seen, wanted) in enumerate(zip(layers, sketch.layers, strict=False)):
        values = {key: value for key, value in seen.values.items() if key not in sizes.get(seen.kind, ())}
        if (seen.kind, seen.inputs, values) != (wanted.kind, wanted.inputs, wanted.values):
            raise WeightsError(
                f"the ncnn network differs from the known ones at layer {place}: {seen.kind} {seen.inputs} {values}, "
                f"expected {wanted.kind} {wanted.inputs} {wanted.values}",
                "known are SRVGGNetCompact and RRDBNet",
            )
    if len(layers) != len(sketch.layers):
        raise WeightsError(f"the ncnn network has {len(layers)} layers, expected {len(sketch.layers)}")


class _Numbers:
    """The `.bin` file, read from its beginning to its end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def tag(self) -> np.dtype[Any]:
        """The type of the weights that follow."""
        tag = int.from_bytes(self.data[self.place : self.place + 4], "little")
        if tag not in TAGS:
            raise WeightsError(f"the .bin file has tag {tag:#010x} at byte {self.place}, expected fp16 or fp32 weights")
        self.place += 4
        return TAGS[tag]

    def take(self, count: int, kind: np.dtype[Any]) -> Tensor:
        size = count * kind.itemsize
        if count < 0 or self.place + size > len(self.data):
            raise WeightsError(f"the .bin file has {len(self.data)} bytes, expected at least {self.place + size}")
        values = np.frombuffer(self.data, kind, count, self.place).astype(np.float32)
        self.place += -(-size // 4) * 4
        return torch.from_numpy(values)


def _tensors(name: str, layer: Layer, numbers: _Numbers) -> Iterator[tuple[str, Tensor]]:
    channels = int(_number(layer, 0))
    if layer.kind == "PReLU":
        yield f"{name}.weight", numbers.take(channels, np.dtype("<f4"))
        return
    kind = numbers.tag()
    count = int(_number(layer, 6))
    if count % (9 * channels):
        raise WeightsError(f"the ncnn layer {name} has {count} weights, expected a multiple of {9 * channels}")
    yield f"{name}.weight", numbers.take(count, kind).reshape(channels, -1, 3, 3)
    yield f"{name}.bias", numbers.take(channels, np.dtype("<f4"))


def _number(layer: Layer, key: int) -> float:
    value = layer.values.get(key)
    if not isinstance(value, float) or not 0 < value < 1 << 24:
        raise WeightsError(f"the ncnn layer {layer.kind} has parameter {key} = {value}, expected a number above 0")
    return value


def read_ncnn(param: str, binary: bytes) -> dict[str, Tensor]:
    """The state dict, float32, under the key names of the released `.pth` files.

    `param` is the text of the `.param` file. Activations that have no slopes of their own get some, equal for all
    channels, since only these tell in a state dict what the activation is. Raises WeightsError for unknown networks
    and layouts, and when the `.bin` file is not used up to its last byte.
    """
    layers = read_layers(param)
    sketch = _expected(layers)
    _check_equal(layers, sketch)
    numbers = _Numbers(binary)
    state = dict(pair for place, name in sketch.names.items() for pair in _tensors(name, layers[place], numbers))
    if numbers.place != len(binary):
        raise WeightsError(f"the .bin file has {len(binary)} bytes, expected {numbers.place}")
    activation = _activation(layers)
    return state if activation == "prelu" else with_slopes(state, SLOPES[activation])
