"""Every runtime that runs on this machine keeps the same promises."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
import torch
from torch import Tensor

from tests.runtime.tiny import CPU, apart, onnxruntime, tiny
from vidsr.events import ignore
from vidsr.runtime import compiled
from vidsr.runtime.choose import make_runtime
from vidsr.runtime.eager import Eager
from vidsr.runtime.interface import Runtime

NETWORKS = ["compact4", "compact2", "rrdb4", "rrdb2", "rrdb1"]
COMPACT = ["compact4", "compact2"]
CASES = [
    *(("eager", precision, network) for precision in ("fp32", "bf16") for network in NETWORKS),
    *(("layered", precision, network) for precision in ("fp32", "bf16") for network in COMPACT),
    *(("onnx:cpu", "fp32", network) for network in ("compact4", "rrdb4", "rrdb1")),
    ("compiled", "bf16", "compact4"),  # one, since compiling takes seconds; others are in test_compiled.py
]
CLOSE = {"fp32": 100.0, "bf16": 40.0}
"""dB to eager fp32, relative to the size of the result; bf16 has 8 bits, of which every layer costs some."""

SIZES = [(1, 8, 8), (1, 5, 7), (3, 4, 9), (1, 8, 8)]
"""N and, in units of the network's size rule, H and W."""


class Stop(Exception):
    """What a check raises in these tests."""


class Switch:
    """A check that can be told to raise."""

    def __init__(self) -> None:
        self.on = False
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        if self.on:
            raise Stop


@cache
def built(name: str, precision: str, network: str) -> tuple[Runtime, Switch]:
    """One for all tests, since some take long to make; so they are also used as a run uses them, again and again."""
    switch = Switch()
    return make_runtime(name, tiny(network), CPU, precision, ignore, switch), switch


@cache
def reference(network: str) -> Eager:
    return Eager(tiny(network), CPU, "fp32")


@pytest.fixture(autouse=True, scope="module")
def _release() -> Iterator[None]:
    yield
    built.cache_clear()


@pytest.fixture(params=CASES, ids=lambda case: "-".join(case))
def case(request: pytest.FixtureRequest) -> tuple[str, str, str]:
    name, precision, network = request.param
    if name.startswith("onnx"):
        onnxruntime()
    if name == "compiled" and (reason := compiled.why_not("cpu")):
        pytest.skip(reason)
    return name, precision, network


def pictures(network: str, n: int, height: int, width: int) -> Tensor:
    step = tiny(network).multiple_of
    torch.manual_seed(n + height * 31 + width)
    return torch.rand(n, 3, height * step, width * step)


def test_says_what_it_is(case: tuple[str, str, str]) -> None:
    runtime, _ = built(*case)
    assert (runtime.name, runtime.precision, runtime.device) == (case[0].partition(":")[0], case[1], CPU)


def test_values_shapes_and_types_at_changing_sizes(case: tuple[str, str, str]) -> None:
    runtime, _ = built(*case)
    _, precision, network = case
    scale = tiny(network).scale
    for n, height, width in SIZES:
        rgb = pictures(network, n, height, width)
        before = rgb.clone()
        result = runtime(rgb)
        assert result.shape == (n, 3, rgb.shape[2] * scale, rgb.shape[3] * scale)
        assert (result.dtype, result.device, result.requires_grad) == (torch.float32, CPU, False)
        assert apart(result, reference(network)(rgb)) > CLOSE[precision], (n, height, width)
        assert torch.equal(rgb, before), "the input was changed"


def test_takes_any_strides(case: tuple[str, str, str]) -> None:
    runtime, _ = built(*case)
    rgb = pictures(case[2], 1, 8, 8)
    expected = runtime(rgb).clone()
    wide = torch.zeros(1, 3, rgb.shape[2], 2 * rgb.shape[3])
    wide[..., ::2] = rgb
    for same in (rgb.contiguous(memory_format=torch.channels_last), wide[..., ::2]):
        assert torch.equal(runtime(same), expected)


def test_is_not_clamped(case: tuple[str, str, str]) -> None:
    runtime, _ = built(*case)
    result = runtime(pictures(case[2], 1, 8, 8))
    assert float(result.min()) < 0
    assert float((1 - result).min()) < 1


def test_a_copy_of_a_result_outlives_the_next_call_and_results_repeat(case: tuple[str, str, str]) -> None:
    runtime, _ = built(*case)
    first, second = pictures(case[2], 1, 8, 8), pictures(case[2], 1, 8, 8).flip(-1)
    kept = runtime(first).clone()
    assert not torch.equal(runtime(second), kept)
    assert torch.equal(runtime(first), kept)


def test_pictures_of_a_batch_do_not_mix(case: tuple[str, str, str]) -> None:
    runtime, _ = built(*case)
    rgb = pictures(case[2], 3, 4, 9)
    together = runtime(rgb).clone()
    for row in range(3):
        assert apart(together[row : row + 1], runtime(rgb[row : row + 1])) > CLOSE[case[1]]


def test_a_check_stops_it_and_it_goes_on_afterwards(case: tuple[str, str, str]) -> None:
    runtime, switch = built(*case)
    rgb = pictures(case[2], 1, 8, 8)
    expected = runtime(rgb).clone()
    switch.on = True
    with pytest.raises(Stop):
        runtime(rgb)
    switch.on = False
    calls = switch.calls
    assert torch.equal(runtime(rgb), expected)
    assert switch.calls > calls
