"""A network run by onnxruntime, with one of its execution providers.

The model is exported once per weights, number format and versions, and kept; see `runtime.artifacts`. Only the cpu and
openvino providers were run so far; the others need hardware or systems that were not at hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import DeviceError, UsageError, near_miss
from ..events import Emit, ignore
from ..models.descriptor import Descriptor
from ..models.export import INPUT, OPSET, OUTPUT, check_packages, identity, to_onnx, versions
from ..models.graph import Graph
from ..models.ort import ERRORS_ONLY
from ..models.ort import library as _onnxruntime
from .artifacts import Artifact, folder, obtain
from .interface import Check
from .quiet import first_line, quiet

PACKAGES = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Provider:
    """How onnxruntime calls an execution provider, and what it needs."""

    title: str
    half: bool
    """Whether fp16 is worth it there."""
    on_cuda: bool = False
    """Whether it reads and writes CUDA memory; all others take and give host memory."""
    options: dict[str, Any] = field(default_factory=dict)


PROVIDERS = {
    "cpu": Provider("CPUExecutionProvider", half=False),
    "cuda": Provider("CUDAExecutionProvider", half=True, on_cuda=True),
    "tensorrt": Provider("TensorrtExecutionProvider", half=True, on_cuda=True),
    "openvino": Provider("OpenVINOExecutionProvider", False, options={"device_type": "CPU", "precision": "ACCURACY"}),
    "openvino-gpu": Provider(
        "OpenVINOExecutionProvider", True, options={"device_type": "GPU", "precision": "ACCURACY"}
    ),
    "directml": Provider("DmlExecutionProvider", half=True),
    "coreml": Provider("CoreMLExecutionProvider", half=True, options={"ModelFormat": "MLProgram"}),
}


class Onnx:
    """A `Runtime`: N 3 H W float32 RGB in [0, 1] to N 3 sH sW float32, not clamped, contiguous.

    `provider` is a key of PROVIDERS. `check` is called before every pass, which cannot be stopped in between. Every
    result is a tensor of its own. Raises UsageError when packages or the provider are missing or do not fit `device`
    or `precision`, DeviceError when the provider does not start.
    """

    name = "onnx"

    def __init__(
        self,
        descriptor: Descriptor,
        device: torch.device,
        precision: str,
        check: Check | None = None,
        provider: str = "cpu",
        emit: Emit = ignore,
    ) -> None:
        self.precision, self.device = precision, device
        self._check, self._scale = check or (lambda: None), descriptor.scale
        self._provider = _fitting(provider, device, precision)
        self._memory = device if self._provider.on_cuda else torch.device("cpu")
        self._single = isinstance(descriptor.network, Graph) and descriptor.network.single
        self._session = self._opened(descriptor, emit)

    def _opened(self, descriptor: Descriptor, emit: Emit) -> Any:
        """A session on the user's own model, or on one that is exported once and kept."""
        if isinstance(descriptor.network, Graph):
            return _session(descriptor.network.model, self._provider, self._memory, self.precision)
        return obtain(self._model(descriptor), emit, self._check)

    def _model(self, descriptor: Descriptor) -> Artifact[Any]:
        weights = {"weights": identity(descriptor.network), "arch": descriptor.arch}
        facts: dict[str, object] = {**weights, "precision": self.precision, "opset": OPSET}
        return Artifact(
            kind="onnx",
            what=f"the ONNX model of {descriptor.name}",
            facts=facts | versions("torch", "onnx", "onnxscript"),
            build=lambda: to_onnx(descriptor, self.precision),
            open=lambda model: _session(model, self._provider, self._memory, self.precision),
        )

    @torch.inference_mode()
    def __call__(self, rgb: Tensor) -> Tensor:
        if self._single and len(rgb) > 1:
            return torch.cat([self(rgb[n : n + 1]) for n in range(len(rgb))])
        self._check()
        source = rgb.to(self._memory).contiguous()
        n, _, height, width = source.shape
        result = torch.empty(n, 3, height * self._scale, width * self._scale, device=self._memory)
        binding = self._session.io_binding()
        place = (self._memory.type, self._memory.index or 0, np.float32)
        binding.bind_input(INPUT, *place, tuple(source.shape), source.data_ptr())
        binding.bind_output(OUTPUT, *place, tuple(result.shape), result.data_ptr())
        if self._memory.type == "cuda":  # onnxruntime has a stream of its own, and waits for it itself
            torch.cuda.current_stream(self._memory).synchronize()
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:
            raise _understood(error, self._memory) from error
        return result.to(self.device)


