"""torch.compile: how often it compiles, what it leaves behind, and what happens where it cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.runtime.tiny import CPU, apart, tiny
from vidsr.events import Event, FellBack
from vidsr.models.descriptor import Descriptor
from vidsr.runtime import compiled
from vidsr.runtime.choose import make_runtime
from vidsr.runtime.compiled import GRAPHS, Compiled
from vidsr.runtime.eager import Eager

needs_compiler = pytest.mark.skipif("compiled.why_not('cpu') is not None", reason="nothing can be compiled here")

ALONE = """
import json, os, sys, threading
import torch
from torch._dynamo.utils import counters
from tests.runtime.tiny import CPU, tiny
from vidsr.events import FellBack
from vidsr.runtime.choose import make_runtime
from vidsr.runtime.eager import Eager

events = []
runtime = make_runtime("compiled", tiny("compact4"), CPU, "bf16", events.append)
before = counters["stats"]["unique_graphs"]
eager, same = Eager(tiny("compact4"), CPU, "bf16"), True
for n, height, width in [(1, 9, 12), (1, 8, 8), (1, 8, 20), (2, 6, 6), (2, 6, 9), (3, 5, 5), (1, 31, 7), (5, 7, 4)] * 2:
    rgb = torch.rand(n, 3, height, width)
    same &= bool((runtime(rgb) - eager(rgb)).abs().max() < 1e-2)
children = open(f"/proc/self/task/{os.getpid()}/children").read() if sys.platform == "linux" else ""
print(json.dumps({
    "same": same, "name": runtime.name, "graphs": counters["stats"]["unique_graphs"] - before, "children": children,
    "threads": [thread.name for thread in threading.enumerate() if not thread.daemon],
    "told": [event.reason for event in events if isinstance(event, FellBack)],
}))
"""


def alone(**environment: str) -> dict[str, object]:
    """What the script above says, run in a process of its own, which may say nothing on stderr."""
    root = Path(__file__).parents[2]
    inherited = {name: value for name, value in os.environ.items() if name not in ("CC", "CXX")}
    variables = {**inherited, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root), **environment}
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, env=variables, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    said: dict[str, object] = json.loads(done.stdout)
    return said


@pytest.mark.slow
@needs_compiler
def test_eight_sizes_are_compiled_three_times_and_nothing_is_left_behind() -> None:
    said = alone()
    assert said == {
        "same": True, "name": "compiled", "graphs": 3, "children": "", "threads": ["MainThread"], "told": [],
    }  # fmt: skip


@pytest.mark.slow
def test_without_a_compiler_it_stays_eager_and_says_so_once(tmp_path: Path) -> None:
    said = alone(PATH=str(tmp_path), TORCHINDUCTOR_CACHE_DIR=str(tmp_path / "cache"))
    told = said.pop("told")
    assert said == {"same": True, "name": "eager", "graphs": 0, "children": "", "threads": ["MainThread"]}
    assert isinstance(told, list)
    assert len(told) == 1
    assert "compiler" in told[0]


@pytest.mark.slow
@needs_compiler
def test_a_network_with_a_size_rule() -> None:
    runtime = Compiled(tiny("rrdb2"), CPU, "fp32")
    rgb = torch.rand(1, 3, 10, 14)
    assert apart(runtime(rgb), Eager(tiny("rrdb2"), CPU, "fp32")(rgb)) > 100
    assert runtime.name == "compiled"


class Stubborn(nn.Module):
    """Decides by a value, which no compiler can know."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1).requires_grad_(False)

    def forward(self, rgb: Tensor) -> Tensor:
        result: Tensor = self.layer(rgb) if bool(rgb.sum() > 0) else rgb
        return result


def stubborn() -> Descriptor:
    return replace(tiny("compact4"), name="stubborn", scale=1, network=Stubborn())


def test_what_cannot_be_compiled_runs_eagerly_and_is_told_once() -> None:
    events: list[Event] = []
    network = stubborn()
    runtime, eager = Compiled(network, CPU, "fp32", emit=events.append), Eager(network, CPU, "fp32")
    for _ in range(3):
        rgb = torch.rand(1, 3, 4, 4)
        assert torch.equal(runtime(rgb), eager(rgb))
    told = [event for event in events if isinstance(event, FellBack)]
    assert [(event.wanted, event.used) for event in told] == [("compiled", "eager")]
    assert told[0].reason.startswith("stubborn cannot be compiled: ")
    assert runtime.name == "eager"


