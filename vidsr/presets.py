"""The YAML files that ship with vidsr: sets of options, and the list of weights."""

from __future__ import annotations

from pathlib import Path


def folder() -> Path:
    """The folder of the presets: inside the package when installed, at the root of the repository in a checkout."""
    installed = Path(__file__).with_name("_presets")
    return installed if installed.is_dir() else Path(__file__).parent.parent / "presets"
