"""What `--runtime` means on each device, and what is said about it."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
import torch

from tests.runtime.tiny import CPU, tiny
from vidsr.errors import UsageError
from vidsr.events import Event, FellBack, Notice, ignore
from vidsr.models.descriptor import ALL_DTYPES, Descriptor
from vidsr.runtime import choose, compiled
from vidsr.runtime.choose import NAMES, check_name, make_runtime, precision_for

CUDA, MPS = torch.device("cuda", 0), torch.device("mps")


class Recorded:
    """In place of a runtime for a device that this machine lacks."""

    def __init__(self, descriptor: Descriptor, device: torch.device, precision: str, *rest: Any) -> None:
        self.made = (device, precision, rest)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """Why `fused` and `compiled` are not possible; tests put reasons in."""
    reasons: dict[str, str | None] = {"fused": None, "compiled": None}
    fused = ModuleType("vidsr.runtime.fused")
    fused.__dict__.update(why_not=lambda device, descriptor: reasons["fused"], Fused=type("Fused", (Recorded,), {}))
    monkeypatch.setitem(sys.modules, "vidsr.runtime.fused", fused)
    monkeypatch.setattr(compiled, "why_not", lambda kind: reasons["compiled"])
    for kind in ("Eager", "Compiled", "Layered", "TensorRT", "Onnx"):
        monkeypatch.setattr(choose, kind, type(kind, (Recorded,), {}))
    return reasons


def chosen(
    name: str, device: torch.device, network: str = "compact4", precision: str = "fp16"
) -> tuple[str, list[Event]]:
    events: list[Event] = []
    runtime = make_runtime(name, tiny(network), device, precision, events.append)
    return type(runtime).__name__, events


@pytest.mark.parametrize(
    ("device", "network", "missing", "expected"),
    [
        (CPU, "compact4", (), "Layered"),
        (CPU, "rrdb4", (), "Eager"),
        (CUDA, "compact4", (), "Fused"),
        (CUDA, "compact4", ("fused",), "Compiled"),
        (CUDA, "rrdb4", ("fused", "compiled"), "Eager"),
        (MPS, "compact4", (), "Eager"),
    ],
)
def test_auto_takes_the_fastest_and_says_so_as_a_detail(
    machine: dict[str, str | None], device: torch.device, network: str, missing: tuple[str, ...], expected: str
) -> None:
    machine.update({name: f"{name} is not there" for name in missing})
    kind, events = chosen("auto", device, network)
    assert kind == expected
    (notice,) = events
    assert isinstance(notice, Notice)
    assert notice.level == "detail"
    assert notice.text.startswith(f"runtime {expected.lower()}")
    assert all(f"{name} is not there" in notice.text for name in missing)


@pytest.mark.parametrize("name", ["eager", "compiled", "fused", "tensorrt"])
def test_a_name_is_taken_at_its_word(machine: dict[str, str | None], name: str) -> None:
    kind, events = chosen(name, CUDA)
    assert kind.lower() == name
    assert not events


@pytest.mark.parametrize(("name", "device", "provider"), [
    ("onnx", CPU, "cpu"), ("onnx", CUDA, "cuda"), ("onnx:openvino", CPU, "openvino"),
])  # fmt: skip
def test_onnx_may_name_its_provider(
    machine: dict[str, str | None], name: str, device: torch.device, provider: str
) -> None:
    runtime: Any = make_runtime(name, tiny("compact4"), device, "fp32", ignore)
    assert runtime.made[2] == (None, provider, ignore)


def test_compiled_where_nothing_can_be_compiled_is_eager_and_told(machine: dict[str, str | None]) -> None:
    machine["compiled"] = "no C++ compiler"
    kind, events = chosen("compiled", CPU)
    assert kind == "Eager"
    assert events == [FellBack("compiled", "eager", "nothing can be compiled here: no C++ compiler")]


def test_what_is_not_possible_is_refused_with_the_reason(machine: dict[str, str | None]) -> None:
    machine["fused"] = "runtime fused needs Triton, which is not installed"
    for name, device, network, reason in [
        ("fused", CPU, "compact4", "runtime fused needs Triton, which is not installed"),
        ("layered", CUDA, "compact4", "runtime layered runs on a CPU only, the device is cuda:0"),
        (
            "layered",
            CPU,
            "rrdb4",
            "runtime layered runs SRVGGNetCompact only, rrdb4 is RRDBNet 8 features, 1 blocks, growth 4",
        ),
    ]:
        with pytest.raises(UsageError) as caught:
            chosen(name, device, network)
        assert str(caught.value) == f"--runtime: {reason}"


def test_fused_has_no_float32(machine: dict[str, str | None]) -> None:
    assert chosen("auto", CUDA, precision="fp32")[0] == "Compiled"
    with pytest.raises(UsageError, match="--runtime: runtime fused has no fp32"):
        chosen("fused", CUDA, precision="fp32")


@pytest.mark.parametrize("name", ["", "fast", "onnx:", "onnx:cudnn", "eager:cpu", "auto:cpu"])
def test_other_names_are_refused_with_those_that_are_allowed(name: str) -> None:
    with pytest.raises(
        UsageError, match=r"--runtime: .* is unknown, allowed are auto, eager, .*, onnx:coreml"
    ) as caught:
        check_name(name)
    assert f"{name!r}" in str(caught.value)


@pytest.mark.parametrize("name", [*NAMES, "onnx:cpu", "onnx:openvino", "onnx:directml"])
def test_every_name_is_allowed(name: str) -> None:
    check_name(name)


def test_a_near_miss_is_offered() -> None:
    with pytest.raises(UsageError, match="did you mean 'compiled'"):
        check_name("compile")


@pytest.mark.parametrize(
    ("name", "asked", "device", "able", "expected"),
    [
        ("auto", "bf16", CPU, ALL_DTYPES, "bf16"),
        ("auto", "auto", CUDA, ALL_DTYPES, "fp16"),
        ("onnx", "auto", CPU, ALL_DTYPES, "fp32"),
        ("onnx:openvino", "auto", CPU, ALL_DTYPES, "fp32"),
        ("onnx:directml", "auto", CPU, ALL_DTYPES, "fp16"),
        ("onnx:directml", "fp32", CPU, ALL_DTYPES, "fp32"),
        ("onnx:directml", "auto", CPU, frozenset({"fp32", "bf16"}), "fp32"),
        ("onnx", "auto", CUDA, ALL_DTYPES, "fp16"),
        ("tensorrt", "auto", CUDA, ALL_DTYPES, "fp16"),
        ("tensorrt", "fp32", CUDA, ALL_DTYPES, "fp32"),
        ("fused", "auto", CUDA, ALL_DTYPES, "fp16"),
        ("fused", "bf16", CUDA, ALL_DTYPES, "bf16"),
    ],
)
def test_the_number_format_fits_runtime_and_device(
    name: str, asked: str, device: torch.device, able: frozenset[str], expected: str
) -> None:
    assert precision_for(name, asked, device, able) == expected


@pytest.mark.parametrize(
    ("name", "asked", "device"),
    [
        ("onnx", "bf16", CPU),
        ("onnx", "fp16", CPU),
        ("onnx:directml", "bf16", CPU),
        ("onnx", "bf16", CUDA),
        ("tensorrt", "bf16", CUDA),
        ("fused", "fp32", CUDA),
        ("eager", "fp16", CPU),
    ],
)
def test_formats_that_do_not_fit_are_refused(name: str, asked: str, device: torch.device) -> None:
    with pytest.raises(UsageError, match=f"--precision: {asked} is not allowed"):
        precision_for(name, asked, device, ALL_DTYPES)


def test_the_options_know_every_provider():
    from typing import get_args

    from vidsr.options import Provider
    from vidsr.runtime.onnx import PROVIDERS

    assert set(get_args(Provider)) == set(PROVIDERS)
