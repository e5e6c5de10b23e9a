"""Memory does not grow with the length of the clip."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.long_clip import measure

FEW = 8 << 10
"""KiB. The indexes of both containers take some 200 bytes for a picture, which is 4 MB for the longer clip."""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the peak of a process")
def test_ten_times_the_length_takes_the_same_memory(tmp_path: Path) -> None:
    short, long = (measure(tmp_path, frames, "codec=ffv1") for frames in (1_000, 10_000))
    assert (short["frames"], long["frames"]) == (1_000, 10_000)
    assert (short["reused"], long["reused"]) == (0, 0)
    assert long["peak_kib"] - short["peak_kib"] < FEW, (short, long)
