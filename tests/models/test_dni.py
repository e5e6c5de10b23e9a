"""Mixing two networks."""

from __future__ import annotations

import pytest
import torch

from vidsr.errors import WeightsError
from vidsr.models.archs.compact import SRVGGNetCompact
from vidsr.models.dni import mix


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_every_tensor_lies_between(weight: float) -> None:
    first, second = SRVGGNetCompact(4, 1, 2).state_dict(), SRVGGNetCompact(4, 1, 2).state_dict()
    mixed = mix(first, second, weight)
    for key in first:
        expected = weight * first[key].numpy() + (1 - weight) * second[key].numpy()
        torch.testing.assert_close(mixed[key], torch.from_numpy(expected))


@pytest.mark.parametrize("other", [SRVGGNetCompact(4, 2, 2), SRVGGNetCompact(5, 1, 2), SRVGGNetCompact(4, 1, 3)])
def test_unequal_networks_are_refused(other: SRVGGNetCompact) -> None:
    with pytest.raises(WeightsError, match="equal names and shapes"):
        mix(SRVGGNetCompact(4, 1, 2).state_dict(), other.state_dict(), 0.5)
