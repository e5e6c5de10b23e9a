"""Exports: every form of every family runs in its own program and comes back into vidsr, the same picture each time."""

from __future__ import annotations

import dataclasses
import math
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.runtime.tiny import descriptor, grown
from vidsr.errors import ExistsError, UsageError, WeightsError
from vidsr.models import convert
from vidsr.models.archs.compact import SRVGGNetCompact
from vidsr.models.archs.rrdb import RRDBNet
from vidsr.models.convert import SUFFIXES, Form, compare, export_model, picture
from vidsr.models.descriptor import Descriptor
from vidsr.models.load import load_model

FAMILIES: dict[str, Any] = {
    "compact x1": lambda: SRVGGNetCompact(8, 2, 1),
    "compact x2 leaky": lambda: SRVGGNetCompact(8, 2, 2, "leakyrelu"),
    "compact x3 relu": lambda: SRVGGNetCompact(8, 1, 3, "relu"),
    "compact x4": lambda: SRVGGNetCompact(8, 2, 4),
    "rrdb x1": lambda: RRDBNet(8, 1, 4, 1),
    "rrdb x2": lambda: RRDBNet(8, 1, 4, 2),
    "rrdb x4": lambda: RRDBNet(8, 2, 4, 4),
    "rrdb x2, one enlargement": lambda: RRDBNet(8, 1, 4, 2, 1),
    "rrdb x8": lambda: RRDBNet(8, 1, 4, 8, 3),
}
CASES = [
    *product(FAMILIES, ("safetensors", "ncnn")),
    *product(("compact x4", "compact x2 leaky", "rrdb x1", "rrdb x4"), ("torch-export",)),
    *product(("compact x4", "rrdb x2"), ("onnx",)),  # test_graph.py has the others
]


def made(family: str) -> Descriptor:
    network = grown(FAMILIES[family](), 0.7)
    return descriptor(network, "tiny")  # type: ignore[arg-type]


def needed(form: str) -> None:
    if form == "onnx":
        pytest.importorskip("onnxscript", exc_type=ImportError)
        pytest.importorskip("onnxruntime", exc_type=ImportError)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("family", "form"), CASES)
def test_every_form_runs_and_comes_back(tmp_path: Path, family: str, form: Form) -> None:
    needed(form)
    network, target = made(family), tmp_path / f"net{SUFFIXES[form]}"
    done = export_model(network, form, target)
    assert done.decibels > 90
    assert done.worst < 1e-3
    assert done.files[0] == target
    assert done.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    again = load_model(str(target))
    assert (again.scale, again.multiple_of) == (network.scale, network.multiple_of)
    decibels, _ = compare(network, again.network)
    assert decibels > 90


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("form", SUFFIXES)
def test_half_is_smaller_and_near(tmp_path: Path, form: Form) -> None:
    needed(form)
    network, target = made("compact x4"), tmp_path / f"net{SUFFIXES[form]}"
    whole = export_model(network, form, target)
    half = export_model(network, form, target, half=True, overwrite=True)
    assert half.precision == "fp16"
    assert half.bytes < whole.bytes
    assert 50 < half.decibels < 100
    assert 50 < compare(network, load_model(str(target)).network)[0] < 100


@pytest.mark.parametrize("form", ["onnx", "torch-export"])
def test_sizes_are_free(tmp_path: Path, form: Form) -> None:
    needed(form)
    network, target = made("rrdb x2"), tmp_path / f"net{SUFFIXES[form]}"
    export_model(network, form, target)
    run: Any = torch.export.load(target).module() if form == "torch-export" else load_model(str(target)).network
    for shape in ((1, 3, 10, 6), (3, 3, 16, 30)):
        rgb = torch.rand(shape)
        assert torch.allclose(run(rgb), network.network(rgb), atol=1e-4)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_packaged_network_is_exported_exactly(tmp_path: Path) -> None:
    network = load_model("animevideov3")
    for form in ("safetensors", "ncnn"):
        assert export_model(network, form, tmp_path / f"a{SUFFIXES[form]}").decibels > 100  # type: ignore[index,arg-type]
    assert (tmp_path / "a.bin").stat().st_size > 2_000_000


def test_a_file_that_gives_another_picture_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = made("compact x4").network
    with torch.no_grad():
        next(iter(other.parameters())).add_(0.05)
    monkeypatch.setitem(convert._RUNNERS, "safetensors", lambda *_: ("vidsr", other))
    with pytest.raises(WeightsError, match=r"file of tiny is [0-9.]+ dB from it, expected is 60"):
        export_model(made("compact x4"), "safetensors", tmp_path / "net.safetensors")
    monkeypatch.setitem(convert._RUNNERS, "safetensors", lambda *_: ("vidsr", lambda rgb: rgb * math.nan))
    with pytest.raises(WeightsError, match="is nan dB"):
        export_model(made("compact x1"), "safetensors", tmp_path / "net.safetensors")
    assert not list(tmp_path.glob("net*"))


def test_calls_that_cannot_work_are_told_first(tmp_path: Path) -> None:
    network = made("compact x1")
    with pytest.raises(UsageError, match=r"does not end in \.pt2"):
        export_model(network, "torch-export", tmp_path / "net.onnx")
    with pytest.raises(UsageError, match="'tflite' is not allowed, allowed are onnx, safetensors, torch-export, ncnn"):
        export_model(network, "tflite", tmp_path / "net.onnx")  # type: ignore[arg-type]
    (tmp_path / "net.bin").write_bytes(b"mine")
    with pytest.raises(ExistsError, match=r"net\.bin exists"):
        export_model(network, "ncnn", tmp_path / "net.param")
    other = dataclasses.replace(network, network=torch.nn.Conv2d(3, 3, 1), arch="something")
    with pytest.raises(UsageError, match="ncnn has SRVGGNetCompact and RRDBNet only, tiny is something"):
        export_model(other, "ncnn", tmp_path / "other.param")


def test_the_picture_has_shades_edges_and_grain() -> None:
    seen = picture(48, 64)
    assert seen.shape == (1, 3, 48, 64)
    assert 0 <= float(seen.min()) < 0.1 < 0.8 < float(seen.max()) <= 1
    steps = (seen[..., 1:] - seen[..., :-1]).abs()
    assert float(steps.max()) > 0.4
    assert 0.005 < float(steps.median()) < 0.05
    assert torch.equal(seen, picture(48, 64))
