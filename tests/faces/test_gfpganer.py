"""vidsr.compat.GFPGANer: the reference's arguments, arrays and results, with small networks and a drawn face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

import vidsr.compat
from vidsr.compat import GFPGANer
from vidsr.errors import UsageError, WeightsError
from vidsr.events import Event, FellBack, ignore
from vidsr.faces.align import similarity
from vidsr.faces.masks import Oval, oval
from vidsr.faces.paste import rectangle
from vidsr.faces.restore import Restorer

from . import drawn
from .test_enhance import Given
from .test_restore import Negative, Seen

CPU = torch.device("cpu")
FACE = drawn.face(120, 100, 150)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a GFPGANer that finds FACE, with `network` in place of the one that the path names."""

    def make(network: torch.nn.Module, *faces: Any, **options: Any) -> GFPGANer:
        monkeypatch.setattr("vidsr.compat.gfpganer.load_restorer", lambda *_, **__: Restorer(network, CPU, "fp32"))
        monkeypatch.setattr("vidsr.compat.gfpganer.load_masks", lambda *_: Oval(CPU))
        monkeypatch.setattr("vidsr.compat.gfpganer.load_detector", lambda *_, **__: Given(*(faces or [[FACE]])))
        return GFPGANer("GFPGANv1.4.pth", **{"device": "cpu", "emit": ignore, **options})

    return make


def bgr(height: int = 200, width: int = 240, peak: int = 255) -> NDArray[Any]:
    codes = np.rint(drawn.picture(height, width, finest=30) * peak)[..., ::-1]
    return np.ascontiguousarray(codes).astype(np.uint8 if peak == 255 else np.uint16)


def test_crops_restored_faces_and_the_picture(made: Any) -> None:
    picture = bgr()
    cropped, restored, result = made(Negative()).enhance(picture)
    assert [face.shape for face in (*cropped, *restored)] == [(512, 512, 3)] * 2
    assert cropped[0].dtype == restored[0].dtype == result.dtype == np.uint8
    assert np.abs(cropped[0].astype(int) + restored[0] - 255).max() <= 1
    expected = cv2.warpAffine(picture, similarity(FACE.landmarks), (512, 512), borderValue=(135, 133, 132))
    assert np.abs(expected.astype(int) - cropped[0]).max() <= 2
    assert result.shape == (400, 480, 3)
    background = cv2.resize(picture, (480, 400), interpolation=cv2.INTER_LANCZOS4)
    changed = np.abs(result.astype(int) - background).max(2) > 0
    box = rectangle(similarity(FACE.landmarks), 2, 400, 480)
    assert changed[box.top : box.bottom + 1, box.left : box.right + 1].mean() > 0.3
    changed[box.top : box.bottom + 1, box.left : box.right + 1] = False
    assert not changed.any()


def test_pasted_as_the_reference_does_it(made: Any) -> None:
    """Its own lines, with the same mask: an inverse map times the scale, and half a pixel more."""
    picture = bgr()
    _, restored, result = made(Negative()).enhance(picture)
    inverse = cv2.invertAffineTransform(similarity(FACE.landmarks)) * 2
    inverse[:, 2] += 0.5 * 2
    face = cv2.warpAffine(restored[0], inverse, (480, 400))
    mask = cv2.warpAffine(oval().numpy(), inverse, (480, 400), flags=3)[..., None]
    background = cv2.resize(picture, (480, 400), interpolation=cv2.INTER_LANCZOS4)
    expected = mask * face + (1 - mask) * background
    assert np.abs(result - expected).mean() < 0.4
    assert np.abs(result - expected).max() < 3


def test_an_aligned_face_is_not_pasted(made: Any) -> None:
    cropped, restored, result = made(Seen()).enhance(bgr(300, 300), has_aligned=True)
    assert result is None
    assert np.array_equal(cropped[0], cv2.resize(bgr(300, 300), (512, 512)))
    assert np.array_equal(restored[0], cropped[0])


def test_without_paste_back_there_are_faces_only(made: Any) -> None:
    cropped, restored, result = made(Seen()).enhance(bgr(), paste_back=False)
    assert (len(cropped), len(restored), result) == (1, 1, None)


