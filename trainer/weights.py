"""Weights that training starts from or measures with: found, checked by hash, read without running anything in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from vidsr.errors import WeightsError
from vidsr.models.files import parse, read_bytes
from vidsr.models.recover import shown
from vidsr.models.store import cache_folder, sha256_of


@dataclass(frozen=True, slots=True)
class Published:
    """A file of weights that others published and that users fetch themselves."""

    name: str
    """File name in the folder of weights."""
    sha256: str
    """In full, or its beginning where the publisher tells no more."""
    source: str
    """Where it is to be had."""


def read(
    known: Published, path: Path | None, sha256: str | None, loss: str, key: str = "weights"
) -> tuple[Path, bytes]:
    """The file at `path`, or without one that of its name in the folder of weights; and its content.

    `sha256`, in full or its beginning, is expected in place of the published one. `loss` is the kind of loss that needs
    it and `key` the one under which its options name the file, for messages. Raises WeightsError for a file that is
    missing or has another hash.
    """
    place, expected = path or cache_folder() / known.name, (sha256 or known.sha256).lower()
    if not place.is_file():
        raise WeightsError(
            f"loss {loss}: weights {place} do not exist, needed is {known.name} with sha256 {_shown(expected)}",
            f"get it from {known.source}, then put it there, "
            f"or name it in the config under kind: {loss} as {key}: PATH",
        )
    data = read_bytes(place)
    seen = sha256_of(data)
    if not seen.startswith(expected):
        name = "sha256" if key == "weights" else f"{key}_sha256"
        raise WeightsError(
            f"loss {loss}: weights {place} have sha256 {seen}, expected {_shown(expected)}",
            f"it is damaged or another file; if it is the right one, say so under kind: {loss} in the config as "
            f"{name}: {seen}",
        )
    return place, data


def load(known: Published, path: Path | None, sha256: str | None, loss: str, key: str = "weights") -> dict[str, Tensor]:
    """The float32 tensors in the file that `read` finds. Raises WeightsError."""
    return parse(*read(known, path, sha256, loss, key))


def fit(module: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Give `module` exactly these weights. Raises WeightsError, which says `what`, unless names and shapes fit."""
    expected = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    faults = [f"{name} is missing" for name in expected if name not in state]
    faults += [f"{name} is unexpected" for name in state if name not in expected]
    faults += [
        f"{name} is {tuple(state[name].shape)}, expected {shape}"
        for name, shape in expected.items()
        if name in state and tuple(state[name].shape) != shape
    ]
    faults += [f"{name} holds values that are not finite" for name in state if not torch.isfinite(state[name]).all()]
    if faults:
        raise WeightsError(f"{what}: the weights do not fit: {shown(faults)}", "it is the file of another network")
    module.load_state_dict(state, strict=True)


def _shown(sha256: str) -> str:
    return sha256 if len(sha256) == 64 else f"{sha256}…"
