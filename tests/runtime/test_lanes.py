"""In which stream CudaLanes does what, and in which order, with a recorder in place of torch.cuda."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from vidsr.runtime import lanes
from vidsr.runtime.lanes import CudaLanes, computing, make_current

CPU = torch.device("cpu")


class FakeEvent:
    def __init__(self, blocking: bool = False) -> None:
        assert blocking, "a spinning event would take a core from the encoder"
        self.stream = ""

    def record(self, stream: FakeStream) -> None:
        self.stream = stream.name
        log.append(f"record {stream.name}")


class FakeStream:
    def __init__(self, device: object = None) -> None:
        self.name = names_left.pop(0)

    def wait_event(self, event: FakeEvent) -> None:
        log.append(f"{self.name} waits for {event.stream}")

    def synchronize(self) -> None:
        log.append(f"host waits for {self.name}")


log: list[str] = []
names_left: list[str] = []


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> CudaLanes:
    """CudaLanes on fake streams called upload, download, compute and default; copies are real and logged."""
    log.clear()
    names_left[:] = ["compute", "default", "upload", "download", "own"]
    current = [FakeStream()]
    default = FakeStream()

    @contextmanager
    def stream(wanted: FakeStream) -> Iterator[None]:
        current.append(wanted)
        yield
        current.pop()

    @contextmanager
    def on(device: object) -> Iterator[None]:
        log.append(f"device {device}")
        yield

    copy = Tensor.copy_

    def logged_copy(self: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
        assert non_blocking, "the host would wait"
        log.append(f"copy in {current[-1].name}")
        return copy(self, source)

    def adopt(picture: Any) -> tuple[Tensor, ...]:
        log.append(f"adopt in {current[-1].name}")
        return (torch.zeros(1), torch.zeros(1))

    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    monkeypatch.setattr(torch.cuda, "Stream", FakeStream)
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "device", on)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: current[-1])
    monkeypatch.setattr(torch.cuda, "default_stream", lambda device: default)
    monkeypatch.setattr(Tensor, "copy_", logged_copy)
    monkeypatch.setattr(Tensor, "record_stream", lambda self, stream: log.append(f"memory used by {stream.name}"))
    monkeypatch.setattr(lanes, "planes_from_device", adopt)
    return CudaLanes(CPU)


def test_an_upload_is_done_in_its_stream_and_kept_for_compute(cuda: CudaLanes) -> None:
    host = torch.arange(8, dtype=torch.uint8)
    device, event = cuda.upload(host)
    assert torch.equal(device, host)
    assert device.data_ptr() != host.data_ptr()
    assert log == ["copy in upload", "memory used by compute", "record upload"]
    log.clear()
    cuda.order(event)
    assert log == ["compute waits for upload"]


def test_a_download_follows_compute_and_is_done_in_its_stream(cuda: CudaLanes) -> None:
    pairs = [(torch.full((4,), n), torch.zeros(4, dtype=torch.int64)) for n in (1, 2)]
    cuda.download(pairs)
    assert all(torch.equal(device, host) for device, host in pairs)
    assert log == [
        "record compute",
        "download waits for compute",
        *(["copy in download", "memory used by download"] * 2),
        "record download",
    ]


def test_a_picture_is_copied_behind_the_decoder(cuda: CudaLanes) -> None:
    cuda.adopt(object())  # type: ignore[arg-type]
    assert log == [
        "record default",
        "upload waits for default",
        "adopt in upload",
        *(["memory used by compute"] * 2),
        "record upload",
    ]


def test_draining_waits_for_both_ways(cuda: CudaLanes) -> None:
    cuda.drain()
    assert log == ["host waits for upload", "host waits for download"]


def test_compute_gets_a_stream_and_a_device_of_its_own(cuda: CudaLanes) -> None:
    device = torch.device("cuda:1")
    names = [torch.cuda.current_stream(device).name for _ in computing(range(2), device)]  # type: ignore[attr-defined]
    assert names == ["own", "own"]
    assert log == ["device cuda:1"]
    assert torch.cuda.current_stream(device).name == "compute"  # type: ignore[attr-defined]


@pytest.mark.gpu
def test_the_context_of_pytorch_becomes_current() -> None:
    make_current(torch.device("cuda:0"))
    assert torch.cuda.current_device() == 0
    assert torch.cuda.is_initialized()
