"""The networks against those of basicsr 1.4.2 and realesrgan 0.3.0, whose results lie in goldens/goldens.npz."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vidsr.models.archs.compact import SRVGGNetCompact
from vidsr.models.archs.rrdb import RRDBNet
from vidsr.models.recover import build

from .goldens.seeded import COMPACT, RRDB, numbers, picture

KEPT = np.load(Path(__file__).parent / "goldens" / "goldens.npz")


def filled(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(numbers(name, tuple(value.shape))) for name, value in network.state_dict().items()}


def test_every_golden_is_compared() -> None:
    names = {f"compact-{f}-{c}-{s}-{a}" for f, c, s, a in COMPACT} | {f"rrdb-{f}-{b}-{g}-{s}" for f, b, g, s in RRDB}
    assert set(KEPT.files) == names
    assert len(names) == 15


@pytest.mark.parametrize(("features", "convolutions", "scale", "act"), COMPACT)
def test_compact_is_that_of_the_reference(features: int, convolutions: int, scale: int, act: str) -> None:
    expected = KEPT[f"compact-{features}-{convolutions}-{scale}-{act}"]
    network = SRVGGNetCompact(features, convolutions, scale, act)  # type: ignore[arg-type]
    network.load_state_dict(filled(network))
    with torch.inference_mode():
        seen = network.eval()(torch.from_numpy(picture())).numpy()
    assert expected.shape == (1, 3, 8 * scale, 12 * scale)
    assert np.abs(expected).max() > 0.5
    assert np.abs(seen - expected).max() < 1e-5


@pytest.mark.parametrize(("features", "blocks", "growth", "scale"), RRDB)
def test_rrdb_is_that_of_the_reference(features: int, blocks: int, growth: int, scale: int) -> None:
    expected = KEPT[f"rrdb-{features}-{blocks}-{growth}-{scale}"]
    network = build(filled(RRDBNet(features, blocks, growth, scale)))
    with torch.inference_mode():
        seen = network(torch.from_numpy(picture())).numpy()
    assert expected.shape == (1, 3, 8 * scale, 12 * scale)
    assert np.abs(expected).max() > 0.1
    assert np.abs(seen - expected).max() < 1e-5
