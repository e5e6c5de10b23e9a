"""The weights in a .pt2 archive, and archives that are none."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vidsr.errors import WeightsError
from vidsr.models.archs.compact import SRVGGNetCompact
from vidsr.models.files import digest, parse
from vidsr.models.pt2 import CONFIG


@pytest.fixture(scope="module")
def exported() -> tuple[bytes, SRVGGNetCompact]:
    torch.manual_seed(1)
    network, stream = SRVGGNetCompact(4, 1, 2).eval(), io.BytesIO()
    torch.export.save(torch.export.export(network, (torch.zeros(1, 3, 8, 8),)), stream)
    return stream.getvalue(), network


def changed(data: bytes, change: Callable[[str, bytes], bytes | None]) -> bytes:
    """The archive with some of its files changed, or left out."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w") as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return stream.getvalue()


def first(**changes: Any) -> Callable[[str, bytes], bytes | None]:
    """Changes what is said of the first tensor."""

    def change(name: str, content: bytes) -> bytes:
        if not name.endswith(CONFIG):
            return content
        config = json.loads(content)
        entry = next(iter(config["config"].values()))
        entry |= {key: value for key, value in changes.items() if key in entry}
        entry["tensor_meta"] |= {key: value for key, value in changes.items() if key in entry["tensor_meta"]}
        return json.dumps(config).encode()

    return change


def test_the_weights_are_read_without_running_anything(
    exported: tuple[bytes, SRVGGNetCompact], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("nothing else may be loaded")

    monkeypatch.setattr(torch, "load", forbidden)
    monkeypatch.setattr(torch.export, "load", forbidden)
    assert digest(parse(Path("net.pt2"), exported[0])) == digest(dict(exported[1].state_dict()))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (first(use_pickle=True), "is no plain floating-point tensor"),
        (first(dtype=4), "is no plain floating-point tensor"),
        (first(sizes=[{"as_int": 1 << 40}]), "has 432 bytes, expected"),
        (first(sizes=[{"as_int": -4}, {"as_int": -27}]), "has 432 bytes, expected"),
        (first(strides=[{"as_int": 0}] * 4), "do not lie in order"),
        (first(storage_offset={"as_int": 8}), "do not lie in order"),
        (first(path_name="../../model.json"), "damaged"),
        (lambda name, content: None if name.endswith("weight_0") else content, "damaged"),
        (lambda name, content: b"[" if name.endswith(CONFIG) else content, "damaged"),
        (lambda name, content: b"{}" if name.endswith(CONFIG) else content, "damaged"),
    ],
)  # fmt: skip
def test_archives_that_say_something_else_are_refused(
    exported: tuple[bytes, SRVGGNetCompact], change: Callable[[str, bytes], bytes | None], said: str
) -> None:
    with pytest.raises(WeightsError, match=said):
        parse(Path("net.pt2"), changed(exported[0], change))
