"""Picture files with --face-enhance: a drawn face that the embedded detector finds, and a small network from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vidsr.errors import ExistsError, OutputError, UsageError, WeightsError
from vidsr.events import Event, FellBack
from vidsr.faces.masks import Oval
from vidsr.faces.nets.gfpgan import GFPGANv1Clean
from vidsr.faces.restore import Restorer
from vidsr.options import parse
from vidsr.pictures import upscale_picture
from vidsr.upscaler import Upscaler

from . import drawn
from .test_restore import Negative, Seen

CPU = torch.device("cpu")
POINTS = drawn.landmarks(80, 60, 100)
FAST: dict[str, Any] = {"device": "cpu", "precision": "fp32", "runtime": "eager"}


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), drawn.portrait(120, 160, POINTS)[..., ::-1])
    return path


@pytest.fixture
def negative(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of a network for faces: one that turns bright to dark."""
    monkeypatch.setattr("vidsr.faces.enhance.load_restorer", lambda *_, **__: Restorer(Negative(), CPU, "fp32"))
    monkeypatch.setattr("vidsr.faces.enhance.load_masks", lambda *_: Oval(CPU))
    monkeypatch.setattr("vidsr.faces.enhance.matched", lambda faces, *_: faces)


def done(photo: Path, **options: Any) -> np.ndarray[Any, Any]:
    output = photo.with_name("out.png")
    upscale_picture(photo, output, parse({**FAST, "overwrite": True, **options}), lambda _: None)
    return np.asarray(cv2.imread(str(output), cv2.IMREAD_UNCHANGED))


@pytest.mark.usefixtures("negative")
def test_faces_of_a_picture_are_restored_and_nothing_else(photo: Path, tmp_path: Path) -> None:
    plain, restored = done(photo), done(photo, face_enhance="any", face_restored_crops=tmp_path / "crops")
    assert plain.shape == restored.shape == (480, 640, 3)
    apart = np.abs(plain.astype(int) - restored).max(2)
    assert apart[200:280, 280:360].mean() > 60
    assert apart[:40].max() == apart[:, :100].max() == apart[:, -100:].max() == 0
    [crop] = (tmp_path / "crops").iterdir()
    assert crop.name == "photo_00.png"
    face = cv2.imread(str(crop))
    assert face.shape == (512, 512, 3)
    assert face[314, 257].astype(int).sum() < 400  # the bright nose became dark


@pytest.mark.usefixtures("negative")
def test_a_final_size_a_weight_and_only_the_middle(photo: Path) -> None:
    whole = done(photo, face_enhance="any", scale=2.0, only_center_face=True)
    half = done(photo, face_enhance="any", scale=2.0, face_weight=0.5)
    plain = done(photo, scale=2.0)
    apart = [np.abs(plain.astype(int) - other)[100:140, 140:180].mean() for other in (half, whole)]
    assert plain.shape == whole.shape == (240, 320, 3)
    assert 10 < apart[0] < 0.7 * apart[1]


@pytest.mark.usefixtures("negative")
@pytest.mark.parametrize("kind", ["gray", "alpha", "deep"])
def test_gray_alpha_and_sixteen_bits(photo: Path, kind: str) -> None:
    given = cv2.imread(str(photo))
    alpha = np.full((120, 160), 200, np.uint8)
    pictures = {"gray": given[..., 1], "alpha": np.dstack([given, alpha]), "deep": given.astype(np.uint16) * 257}
    cv2.imwrite(str(photo), pictures[kind])
    plain, restored = done(photo), done(photo, face_enhance="any")
    assert plain.shape == restored.shape
    assert plain.dtype == restored.dtype
    if kind == "alpha":
        assert np.array_equal(plain[..., 3], restored[..., 3])
    apart = np.abs(plain.astype(int) - restored) / np.iinfo(plain.dtype).max
    assert apart[200:280, 280:360].mean() > 0.1
    assert apart[:40].max() == 0


@pytest.mark.usefixtures("negative")
@pytest.mark.parametrize("kind", ["gray", "alpha", "colour", "deep"])
def test_an_aligned_picture_becomes_a_restored_face(photo: Path, kind: str) -> None:
    given = cv2.imread(str(photo))
    alpha = np.full((120, 160), 200, np.uint8)
    pictures = {
        "gray": given[..., 1],
        "alpha": np.dstack([given, alpha]),
        "colour": given,
        "deep": given.astype(np.uint16) * 257,
    }
    cv2.imwrite(str(photo), pictures[kind])
    found = done(photo, face_enhance="any", aligned=True)
    assert found.shape == (512, 512, *pictures[kind].shape[2:])
    assert found.dtype == pictures[kind].dtype
    peak = np.iinfo(found.dtype).max
    expected = peak - cv2.resize(pictures[kind], (512, 512)).astype(int)
    assert np.abs(found.astype(int) - expected)[..., :3].max() <= peak / 255
    if kind == "alpha":
        assert (found[..., 3] == 200).all()


