"""SRVGGNetCompact and RRDBNet as the lists of layers that ncnn has of them: what is read is compared with these, and
what is written is one of these.

Numbers of parameters are ncnn's own. Source: ncnn's wiki page "operators" and the files of Real-ESRGAN's releases.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .archs.compact import SLOPES, Activation

Values = dict[int, float | tuple[float, ...]]

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


class Sketch:
    """Layers written down one after the other; `add` gives the place of the new layer."""

    def __init__(self) -> None:
        self.layers = [Layer("Input", ())]
        self.names: dict[int, str] = {}
        """Names in the state dict, by the place of the layer that has the weights."""

    def add(self, kind: str, *inputs: int, values: Values | None = None) -> int:
        self.layers.append(Layer(kind, inputs, values or {}))
        return len(self.layers) - 1

    def weights(self, name: str, kind: str, source: int, values: Values) -> int:
        place = self.add(kind, source, values=values)
        self.names[place] = name
        return place

    def enlarged(self, source: int, scale: float) -> int:
        """The layer that repeats every pixel `scale` times in both directions."""
        return self.add("Interp", source, values={0: 1, 1: float(scale), 2: float(scale)})


def compact(convolutions: int, scale: float, activation: Activation) -> Sketch:
    """SRVGGNetCompact."""
    sketch, last = Sketch(), 0
    for index in range(convolutions + 1):
        last = sketch.weights(f"body.{2 * index}", "Convolution", last, {**CONV})
        if activation == "prelu":
            last = sketch.weights(f"body.{2 * index + 1}", "PReLU", last, {})
        else:
            slope = SLOPES[activation]
            last = sketch.add("ReLU", last, values={0: slope} if slope else {})
    last = sketch.weights(f"body.{2 * convolutions + 2}", "Convolution", last, {**CONV})
    last = sketch.add("PixelShuffle", last, values={0: scale})
    sketch.add("BinaryOp", last, sketch.enlarged(0, scale))
    return sketch


def rrdb(blocks: int, stages: int = 2, smaller: float = 1) -> Sketch:
    """RRDBNet with `stages` enlargements; its input is first made smaller by the factor `smaller`."""
    sketch = Sketch()
    source = sketch.add("Reorg", 0, values={0: smaller}) if smaller > 1 else 0
    last = first = sketch.weights("conv_first", "Convolution", source, {**CONV})
    for block in range(blocks):
        start = last
        for dense in (1, 2, 3):
            last = _dense_block(sketch, f"body.{block}.rdb{dense}", last)
        last = sketch.add("Eltwise", last, start, values={**SUM})
    last = sketch.weights("conv_body", "Convolution", last, {**CONV})
    last = sketch.add("BinaryOp", first, last)
    for number in range(1, stages + 1):
        last = sketch.weights(f"conv_up{number}", "Convolution", sketch.enlarged(last, 2), CONV | LEAKY)
    last = sketch.weights("conv_hr", "Convolution", last, CONV | LEAKY)
    sketch.weights("conv_last", "Convolution", last, {**CONV})
    return sketch


def _dense_block(sketch: Sketch, name: str, start: int) -> int:
    seen, last = [start], start
    for index in range(1, 6):
        last = sketch.weights(f"{name}.conv{index}", "Convolution", last, CONV | (LEAKY if index < 5 else {}))
        if index < 5:
            seen.append(last)
            last = sketch.add("Concat", *seen)
    return sketch.add("Eltwise", last, start, values={**SUM})