def test_sixteen_bits_stay_sixteen_bits(made: Any) -> None:
    """The reference blends a face of 8 bits into them as it is: black."""
    picture = bgr(peak=65535)
    _, _, result = made(Seen(), upscale=1).enhance(picture)
    assert result.dtype == np.uint16
    assert np.abs(result.astype(int) - picture).mean() < 300
    assert len(np.unique(result)) > 10000


@pytest.mark.parametrize("shape", [(200, 240), (200, 240, 1)])
def test_gray_pictures_become_three_channels(made: Any, shape: tuple[int, ...]) -> None:
    _, _, result = made(Seen()).enhance(bgr()[..., :1].reshape(shape))
    assert result.shape == (400, 480, 3)


class Background:
    def enhance(self, img: NDArray[Any], outscale: float | None = None) -> tuple[NDArray[Any], str]:
        assert outscale is not None
        return cv2.resize(img, None, fx=outscale, fy=outscale, interpolation=cv2.INTER_NEAREST), "any"


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_another_upsampler_makes_the_background(made: Any, channels: int) -> None:
    alpha = np.full((200, 240, 1), 99, np.uint8)
    picture = bgr()[..., 0] if channels == 1 else np.dstack([bgr(), alpha][: channels - 2])
    _, _, result = made(Negative(), bg_upsampler=Background()).enhance(picture)
    assert result.shape == (400, 480, 4 if channels == 4 else 3)
    assert np.array_equal(result[:20, :20, 0], picture.reshape(200, 240, -1)[:10, :10, 0].repeat(2, 0).repeat(2, 1))
    if channels == 4:
        assert (result[..., 3] == 99).all()


def test_no_face_gives_the_background(made: Any) -> None:
    cropped, restored, result = made(Negative(), []).enhance(bgr())
    assert (cropped, restored) == ([], [])
    assert np.array_equal(result, cv2.resize(bgr(), (480, 400), interpolation=cv2.INTER_LANCZOS4))


def test_only_the_face_in_the_middle(made: Any) -> None:
    faces = [drawn.face(50, 50, 80), drawn.face(125, 105, 80)]
    assert len(made(Seen(), faces).enhance(bgr(), paste_back=False)[0]) == 2
    assert len(made(Seen(), faces).enhance(bgr(), only_center_face=True, paste_back=False)[0]) == 1


@pytest.mark.parametrize("picture", [None, np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4, 3), np.uint8), "a.png"])
def test_what_is_no_picture_is_refused(made: Any, picture: Any) -> None:
    with pytest.raises(UsageError, match="enhance: img"):
        made(Seen()).enhance(picture)


def test_arguments_that_are_not_allowed() -> None:
    with pytest.raises(UsageError, match="arch is 'bilinear'"):
        GFPGANer("gfpgan-1.4", arch="bilinear", device="cpu")
    with pytest.raises(UsageError, match="upscale is 0"):
        GFPGANer("gfpgan-1.4", upscale=0, device="cpu")
    with pytest.raises(UsageError, match="official"):
        GFPGANer("https://example.org/GFPGANv1.4.pth", device="cpu")


def test_weights_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"conv.weight": torch.zeros(3, 3)}, path)
    with pytest.raises(WeightsError):
        GFPGANer(str(path), device="cpu", emit=ignore)


def test_the_embedded_detector_takes_the_place_of_one_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def load(name: str, *_: Any, **__: Any) -> Given:
        asked.append(name)
        if name == "retinaface-resnet50":
            raise WeightsError("no such file")
        return Given([FACE])

    monkeypatch.setattr("vidsr.compat.gfpganer.load_restorer", lambda *_, **__: Restorer(Seen(), CPU, "fp32"))
    monkeypatch.setattr("vidsr.compat.gfpganer.load_masks", lambda *_: Oval(CPU))
    monkeypatch.setattr("vidsr.compat.gfpganer.load_detector", load)
    told: list[Event] = []
    GFPGANer("gfpgan-1.4", device="cpu", emit=told.append)
    assert asked == ["retinaface-resnet50", "retinaface-mobile"]
    assert told == [FellBack("retinaface-resnet50", "retinaface-mobile", "no such file")]
    with pytest.raises(WeightsError, match="no such file"):
        GFPGANer("gfpgan-1.4", device="cpu", detector="retinaface-resnet50")


def test_it_is_loaded_when_it_is_asked_for() -> None:
    assert "GFPGANer" in vidsr.compat.__all__
    with pytest.raises(AttributeError, match="NoSuchThing"):
        _ = vidsr.compat.NoSuchThing