@pytest.mark.usefixtures("negative")
def test_aligned_pictures_are_named_after_the_network(photo: Path) -> None:
    report = upscale_picture(photo, None, parse({**FAST, "face_enhance": "any.pth", "aligned": True}), lambda _: None)
    assert Path(report.output).name == "photo_any_512.png"
    assert report.size == (512, 512)


@pytest.mark.usefixtures("negative")
def test_faces_that_were_written_before_are_not_replaced(photo: Path, tmp_path: Path) -> None:
    crops = tmp_path / "crops"
    options = {"face_enhance": "any", "face_restored_crops": crops}
    done(photo, **options)
    photo.with_name("out.png").unlink()
    with pytest.raises(ExistsError, match=r"photo_00\.png exists"):
        done(photo, **options, overwrite=False)
    done(photo, **options)
    with pytest.raises(OutputError, match="is no folder"):
        done(photo, face_enhance="any", face_restored_crops=photo)


@pytest.mark.usefixtures("negative")
def test_a_film_of_arrays_follows_its_faces() -> None:
    frames = [drawn.portrait(120, 160, POINTS + shift) for shift in (0, 0, 1)]
    plain = list(Upscaler(**FAST).upscale_frames(frames))
    upscaler = Upscaler(**FAST, face_enhance="any")
    found = list(upscaler.upscale_frames(frames))
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[1], found[2])
    assert all(
        np.abs(one.astype(int) - other)[200:280, 280:360].mean() > 30 for one, other in zip(plain, found, strict=True)
    )
    off = list(upscaler.upscale_frames(frames, reuse="off"))
    assert all(np.array_equal(one, other) for one, other in zip(found, off, strict=True))


def test_a_network_from_a_file_and_what_is_told(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the weights of ParseNet, faces get an oval mask."""
    monkeypatch.setenv("VIDSR_WEIGHTS_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("VIDSR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("vidsr.models.fetch.TRIES", 1)
    weights, output = tmp_path / "small.safetensors", tmp_path / "out.png"
    torch.manual_seed(0)
    save_file(GFPGANv1Clean(512, 32, 1, 1 / 16).state_dict(), weights)
    told: list[Event] = []
    report = upscale_picture(photo, output, parse({**FAST, "face_enhance": str(weights)}), told.append)
    assert report.size == (640, 480)
    assert [event.used for event in told if isinstance(event, FellBack)] == ["ovals"]
    assert not np.array_equal(cv2.imread(str(output)), done(photo))


def test_weights_of_another_kind_are_refused(photo: Path) -> None:
    with pytest.raises(UsageError, match="animevideov3"):
        done(photo, face_enhance="animevideov3")
    with pytest.raises(WeightsError):
        done(photo, face_enhance=str(photo))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"only_center_face": True}, "--only-center-face: --face-enhance is needed too"),
        ({"face_weight": 0.5, "aligned": True}, "--face-weight and --aligned: --face-enhance is needed too"),
        ({"face_enhance": "1.4", "aligned": True, "scale": 2.0}, "--aligned makes 512x512 pixels, without --scale"),
        ({"face_enhance": "1.4", "face_weight": 1.5}, "--face-weight: 1.5 is not allowed"),
    ],
)
def test_options_that_contradict_each_other(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse(given)


def test_the_option_may_be_given_without_a_name() -> None:
    from vidsr.cli.upscale import upscale

    def asked(*words: str) -> Any:
        return upscale.make_context("upscale", list(words)).params["face_enhance"]

    assert asked("a.png", "--face-enhance") == "gfpgan-1.4"
    assert asked("a.png", "--face-enhance", "1.3") == "1.3"
    assert asked("a.png", "--face-enhance", "--aligned") == "gfpgan-1.4"
    assert asked("a.png") is None


def test_the_same_network_gives_the_same_picture_twice(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidsr.faces.enhance.load_restorer", lambda *_, **__: Restorer(Seen(), CPU, "fp32"))
    monkeypatch.setattr("vidsr.faces.enhance.load_masks", lambda *_: Oval(CPU))
    assert np.array_equal(done(photo, face_enhance="any"), done(photo, face_enhance="any"))
