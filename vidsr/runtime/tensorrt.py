"""A network built into a TensorRT engine by torch-tensorrt, for NVIDIA GPUs.

NOT RUN ON HARDWARE: no machine with TensorRT was at hand when this was written. What surrounds the library (sizes,
cache, damage, failures) is tested with a stand-in for it.

The first size gets an engine of its own. Any other size gets an engine for all sizes up to the largest met, which is
built anew when a larger one comes. Engines are kept on disk, see `runtime.artifacts`: a build takes minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

import torch
from torch import Tensor

from ..errors import DeviceError, UsageError
from ..events import Emit, ignore
from ..models.descriptor import Descriptor
from ..models.export import check_packages, export_graph, identity
from .artifacts import Artifact, obtain
from .interface import Check
from .quiet import first_line, quiet

PACKAGES = ("torch_tensorrt", "tensorrt")

SMALLEST = 32
"""Side, in pixels, of the smallest input of an engine for many sizes."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Profile:
    """The shapes N 3 H W that an engine takes, and the one it is tuned for."""

    least: Shape
    best: Shape
    most: Shape

    def takes(self, shape: Shape) -> bool:
        return all(a <= b <= c for a, b, c in zip(self.least, shape, self.most, strict=True))

    @property
    def fixed(self) -> bool:
        return self.least == self.most

    def __str__(self) -> str:
        shown = "x".join(map(str, (self.most[3], self.most[2])))
        return shown if self.fixed else f"up to {shown}"


class TensorRT:
    """A `Runtime`: N 3 H W float32 RGB in [0, 1] to N 3 sH sW float32, not clamped, contiguous.

    The layers run in `precision`, fp16 or fp32, with input, output and skip connection in float32. `check` is called
    before every pass and while another process builds; a build cannot be stopped. Every result is a tensor of its
    own. Raises UsageError without the packages, without CUDA and for bf16, DeviceError when an engine cannot be built.
    """

    name = "tensorrt"

    def __init__(
        self,
        descriptor: Descriptor,
        device: torch.device,
        precision: str,
        check: Check | None = None,
        emit: Emit = ignore,
    ) -> None:
        if device.type != "cuda":
            raise UsageError(f"--runtime: tensorrt needs --device cuda, not {device}")
        check_packages(PACKAGES, "--runtime tensorrt", "tensorrt")
        if precision not in ("fp16", "fp32"):
            raise UsageError(f"--precision: {precision} is not allowed with tensorrt, allowed are fp16 and fp32")
        self.precision, self.device = precision, device
        self._descriptor, self._emit, self._check = descriptor, emit, check or (lambda: None)
        self._engines: dict[Profile, _Engine] = {}
        self._weights = identity(descriptor.network)

    @torch.inference_mode()
    def __call__(self, rgb: Tensor) -> Tensor:
        self._check()
        n, _, height, width = rgb.shape
        scale = self._descriptor.scale
        result = rgb.new_empty(n, 3, height * scale, width * scale)
        with torch.cuda.device(self.device):
            self._engine(tuple(rgb.shape)).run(rgb.contiguous(), result)
        return result

    def _engine(self, shape: Shape) -> _Engine:
        for profile, engine in self._engines.items():
            if profile.takes(shape):
                return engine
        profile = self._profile(shape)
        self._engines = {kept: engine for kept, engine in self._engines.items() if kept.fixed}
        self._engines[profile] = obtain(self._artifact(profile), self._emit, self._check)
        return self._engines[profile]

    def _profile(self, shape: Shape) -> Profile:
        step = self._descriptor.multiple_of
        side = -(-max(SMALLEST, self._descriptor.minimum) // step) * step
        if not self._engines or min(shape[2:]) < side:
            return Profile(shape, shape, shape)
        most = tuple(max(sizes) for sizes in zip(shape, *(known.most for known in self._engines), strict=True))
        return Profile((1, 3, side, side), shape, most)

    def _artifact(self, profile: Profile) -> Artifact[_Engine]:
        major, minor = torch.cuda.get_device_capability(self.device)
        facts: dict[str, object] = {
            "weights": self._weights,
            "arch": self._descriptor.arch,
            "profile": (profile.least, profile.best, profile.most),
            "precision": self.precision,
            "gpu": f"{torch.cuda.get_device_name(self.device)} {major}.{minor}",
        }
        return Artifact(
            kind="tensorrt",
            what=f"the TensorRT engine of {self._descriptor.name} for {profile}",
            facts=facts | _versions(),
            build=lambda: self._build(profile),
            open=lambda data: _Engine(data, self.device),
        )

    def _build(self, profile: Profile) -> bytes:
        import torch_tensorrt

        shape = profile.best if profile.fixed else None
        sizes = {"min_shape": profile.least, "opt_shape": profile.best, "max_shape": profile.most}
        taken = torch_tensorrt.Input(**sizes, dtype=torch.float32)
        convert = torch_tensorrt.dynamo.convert_exported_program_to_serialized_trt_engine
        try:
            with quiet(), torch.inference_mode(False), torch.no_grad():
                graph = export_graph(self._descriptor, self.precision, self.device, shape)
                return bytes(convert(graph, arg_inputs=[taken], use_explicit_typing=True, disable_tf32=True))
        except Exception as error:
            reason = f"TensorRT cannot build {self._descriptor.name} for {profile}: {first_line(error)}"
            raise DeviceError(reason, "--runtime auto uses another way") from error


def _versions() -> dict[str, str]:
    """As the modules say: the names of TensorRT's packages differ with the version of CUDA."""
    with quiet():
        return {name: str(import_module(name).__version__) for name in ("torch", *PACKAGES)}


class _Engine:
    """An engine and the memory it works in. Raises ValueError when the bytes are not an engine for this machine."""

    def __init__(self, data: bytes, device: torch.device) -> None:
        import tensorrt

        self._device = device
        self._runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR))  # must outlive the engine
        self._engine = self._runtime.deserialize_cuda_engine(data)
        if self._engine is None:
            raise ValueError("TensorRT does not take it")
        self._context = self._engine.create_execution_context()
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        inputs = [name for name in names if self._engine.get_tensor_mode(name) == tensorrt.TensorIOMode.INPUT]
        if len(names) != 2 or len(inputs) != 1:
            raise ValueError(f"it has the inputs and outputs {', '.join(names)}, expected one of each")
        self._input = inputs[0]
        self._output = next(name for name in names if name != self._input)

    def run(self, rgb: Tensor, result: Tensor) -> None:
        """Both contiguous float32 on the device. Work is queued on the current stream."""
        self._context.set_input_shape(self._input, tuple(rgb.shape))
        self._context.set_tensor_address(self._input, rgb.data_ptr())
        self._context.set_tensor_address(self._output, result.data_ptr())
        if not self._context.execute_async_v3(torch.cuda.current_stream(self._device).cuda_stream):
            raise DeviceError(f"the device {self._device} failed in TensorRT", "--runtime auto uses another way")
