"""A network as a graph that other programs read."""

from __future__ import annotations

import copy
import importlib.util
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from ..errors import UsageError
from ..runtime.quiet import quiet
from .descriptor import Descriptor

OPSET = 18
"""The version of ONNX's operators, of December 2022: onnxruntime, DirectML, OpenVINO and TensorRT have it."""

INPUT, OUTPUT = "rgb", "upscaled"

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16}
_PACKAGES = ("onnx", "onnxscript")


def to_onnx(descriptor: Descriptor, precision: str = "fp32") -> bytes:
    """An ONNX model: `rgb`, N 3 H W float32 RGB in [0, 1], to `upscaled`, N 3 sH sW float32, not clamped.

    N, H and W are free; H and W are multiples of `descriptor.multiple_of`. The layers run in `precision`, fp32 or
    fp16; the skip connection is float32. What the model is stands in its metadata. Raises UsageError when a package
    is missing, or for other number formats.
    """
    check_packages(_PACKAGES, "an ONNX model")
    with quiet(), torch.no_grad():
        graph = export_graph(descriptor, precision, torch.device("cpu"))
        program = torch.onnx.export(
            graph, (), dynamo=True, opset_version=OPSET, input_names=[INPUT], output_names=[OUTPUT], verbose=False
        )
    assert program is not None
    model: Any = program.model_proto
    for key, value in about(descriptor, precision).items():
        model.metadata_props.add(key=key, value=value)
    data: bytes = model.SerializeToString()
    return data


def export_graph(
    descriptor: Descriptor, precision: str, device: torch.device, shape: tuple[int, ...] | None = None
) -> torch.export.ExportedProgram:
    """The network in `precision` (fp32 or fp16) on `device`; for inputs of `shape`, or of any N, H and W when None.

    Raises UsageError for other number formats: where bf16 is not a type of its own, it would be something else.
    """
    if precision not in _DTYPES:
        raise UsageError(f"{precision} is not allowed in an exported model, allowed are fp32 and fp16")
    network = copy.deepcopy(descriptor.network).to(device, _DTYPES[precision])
    step = descriptor.multiple_of
    example = torch.zeros(shape or (2, 3, 16 * step, 12 * step), device=device)  # sizes of 1 would be taken as fixed
    return torch.export.export(network, (example,), dynamic_shapes=None if shape else (_free(step),))


def _free(step: int) -> dict[int, Any]:
    """Axes of any size; rows and columns in multiples of `step`."""
    rows, columns = torch.export.Dim("rows", min=2), torch.export.Dim("columns", min=2)
    if step == 1:
        return {0: torch.export.Dim("frames"), 2: rows, 3: columns}
    return {0: torch.export.Dim("frames"), 2: step * rows, 3: step * columns}


def about(descriptor: Descriptor, precision: str) -> dict[str, str]:
    """What stands in the metadata of an exported model."""
    from .. import __version__

    return {
        "producer": f"vidsr {__version__}, torch {torch.__version__}",
        "name": descriptor.name,
        "architecture": descriptor.arch,
        "scale": str(descriptor.scale),
        "multiple_of": str(descriptor.multiple_of),
        "precision": precision,
        "weights_sha256": descriptor.sha256,
        "licence": descriptor.licence,
        "origin": descriptor.origin,
    }


def versions(*packages: str) -> dict[str, str]:
    """The installed version of each package."""
    return {name: version(name) for name in packages}


def check_packages(names: tuple[str, ...], what: str, extra: str = "onnx") -> None:
    """Raises UsageError, which says what to install, when a package is missing."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"{what} needs the packages {', '.join(names)}; not installed: {', '.join(missing)}",
            f"pip install 'vidsr-upscaler[{extra}]'",
        )


def identity(network: nn.Module) -> str:
    """SHA-256 of the weights as they are in memory."""
    from .files import digest

    return digest(network.state_dict())
