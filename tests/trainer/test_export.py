"""Export: what `vidsr upscale --model NAME` runs is the network that was trained, and its card says what it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import trainer.export as exporting
from tests.clips import make_clip
from tests.trainer.small_runs import configuration, finished, network
from trainer.export import export
from trainer.log import Log
from trainer.metrics.options import Export
from trainer.portable import weights_of
from vidsr import upscale
from vidsr.errors import UsageError
from vidsr.events import Event, Notice
from vidsr.models import store
from vidsr.models.load import load_model
from vidsr.options import Options


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of 20 iterations whose average is network 1 and whose last weights are network 2; nothing is registered."""
    monkeypatch.setenv("VIDSR_HOME", str(tmp_path / "home"))
    made = finished(tmp_path, configuration(tmp_path), weights_of(network(1)), weights_of(network(2)))
    with Log(made, 0) as log:
        log.write("validation", 0, {"psnr_y": 30.0, "film/psnr_y": float("inf")})
        log.write("train", 10, {"l1": 0.1})
        log.write("validation", 20, {"psnr_y": 31.5, "film/psnr_y": 31.5})
    return made


def test_the_exported_network_is_the_trained_one(run: Path) -> None:
    done = export(run, Export(onnx=False))
    rgb = torch.rand(1, 3, 17, 23)
    with torch.no_grad():
        expected = network(1)(rgb)
        assert torch.equal(load_model(str(done.weights)).network(rgb), expected)
        assert torch.equal(load_model("small").network(rgb), expected)
    assert done.weights == run / "export" / "small.safetensors"
    assert done.registered == "small"
    assert done.onnx is None


def test_upscale_runs_it_by_its_name(run: Path, tmp_path: Path) -> None:
    export(run, Export(name="my-show", onnx=False))
    report = upscale(make_clip(tmp_path / "in.mkv", frames=3), tmp_path / "out.mkv", options=Options(model="my-show"))
    assert (report.model, report.width, report.height) == ("my-show", 128, 128)


def test_weights_of_the_last_iteration_can_be_taken_and_made_half(run: Path) -> None:
    done = export(run, Export(name="live", weights="net", half=True, onnx=False, register_name=False))
    rgb = torch.rand(1, 3, 9, 9)
    with torch.no_grad(), safe_open(done.weights, "pt") as file:
        assert torch.allclose(load_model(str(done.weights)).network(rgb), network(2)(rgb), atol=1e-3)
        assert file.get_tensor("body.0.weight").dtype == torch.float16
    assert done.registered is None
    assert store.imported_file("live") is None


@pytest.mark.parametrize("activation", ["relu", "leakyrelu"])
def test_an_activation_that_weights_do_not_tell_is_kept(activation: str, tmp_path: Path) -> None:
    net = network(4, activation)
    config = configuration(tmp_path, net={"kind": "srvgg", "features": 8, "convolutions": 2, "activation": activation})
    state = {key: value.detach() for key, value in net.state_dict().items()}
    done = export(finished(tmp_path, config, state, state), Export(onnx=False, register_name=False))
    rgb = torch.rand(1, 3, 9, 9)
    with torch.no_grad():
        assert torch.allclose(load_model(str(done.weights)).network(rgb), net(rgb), atol=1e-7)


def test_the_onnx_file_equals_the_network(run: Path) -> None:
    done = export(run, Export(register_name=False))
    assert done.onnx == run / "export" / "small.onnx"
    rgb = torch.rand(1, 3, 20, 12)
    with torch.no_grad():
        assert torch.allclose(load_model(str(done.onnx)).network(rgb), network(1)(rgb), atol=1e-5)
    parity = json.loads(done.card.read_text())["onnx"]
    assert parity["worst"] < 1e-5
    assert parity["checked_by"] == "onnxruntime"


def test_the_card_says_what_the_network_is_and_where_it_comes_from(run: Path, tmp_path: Path) -> None:
    done = export(run, Export(onnx=False, licence="CC0-1.0", register_name=False))
    card = json.loads(done.card.read_text(), parse_constant=pytest.fail)
    assert card["architecture"] == "SRVGGNetCompact 8 features, 2 convolutions, prelu"
    assert (card["scale"], card["receptive_field"], card["licence"]) == (2, 4, "CC0-1.0")
    assert card["training"]["config_sha256"] == configuration(tmp_path).digest()
    assert card["training"]["iterations"] == 20
    assert card["training"]["data"][0]["paths"] == ["film.mkv"]
    assert str(tmp_path) not in done.card.read_text()
    assert card["metrics"]["first"] == {"iteration": 0, "psnr_y": 30.0, "film/psnr_y": None}
    assert card["metrics"]["this"] == {"iteration": 20, "psnr_y": 31.5, "film/psnr_y": 31.5}
    with safe_open(done.weights, "pt") as file:
        assert json.loads(file.metadata()["card"]) == card
        assert file.metadata()["scale"] == "2"
    assert load_model(str(done.weights)).sha256 != card["weights"]["sha256"]  # of a file, and of the tensors in it


def test_an_export_replaces_that_of_the_same_run_only(run: Path, tmp_path: Path) -> None:
    said: list[Event] = []
    assert export(run, Export(onnx=False)).registered == "small"
    assert export(run, Export(onnx=False, weights="net")).registered == "small"
    rgb = torch.rand(1, 3, 9, 9)
    with torch.no_grad():
        assert torch.equal(load_model("small").network(rgb), network(2)(rgb))
    done = export(run, Export(onnx=False), target=tmp_path / "elsewhere", emit=said.append)
    assert done.registered is None
    assert done.weights == tmp_path / "elsewhere" / "small.safetensors"
    [notice] = [event for event in said if isinstance(event, Notice)]
    assert "other weights have the name" in notice.text
    with torch.no_grad():
        assert torch.equal(load_model("small").network(rgb), network(2)(rgb))


def test_a_missing_package_costs_the_onnx_file_only(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise UsageError("an ONNX model needs the packages onnx", "pip install")

    said: list[Event] = []
    monkeypatch.setattr(exporting, "export_model", missing)
    done = export(run, Export(register_name=False), emit=said.append)
    assert done.onnx is None
    assert "needs the packages onnx" in said[0].text
    assert done.weights.is_file()
    assert "onnx" not in json.loads(done.card.read_text())


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no checkpoint"):
        export(tmp_path)


def test_the_name_of_a_built_in_model_is_refused(run: Path) -> None:
    with pytest.raises(UsageError, match="built-in"):
        export(run, Export(name="animevideov3", onnx=False))
