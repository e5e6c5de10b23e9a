"""Imported weights: a name, a hash and a card, for every kind of file; and how they go again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from vidsr.errors import UsageError, WeightsError
from vidsr.events import Event
from vidsr.models import store
from vidsr.models.archs.compact import SRVGGNetCompact
from vidsr.models.cards import beside, read_card
from vidsr.models.convert import export_model
from vidsr.models.find import find
from vidsr.models.importing import import_file, remove
from vidsr.models.load import load_model

from .test_graph import repeater


def saved(folder: Path, ending: str) -> Path:
    """A network of scale 2 in a file of any kind."""
    torch.manual_seed(1)
    network = SRVGGNetCompact(4, 1, 2).eval().requires_grad_(False)
    path = folder / f"mine{ending}"
    if ending == ".pth":
        torch.save({"params": network.state_dict()}, path)
    elif ending == ".safetensors":
        safetensors.torch.save_file(network.state_dict(), path)
    elif ending == ".onnx":
        path.write_bytes(repeater().SerializeToString())
    else:
        torch.save({"params": network.state_dict()}, folder / "other.pth")
        form: Any = {".param": "ncnn", ".pt2": "torch-export"}[ending]
        export_model(load_model(str(folder / "other.pth")), form, path)
    return path


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("ending", [".pth", ".safetensors", ".param", ".pt2", ".onnx"])
def test_every_kind_of_file_gets_a_name_a_hash_and_a_card(tmp_path: Path, home: Path, ending: str) -> None:
    path = saved(tmp_path, ending)
    expected = load_model(str(path))
    kept = import_file(path, "show", purpose="my show", licence="CC0", url="https://example.org/show")
    assert kept.parent == home
    card = read_card(kept)
    assert card is not None
    hashed = path.with_suffix(".bin") if ending == ".param" else path
    assert card.sha256 == hashlib.sha256(hashed.read_bytes()).hexdigest()
    assert (card.purpose, card.licence, card.url, card.scale) == ("my show", "CC0", "https://example.org/show", 2)
    for file in tmp_path.glob("mine*"):
        file.unlink()
    events: list[Event] = []
    found = load_model("show", emit=events.append)
    assert (found.name, found.sha256, found.licence, found.scale) == ("show", card.sha256, "CC0", 2)
    assert events == []
    rgb = torch.rand(1, 3, 6, 8)
    assert torch.equal(found.network(rgb), expected.network(rgb))
    assert store.imported_names() == ["show"]
    assert remove("show") == [kept]
    assert list(home.iterdir()) == []
    with pytest.raises(UsageError, match="model 'show' is unknown"):
        find("show")


def test_a_name_belongs_to_the_last_import(tmp_path: Path, home: Path) -> None:
    import_file(saved(tmp_path, ".onnx"), "show")
    import_file(saved(tmp_path, ".pth"), "show")
    assert sorted(path.name for path in home.iterdir()) == ["show.safetensors"]
    import_file(saved(tmp_path, ".onnx"), "show")
    assert sorted(path.name for path in home.iterdir()) == ["show.onnx", "show.onnx.json"]


def test_a_kept_graph_that_was_altered_is_refused(tmp_path: Path) -> None:
    kept = import_file(saved(tmp_path, ".onnx"), "show")
    kept.write_bytes(kept.read_bytes() + b" ")
    with pytest.raises(WeightsError, match="sha256 differs"):
        load_model("show")
    beside(kept).unlink()
    with pytest.raises(WeightsError, match="have no card") as caught:
        load_model("show")
    assert "vidsr models remove show" in caught.value.hint


@pytest.mark.parametrize("activation", ["relu", "leakyrelu"])
def test_an_activation_that_weights_do_not_tell_can_be_told(tmp_path: Path, activation: Any) -> None:
    torch.manual_seed(2)
    made = SRVGGNetCompact(4, 2, 2, activation).eval()
    torch.save(made.state_dict(), tmp_path / "a.pth")
    import_file(tmp_path / "a.pth", "told", activation=activation)
    import_file(tmp_path / "a.pth", "untold")
    rgb = torch.randn(1, 3, 6, 8)
    told, untold = load_model("told"), load_model("untold")
    with torch.inference_mode():
        assert torch.allclose(told.network(rgb), made(rgb), atol=1e-6)
        assert torch.allclose(untold.network(rgb), made(rgb), atol=1e-6) == (activation == "relu")
    assert told.sha256 != untold.sha256


@pytest.mark.parametrize(("ending", "said"), [(".pth", "have PReLU slopes"), (".onnx", "only SRVGGNetCompact")])
def test_an_activation_where_there_is_no_choice_is_refused(tmp_path: Path, ending: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        import_file(saved(tmp_path, ending), activation="leakyrelu")


def test_removing_what_is_not_there_is_told(tmp_path: Path, home: Path) -> None:
    import_file(saved(tmp_path, ".pth"), "show")
    for name in ("nothing", "x2plus", "../show"):
        with pytest.raises(UsageError, match="are in the cache; imported: show"):
            remove(name)


def test_a_copy_of_a_built_in_network_comes_back(home: Path) -> None:
    load_model("animevideov3")
    assert remove("realesr-animevideov3") == [home / "animevideov3.safetensors"]
    assert load_model("animevideov3").scale == 4


def test_cards_of_before_and_broken_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    said = {"source": "a", "sha256": "b", "licence": "c", "digest": "d"}
    for text, good in ((json.dumps(said), True), ("{", False), (json.dumps({**said, "more": 1}), False), ("[]", False)):
        safetensors.torch.save_file({"x": torch.zeros(1)}, path, {"vidsr": text})
        assert (read_card(path) is not None) == good
    for bad in (b"", b"\xff" * 8, b"\xff" * 20, (5).to_bytes(8, "little") + b"{}"):
        path.write_bytes(bad)
        assert read_card(path) is None
