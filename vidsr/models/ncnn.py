"""Networks in ncnn's form: a text file of layers (`.param`) and a file of numbers (`.bin`).

The layers are compared with those that SRVGGNetCompact and RRDBNet have, connection by connection, so that a file of
another network is refused rather than misread. Layout of the numbers, in the order of the layers: a convolution is a
tag of 4 bytes, its weights (out, in, 3, 3), filled up to 4 bytes, and its bias in float32; a PReLU is its slopes in
float32. Source: ncnn's `modelbin.cpp` and its wiki page "param and model file structure".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import WeightsError

Values = dict[int, float | tuple[float, ...]]

MAGIC = "7767517"
TAGS: dict[int, np.dtype[Any]] = {0x01306B47: np.dtype("<f2"), 0: np.dtype("<f4"), 0x0002C056: np.dtype("<f4")}
"""Of the weights of a convolution; others mean quantised numbers."""

CONV: Values = {1: 3, 4: 1, 5: 1}
"""Kernel 3, padding 1, with bias."""
LEAKY: Values = {9: 2, 10: (0.2,)}
SUM: Values = {0: 1, 1: (0.2, 1.0)}
"""0.2 times the first and once the second."""


@dataclass
class Layer:
    """One layer: what it does, the places of the layers it reads, its parameters by ncnn's numbers."""

    kind: str
    inputs: tuple[int, ...]
    values: Values = field(default_factory=dict)


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
        return number, float(np.float32(value))
    return -23300 - number, tuple(round(float(part), 6) for part in value.split(",")[1:])


class _Sketch:
    """Layers as they are expected, written down one after the other; `add` gives the place of the new layer."""

    def __init__(self) -> None:
        self.layers = [Layer("Input", ())]
        self.names: dict[int, str] = {}

    def add(self, kind: str, *inputs: int, values: Values | None = None) -> int:
        self.layers.append(Layer(kind, inputs, values or {}))
        return len(self.layers) - 1

    def weights(self, name: str, kind: str, source: int, values: Values) -> int:
        place = self.add(kind, source, values=values)
        self.names[place] = name
        return place


def _compact(convolutions: int, scale: float) -> _Sketch:
    sketch, last = _Sketch(), 0
    for index in range(convolutions + 1):
        last = sketch.weights(f"body.{2 * index}", "Convolution", last, {**CONV})
        last = sketch.weights(f"body.{2 * index + 1}", "PReLU", last, {})
    last = sketch.weights(f"body.{2 * convolutions + 2}", "Convolution", last, {**CONV})
    last = sketch.add("PixelShuffle", last, values={0: scale})
    base = sketch.add("Interp", 0, values={0: 1, 1: scale, 2: scale})
    sketch.add("BinaryOp", last, base)
    return sketch


def _rrdb(blocks: int) -> _Sketch:
    sketch = _Sketch()
    last = first = sketch.weights("conv_first", "Convolution", 0, {**CONV})
    for block in range(blocks):
        start = last
        for dense in (1, 2, 3):
            last = _dense_block(sketch, f"body.{block}.rdb{dense}", last)
        last = sketch.add("Eltwise", last, start, values={**SUM})
    last = sketch.weights("conv_body", "Convolution", last, {**CONV})
    last = sketch.add("BinaryOp", first, last)
    for name in ("conv_up1", "conv_up2"):
        last = sketch.add("Interp", last, values={0: 1, 1: 2.0, 2: 2.0})
        last = sketch.weights(name, "Convolution", last, CONV | LEAKY)
    last = sketch.weights("conv_hr", "Convolution", last, CONV | LEAKY)
    sketch.weights("conv_last", "Convolution", last, {**CONV})
    return sketch


def _dense_block(sketch: _Sketch, name: str, start: int) -> int:
    seen, last = [start], start
    for index in range(1, 6):
        last = sketch.weights(f"{name}.conv{index}", "Convolution", last, CONV | (LEAKY if index < 5 else {}))
        if index < 5:
            seen.append(last)
            last = sketch.add("Concat", *seen)
    return sketch.add("Eltwise", last, start, values={**SUM})


def _expected(layers: list[Layer]) -> _Sketch:
    """The network that the layers seem to be."""
    kinds = [layer.kind for layer in layers]
    if "PixelShuffle" in kinds:
        scale = layers[kinds.index("PixelShuffle")].values.get(0, 1)
        return _compact(max(0, kinds.count("PReLU") - 1), scale if isinstance(scale, float) else 1)
    return _rrdb(max(0, kinds.count("Convolution") - 6) // 15)


def _check_equal(layers: list[Layer], sketch: _Sketch) -> None:
    """Raises WeightsError at the first layer that differs in kind, connection or parameter."""
    sizes = {"Convolution": (0, 6), "PReLU": (0,)}  # number of channels and of weights: these may vary
    for place, (seen, wanted) in enumerate(zip(layers, sketch.layers, strict=False)):
        values = {key: value for key, value in seen.values.items() if key not in sizes.get(seen.kind, ())}
        if (seen.kind, seen.inputs, values) != (wanted.kind, wanted.inputs, wanted.values):
            raise WeightsError(
                f"the ncnn network differs from the known ones at layer {place}: {seen.kind} {seen.inputs} {values}, "
                f"expected {wanted.kind} {wanted.inputs} {wanted.values}",
                "known are SRVGGNetCompact with PReLU and RRDBNet of scale 4",
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

    `param` is the text of the `.param` file. Raises WeightsError for unknown networks and layouts, and when the
    `.bin` file is not used up to its last byte.
    """
    layers = read_layers(param)
    sketch = _expected(layers)
    _check_equal(layers, sketch)
    numbers = _Numbers(binary)
    state = dict(pair for place, name in sketch.names.items() for pair in _tensors(name, layers[place], numbers))
    if numbers.place != len(binary):
        raise WeightsError(f"the .bin file has {len(binary)} bytes, expected {numbers.place}")
    return state