def raising(error: Exception) -> object:
    """In place of `compiled._compiled`: a run that fails."""

    def run(rgb: Tensor) -> Tensor:
        raise error

    return lambda network, device, any_size: run


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_no_memory_is_not_taken_for_a_fault_of_the_compiler(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_compiled", raising(error))
    events: list[Event] = []
    runtime = Compiled(tiny("compact4"), CPU, "fp32", emit=events.append)
    for _ in range(2):
        with pytest.raises(type(error)):
            runtime(torch.rand(1, 3, 4, 4))
    assert runtime.name == "compiled"
    assert not [event for event in events if isinstance(event, FellBack)]


def test_a_compiler_that_a_signal_killed_is_no_reason_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_compiled", raising(RuntimeError("g++ was killed")))
    answers = iter([None, KeyError("stopped")])

    def check() -> None:
        if (answer := next(answers)) is not None:
            raise answer

    events: list[Event] = []
    with pytest.raises(KeyError):
        Compiled(tiny("compact4"), CPU, "fp32", check, events.append)(torch.rand(1, 3, 4, 4))
    assert not [event for event in events if isinstance(event, FellBack)]


def test_networks_do_not_share_their_count_of_compilations() -> None:
    """torch.compile counts per code object, and runs eagerly, without a word, after eight."""
    first, second = compiled._with_own_code(torch.neg), compiled._with_own_code(torch.abs)
    assert first.__code__ is not second.__code__
    assert (float(first(torch.ones(1))), float(second(-torch.ones(1)))) == (-1, 1)


def test_sizes_share_what_was_compiled_for_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    eager = Eager(tiny("compact4"), CPU, "fp32")
    used: list[bool] = []

    def fake(network: nn.Module, device: torch.device, any_size: bool) -> object:
        def run(rgb: Tensor) -> Tensor:
            used.append(any_size)
            return eager(rgb)

        return run

    monkeypatch.setattr(compiled, "_compiled", fake)
    runtime = Compiled(tiny("compact4"), CPU, "fp32")
    for side in (4, 5, 6, 4, 5):
        runtime(torch.rand(1, 3, side, side))
    assert used == [False, True, True, False, True]


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_graphs_on_cuda_give_what_eager_gives_at_every_size(precision: str) -> None:
    cuda = torch.device("cuda")
    events: list[Event] = []
    runtime = make_runtime("compiled", tiny("compact4"), cuda, precision, events.append)
    eager = Eager(tiny("compact4"), cuda, precision)
    sizes = [(1, 16 + 4 * index, 24) for index in range(GRAPHS + 2)] + [(2, 16, 24), (3, 20, 24)]
    for n, height, width in sizes * 2:
        rgb = torch.rand(n, 3, height, width, device=cuda)
        assert apart(runtime(rgb), eager(rgb)) > (90 if precision == "fp32" else 45), (n, height, width)
    assert runtime.name == "compiled", events


@pytest.mark.gpu
def test_a_graph_may_be_replayed_while_another_thread_copies() -> None:
    """Capture and replay with a busy second stream, as upload and download are in a run."""
    from concurrent.futures import ThreadPoolExecutor

    cuda = torch.device("cuda")
    runtime = make_runtime("compiled", tiny("compact4"), cuda, "fp16", lambda event: None)
    eager = Eager(tiny("compact4"), cuda, "fp16")

    def copies() -> float:
        total = 0.0
        with torch.cuda.stream(torch.cuda.Stream()):  # type: ignore[no-untyped-call]
            for _ in range(200):
                total += float(torch.ones(1 << 16).pin_memory().to(cuda, non_blocking=True).sum())
        return total

    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(copies)
        for side in (16, 20, 24, 16):
            rgb = torch.rand(1, 3, side, side, device=cuda)
            assert apart(runtime(rgb), eager(rgb)) > 45
        assert busy.result() == 200 * (1 << 16)
