"""The one visible list of built-in weights: presets/weights.yaml."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml

from ..presets import folder
from .registry import Registry, Weights


def read_registry(path: Path) -> Registry:
    """The registry that a weights.yaml describes. Raises ValueError for entries that contradict or break the form."""
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    registry = Registry(Weights(name=name, **entry) for name, entry in entries.items())
    for item in registry:
        if item.partner is not None and registry.find(item.partner) is None:
            raise ValueError(f"{item.name}: its partner {item.partner!r} is not in the list")
    return registry


@cache
def builtin() -> Registry:
    """The weights that vidsr knows; read once."""
    return read_registry(folder() / "weights.yaml")
