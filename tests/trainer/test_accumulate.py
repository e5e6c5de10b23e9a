"""Several small batches come to the same step as one large batch, for both networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer import fakes
from trainer.log import read_log

GAN = {"gan": fakes.GAN, "losses": [{"kind": "l1"}, {"kind": "fft", "weight": 0.1}]}
APART = 2e-6
"""Float error on weights after three steps of 1e-3."""


def weights(folder: Path, changes: dict[str, Any], **loop: Any) -> dict[str, Any]:
    """The final weights of both networks."""
    run = folder / "-".join(f"{name}{value}" for name, value in loop.items())
    fakes.train(fakes.config(folder, **changes, loop={"iterations": 3, "log_every": 1, **loop}), run)
    state = fakes.last(run).state
    return {"run": run, "generator": state["generator"], "discriminator": state["discriminator"] or {}}


def train_lines(run: Path) -> list[dict[str, float]]:
    """What was logged of each iteration, without the clock."""
    clock = {"kind", "it_s", "wait_share"}
    lines = [line for line in read_log(run) if line["kind"] == "train"]
    assert len(lines) == 3
    return [{name: value for name, value in line.items() if name not in clock} for line in lines]


def distance(first: dict[str, Any], second: dict[str, Any]) -> float:
    """The largest difference of two state dicts."""
    assert first.keys() == second.keys()
    return max((float((first[name] - second[name]).abs().max()) for name in first), default=0.0)


@pytest.mark.parametrize("changes", [{}, GAN], ids=["net", "gan"])
def test_four_batches_of_two_are_one_of_eight(tmp_path: Path, changes: dict[str, Any]) -> None:
    many = weights(tmp_path, changes, batch=2, accumulate=4)
    one = weights(tmp_path, changes, batch=8, accumulate=1)
    for name in ("generator", "discriminator"):
        assert distance(many[name], one[name]) < APART
    for small, large in zip(train_lines(many["run"]), train_lines(one["run"]), strict=True):
        assert small == pytest.approx(large, rel=1e-4, abs=1e-6)


def test_the_comparison_would_notice(tmp_path: Path) -> None:
    """A run that forgets to divide, or sees other samples, is farther away than float error."""
    base = weights(tmp_path, GAN, batch=8)
    fewer = weights(tmp_path, GAN, batch=6)
    assert distance(base["generator"], fewer["generator"]) > 20 * APART
    assert distance(base["discriminator"], fewer["discriminator"]) > 20 * APART


def test_gradients_are_means_and_not_sums(tmp_path: Path) -> None:
    """Adam hides a wrong factor, the norm of the gradient does not."""
    norms = [train_lines(weights(tmp_path, GAN, batch=2, accumulate=n)["run"])[0] for n in (1, 8)]
    for name in ("g_norm", "d_norm"):
        assert 1 / 3 < norms[1][name] / norms[0][name] < 3
    assert torch.isfinite(torch.tensor([line["total"] for line in norms])).all()
