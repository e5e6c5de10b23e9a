"""The kernels in the pipeline: a small film from file to file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tests.clips import make_clip
from tests.runtime.test_incremental import small
from tests.test_reuse import codes
from vidsr import pipeline
from vidsr.api import upscale


def test_a_film_through_the_kernels(device: torch.device, tmp_path: Path, monkeypatch) -> None:
    """Exact reuse gives the codes of the whole, both at most 1 code from float32; a held picture is not computed."""
    network = small(16, 1, 2)
    monkeypatch.setattr(pipeline, "load_model", lambda spec, **_: network)
    source = make_clip(tmp_path / "in.mkv", codec="ffv1", frames=3, size=(34, 16), held=(2,), audio=None)
    common = {"codec": "ffv1", "device": device.type}
    exact, off = (
        upscale(source, tmp_path / f"{reuse}.mkv", runtime="fused", precision="bf16", reuse=reuse, **common)
        for reuse in ("exact", "off")
    )
    upscale(source, tmp_path / "float.mkv", runtime="eager", precision="fp32", **common)
    assert (exact.runtime, exact.precision, exact.reused, exact.frames_out) == ("fused", "bf16", 1, 3)
    assert exact.work_share < off.work_share == 1
    seen, whole, wanted = (codes(tmp_path / f"{name}.mkv") for name in ("exact", "off", "float"))
    assert all(map(np.array_equal, seen, whole))
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(seen, wanted, strict=True))
