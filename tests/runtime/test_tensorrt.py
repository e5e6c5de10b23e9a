"""TensorRT, with a stand-in for the library: sizes, engines that are kept, damage, failures. No engine was ever run."""

from __future__ import annotations

import ctypes
import json
import sys
from contextlib import nullcontext
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.runtime.tiny import CPU, apart, tiny
from vidsr.errors import DeviceError, UsageError
from vidsr.events import Event, Notice
from vidsr.models import export
from vidsr.runtime import artifacts, tensorrt
from vidsr.runtime.eager import Eager
from vidsr.runtime.tensorrt import TensorRT

CUDA = torch.device("cuda", 0)


class Library:
    """Plays torch_tensorrt and tensorrt. An `engine` is the JSON of its sizes; running one runs the network eagerly."""

    def __init__(self) -> None:
        self.built: list[dict[str, Any]] = []
        self.graphs: list[torch.export.ExportedProgram] = []
        self.fails = ""

    def modules(self) -> dict[str, ModuleType]:
        building, running = ModuleType("torch_tensorrt"), ModuleType("tensorrt")
        building.__dict__.update(
            __version__="2.13.0",
            Input=lambda **sizes: sizes,
            dynamo=SimpleNamespace(convert_exported_program_to_serialized_trt_engine=self.convert),
        )
        running.__dict__.update(
            __version__="10.16.1",
            Logger=type("Logger", (), {"ERROR": 1, "__init__": lambda self, level: None}),
            Runtime=lambda logger: SimpleNamespace(deserialize_cuda_engine=self.read),
            TensorIOMode=SimpleNamespace(INPUT="in", OUTPUT="out"),
        )
        return {"torch_tensorrt": building, "tensorrt": running}

    def convert(self, graph: torch.export.ExportedProgram, *, arg_inputs: list[Any], **options: Any) -> bytes:
        assert options == {"use_explicit_typing": True, "disable_tf32": True}
        if self.fails:
            raise RuntimeError(self.fails)
        (sizes,) = arg_inputs
        assert sizes.pop("dtype") == torch.float32
        self.graphs.append(graph)
        self.built.append(sizes)
        return json.dumps({name: list(shape) for name, shape in sizes.items()}).encode()

    def read(self, data: bytes) -> Any:
        if not data.startswith(b"{"):
            return None
        return SimpleNamespace(
            num_io_tensors=2,
            get_tensor_name=lambda index: ("out0", "x")[index],
            get_tensor_mode=lambda name: "in" if name == "x" else "out",
            create_execution_context=lambda: Context(json.loads(data)),
        )


