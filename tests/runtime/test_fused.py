"""Where runtime `fused` is possible; and its kernels in Triton's interpreter, in a process of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from vidsr.errors import UsageError
from vidsr.models.archs.compact import SRVGGNetCompact
from vidsr.models.descriptor import Descriptor
from vidsr.runtime import fused
from vidsr.runtime.fused import Fused, why_not

from ..fakes import Repeater, describe

CPU = torch.device("cpu")


def compact(features: int) -> Descriptor:
    return replace(describe(Repeater(2)), name="mine", network=SRVGGNetCompact(features, 1, 2))


@pytest.mark.parametrize("features", [8, 24, 144])
def test_the_number_of_features_is_limited(features):
    assert why_not(CPU, compact(features)) == (
        f"runtime fused runs 16 … 128 features in steps of 16, mine has {features}"
    )


def test_other_networks_are_refused():
    assert why_not(CPU, describe(Repeater())) == "runtime fused runs SRVGGNetCompact only, repeater is repeater"


def test_where_triton_is_missing_that_is_said(monkeypatch):
    monkeypatch.setattr(fused, "find_spec", lambda name: None)
    assert "needs Triton, which is not installed" in str(why_not(torch.device("cuda"), compact(16)))


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton exists on Linux only")
def test_a_cpu_is_refused(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    reason = "runtime fused runs on NVIDIA GPUs only, the device is cpu"
    assert why_not(CPU, compact(16)) == reason
    with pytest.raises(UsageError, match=f"--runtime: {reason}"):
        Fused(compact(16), CPU, "fp16")


def test_float32_is_refused():
    with pytest.raises(UsageError, match="fp32 is not allowed with runtime fused, allowed are fp16 and bf16"):
        Fused(compact(16), CPU, "fp32")


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton exists on Linux only")
@pytest.mark.timeout(300)
def test_the_kernels_in_tritons_interpreter():
    """Triton is told once in a process whether to interpret, so this takes another one."""
    folder = Path(__file__).parent / "kernels"
    env = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    passed = re.search(r"^(\d+) passed in", done.stdout, re.MULTILINE)
    assert passed is not None, f"something was left out: {done.stdout[-500:]}"
    assert int(passed[1]) > 80
