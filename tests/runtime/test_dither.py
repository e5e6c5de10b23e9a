"""The threshold matrix of the ordered dither."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from vidsr.runtime.dither import thresholds


def test_every_threshold_occurs_once():
    values = thresholds().flatten().sort().values
    assert torch.equal(values, (torch.arange(1024) + 0.5) / 1024)


def test_it_is_the_same_on_every_machine():
    ranks = (thresholds() * 1024 - 0.5).round().to(torch.int32).numpy().astype("<i4")
    assert hashlib.sha256(ranks.tobytes()).hexdigest()[:16] == "d1591623cd06ff81"


def test_patterns_have_next_to_no_low_frequencies():
    """Blue noise: whatever share of the pixels rounds up, they lie evenly."""
    shuffled = np.random.default_rng(0).permutation(1024).reshape(32, 32) / 1024
    for share in (0.1, 0.25, 0.5, 0.9):
        assert _low(thresholds().numpy() < share) < 0.1 * _low(shuffled < share)


def _low(pattern: np.ndarray) -> float:
    """Power in waves of at least 8 pixels, without the mean."""
    power = np.abs(np.fft.fft2(pattern)) ** 2
    wave = np.minimum(np.arange(32), 32 - np.arange(32))
    return float(power[(np.hypot(*np.meshgrid(wave, wave)) <= 4) & (np.add.outer(wave, wave) > 0)].sum())
