"""onnxruntime: providers by name, models that are kept, failures as sentences."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.runtime.tiny import CPU, film, onnxruntime, tiny
from vidsr.errors import DeviceError, UsageError
from vidsr.events import Event, Notice
from vidsr.models.export import to_onnx
from vidsr.models.load import load_model
from vidsr.runtime import artifacts, onnx
from vidsr.runtime.eager import Eager
from vidsr.runtime.onnx import PROVIDERS, Onnx, default_provider, providers


@pytest.fixture(autouse=True, scope="module")
def _library() -> None:
    onnxruntime()


@pytest.fixture
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDSR_HOME", str(tmp_path / "home"))


def test_the_released_network_equals_eager_float32() -> None:
    network = load_model("animevideov3")
    rgb = film(64, 96)
    seen, expected = Onnx(network, CPU, "fp32")(rgb), Eager(network, CPU, "fp32")(rgb)
    assert float((seen - expected).abs().max()) < 1e-5


@pytest.mark.usefixtures("_home")
def test_the_model_is_exported_once_and_again_when_its_file_is_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    exports: list[str] = []
    export = to_onnx

    def counted(*args: Any) -> bytes:
        exports.append(args[1])
        return export(*args)

    monkeypatch.setattr(onnx, "to_onnx", counted)
    rgb = torch.rand(1, 3, 6, 8)
    expected = Onnx(tiny("compact2"), CPU, "fp32")(rgb)
    assert torch.equal(Onnx(tiny("compact2"), CPU, "fp32")(rgb), expected)
    assert exports == ["fp32"]
    (path,) = artifacts.folder().glob("onnx-*")
    path.write_bytes(path.read_bytes()[:-100])
    events: list[Event] = []
    assert torch.equal(Onnx(tiny("compact2"), CPU, "fp32", emit=events.append)(rgb), expected)
    assert exports == ["fp32", "fp32"]
    warned = [event.text for event in events if isinstance(event, Notice) and event.level == "warning"]
    assert warned == [f"{path} is made again, its checksum is wrong"]


def test_threads_are_those_of_torch() -> None:
    session = Onnx(tiny("compact2"), CPU, "fp32")._session
    assert session.get_session_options().intra_op_num_threads == torch.get_num_threads()
    assert session.get_providers() == ["CPUExecutionProvider"]


def test_an_unknown_provider_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UsageError, match=r"onnx:openvno is unknown, allowed are onnx:cpu, .*, did you mean 'openvino'"):
        Onnx(tiny("compact2"), CPU, "fp32", provider="openvno")


def test_an_absent_provider_is_refused_with_those_that_are_present(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx, "providers", lambda: ["cpu"])
    with pytest.raises(UsageError, match=r"onnx:directml is not in this onnxruntime, which has cpu$") as caught:
        Onnx(tiny("compact2"), CPU, "fp32", provider="directml")
    assert "onnxruntime-gpu" in caught.value.hint


@pytest.mark.parametrize(("provider", "precision"), [("cpu", "bf16"), ("cpu", "fp16"), ("openvino", "fp16")])
def test_number_formats_that_a_provider_lacks_are_refused(
    provider: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx, "providers", lambda: list(PROVIDERS))
    with pytest.raises(UsageError, match=f"{precision} is not allowed with onnx:{provider}, allowed is fp32"):
        Onnx(tiny("compact2"), CPU, precision, provider=provider)


def test_providers_of_cuda_need_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx, "providers", lambda: list(PROVIDERS))
    with pytest.raises(UsageError, match="onnx:tensorrt needs --device cuda, not cpu"):
        Onnx(tiny("compact2"), CPU, "fp16", provider="tensorrt")


def test_a_provider_that_does_not_start_is_an_error_not_another_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime itself would warn and go on with the CPU."""
    monkeypatch.setattr(onnx, "providers", lambda: list(PROVIDERS))
    with pytest.raises(DeviceError, match="onnxruntime cannot start DmlExecutionProvider"):
        Onnx(tiny("compact2"), CPU, "fp32", provider="directml")


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else find(name))
    with pytest.raises(UsageError, match=r"onnx:cpu needs the packages .* not installed: onnxruntime") as caught:
        Onnx(tiny("compact2"), CPU, "fp32")
    assert caught.value.hint == "pip install 'vidsr-upscaler[onnx]'"


class Failing:
    """A session whose runs fail."""

    def __init__(self, session: Any, text: str) -> None:
        self.session, self.text = session, text

    def io_binding(self) -> Any:
        return self.session.io_binding()

    def run_with_iobinding(self, binding: Any) -> None:
        raise RuntimeError(self.text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[ONNXRuntimeError] : 1 : FAIL : bad allocation", torch.OutOfMemoryError),
        ("BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer", torch.OutOfMemoryError),
        ("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : device removed", DeviceError),
    ],
)
def test_failures_are_told_apart(text: str, kind: type[Exception]) -> None:
    runtime = Onnx(tiny("compact2"), CPU, "fp32")
    runtime._session = Failing(runtime._session, text)
    with pytest.raises(kind):
        runtime(torch.rand(1, 3, 4, 4))


def test_what_onnx_alone_means(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_provider(CPU) == "cpu"
    assert default_provider(torch.device("cuda")) == "cuda"
    monkeypatch.setattr(onnx, "providers", lambda: ["cpu", "coreml"])
    assert default_provider(torch.device("mps")) == "coreml"
    monkeypatch.setattr(onnx, "providers", lambda: ["cpu"])
    assert default_provider(torch.device("mps")) == "cpu"


def test_nothing_is_reported_to_the_makers_of_the_library(tmp_path: Path) -> None:
    """What would report writes a number of the device under the home folder first."""
    code = "from vidsr.runtime.onnx import providers; assert 'cpu' in providers()"
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    variables |= {"HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_cuda_provider_equals_eager(precision: str) -> None:
    if "cuda" not in providers():
        pytest.skip("this onnxruntime has no CUDA provider")
    cuda = torch.device("cuda")
    rgb = torch.rand(2, 3, 20, 24, device=cuda)
    seen = Onnx(tiny("compact4"), cuda, precision, provider="cuda")(rgb)
    expected = Eager(tiny("compact4"), cuda, "fp32")(rgb)
    assert seen.device == rgb.device
    assert float((seen - expected).abs().max()) < (1e-4 if precision == "fp32" else 1e-2)