def providers() -> list[str]:
    """Keys of PROVIDERS that the installed onnxruntime has; empty when it is not installed."""
    try:
        installed = _onnxruntime().get_available_providers()
    except ImportError:
        return []
    return [name for name, provider in PROVIDERS.items() if provider.title in installed]


def default_provider(device: torch.device) -> str:
    """What `onnx` alone means: the one for this device that starts without building anything."""
    if device.type == "cuda":
        return "cuda"
    return "coreml" if device.type == "mps" and "coreml" in providers() else "cpu"


def _fitting(name: str, device: torch.device, precision: str) -> Provider:
    """The provider called `name`. Raises UsageError when it is unknown, absent, or does not fit."""
    if name not in PROVIDERS:
        near = near_miss(name, list(PROVIDERS))
        raise UsageError(f"--runtime: onnx:{name} is unknown, allowed are onnx:{', onnx:'.join(PROVIDERS)}{near}")
    check_packages(PACKAGES, f"--runtime onnx:{name}")
    provider, present = PROVIDERS[name], providers()
    if name not in present:
        raise UsageError(
            f"--runtime: onnx:{name} is not in this onnxruntime, which has {', '.join(present)}",
            "other builds of onnxruntime, such as onnxruntime-gpu, -openvino and -directml, have others",
        )
    if provider.on_cuda and device.type != "cuda":
        raise UsageError(f"--runtime: onnx:{name} needs --device cuda, not {device}")
    allowed = ("fp32", "fp16") if provider.half else ("fp32",)
    if precision not in allowed:
        raise UsageError(f"--precision: {precision} is not allowed with onnx:{name}, allowed is {' or '.join(allowed)}")
    return provider


def _session(model: bytes, provider: Provider, memory: torch.device, precision: str) -> Any:
    """A session on exactly this provider. Raises DeviceError where onnxruntime would go on without it."""
    library = _onnxruntime()
    options = library.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.intra_op_num_threads = torch.get_num_threads()
    if provider.title == "DmlExecutionProvider":  # its documentation asks for both
        options.enable_mem_pattern = False
        options.execution_mode = library.ExecutionMode.ORT_SEQUENTIAL
    settings = provider.options | _settings(provider, memory, precision)
    try:
        with quiet():
            session = library.InferenceSession(model, options, providers=[(provider.title, settings)])
    except Exception as error:
        raise DeviceError(f"onnxruntime cannot start {provider.title}: {first_line(error)}") from error
    if session.get_providers()[0] != provider.title:
        raise DeviceError(
            f"onnxruntime cannot start {provider.title}, it would use {session.get_providers()[0]}",
            "the libraries that the provider needs are missing or do not fit",
        )
    session.disable_fallback()
    return session


def _settings(provider: Provider, memory: torch.device, precision: str) -> dict[str, Any]:
    """Options that depend on the device and on where artifacts are kept."""
    index = str(memory.index or 0)
    if provider.title == "CUDAExecutionProvider":
        return {"device_id": index, "use_tf32": "0"}
    if provider.title == "TensorrtExecutionProvider":
        cache = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(folder())}
        return {"device_id": index, "trt_fp16_enable": str(int(precision == "fp16"))} | cache
    return {}


def _understood(error: Exception, device: torch.device) -> Exception:
    """An OutOfMemoryError where that is what happened, so that smaller tiles are tried; else a DeviceError."""
    text = str(error).lower()
    if any(part in text for part in ("allocate memory", "bad_alloc", "bad allocation", "out of memory")):
        return torch.OutOfMemoryError(first_line(error))
    return DeviceError(f"the device {device} failed in onnxruntime: {first_line(error)}")
