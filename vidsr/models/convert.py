"""A network as a file for other programs, in four forms, each compared with the network before it gets its name."""

from __future__ import annotations

import importlib.util
import io
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import safetensors.torch
import torch
from torch import Tensor, nn

from ..errors import ExistsError, UsageError, VidsrError, WeightsError
from ..fs import unwritable, write_atomically
from ..runtime.quiet import first_line, quiet
from .archs.compact import SLOPES, SRVGGNetCompact, with_slopes
from .archs.rrdb import RRDBNet
from .community import Community, build_community
from .descriptor import Descriptor
from .export import about, export_graph, to_onnx
from .files import parse
from .graph import Graph, read_graph
from .ncnn import read_ncnn
from .ncnn_run import run_ncnn
from .ncnn_write import write_ncnn
from .recover import build
from .store import sha256_of

Form = Literal["onnx", "safetensors", "torch-export", "ncnn"]
SUFFIXES: dict[Form, str] = {"onnx": ".onnx", "safetensors": ".safetensors", "torch-export": ".pt2", "ncnn": ".param"}

LEAST = {"fp32": 60.0, "fp16": 50.0}
"""dB to the network that a file must reach: float32 differs by rounding only, float16 by less than a code of 8 bits."""

HEIGHT, WIDTH = 48, 64
"""Of the picture that is compared, rounded up to the network's size rule."""

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Exported:
    """What was written, and how far it is from the network. `decibels` are PSNR with peak 1, infinite when equal;
    `worst` is the largest difference of a value.
    """

    form: Form
    precision: str
    files: tuple[Path, ...]
    bytes: int
    sha256: tuple[str, ...]
    checked_by: str
    """The program that ran the file."""
    decibels: float
    worst: float


def export_model(
    network: Descriptor, form: Form, target: Path, *, half: bool = False, overwrite: bool = False
) -> Exported:
    """Write `network` to `target`, whose ending is that of `form`; ncnn makes a `.bin` file beside it.

    With `half` the weights are float16, and in onnx and torch-export the layers run in it. Height, width and number of
    pictures are free in all forms that have a graph. Raises UsageError where the form cannot hold the network, where
    the ending is another or a package is missing; ExistsError; WeightsError when the file gives another picture.
    """
    _check_call(network, form, target, overwrite)
    precision = "fp16" if half else "fp32"
    try:
        contents = _WRITERS[form](network, precision)
        checked_by, run = _RUNNERS[form](network, contents)
        decibels, worst = compare(network, run)
    except VidsrError:
        raise
    except Exception as error:  # exporters of torch raise whatever they like for networks of other makers
        raise UsageError(f"model {network.name} cannot be exported to {form}: {first_line(error)}") from error
    if not decibels >= LEAST[precision]:
        raise WeightsError(
            f"the {form} file of {network.name} is {decibels:.1f} dB from it, expected is {LEAST[precision]:g}",
            "leave --half out" if half else "",
        )
    files = tuple(target.with_suffix(suffix) for suffix in contents)
    for path, data in zip(files, contents.values(), strict=True):
        _write(path, data)
    size = sum(map(len, contents.values()))
    hashes = tuple(map(sha256_of, contents.values()))
    return Exported(form, precision, files, size, hashes, checked_by, decibels, worst)


def _check_call(network: Descriptor, form: Form, target: Path, overwrite: bool) -> None:
    """What can be told before any work."""
    if form not in get_args(Form):
        raise UsageError(f"--to: {form!r} is not allowed, allowed are {', '.join(get_args(Form))}")
    if target.suffix.lower() != SUFFIXES[form]:
        raise UsageError(f"--output: {target} does not end in {SUFFIXES[form]}, as files for {form} do")
    if isinstance(network.network, Graph):
        raise UsageError(f"model {network.name} is an ONNX file; its layers are not known, and it stays as it is")
    if form == "ncnn" and not isinstance(network.network, SRVGGNetCompact | RRDBNet):
        raise UsageError(f"--to: ncnn has SRVGGNetCompact and RRDBNet only, {network.name} is {network.arch}")
    for path in (target, target.with_suffix(".bin")) if form == "ncnn" else (target,):
        if path.exists() and not overwrite:
            raise ExistsError(f"{path} exists", "-y replaces it")


def _write(path: Path, data: bytes) -> None:
    try:
        write_atomically(path, data)
    except OSError as error:
        raise unwritable(path.parent, error) from error