class Context:
    """Runs the network of the test in place of an engine, between the addresses it is given."""

    def __init__(self, sizes: dict[str, list[int]]) -> None:
        self.sizes, self.address = sizes, dict[str, int]()
        self.shape: tuple[int, ...] = ()
        self.network = Eager(tiny("rrdb2"), CPU, "fp32")

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> None:
        assert name == "x"
        bounds = zip(self.sizes["min_shape"], shape, self.sizes["max_shape"], strict=True)
        assert all(least <= size <= most for least, size, most in bounds)
        self.shape = shape

    def set_tensor_address(self, name: str, address: int) -> None:
        self.address[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        assert stream == 7
        count = int(np.prod(self.shape))
        source = (ctypes.c_float * count).from_address(self.address["x"])
        result = self.network(torch.from_numpy(np.array(source)).reshape(self.shape)).contiguous()
        ctypes.memmove(self.address["out0"], result.data_ptr(), result.nbytes)
        return True


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    """The stand-in, in place of the library and of the CUDA calls around it; graphs are exported for the CPU."""
    library = Library()
    for name, module in library.modules().items():
        module.__spec__ = ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("VIDSR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=7))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    graph = export.export_graph
    monkeypatch.setattr(
        tensorrt, "export_graph", lambda network, precision, device, shape: graph(network, precision, CPU, shape)
    )
    return library


def make(events: list[Event] | None = None, precision: str = "fp16") -> TensorRT:
    return TensorRT(tiny("rrdb2"), CUDA, precision, None, (events if events is not None else []).append)


def run(runtime: TensorRT, n: int, height: int, width: int) -> None:
    """One pass, compared with eager."""
    rgb = torch.rand(n, 3, height, width).contiguous(memory_format=torch.channels_last)
    result = runtime(rgb)
    assert result.dtype == torch.float32
    assert apart(result, Eager(tiny("rrdb2"), CPU, "fp32")(rgb)) > 100


def test_the_first_size_has_its_own_engine_and_all_others_share_one(library: Library) -> None:
    runtime = make()
    for _ in range(2):
        run(runtime, 1, 64, 80)
        run(runtime, 1, 48, 40)
        run(runtime, 2, 34, 36)
    assert [str(profile) for profile in runtime._engines] == ["80x64", "up to 80x64"]
    assert library.built == [
        {"min_shape": (1, 3, 64, 80), "opt_shape": (1, 3, 64, 80), "max_shape": (1, 3, 64, 80)},
        {"min_shape": (1, 3, 32, 32), "opt_shape": (1, 3, 48, 40), "max_shape": (1, 3, 64, 80)},
        {"min_shape": (1, 3, 32, 32), "opt_shape": (2, 3, 34, 36), "max_shape": (2, 3, 64, 80)},
    ]
    fixed, free = (graph.graph_signature for graph in library.graphs[:2])
    assert len(fixed.user_inputs) == len(free.user_inputs) == 1
    shapes = [next(node for node in graph.graph.nodes if node.name == "rgb").meta["val"].shape
              for graph in library.graphs[:2]]  # fmt: skip
    assert shapes[0] == (1, 3, 64, 80)
    assert [isinstance(size, torch.SymInt) for size in shapes[1]] == [True, False, True, True]


def test_sizes_too_small_for_the_shared_engine_have_their_own(library: Library) -> None:
    runtime = make()
    run(runtime, 1, 64, 80)
    run(runtime, 1, 30, 80)
    run(runtime, 1, 32, 32)
    assert [sizes["min_shape"] for sizes in library.built] == [(1, 3, 64, 80), (1, 3, 30, 80), (1, 3, 32, 32)]
    assert [sizes["max_shape"] for sizes in library.built] == [(1, 3, 64, 80), (1, 3, 30, 80), (1, 3, 64, 80)]


def test_layers_are_half_precision_with_float32_around_them(library: Library) -> None:
    run(make(), 1, 8, 8)
    (graph,) = library.graphs
    assert {tensor.dtype for tensor in graph.state_dict.values()} == {torch.float16}
    placeholder = next(node for node in graph.graph.nodes if node.name == "rgb")
    assert placeholder.meta["val"].dtype == torch.float32
    assert graph.graph.output_node().args[0][0].meta["val"].dtype == torch.float32


def test_an_engine_is_built_once_and_then_read(library: Library) -> None:
    events: list[Event] = []
    run(make(events), 1, 8, 8)
    run(make(), 1, 8, 8)
    assert len(library.built) == 1
    said = [event.text for event in events if isinstance(event, Notice)]
    assert said[0] == "making the TensorRT engine of rrdb2 for 8x8; this is done once"
    assert said[1].startswith("made the TensorRT engine of rrdb2 for 8x8 in ")


@pytest.mark.parametrize("change", ["size", "precision", "gpu", "capability", "tensorrt", "torch_tensorrt", "weights"])
def test_what_an_engine_depends_on_makes_another(
    library: Library, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(make(), 1, 8, 8)
    if change == "gpu":
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA L40S")
    if change == "capability":
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 9))
    if change in sys.modules:
        monkeypatch.setattr(sys.modules[change], "__version__", "99")
    if change == "weights":
        monkeypatch.setattr(tensorrt, "identity", lambda network: "another")
    run(make(precision="fp32" if change == "precision" else "fp16"), 1, 8, 10 if change == "size" else 8)
    assert len(library.built) == 2


def test_an_engine_that_is_damaged_or_refused_is_built_again_and_told(library: Library) -> None:
    run(make(), 1, 8, 8)
    (path,) = artifacts.folder().glob("tensorrt-*")
    for damaged, reason in [
        (path.read_bytes()[:-1], "its checksum is wrong"),
        (bytes.fromhex("2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881") + b"x", "TensorRT does not"),
    ]:
        path.write_bytes(damaged)
        events: list[Event] = []
        run(make(events), 1, 8, 8)
        (warning,) = [event.text for event in events if isinstance(event, Notice) and event.level == "warning"]
        assert f"is made again, {reason}" in warning
    assert len(library.built) == 3


def test_a_build_that_fails_is_one_sentence(library: Library) -> None:
    library.fails = "Error Code 2: OutOfMemory (no further information)\nTraceback ..."
    with pytest.raises(DeviceError) as caught:
        run(make(), 1, 8, 8)
    assert str(caught.value) == (
        "TensorRT cannot build rrdb2 for 8x8: Error Code 2: OutOfMemory (no further information)"
    )
    assert caught.value.hint == "--runtime auto uses another way"
    assert not list(artifacts.folder().glob("tensorrt-*"))


def test_a_run_that_fails_is_one_sentence(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Context, "execute_async_v3", lambda self, stream: False)
    with pytest.raises(DeviceError, match="the device cuda:0 failed in TensorRT"):
        run(make(), 1, 8, 8)


def test_a_check_stops_it(library: Library) -> None:
    def check() -> None:
        raise KeyError("stopped")

    with pytest.raises(KeyError):
        TensorRT(tiny("rrdb2"), CUDA, "fp16", check)(torch.rand(1, 3, 8, 8))
    assert not library.built


@pytest.mark.usefixtures("library")
def test_other_number_formats_are_refused() -> None:
    with pytest.raises(UsageError, match="bf16 is not allowed with tensorrt, allowed are fp16 and fp32"):
        make(precision="bf16")


def test_other_devices_and_missing_packages_are_refused() -> None:
    with pytest.raises(UsageError, match="tensorrt needs --device cuda, not cpu"):
        TensorRT(tiny("rrdb2"), CPU, "fp32")
    if find_spec("torch_tensorrt") is None:
        with pytest.raises(UsageError, match="not installed: torch_tensorrt") as caught:
            TensorRT(tiny("rrdb2"), CUDA, "fp16")
        assert caught.value.hint == "pip install 'vidsr-upscaler[tensorrt]'"


@pytest.mark.gpu
def test_a_real_engine_equals_eager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch_tensorrt", exc_type=ImportError)
    monkeypatch.setenv("VIDSR_HOME", str(tmp_path))
    runtime = TensorRT(tiny("rrdb2"), CUDA, "fp16")
    for n, height, width in [(1, 64, 80), (1, 48, 40), (2, 34, 36)]:
        rgb = torch.rand(n, 3, height, width, device=CUDA)
        assert apart(runtime(rgb), Eager(tiny("rrdb2"), CUDA, "fp32")(rgb)) > 45
