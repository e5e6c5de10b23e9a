"""What is known of a network decides how it runs: tiles where they are advised against, and who runs ONNX files."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.fakes import Repeater, describe
from tests.runtime.tiny import CPU
from vidsr.errors import UsageError
from vidsr.events import Event, FellBack
from vidsr.models.community import Community
from vidsr.models.descriptor import Descriptor
from vidsr.models.load import load_model
from vidsr.options import Options
from vidsr.runtime import choose, engine
from vidsr.runtime.choose import make_runtime
from vidsr.runtime.engine import plan_engine

from .test_community import squares
from .test_graph import repeater


def planned(tiles: bool, **choices: Any) -> tuple[engine.Engine, list[str]]:
    network = dataclasses.replace(describe(Repeater(2)), tiles=tiles)
    return plan_engine(network, Options(**choices), CPU, 512, 512)


def test_tiles_that_are_advised_against_are_not_taken_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "free_bytes", lambda device: 1 << 20)
    assert planned(tiles=True)[0].tile > 0
    assert planned(tiles=False)[0].tile == 0
    taken, notes = planned(tiles=False, tile=64)
    assert taken.tile == 64
    assert notes == ["the makers of repeater advise against tiles"]
    assert planned(tiles=True, tile=64)[1] == []


def test_half_precision_that_is_not_supported_is_refused() -> None:
    network = dataclasses.replace(describe(Repeater(2)), dtypes=frozenset({"fp32"}))
    assert plan_engine(network, Options(), CPU, 64, 64)[0].precision == "fp32"
    with pytest.raises(UsageError, match="--precision: fp16"):
        plan_engine(network, Options(precision="fp16"), CPU, 64, 64)


def community() -> Descriptor:
    network: Community = squares()
    return dataclasses.replace(describe(Repeater(1)), network=network, arch=network.title, name="square")


def test_networks_of_others_are_not_compiled() -> None:
    events: list[Event] = []
    assert make_runtime("compiled", community(), CPU, "fp32", events.append).name == "eager"
    assert [event.reason for event in events if isinstance(event, FellBack)] == [
        "runtime compiled is not tried with networks of others, square is Square small, by spandrel"
    ]
    assert choose._why_not("compiled", torch.device("cuda"), community(), "fp16") is not None


def test_without_a_provider_for_the_device_the_cpu_runs_an_onnx_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.onnx").write_bytes(repeater().SerializeToString())
    monkeypatch.setattr(choose, "default_provider", lambda device: "cuda")
    monkeypatch.setattr(choose, "providers", lambda: ["cpu"])
    events: list[Event] = []
    runtime = make_runtime("auto", load_model(str(tmp_path / "net.onnx")), CPU, "fp32", events.append)
    rgb = torch.rand(1, 3, 4, 4)
    assert runtime(rgb).shape == (1, 3, 8, 8)
    assert [(event.wanted, event.used) for event in events if isinstance(event, FellBack)] == [
        ("onnx:cuda", "onnx:cpu")
    ]
