"""Runs in tests draw no curves: matplotlib takes longer than the runs."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.run.offer", lambda run, emit: None)
