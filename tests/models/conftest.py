"""Every test has a cache of its own and no mirror."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIDSR_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VIDSR_WEIGHTS_URL", raising=False)
    return tmp_path / "home" / "weights"
