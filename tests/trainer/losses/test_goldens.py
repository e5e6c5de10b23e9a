"""Losses against the reference: basicsr 1.4.2 and the authors' own packages, see benchmarks/oracle_losses.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from .cases import GAN, GOLDENS, LOSSES, Array
from .ours import distance, gan_results, loss_results

CLOSE = 1e-5


@pytest.fixture(scope="module")
def goldens() -> dict[str, Array]:
    with np.load(GOLDENS) as loaded:
        return dict(loaded)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_and_its_gradient_are_those_of_the_reference(name: str, goldens: dict[str, Array], folder: Path) -> None:
    found = loss_results(name, folder)
    assert distance(found["value"], goldens[f"loss/{name}/value"]) < CLOSE
    assert distance(found["single"], goldens[f"loss/{name}/value"]) < CLOSE
    if name != "ssim":  # scikit-image has no gradients
        assert distance(found["gradient"], goldens[f"loss/{name}/gradient"]) < CLOSE


@pytest.mark.parametrize("scales", [1, 3])
@pytest.mark.parametrize("name", GAN)
def test_an_adversarial_loss_and_its_gradients_are_those_of_the_reference(
    name: str, scales: int, goldens: dict[str, Array]
) -> None:
    found = gan_results(name, scales)
    assert len(found) == 5
    for part, value in found.items():
        assert distance(value, goldens[f"gan {scales}/{name}/{part}"]) < CLOSE


def test_every_golden_belongs_to_a_case(goldens: dict[str, Array]) -> None:
    cases = {f"loss/{name}" for name in LOSSES} | {f"gan {scales}/{name}" for scales in (1, 3) for name in GAN}
    assert {name.rpartition("/")[0] for name in goldens} == cases