def picture(height: int, width: int) -> Tensor:
    """1 3 H W float32 in [0, 1] with what films have: slow shades, hard edges, thin lines, grain."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    shades = torch.stack([0.2 + 0.6 * x, 0.3 + 0.5 * y, 0.7 - 0.4 * x * y])
    disc = (y - 0.45).square() + (x - 0.4).square() < 0.06
    lines = (x * width).long() % 7 == 0
    drawn = torch.where(disc, torch.tensor([0.85, 0.25, 0.15])[:, None, None], shades)
    drawn = torch.where(lines & (y > 0.7), drawn * 0.3, drawn)
    grain = torch.randn(3, height, width, generator=torch.Generator().manual_seed(5))
    return (drawn + 0.02 * grain).clamp(0, 1)[None]


@torch.inference_mode()
def compare(network: Descriptor, run: Network) -> tuple[float, float]:
    """PSNR in dB (peak 1) and the largest difference, of `run` against the network in float32, on `picture`."""
    step, least = network.multiple_of, network.minimum
    rgb = picture(*(-(-max(side, least) // step) * step for side in (HEIGHT, WIDTH)))
    expected = network.network(rgb).double()
    apart = (run(rgb).double() - expected).abs()
    if apart.shape != expected.shape or not apart.isfinite().all():
        return math.nan, math.nan
    error = float(apart.square().mean())
    return math.inf if error == 0 else -10 * math.log10(error), float(apart.max())


def _state(network: nn.Module) -> dict[str, Tensor]:
    """Weights under the names that are read again. An activation without slopes gets some, or nobody would know it."""
    if isinstance(network, Community):
        return dict(network.spandrel.state_dict())
    state = dict(network.state_dict())
    if isinstance(network, SRVGGNetCompact) and network.activation != "prelu":
        return with_slopes(state, SLOPES[network.activation])
    return state


def _with_slopes(network: Descriptor) -> Descriptor:
    """The same network with an activation that its weights tell: those alone are read again."""
    inner = network.network
    if not isinstance(inner, SRVGGNetCompact) or inner.activation == "prelu":
        return network
    return replace(network, network=build(_state(inner)))


def _as_onnx(network: Descriptor, precision: str) -> dict[str, bytes]:
    return {".onnx": to_onnx(network, precision)}


def _as_safetensors(network: Descriptor, precision: str) -> dict[str, bytes]:
    state = {key: value.clone() for key, value in _state(network.network).items()}
    if precision == "fp16":
        state = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    return {".safetensors": safetensors.torch.save(state, about(network, precision))}


def _as_torch_export(network: Descriptor, precision: str) -> dict[str, bytes]:
    stream = io.BytesIO()
    with quiet(), torch.no_grad():
        torch.export.save(export_graph(_with_slopes(network), precision, torch.device("cpu")), stream)
    return {".pt2": stream.getvalue()}


def _as_ncnn(network: Descriptor, precision: str) -> dict[str, bytes]:
    assert isinstance(network.network, SRVGGNetCompact | RRDBNet)
    text, numbers = write_ncnn(network.network, precision == "fp16")
    return {".param": text.encode(), ".bin": numbers}


def _run_onnx(network: Descriptor, contents: dict[str, bytes]) -> tuple[str, Network]:
    return "onnxruntime", read_graph(contents[".onnx"])


def _run_safetensors(network: Descriptor, contents: dict[str, bytes]) -> tuple[str, Network]:
    state = parse(Path(f"{network.name}.safetensors"), contents[".safetensors"])
    again = isinstance(network.network, Community)
    return "vidsr", build_community(state) if again else build(state)


def _run_torch_export(network: Descriptor, contents: dict[str, bytes]) -> tuple[str, Network]:
    with quiet():
        return "torch.export", torch.export.load(io.BytesIO(contents[".pt2"])).module()


def _run_ncnn(network: Descriptor, contents: dict[str, bytes]) -> tuple[str, Network]:
    """By ncnn itself where its package is installed, else by this package's reader of its files."""
    text, numbers = contents[".param"].decode(), contents[".bin"]
    if importlib.util.find_spec("ncnn") is None:
        return "vidsr", build(read_ncnn(text, numbers))
    return "ncnn", run_ncnn(text, numbers)


_WRITERS = {
    "onnx": _as_onnx, "safetensors": _as_safetensors, "torch-export": _as_torch_export, "ncnn": _as_ncnn,
}  # fmt: skip
_RUNNERS = {
    "onnx": _run_onnx, "safetensors": _run_safetensors, "torch-export": _run_torch_export, "ncnn": _run_ncnn,
}  # fmt: skip
