"""The choice of a configuration, with times that are made up; and that the candidates run."""

from __future__ import annotations

import pytest
import torch

from vidsr.errors import DeviceError
from vidsr.runtime.kernels import tune
from vidsr.runtime.kernels.conv import Config


@pytest.fixture
def hopper(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "made up")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(tune, "_CHOSEN", {})
    return torch.device("cuda")


def choose(monkeypatch: pytest.MonkeyPatch, hopper: torch.device, times: dict[Config, float | None]) -> Config:
    monkeypatch.setattr(tune, "_time", lambda attempt, config: times.get(config, 9.0))
    return tune.fastest(hopper, 64, torch.float16, 100, lambda config: None)


def test_the_fastest_wins_once_and_for_all(device, monkeypatch, hopper):
    options = tune.candidates(hopper, 64)
    assert choose(monkeypatch, hopper, {options[0]: None, options[2]: 1.0}) == options[2]
    assert choose(monkeypatch, hopper, {options[1]: 0.5}) == options[2]


@pytest.mark.parametrize(("seconds", "kernel"), [(0.95, "walk"), (0.85, "taps")])
def test_the_other_kernel_must_be_clearly_faster(device, monkeypatch, hopper, seconds, kernel):
    options = tune.candidates(hopper, 64)
    assert options[0].kernel != options[-1].kernel
    assert choose(monkeypatch, hopper, {options[0]: 1.0, options[-1]: seconds}).kernel == kernel


def test_where_nothing_fits_that_is_said(device, monkeypatch, hopper):
    with pytest.raises(DeviceError, match="no kernel of runtime fused fits made up with 64 channels"):
        choose(monkeypatch, hopper, dict.fromkeys(tune.candidates(hopper, 64)))


@pytest.mark.parametrize("channels", [16, 32, 64, 128])
def test_candidates_are_whole_parts(device, hopper, channels):
    for config in tune.candidates(hopper, channels):
        assert config.rows in ((16, 32, 64) if config.kernel == "walk" else (4, 8, 16))
        assert channels % (config.channels or channels) == 0
