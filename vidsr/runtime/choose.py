"""From the name of a runtime to a `Runtime`: what `--runtime` means on a device, for a network."""

from __future__ import annotations

from typing import get_args

import torch

from ..errors import UsageError, near_miss
from ..events import Emit, FellBack, Notice
from ..models.archs.compact import SRVGGNetCompact
from ..models.community import Community
from ..models.descriptor import Descriptor
from ..models.graph import Graph
from ..options import Runtime as Names
from . import compiled
from .compiled import Compiled
from .device import pick_precision
from .eager import Eager
from .interface import Check, Runtime
from .layered import Layered
from .onnx import PROVIDERS, Onnx, default_provider, providers
from .tensorrt import TensorRT

NAMES = get_args(Names)
"""Values of `--runtime`; `onnx` may be followed by a colon and a provider."""


def check_name(name: str) -> None:
    """Raises UsageError when `name` is no runtime, or its provider none of onnxruntime's."""
    kind, colon, provider = name.partition(":")
    if kind not in NAMES or (colon and (kind != "onnx" or provider not in PROVIDERS)):
        allowed = [*NAMES, *(f"onnx:{each}" for each in PROVIDERS)]
        raise UsageError(f"--runtime: {name!r} is unknown, allowed are {', '.join(allowed)}{near_miss(name, allowed)}")


def precision_for(name: str, asked: str, device: torch.device, able: frozenset[str]) -> str:
    """fp32, fp16 or bf16: `asked`, or for auto the fastest that runtime, device and network (`able`) all do well.

    Raises UsageError for what one of them cannot do.
    """
    kind, _, provider = name.partition(":")
    if kind == "onnx":
        return _exported_precision(f"onnx:{provider or default_provider(device)}", asked, device, able)
    return pick_precision(asked, device, able - _LACKING.get(kind, frozenset()))


def _exported_precision(name: str, asked: str, device: torch.device, able: frozenset[str]) -> str:
    """onnxruntime has no bf16, and its providers may compute elsewhere than on the device the frames are on."""
    provider = PROVIDERS.get(name.removeprefix("onnx:"))
    if provider is None or not provider.half or "fp16" not in able:
        return pick_precision(asked, device, able & {"fp32"})
    if asked == "bf16":
        raise UsageError(f"--precision: bf16 is not allowed with {name}, allowed are fp16 and fp32")
    return "fp16" if asked == "auto" else asked


def make_runtime(
    name: str, descriptor: Descriptor, device: torch.device, precision: str, emit: Emit, check: Check | None = None
) -> Runtime:
    """The runtime called `name` for a network; `precision` is what `precision_for` gives.

    Raises UsageError for an unknown name and for a runtime that is not possible here, with the reason; DeviceError
    when it does not start. `compiled` where nothing can be compiled is eager, which is told.
    """
    check_name(name)
    kind, _, provider = name.partition(":")
    if isinstance(descriptor.network, Graph):
        return _graph(kind, provider, descriptor, device, precision, emit, check)
    if kind == "auto":
        return _auto(descriptor, device, precision, emit, check)
    if kind == "onnx":
        return Onnx(descriptor, device, precision, check, provider or default_provider(device), emit)
    if kind == "tensorrt":
        return TensorRT(descriptor, device, precision, check, emit)
    if kind == "compiled":
        return _compiled(descriptor, device, precision, emit, check)
    reason = _why_not(kind, device, descriptor, precision)
    if reason is not None:
        raise UsageError(f"--runtime: {reason}", "--runtime auto takes what is possible")
    return _plain(kind, descriptor, device, precision, check)


def _graph(
    kind: str, provider: str, descriptor: Descriptor, device: torch.device, precision: str, emit: Emit,
    check: Check | None,
) -> Runtime:  # fmt: skip
    """An ONNX file as the model: onnxruntime runs it, whatever else is there."""
    if kind not in ("auto", "onnx"):
        raise UsageError(f"--runtime: {kind} cannot run {descriptor.name}, which is an ONNX file", "--runtime onnx")
    chosen = provider or default_provider(device)
    if not provider and chosen not in providers():
        emit(FellBack(f"onnx:{chosen}", "onnx:cpu", "this onnxruntime has no provider for the device"))
        chosen = "cpu"
    return Onnx(descriptor, device, precision, check, chosen, emit)


def _auto(descriptor: Descriptor, device: torch.device, precision: str, emit: Emit, check: Check | None) -> Runtime:
    """The fastest for the device. All give the same pictures, so what was passed over is a detail."""
    passed = []
    for kind in _PREFERRED.get(device.type, ()):
        reason = _why_not(kind, device, descriptor, precision)
        if reason is None:
            break
        passed.append(reason)
    else:
        kind = "eager"
    emit(Notice("; ".join([f"runtime {kind}", *passed]), "detail"))
    if kind == "compiled":
        return Compiled(descriptor, device, precision, check, emit)
    return _plain(kind, descriptor, device, precision, check)


def _compiled(descriptor: Descriptor, device: torch.device, precision: str, emit: Emit, check: Check | None) -> Runtime:
    reason = _why_not("compiled", device, descriptor, precision)
    if reason is None:
        return Compiled(descriptor, device, precision, check, emit)
    emit(FellBack("compiled", "eager", reason))
    return Eager(descriptor, device, precision, check)


def _plain(kind: str, descriptor: Descriptor, device: torch.device, precision: str, check: Check | None) -> Runtime:
    if kind == "fused":
        from .fused import Fused

        return Fused(descriptor, device, precision, check)
    return (Layered if kind == "layered" else Eager)(descriptor, device, precision, check)


def _why_not(kind: str, device: torch.device, descriptor: Descriptor, precision: str) -> str | None:
    """One sentence that says why a runtime is not possible, None when it is."""
    if precision in _LACKING.get(kind, ()):
        return f"runtime {kind} has no {precision}"
    if kind == "fused":
        from .fused import why_not

        return why_not(device, descriptor)
    if kind == "compiled" and isinstance(descriptor.network, Community):
        return f"runtime compiled is not tried with networks of others, {descriptor.name} is {descriptor.arch}"
    if kind == "compiled":
        reason = compiled.why_not(device.type)
        return reason and f"nothing can be compiled here: {reason}"
    return _why_not_layered(device, descriptor) if kind == "layered" else None


def _why_not_layered(device: torch.device, descriptor: Descriptor) -> str | None:
    if device.type != "cpu":
        return f"runtime layered runs on a CPU only, the device is {device}"
    if not isinstance(descriptor.network, SRVGGNetCompact):
        return f"runtime layered runs SRVGGNetCompact only, {descriptor.name} is {descriptor.arch}"
    return None


_LACKING = {"tensorrt": frozenset({"bf16"}), "fused": frozenset({"fp32"})}
"""Number formats that a runtime does not have."""

_PREFERRED = {"cpu": ("layered",), "cuda": ("fused", "compiled")}
"""What auto tries on a device before eager."""
