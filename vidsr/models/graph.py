"""An ONNX file of the user's as a network. Its graph is what runs; nothing is translated into layers of ours.

The file comes from a stranger: no file beside it is read, nothing in it may take unbounded memory or time before the
first picture, and operators are those of ONNX only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import WeightsError
from ..runtime.quiet import first_line, quiet
from .export import INPUT, OUTPUT, check_packages
from .ort import SILENT, library

PACKAGES = ("onnx", "onnxruntime")

LARGEST = 1 << 30
"""Bytes that a constant inside the graph may have once it is computed."""

ENDLESS = {"Loop", "Scan", "SequenceMap"}
"""Operators whose end nobody can tell beforehand."""

FLOAT = 1
"""ONNX's number for float32."""

STANDARD = {"", "ai.onnx"}
"""Names of the set of operators that is ONNX itself."""


class Graph(nn.Module):
    """N 3 H W float32 in [0, 1] to N 3 sH sW float32, by onnxruntime on the CPU.

    `model` is the file with its input called INPUT and its output OUTPUT, both float32. `single` says that it takes
    one picture at a time.
    """

    def __init__(self, model: bytes, single: bool, weights: int) -> None:
        super().__init__()
        self.model, self.single, self.weights = model, single, weights
        self._session: Any = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Graph:
        """The file does not change, so that copies share it."""
        return Graph(self.model, self.single, self.weights)

    def forward(self, rgb: Tensor) -> Tensor:
        if self.single and len(rgb) > 1:
            return torch.cat([self.forward(rgb[n : n + 1]) for n in range(len(rgb))])
        picture = np.ascontiguousarray(rgb.detach().cpu().float().numpy())
        try:
            silent = library().RunOptions()
            silent.log_severity_level = SILENT  # while probing, sizes that do not fit are no news
            (result,) = self._opened().run([OUTPUT], {INPUT: picture}, silent)
        except Exception as error:
            raise RuntimeError(f"onnxruntime: {first_line(error)}") from error
        return torch.from_numpy(result).to(rgb.device)

    def _opened(self) -> Any:
        """The session; made at the first picture, since sessions cannot be copied into other processes."""
        if self._session is None:
            ort = library()
            options = ort.SessionOptions()
            options.log_severity_level = SILENT
            options.intra_op_num_threads = torch.get_num_threads()
            with quiet():
                self._session = ort.InferenceSession(self.model, options, providers=["CPUExecutionProvider"])
        return self._session


def read_graph(data: bytes) -> Graph:
    """The network in an ONNX file. Raises UsageError without the extra `onnx`, WeightsError for what is refused."""
    check_packages(PACKAGES, "an ONNX file as a model")
    import onnx

    try:
        model: Any = onnx.load_model_from_string(data)
        _check_contents(model, onnx)
        single, weights = _adapt(model, onnx), _weights(model)
        graph = Graph(model.SerializeToString(), single, weights)
        graph._opened()
    except WeightsError:
        raise
    except Exception as error:  # the parser of protobuf, the checker and onnxruntime each have errors of their own
        raise WeightsError(f"damaged, or no ONNX model that onnxruntime runs: {first_line(error)}") from error
    return graph.eval()


def _check_contents(model: Any, onnx: Any) -> None:
    """Refuse what reads other files, what is no operator of ONNX, and what may take too much memory or time."""
    nodes = list(_nodes(model.graph, onnx)) + [node for item in model.functions for node in item.node]
    own = {item.domain for item in model.functions}
    foreign = sorted({f"{node.domain}.{node.op_type}" for node in nodes if node.domain not in STANDARD | own})
    if foreign:
        raise WeightsError(f"refused, its operators {', '.join(foreign[:5])} are not of ONNX")
    endless = sorted({node.op_type for node in nodes} & ENDLESS)
    if endless:
        raise WeightsError(f"refused, the operator {endless[0]} may run without end")
    tensors = [*model.graph.initializer, *(item.t for node in nodes for item in node.attribute if item.HasField("t"))]
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in tensors):
        raise WeightsError("refused, its weights lie in another file", "save the model with its weights inside")
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    for value in inferred.graph.value_info:
        sides = [side.dim_value for side in value.type.tensor_type.shape.dim if side.HasField("dim_value")]
        if np.prod([float(side) for side in sides]) * 4 > LARGEST:
            raise WeightsError(f"refused, its value {value.name[:40]!r} would have the size {sides}")


def _nodes(graph: Any, onnx: Any) -> Any:
    """The operators of a graph and of the graphs inside of it."""
    for node in graph.node:
        yield node
        for item in node.attribute:
            if item.type == onnx.AttributeProto.GRAPH:
                yield from _nodes(item.g, onnx)


def _adapt(model: Any, onnx: Any) -> bool:
    """Give input and output our names and float32; returns whether the model takes one picture at a time."""
    weights = {item.name for item in model.graph.initializer}
    sources = [item for item in model.graph.input if item.name not in weights]
    if len(sources) != 1 or len(model.graph.output) != 1:
        raise WeightsError(
            f"the model has {len(sources)} inputs and {len(model.graph.output)} outputs, expected one each"
        )
    source, result = sources[0], model.graph.output[0]
    single = _check_form(source, onnx)
    kinds = [item.type.tensor_type.elem_type for item in (source, result)]
    if (source.name, result.name, *kinds) != (INPUT, OUTPUT, FLOAT, FLOAT):
        others = {INPUT: "vidsr_other_input", OUTPUT: "vidsr_other_output"}
        _rename(model, others | {source.name: "vidsr_input", result.name: "vidsr_output"}, onnx)
        model.graph.node.insert(0, onnx.helper.make_node("Cast", [INPUT], ["vidsr_input"], to=kinds[0]))
        model.graph.node.append(onnx.helper.make_node("Cast", ["vidsr_output"], [OUTPUT], to=FLOAT))
    shape = [1 if single else "frames", 3, "height", "width"]
    values = {"input": (INPUT, shape), "output": (OUTPUT, [None] * 4)}
    for field, (name, sides) in values.items():
        model.graph.ClearField(field)
        getattr(model.graph, field).append(onnx.helper.make_tensor_value_info(name, FLOAT, sides))
    model.graph.ClearField("value_info")
    return single


def _rename(model: Any, names: dict[str, str], onnx: Any) -> None:
    """Call values otherwise wherever they are read or made."""
    for node in _nodes(model.graph, onnx):
        for used in (node.input, node.output):
            used[:] = [names.get(name, name) for name in used]
    for tensor in model.graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)


def _check_form(source: Any, onnx: Any) -> bool:
    """Refuse inputs other than N 3 H W of free height and width; gives whether N is fixed to 1."""
    kinds = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.FLOAT16: "float16"}
    tensor = source.type.tensor_type
    sides = [side.dim_value if side.HasField("dim_value") else None for side in tensor.shape.dim]
    fits = len(sides) == 4 and sides[0] in (None, 1) and sides[1] in (None, 3) and sides[2:] == [None, None]
    if not fits or tensor.elem_type not in kinds:
        shown = " ".join("free" if side is None else str(side) for side in sides)
        kind = kinds.get(tensor.elem_type) or onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
        raise WeightsError(
            f"the input of the model is {shown or 'a number'} {kind}, expected is N 3 H W float32 or float16 with free "
            "height and width",
            "export it again with dynamic axes" if None not in sides[2:] else "",
        )
    return sides[0] == 1


def _weights(model: Any) -> int:
    """How many numbers the model holds."""
    return int(sum(np.prod(item.dims, dtype=np.int64) for item in model.graph.initializer))
