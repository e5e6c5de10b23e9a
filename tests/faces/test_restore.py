"""Restorers: what goes in and comes out, in which numbers, and what happens when it is no number."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from vidsr import faces as package
from vidsr.errors import DeviceError, UsageError, WeightsError
from vidsr.events import Event, FellBack
from vidsr.faces.masks import Oval, Parsed
from vidsr.faces.nets.gfpgan import GFPGANv1Clean
from vidsr.faces.restore import Restorer, load_masks, load_restorer

CPU = torch.device("cpu")


class Seen(nn.Module):
    """Gives back what it gets, and notes it."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[Tensor] = []

    def forward(self, faces: Tensor) -> Tensor:
        self.given.append(faces)
        return faces


class Negative(nn.Module):
    def forward(self, faces: Tensor) -> Tensor:
        return -faces


def test_networks_see_the_range_of_their_training() -> None:
    network, faces = Seen(), torch.rand(3, 3, 512, 512)
    found = Restorer(network, CPU, "fp32")(faces)
    assert torch.allclose(found, faces, atol=1e-6)
    assert torch.equal(torch.cat(network.given), faces * 2 - 1)


def test_a_weight_mixes_the_restored_face_with_the_one_before() -> None:
    faces, restorer = torch.rand(2, 3, 512, 512), Restorer(Negative(), CPU)
    assert torch.allclose(restorer(faces), 1 - faces, atol=1e-6)
    assert torch.allclose(restorer(faces, 0.25), 0.25 * (1 - faces) + 0.75 * faces, atol=1e-6)
    assert torch.allclose(restorer(faces, 0.0), faces, atol=1e-6)


def small_gfpgan() -> GFPGANv1Clean:
    torch.manual_seed(0)
    return GFPGANv1Clean(64, 32, 1, 0.25)


def test_the_same_face_has_the_same_pixels_every_time_and_in_any_company() -> None:
    """The noise is that of the weights; on a CPU every face is computed alone."""
    network = small_gfpgan()
    for name, parameter in network.named_parameters():
        if name.endswith("weight") and parameter.numel() == 1:
            nn.init.constant_(parameter, 0.3)  # how much of the noise is added: none before training
    restorer, faces = Restorer(network, CPU, "fp32"), torch.rand(3, 3, 64, 64)
    found = restorer(faces)
    assert found.std() > 0
    assert torch.equal(restorer(faces), found)
    assert torch.equal(restorer(faces[1:2])[0], found[1])
    assert torch.equal(restorer(faces.flip(0)).flip(0), found)


def test_bfloat16_is_near_float32() -> None:
    network, faces = small_gfpgan(), torch.rand(2, 3, 64, 64)
    exact, short = (Restorer(network, CPU, precision) for precision in ("fp32", "bf16"))
    assert (exact.precision, short.precision) == ("fp32", "bf16")
    found = short(faces)
    assert found.dtype == torch.float32
    assert 0 < (found - exact(faces)).abs().mean() < 0.02


class Broken(nn.Module):
    """Makes NaN of faces that are bright."""

    def forward(self, faces: Tensor) -> Tensor:
        return torch.where(faces.mean((1, 2, 3), keepdim=True) > 0.5, torch.nan, -faces)


def test_a_face_that_is_no_number_stays_as_it_was_and_is_told() -> None:
    told: list[Event] = []
    faces = torch.stack([torch.full((3, 512, 512), 0.25), torch.full((3, 512, 512), 0.9)])
    found = Restorer(Broken(), CPU, name="broken", emit=told.append)(faces)
    assert torch.allclose(found[0], 1 - faces[0])
    assert torch.equal(found[1], faces[1])
    assert told == [
        FellBack("faces restored by broken", "the faces as they were", "1 came out with NaN or infinite values")
    ]


class Hungry(nn.Module):
    """Runs out of memory with more than `most` faces."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, faces: Tensor) -> Tensor:
        if len(faces) > self.most:
            raise torch.OutOfMemoryError("no memory")
        return faces


def test_fewer_faces_at_once_when_memory_runs_out() -> None:
    told: list[Event] = []
    restorer = Restorer(Hungry(2), CPU, emit=told.append)
    restorer._together = 8  # as on a GPU
    faces = torch.rand(5, 3, 64, 64)
    assert torch.allclose(restorer(faces), faces, atol=1e-6)
    assert told == [
        FellBack("8 faces at once", "4", "out of memory"),
        FellBack("4 faces at once", "2", "out of memory"),
    ]


def test_no_memory_for_a_single_face_is_an_error() -> None:
    with pytest.raises(DeviceError, match="out of memory on cpu with one face in hungry"):
        Restorer(Hungry(0), CPU, name="hungry")(torch.rand(1, 3, 64, 64))


def test_other_failures_are_those_of_the_device() -> None:
    with pytest.raises(DeviceError, match="the device cpu failed"):
        Restorer(nn.Conv2d(4, 3, 1), CPU)(torch.rand(1, 3, 64, 64))


def test_no_faces_are_no_work() -> None:
    assert Restorer(Broken(), CPU)(torch.rand(0, 3, 512, 512)).shape == (0, 3, 512, 512)


def test_a_run_can_be_stopped_between_faces() -> None:
    calls: list[int] = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        Restorer(Negative(), CPU, check=check)(torch.rand(5, 3, 64, 64))


def test_a_file_of_weights_becomes_a_restorer(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, path, faces = GFPGANv1Clean(512, 32, 1, 1 / 16), tmp_path / "own.safetensors", torch.rand(1, 3, 512, 512)
    save_file(network.state_dict(), path)
    restorer = load_restorer(str(path), CPU, "fp32")
    assert restorer.name == "own"
    assert torch.equal(restorer(faces), Restorer(network, CPU, "fp32")(faces))


def test_networks_for_smaller_faces_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    save_file(small_gfpgan().state_dict(), path)
    with pytest.raises(WeightsError, match=r"small\.safetensors are for faces of 64 pixels, allowed are those for 512"):
        load_restorer(str(path), CPU)


def test_weights_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"conv.weight": torch.zeros(3, 3)}, path)
    with pytest.raises(WeightsError, match=r"other\.safetensors"):
        load_restorer(str(path), CPU)
    with pytest.raises(WeightsError, match="face-detector"):
        load_restorer(str(Path(package.__file__).parent / "data" / "retinaface-mobile0.25.safetensors"), CPU)
    with pytest.raises(UsageError):
        load_restorer("animevideov3", CPU)


def test_ovals_take_the_place_of_masks_whose_weights_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> None:
        raise WeightsError("no such file")

    told: list[Event] = []
    monkeypatch.setattr("vidsr.faces.restore.load_network", absent)
    masks = load_masks(CPU, told.append)
    masks(torch.rand(1, 3, 512, 512))
    masks(torch.rand(1, 3, 512, 512))
    assert isinstance(masks, Oval)
    assert told == [FellBack("masks of faces by parsenet", "ovals", "no such file")]
    assert not isinstance(masks, Parsed)
