"""What Eager promises beyond what every runtime does; see test_conformance.py for that."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.runtime.tiny import CPU, apart, film, tiny
from vidsr.models.load import load_model
from vidsr.runtime.eager import Eager, all_bits, converted


def test_in_bf16_the_first_convolution_stays_in_float32() -> None:
    network = converted(tiny("compact4").network, torch.bfloat16)
    kinds = [layer.weight.dtype for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert kinds == [torch.float32, torch.bfloat16, torch.bfloat16, torch.bfloat16]


def test_the_network_of_the_descriptor_stays_as_it_is() -> None:
    before = {name: tensor.clone() for name, tensor in tiny("rrdb2").network.state_dict().items()}
    Eager(tiny("rrdb2"), CPU, "bf16")(torch.rand(1, 3, 4, 4))
    after = tiny("rrdb2").network.state_dict()
    assert all(torch.equal(before[name], after[name]) and after[name].dtype == torch.float32 for name in before)


def test_bf16_is_near_float32_on_a_real_picture() -> None:
    network, rgb = load_model("animevideov3"), film(96, 96)
    assert apart(Eager(network, CPU, "bf16")(rgb), Eager(network, CPU, "fp32")(rgb)) > 60


def test_every_result_is_a_tensor_of_its_own() -> None:
    runtime, rgb = Eager(tiny("compact2"), CPU, "fp32"), torch.rand(1, 3, 4, 4)
    first = runtime(rgb)
    kept = first.clone()
    runtime(1 - rgb)
    assert torch.equal(first, kept)


def test_it_is_stopped_between_layers() -> None:
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyError("stopped")

    with pytest.raises(KeyError):
        Eager(tiny("compact4"), CPU, "fp32", check)(torch.rand(1, 3, 4, 4))
    assert calls == 3


@pytest.mark.parametrize(("precision", "inside"), [("fp32", "ieee"), ("fp16", None)])
def test_float32_on_cuda_is_no_tf32_while_it_runs(precision: str, inside: str | None) -> None:
    def state() -> tuple[object, ...]:
        cudnn = torch.backends.cudnn
        return cudnn.conv.fp32_precision, cudnn.enabled, cudnn.benchmark, cudnn.deterministic  # type: ignore[attr-defined]

    before = state()
    with all_bits(torch.device("cuda"), precision):
        assert state()[0] == (inside or before[0])
        assert state()[1:] == before[1:]
    assert state() == before
