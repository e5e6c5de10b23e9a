"""Write a network in ncnn's form, a text of layers and a file of numbers, as `models.ncnn` and ncnn itself read it.

ncnn lets a blob be read once only, so a Split layer stands behind each result that several layers read. Input and
output are called `data` and `output`, as in the files of Real-ESRGAN's releases, and other programs that run those
run these. Activations without slopes of their own are ReLU layers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from torch import Tensor

from . import ncnn_layers
from .archs.compact import SRVGGNetCompact
from .archs.rrdb import RRDBNet
from .ncnn import MAGIC
from .ncnn_layers import Layer, Sketch, Values

INPUT, OUTPUT = "data", "output"

HALF_TAG = 0x01306B47
"""In front of the weights of a convolution: float16. Biases and slopes are float32 always."""


def write_ncnn(network: SRVGGNetCompact | RRDBNet, half: bool) -> tuple[str, bytes]:
    """The text of the `.param` file and the content of the `.bin` file; `half` has convolutions in float16."""
    if isinstance(network, SRVGGNetCompact):
        sketch = ncnn_layers.compact(network.convolutions, network.scale, network.activation)
    else:
        sketch = ncnn_layers.rrdb(network.blocks, network.stages, network.multiple_of)
    state = network.state_dict()
    return _text(sketch, state), b"".join(_numbers(sketch, state, half))


def _numbers(sketch: Sketch, state: Mapping[str, Tensor], half: bool) -> list[bytes]:
    """Weights and biases in the order of the layers."""
    parts = []
    for place, name in sketch.names.items():
        weight = state[f"{name}.weight"].float().numpy()
        if sketch.layers[place].kind == "Convolution":
            parts.append((HALF_TAG if half else 0).to_bytes(4, "little"))
            data = weight.astype("<f2" if half else "<f4").tobytes()
            parts.append(data + bytes(-len(data) % 4))
            weight = state[f"{name}.bias"].float().numpy()
        parts.append(weight.astype("<f4").tobytes())
    return parts


def _text(sketch: Sketch, state: Mapping[str, Tensor]) -> str:
    """One line for each layer: kind, name, how many blobs it reads and makes, their names, its parameters."""
    readers = Counter(place for layer in sketch.layers for place in layer.inputs)
    taken: Counter[int] = Counter()
    lines = []
    for place, layer in enumerate(sketch.layers):
        read = []
        for source in layer.inputs:
            read.append(_blob(source, sketch) + (f"_{taken[source]}" if readers[source] > 1 else ""))
            taken[source] += 1
        values = layer.values | _sizes(sketch.names.get(place), layer, state)
        words = [layer.kind, f"layer{place}", str(len(read)), "1", *read, _blob(place, sketch), *_words(values)]
        lines.append(" ".join(words))
        if readers[place] > 1:
            made = [f"{_blob(place, sketch)}_{number}" for number in range(readers[place])]
            lines.append(" ".join(["Split", f"split{place}", "1", str(len(made)), _blob(place, sketch), *made]))
    blobs = len(sketch.layers) + sum(count for count in readers.values() if count > 1)
    return "\n".join([MAGIC, f"{len(lines)} {blobs}", *lines]) + "\n"


def _blob(place: int, sketch: Sketch) -> str:
    if place == 0:
        return INPUT
    return OUTPUT if place == len(sketch.layers) - 1 else f"blob{place}"


def _sizes(name: str | None, layer: Layer, state: Mapping[str, Tensor]) -> Values:
    """Channels of a layer with weights, and the number of weights of a convolution."""
    if name is None:
        return {}
    weight = state[f"{name}.weight"]
    sizes: Values = {0: weight.shape[0]}
    return sizes | {6: weight.numel()} if layer.kind == "Convolution" else sizes


def _words(values: Values) -> list[str]:
    """`0=64` for a number, `-23310=1,0.2` for an array as parameter 10."""
    return [
        f"{-23300 - key}={_list(value)}" if isinstance(value, tuple) else f"{key}={_n(value)}"
        for key, value in sorted(values.items())
    ]


def _list(values: tuple[float, ...]) -> str:
    return f"{len(values)},{','.join(map(repr, values))}"


def _n(value: float) -> str:
    """Whole numbers without a point."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))
