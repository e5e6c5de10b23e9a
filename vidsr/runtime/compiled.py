"""A network compiled by torch.compile; on CUDA its kernels are launched as one graph per size.

The first size gets kernels of its own. The second gets kernels for any size, which all further sizes use: a film has
one size, or the handful that its tiles have, and a compilation takes seconds to minutes. So a network is compiled
three times at most: for its first size, for any size of one frame, and for any size of several (torch.compile
never treats a 1 as any number).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from ..events import Emit, FellBack, Notice, ignore
from ..models.descriptor import Descriptor
from .eager import Eager, all_bits, on_device
from .graphs import recorded
from .interface import Check
from .quiet import first_line, quiet

GRAPHS = 8
"""Sizes that get a CUDA graph; each keeps its input and its result in memory."""

_Run = Callable[[Tensor], Tensor]


class Compiled:
    """A `Runtime`: N 3 H W float32 RGB in [0, 1] to N 3 sH sW float32, not clamped, channels last.

    `check` is called before every pass; a compilation cannot be stopped. On CUDA the result of a size lies in the same
    memory at every call. What cannot be compiled runs eagerly from then on, which is told once, and `name` says so.
    `why_not` tells beforehand what is missing on a machine.
    """

    def __init__(
        self,
        descriptor: Descriptor,
        device: torch.device,
        precision: str,
        check: Check | None = None,
        emit: Emit = ignore,
    ) -> None:
        self.name, self.precision, self.device = "compiled", precision, device
        self._descriptor, self._emit, self._check = descriptor, emit, check or (lambda: None)
        network = on_device(descriptor, device, precision)
        self._one_size = _compiled(network, device, any_size=False)
        self._any_size = _compiled(network, device, any_size=True)
        self._runs: dict[torch.Size, _Run] = {}
        """What runs each size that was met."""
        self._graphs = _Graphs(device) if device.type == "cuda" else None
        self._eager: Eager | None = None

    @torch.inference_mode()
    def __call__(self, rgb: Tensor) -> Tensor:
        self._check()
        if self._eager is not None:
            return self._eager(rgb)
        rgb = rgb.contiguous(memory_format=torch.channels_last)
        with all_bits(self.device, self.precision):
            run = self._runs.get(rgb.shape)
            return run(rgb) if run is not None else self._first(rgb)

    def _first(self, rgb: Tensor) -> Tensor:
        """The first pass of a size. Whatever a compiler does wrong, the frame is computed; no memory is no memory."""
        run = self._any_size if self._runs else self._one_size
        if len(self._runs) < 2:
            shown = "any size" if self._runs else "x".join(map(str, reversed(rgb.shape[-2:])))
            self._emit(Notice(f"compiling {self._descriptor.name} for {shown}", "detail"))
        try:
            with quiet():
                result = run(rgb)
                if self._graphs is not None and len(self._graphs) < GRAPHS:
                    run = self._graphs.capture(run, rgb)
        except Exception as error:
            self._check()  # a signal also stops the compiler that we wait for
            if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
                raise
            failure = f"{self._descriptor.name} cannot be compiled: {first_line(error)}"
        else:
            self._runs[rgb.shape] = run
            return result
        return self._stay_eager(failure)(rgb)

    def _stay_eager(self, reason: str) -> Eager:
        self._emit(FellBack("compiled", "eager", reason))
        self._runs.clear()
        self._graphs, self.name = None, "eager"
        self._eager = Eager(self._descriptor, self.device, self.precision, self._check)
        return self._eager


class _Graphs:
    """CUDA graphs of one network. They share a pool of memory, since they run one after the other."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def capture(self, run: _Run, rgb: Tensor) -> _Run:
        """`run` as one launch, for tensors like `rgb`. It has been called before: nothing is left to compile."""
        source, results = rgb.clone(), list[Tensor]()
        with torch.cuda.device(self._device):
            self._warm_up(run, source)
        graph = recorded(self._device, lambda: results.append(run(source)), self._pool)
        self._count += 1

        def replay(rgb: Tensor) -> Tensor:
            source.copy_(rgb)
            graph.replay()
            return results[0]

        return replay

    def _warm_up(self, run: _Run, source: Tensor) -> None:
        """Libraries set up what they need for a stream at its first use, which a capture does not allow."""
        stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):
            run(source)
        torch.cuda.current_stream(self._device).wait_stream(stream)


@cache
def why_not(kind: str) -> str | None:
    """Why nothing can be compiled for devices of `kind` (cpu, cuda, mps) on this machine; None when it can be.

    Found out by compiling one line, because a compiler, its headers, Triton or a driver may be missing or not fit.
    """
    device = torch.device(kind)
    try:
        with quiet(), torch.inference_mode():
            compiled = _compiled(lambda numbers: numbers * 2 + 1, device, any_size=False)
            works = compiled(torch.ones(8, device=device)).tolist() == [3.0] * 8
    except Exception as error:  # compilers raise whatever they like
        return first_line(error)
    return None if works else "the compiler gives wrong results"


def _compiled(run: _Run, device: torch.device, any_size: bool) -> _Run:
    """`run`, compiled at its first call.

    Workers stay off: they are processes that outlive the work. On a CPU, frozen weights are brought into oneDNN's order
    once. CUDA graphs are captured here, not by torch.compile: its own are bound to the thread that made them.
    """
    options: dict[str, Any] = {"compile_threads": 1}
    with quiet():
        if device.type == "cuda":
            from torch import _inductor

            options |= _inductor.list_mode_options("max-autotune-no-cudagraphs")
            options |= {"autotune_num_choices_displayed": 0}  # prints to stderr otherwise
        else:
            options |= {"freezing": True}
        compiled: _Run = torch.compile(_with_own_code(run), fullgraph=True, dynamic=any_size, options=options)
    return compiled


def _with_own_code(run: _Run) -> _Run:
    """torch.compile counts compilations per code object, and gives up after eight: networks must not share one."""

    def call(rgb: Tensor) -> Tensor:
        return run(rgb)

    return FunctionType(call.__code__.replace(), call.__globals__, closure=call.__closure__)
