"""Recording work for a CUDA device as a graph, which is then queued by one launch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch

_ONE_AT_A_TIME = threading.Lock()
"""A process can record one graph at a time, however many devices it has."""


def recorded(device: torch.device, body: Callable[[], object], pool: Any = None) -> torch.cuda.CUDAGraph:
    """A graph of all that `body` queues on `device`; its memory comes from `pool`. Waits for the device.

    Only what this thread does is recorded: others may upload and download meanwhile. The stream is a new one, because
    PyTorch's own for this belongs to the device of the first recording in the process.
    """
    graph = torch.cuda.CUDAGraph()
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # missing in torch's stubs
    recording = torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local")
    with _ONE_AT_A_TIME, torch.cuda.device(device), recording:
        body()
    return graph
