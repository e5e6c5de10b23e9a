"""What holds for every test: no network, no stray threads, no unannounced errors, a cache of its own."""

from __future__ import annotations

import logging
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # each of several processes computes on one core; read when torch is loaded
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One cache for all tests, so that weights are converted once and the user's cache stays as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDSR_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(0)
    np.random.seed(0)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_verdicts() -> Iterator[None]:
    """What one test found of the precision of a network, another must not rely on: fakes share their names."""
    yield
    if trust := sys.modules.get("vidsr.runtime.trust"):
        trust.forget()


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections to anything but this machine are refused."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise PermissionError(f"a test wanted to connect to {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def _no_stray_threads() -> Iterator[None]:
    """A thread that a test started and that still runs half a second after it is a fault."""
    before = set(threading.enumerate())
    yield
    until = time.monotonic() + 0.5
    while (left := _strays(before)) and time.monotonic() < until:
        time.sleep(0.01)
    assert not left, f"threads left running: {left}"


def _strays(before: set[threading.Thread]) -> list[threading.Thread]:
    new = [thread for thread in threading.enumerate() if thread not in before]
    return [thread for thread in new if not thread.daemon or thread.name.startswith("vidsr")]


@pytest.fixture
def announced_errors() -> list[str]:
    """Texts of ERROR log records that the test expects; add parts of them."""
    return []


@pytest.fixture(autouse=True)
def _no_unannounced_errors(caplog: pytest.LogCaptureFixture, announced_errors: list[str]) -> Iterator[None]:
    yield
    records = [record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    surprises = [text for text in records if not any(part in text for part in announced_errors)]
    assert not surprises, f"errors were logged: {surprises}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked gpu is skipped without a CUDA device, or fails where VIDSR_REQUIRE_GPU=1 says there must be one."""
    if item.get_closest_marker("gpu") is None:
        return
    import torch

    if not torch.cuda.is_available():
        refuse = pytest.fail if os.environ.get("VIDSR_REQUIRE_GPU") == "1" else pytest.skip
        refuse("no CUDA device")
