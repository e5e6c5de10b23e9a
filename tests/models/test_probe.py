"""What is found by running a network is what it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from vidsr.errors import WeightsError
from vidsr.models.archs.compact import SRVGGNetCompact
from vidsr.models.probe import FARTHEST, Probed, probe, remembered

SHA = "0" * 64


def padded(step: int, least: int) -> nn.Module:
    """Shrinks by `step`, sees one pixel of the small picture, mirrors `least` - 1 pixels, enlarges twice."""

    class Network(nn.Module):
        def forward(self, rgb: Tensor) -> Tensor:
            small = functional.pixel_unshuffle(rgb, step)
            functional.pad(rgb, (least - 1,) * 4, mode="reflect")
            blurred = functional.avg_pool2d(small, 3, 1, 1)
            return functional.interpolate(functional.pixel_shuffle(blurred, step), scale_factor=2)

    return Network()


@pytest.mark.parametrize(("step", "least"), [(1, 1), (2, 8), (3, 3), (8, 16), (12, 12)])
def test_size_rules_are_found(step: int, least: int) -> None:
    assert probe(padded(step, least)) == Probed(2, step, least, step)


def test_activations_that_swallow_nan_do_not_hide_what_is_seen() -> None:
    torch.manual_seed(1)
    network = SRVGGNetCompact(4, 3, 2, "relu").eval()
    assert probe(lambda rgb: network(torch.nan_to_num(rgb, 0.5))).receptive_field == network.receptive_field


def test_networks_that_see_everything_are_told() -> None:
    assert probe(lambda rgb: rgb + rgb.mean((2, 3), keepdim=True)).receptive_field == FARTHEST


@pytest.mark.parametrize("bad", [lambda rgb: rgb[..., 1:], lambda rgb: rgb[:, :1], lambda rgb: 1 / 0])
def test_what_gives_no_picture_is_refused(bad) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(WeightsError, match=r"64x64 gives (1x|the error division)"):
        probe(bad)


def test_what_is_known_is_not_tried() -> None:
    sizes: list[tuple[int, ...]] = []

    def network(rgb: Tensor) -> Tensor:
        sizes.append(tuple(rgb.shape))
        return rgb

    assert probe(network, (1, 16, 32)) == Probed(1, 16, 32, 0)
    assert all(side % 16 == 0 and side >= 32 for size in sizes for side in size[2:])


def test_findings_are_kept_on_disk(home: Path) -> None:
    found = remembered(padded(2, 8), SHA)
    (path,) = (home.parent / "probes").iterdir()
    assert json.loads(path.read_text())["multiple_of"] == 2
    assert remembered(lambda rgb: 1 / 0, SHA) == found  # type: ignore[arg-type,return-value]
    path.write_text("{")
    assert remembered(padded(2, 8), SHA) == found
