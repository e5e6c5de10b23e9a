"""What is said of weights that were converted or imported: a card in the header of the file itself, or beside it.

Reading a card needs no torch, so that networks can be listed at once.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

KEY = "vidsr"
"""Of the card in the metadata of a safetensors file."""

LARGEST = 16 << 20
"""Bytes of a header or a card; one of ten thousand tensors takes a million."""


@dataclass(frozen=True)
class Card:
    """Where weights come from and what for; empty where nobody said. `sha256` is of the file they were made from."""

    source: str
    sha256: str
    licence: str
    digest: str
    """Of the tensors; empty where the file is kept as it is."""
    purpose: str = ""
    url: str = ""
    architecture: str = ""
    scale: int = 0

    def text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), sort_keys=True)


def from_text(text: str) -> Card:
    """The card in a JSON text. Raises ValueError when it is none."""
    said = json.loads(text)
    try:
        return Card(**said)
    except TypeError as error:
        raise ValueError(f"no card: {error}") from error


def beside(path: Path) -> Path:
    """Where the card of a file that has no header of ours lies."""
    return path.with_name(f"{path.name}.json")


def read_card(path: Path) -> Card | None:
    """The card of a kept file, None when it has none that can be read."""
    try:
        if path.suffix != ".safetensors":
            return from_text(_bounded(beside(path)))
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length) if length <= LARGEST else b"")
        return from_text(header["__metadata__"][KEY])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _bounded(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.read(LARGEST)
