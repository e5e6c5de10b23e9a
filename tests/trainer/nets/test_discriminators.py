"""Discriminators against the reference, see benchmarks/oracle_losses.py; their files, sizes and copies."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from pydantic import TypeAdapter, ValidationError

from trainer import nets
from trainer.nets.options import DiscriminatorOptions
from trainer.nets.spectral import SpectralConv2d
from vidsr.errors import UsageError, WeightsError

from ..losses.cases import DISCRIMINATOR_GOLDENS, DISCRIMINATORS, RELEASED, Array
from ..losses.ours import discriminator, discriminator_results, distance, layout

SMALL: dict[str, Any] = {"kind": "unet-sn", "features": 4}


@pytest.fixture(scope="module")
def goldens() -> dict[str, Array]:
    with np.load(DISCRIMINATOR_GOLDENS) as loaded:
        return dict(loaded)


def made(**options: Any) -> torch.nn.Module:
    return nets.build(TypeAdapter(DiscriminatorOptions).validate_python(options))


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_logits_and_gradients_are_those_of_the_reference(name: str, goldens: dict[str, Array]) -> None:
    """The second pass and the one in eval mode tell whether the power iteration goes the same way."""
    found = discriminator_results(name)
    assert {f"net/{name}/{part}" for part in found} <= goldens.keys()
    for part, value in found.items():
        assert distance(value, goldens[f"net/{name}/{part}"]) < 1e-5


@pytest.mark.parametrize("name", RELEASED)
def test_names_and_shapes_are_those_of_released_files(name: str, goldens: dict[str, Array]) -> None:
    assert layout(RELEASED[name]) == list(goldens[f"layout/{name}/names"])


@pytest.mark.parametrize("name", ["unet-sn", "patch-sn", "vgg-style 128"])
def test_a_file_in_the_layout_of_the_reference_loads(name: str, tmp_path: Path) -> None:
    state = discriminator(DISCRIMINATORS[name]).state_dict()
    path = tmp_path / "net_d_5000.pth"
    torch.save({"params": state}, path)
    loaded = made(**DISCRIMINATORS[name], weights=path).state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(value, state[key]) for key, value in loaded.items())


def test_a_safetensors_file_loads(tmp_path: Path) -> None:
    state = discriminator(SMALL).state_dict()
    safetensors.torch.save_file(state, tmp_path / "d.safetensors")
    loaded = made(**SMALL, weights=tmp_path / "d.safetensors").state_dict()
    assert all(torch.equal(value, state[key]) for key, value in loaded.items())


def test_the_file_of_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.pth"
    torch.save({"params": discriminator(SMALL).state_dict()}, path)
    with pytest.raises(WeightsError, match=r"d\.pth for the discriminator unet-sn: .* is \(4, 3, 3, 3\), exp"):
        made(kind="unet-sn", features=8, weights=path)
    with pytest.raises(WeightsError, match=r"conv0_0\.weight is missing"):
        made(kind="vgg-style", features=4, weights=path)
    with pytest.raises(WeightsError, match="does not exist"):
        made(**SMALL, weights=tmp_path / "absent.pth")


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    state = discriminator(SMALL).state_dict()
    state["conv3.weight_orig"][0, 0, 0, 0] = torch.nan
    torch.save(state, tmp_path / "d.pth")
    with pytest.raises(WeightsError, match=r"conv3\.weight_orig holds values that are not finite"):
        made(**SMALL, weights=tmp_path / "d.pth")


def test_the_normalised_weight_has_norm_one() -> None:
    layer = SpectralConv2d(8, 16, 3)
    for _ in range(100):
        layer.normalised()
    largest = torch.linalg.matrix_norm(layer.normalised().detach().flatten(1), 2)
    assert largest.item() == pytest.approx(1, rel=1e-4)


def test_nothing_changes_in_eval_mode() -> None:
    network = made(**SMALL).eval()
    before = copy.deepcopy(network.state_dict())
    first = network(torch.ones(1, 3, 16, 16))
    assert torch.equal(network(torch.ones(1, 3, 16, 16)), first)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_the_norm_is_float32_under_autocast() -> None:
    layer = SpectralConv2d(8, 16, 3).eval()
    expected = layer.normalised()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer.normalised(), expected)
        assert layer(torch.rand(1, 8, 8, 8)).dtype == torch.bfloat16


def test_two_passes_before_one_backward() -> None:
    """The second pass moves the vectors that the first one's backward needs."""
    network = made(**SMALL)
    pictures = torch.rand(1, 3, 16, 16)
    (network(pictures).sum() + network(1 - pictures).sum()).backward()
    assert all(weight.grad is not None for weight in network.parameters())


def test_it_can_be_copied_after_use() -> None:
    network = made(**SMALL)
    network(torch.rand(1, 3, 16, 16)).sum().backward()
    twin = copy.deepcopy(network).eval()
    assert torch.equal(twin(torch.ones(1, 3, 16, 16)), network.eval()(torch.ones(1, 3, 16, 16)))


def test_several_scales_give_several_maps() -> None:
    found = made(kind="patch-sn", features=4)(torch.rand(2, 3, 128, 96))
    assert [tuple(part.shape) for part in found] == [(2, 1, 14, 10), (2, 1, 6, 4), (2, 1, 2, 1)]


@pytest.mark.parametrize(
    ("options", "shape", "said"),
    [
        ({"kind": "unet-sn"}, (20, 16), "crops of 16x20 px, allowed are multiples of 8"),
        ({"kind": "patch-sn"}, (64, 64), "16x16 px, allowed are sides from 24 px"),
        ({"kind": "vgg-style"}, (64, 64), "crops of 64x64 px, expected 128x128"),
    ],
)
def test_crops_that_do_not_fit_are_told(options: dict[str, Any], shape: tuple[int, int], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        made(**options, features=2)(torch.rand(1, 3, *shape))


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "unet"},
        {"kind": "unet-sn", "layers": [3]},
        {"kind": "unet-sn", "features": 0},
        {"kind": "patch-sn", "layers": []},
        {"kind": "vgg-style", "size": 192},
    ],
)
def test_options_are_strict(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(DiscriminatorOptions).validate_python(options)
