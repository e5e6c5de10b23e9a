"""Memory that is freed stays with a process of ours, and only with those that ask for it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, resource, sys
import torch
from vidsr.runtime import heap
asked = heap.keep_freed_memory() if sys.argv[1] == "keep" else heap.is_kept()
faults = []
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(20 << 20, dtype=torch.uint8)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(json.dumps([asked, heap.is_kept(), faults[-1]]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_pages_are_cleared_once_where_that_was_asked_for() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, "keep"], capture_output=True, text=True, check=True)
    asked, kept, faults = json.loads(done.stdout)
    assert asked
    assert kept
    assert faults < 2560, "20 MB are 5120 pages, and five times that when each is cleared anew"


def test_nothing_is_changed_by_itself() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, "leave"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)[:2] == [False, False]
