"""Films with --face-enhance: drawn faces that the embedded detector finds, and a network that turns bright to dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from tests.fakes import Repeater, describe
from tests.measure import planes
from vidsr import pipeline
from vidsr.api import upscale
from vidsr.errors import UsageError, WeightsError
from vidsr.faces.masks import Oval
from vidsr.faces.restore import Restorer

from . import drawn
from .test_restore import Negative

CPU = torch.device("cpu")
LOSSLESS: dict[str, Any] = {"codec": "ffv1", "precision": "fp32"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "load_model", lambda spec, **_: describe(Repeater(2)))


@pytest.fixture
def negative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidsr.faces.enhance.load_restorer", lambda *_, **__: Restorer(Negative(), CPU, "fp32"))
    monkeypatch.setattr("vidsr.faces.enhance.load_masks", lambda *_: Oval(CPU))
    monkeypatch.setattr("vidsr.faces.enhance.matched", lambda faces, *_: faces)


def film(path: Path, places: list[float]) -> Path:
    """A face that stands at those columns, one for each frame, beside a mark that moves in every frame."""
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "bgr0"
        for number, x in enumerate(places):
            picture = drawn.portrait(120, 160, drawn.landmarks(x, 60, 100))
            picture[110:118, 4 * number : 4 * number + 8] = 255
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="bgr0")))
        output.mux(stream.encode(None))
    return path


def pictures(path: Path) -> np.ndarray[Any, Any]:
    """N H W 3."""
    return np.stack([np.stack(picture[:3], -1) for picture in planes(path)]).astype(int)


@pytest.mark.usefixtures("negative")
def test_faces_of_a_film_are_restored_and_nothing_else_changes(tmp_path: Path) -> None:
    clip = film(tmp_path / "in.mkv", [80, 80, 80, 83, 86, 86])
    crops = tmp_path / "crops"
    report = upscale(clip, tmp_path / "faces.mkv", face_enhance="any", face_restored_crops=crops, **LOSSLESS)
    upscale(clip, tmp_path / "off.mkv", face_enhance="any", reuse="off", **LOSSLESS)
    upscale(clip, tmp_path / "plain.mkv", **LOSSLESS)
    restored, plain = pictures(tmp_path / "faces.mkv"), pictures(tmp_path / "plain.mkv")
    assert report.frames_out == 6
    apart = np.abs(restored - plain).max(-1)
    assert all(frame[100:140, 140:180].mean() > 60 for frame in apart)
    assert apart[:, :20].max() == apart[:, 225:].max() == 0
    assert np.array_equal(restored, pictures(tmp_path / "off.mkv"))
    assert np.array_equal(restored[0][:200], restored[2][:200]), "a face that stands still stays as it was"
    assert sorted(path.name for path in crops.iterdir())[0] == "in_000000_00.png"


@pytest.mark.usefixtures("negative")
def test_batches_change_nothing(tmp_path: Path) -> None:
    clip = film(tmp_path / "in.mkv", [80, 80, 83, 83, 90])
    for name, size in (("one.mkv", 1), ("many.mkv", 3)):
        upscale(clip, tmp_path / name, face_enhance="any", batch=size, **LOSSLESS)
    assert np.array_equal(pictures(tmp_path / "one.mkv"), pictures(tmp_path / "many.mkv"))


@pytest.mark.parametrize(
    ("choices", "error", "said"),
    [({"face_enhance": "any.pth"}, WeightsError, "any.pth"),
     ({"face_enhance": "gfpgan-1.4", "aligned": True}, UsageError, "is a film"),
     ({"face_enhance": "gfpgan-1.4", "shards": 2}, UsageError, "a film with --face-enhance cannot be computed"),
     ({"face_weight": 0.5}, UsageError, "--face-enhance is needed too")],
    ids=["weights", "aligned", "segments", "alone"],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_written(
    choices: dict[str, Any], error: type[Exception], said: str, tmp_path: Path
) -> None:
    clip = film(tmp_path / "in.mkv", [80])
    with pytest.raises(error, match=said):
        upscale(clip, tmp_path / "out.mkv", **choices)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]
