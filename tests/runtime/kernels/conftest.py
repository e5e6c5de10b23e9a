"""Where the kernels are tested: in Triton's interpreter on a CPU, or compiled on a CUDA device.

The interpreter is chosen by TRITON_INTERPRET=1 when Triton is imported, for a whole process. `tests.runtime.test_fused`
starts one for these tests; in any other process they want a CUDA device.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest
import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

if find_spec("triton") is None:
    collect_ignore_glob = ["test_*.py"]
elif INTERPRETED:
    from .interpreter import repair_bfloat16

    repair_bfloat16()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "device" in metafunc.fixturenames:
        cuda = pytest.param(torch.device("cuda"), marks=pytest.mark.gpu, id="cuda")
        metafunc.parametrize("device", [pytest.param(torch.device("cpu"), id="cpu") if INTERPRETED else cuda])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests without a device run in any process; in the interpreter's all have one."""
    for item in items:
        if item.path.parent.name == "kernels" and "device" not in getattr(item, "fixturenames", ()):
            raise pytest.UsageError(f"{item.nodeid} says not on which device it runs")
