"""Draws stay in their ranges, walks are slow, and choices come as often as their weights say."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainer.degrade.walk import chance, chosen, log_uniform, uniform, walk, whole


@given(st.integers(0, 1000), st.floats(-5, 5), st.floats(0, 5), st.floats(0, 1), st.integers(1, 40))
def test_a_walk_stays_in_its_bounds_and_moves_slowly(seed: int, low: float, span: float, step: float, n: int) -> None:
    values = walk(np.random.default_rng(seed), (low, low + span), step, n)
    assert len(values) == n
    assert (values >= low).all()
    assert (values <= low + span).all()
    assert (np.abs(np.diff(values)) <= step + 1e-9).all()


def test_a_walk_begins_anywhere_and_wanders() -> None:
    walks = np.array([walk(np.random.default_rng(seed), (0, 1), 0.1, 20) for seed in range(300)])
    assert np.histogram(walks[:, 0], 4, (0, 1))[0].min() > 40
    assert (walks.max(axis=1) - walks.min(axis=1)).mean() > 0.15


def test_choices_come_as_often_as_their_weights_say() -> None:
    rng = np.random.default_rng(3)
    drawn = [chosen(rng, {"a": 3.0, "b": 0.0, "c": 1.0}) for _ in range(4000)]
    assert drawn.count("b") == 0
    assert abs(drawn.count("a") / 4000 - 0.75) < 0.03


def test_single_draws_lie_in_their_ranges() -> None:
    rng = np.random.default_rng(0)
    assert {whole(rng, (2, 4)) for _ in range(100)} == {2, 3, 4}
    assert all(1 <= uniform(rng, (1, 2)) <= 2 for _ in range(100))
    octaves = [log_uniform(rng, (1, 16)) for _ in range(2000)]
    assert abs(sum(value < 4 for value in octaves) / 2000 - 0.5) < 0.05
    assert not chance(rng, 0)
    assert chance(rng, 1)
