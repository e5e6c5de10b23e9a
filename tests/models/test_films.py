"""A film through models that come from other programs: the same pictures as from the weights they were made of."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch

from tests.clips import make_clip
from vidsr.api import upscale
from vidsr.events import ignore
from vidsr.models.archs.compact import SRVGGNetCompact
from vidsr.models.export import to_onnx
from vidsr.models.load import load_model
from vidsr.options import Options


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_clip(tmp_path / "clip.mkv", frames=3, audio=None)
    for seed, name in ((1, "a.pth"), (2, "b.pth")):
        torch.manual_seed(seed)
        torch.save({"params": SRVGGNetCompact(8, 2, 2).state_dict()}, tmp_path / name)
    return tmp_path


def pictures(folder: Path, model: str, blend: tuple[str, ...] = ()) -> list[np.ndarray]:  # type: ignore[type-arg]
    target = folder / "out.mkv"
    asked = Options(
        model=str(folder / model), blend=blend, codec="ffv1", precision="fp32", device="cpu", overwrite=True
    )
    assert upscale(folder / "clip.mkv", target, options=asked, emit=ignore).exit_code == 0
    with av.open(str(target)) as file:
        return [frame.to_ndarray() for frame in file.decode(video=0)]


def test_an_onnx_file_upscales_a_film(folder: Path) -> None:
    pytest.importorskip("onnxscript", exc_type=ImportError)
    pytest.importorskip("onnxruntime", exc_type=ImportError)
    (folder / "a.onnx").write_bytes(to_onnx(load_model(str(folder / "a.pth"))))
    seen, expected = pictures(folder, "a.onnx"), pictures(folder, "a.pth")
    assert len(seen) == len(expected) == 3
    for one, other in zip(seen, expected, strict=True):
        assert one.shape == other.shape
        assert int(np.abs(one.astype(int) - other).max()) <= 1


def test_a_blend_upscales_a_film_and_differs_from_both(folder: Path) -> None:
    mixed = pictures(folder, "a.pth", (f"{folder / 'b.pth'}:0.5",))
    for alone in ("a.pth", "b.pth"):
        assert any(not np.array_equal(one, other) for one, other in zip(mixed, pictures(folder, alone), strict=True))
    same = pictures(folder, "a.pth", (f"{folder / 'a.pth'}:0.5",))
    assert all(np.abs(x.astype(int) - y).max() <= 1 for x, y in zip(same, pictures(folder, "a.pth"), strict=True))
