"""Weights of networks for faces: named, found as others, known by their keys, and refused when they are others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from vidsr.cli.models import models
from vidsr.errors import UsageError, WeightsError
from vidsr.events import Event, Notice
from vidsr.faces.nets.gfpgan import GFPGANv1Clean
from vidsr.faces.nets.gfpgan_original import GFPGANv1
from vidsr.faces.nets.retinaface import RetinaFace
from vidsr.faces.weights import CODEFORMER, LAYOUTS, load_network
from vidsr.models import store
from vidsr.models.archs.compact import SRVGGNetCompact
from vidsr.models.builtin import builtin
from vidsr.models.files import read_bytes
from vidsr.models.importing import remove
from vidsr.models.load import load_model
from vidsr.models.registry import Kind

from .net_cases import SHAPES, SMALL

State = dict[str, Tensor]
KINDS: dict[str, Kind] = {
    "gfpgan": "face-restorer", "gfpgan-original": "face-restorer", "restoreformer": "face-restorer",
    "parsenet": "face-parser", "retinaface-resnet50": "face-detector", "retinaface-mobile": "face-detector",
}  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIDSR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VIDSR_WEIGHTS_URL", "http://127.0.0.1:9")
    return tmp_path / "home" / "weights"


def small(kind: type[GFPGANv1Clean] = GFPGANv1Clean) -> State:
    return dict(kind(**SMALL).state_dict())  # type: ignore[arg-type]


def saved(path: Path, content: object) -> str:
    torch.save(content, path)
    return str(path)


@pytest.mark.parametrize("name", ["1", "1.2", "1.3", "1.4", "GFPGANv1.4", "restoreformer", "parsenet"])
def test_the_reference_s_names_are_known(name: str) -> None:
    item = builtin().get(name)
    assert item.kind == ("face-parser" if name == "parsenet" else "face-restorer")
    assert item.non_commercial == (name != "restoreformer")


def test_every_network_is_known_by_its_keys() -> None:
    """And by no other's: at the sizes of the released weights."""
    for name, shapes in json.loads(SHAPES.read_text()).items():
        (layout,) = (item for item in LAYOUTS if shapes.keys() >= item.marks)
        assert layout.kind == KINDS[name]
        state = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
        with torch.device("meta"):
            made = layout.make(state).state_dict()
        assert {key: list(value.shape) for key, value in made.items()} == shapes


@pytest.mark.parametrize("kind", [GFPGANv1Clean, GFPGANv1])
@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"params_ema": s}, lambda s: {"params": s}])
def test_a_file_of_any_wrapping_is_loaded_strictly(
    tmp_path: Path, kind: type[GFPGANv1Clean], wrap: Callable[[State], object]
) -> None:
    state = small(kind)
    heard: list[Event] = []
    found = load_network(saved(tmp_path / "mine.pth", wrap(state)), "face-restorer", heard.append)
    assert type(found.network) is kind
    assert (found.title, found.licence, found.name) == (kind.__name__, "unknown", "mine")
    loaded = found.network.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())
    assert not found.network.training
    assert any(isinstance(event, Notice) and "unverified" in event.text for event in heard)


def test_prefixes_go_and_counters_may_lack(tmp_path: Path) -> None:
    """As in facexlib's files, which are older than the counters of batch normalisation."""
    state = RetinaFace("mobilenet0.25").state_dict()
    old = {f"module.{key}": value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    found = load_network(saved(tmp_path / "mine.pth", old), "face-detector")
    assert found.title == "RetinaFace on MobileNet 0.25"
    assert torch.equal(found.network.state_dict()["fpn.merge1.0.weight"], state["fpn.merge1.0.weight"])


def damaged(change: Callable[[State], object]) -> State:
    state = small()
    change(state)
    return state


BAD: dict[str, tuple[Callable[[], object], str]] = {
    "a generator": (lambda: SRVGGNetCompact(4, 1, 2).state_dict(), "fit no network for faces, their first keys are"),
    "another kind": (lambda: RetinaFace("mobilenet0.25").state_dict(), "are of RetinaFace on MobileNet 0.25, a face-"),
    "CodeFormer": (
        lambda: {key: torch.zeros(2) for key in (*CODEFORMER, "encoder.conv_in.weight")},
        "are of CodeFormer, which vidsr has not",
    ),
    "a missing key": (lambda: damaged(lambda s: s.pop("final_conv.bias")), "final_conv.bias is missing"),
    "one too many": (lambda: damaged(lambda s: s.update(more=torch.zeros(1))), "more is unexpected"),
    "a wrong shape": (
        lambda: damaged(lambda s: s.update({"final_conv.bias": torch.zeros(3)})),
        r"final_conv.bias is \(3,\), expected \(64,\)",
    ),
    "no numbers": (
        lambda: damaged(lambda s: s["final_conv.bias"].fill_(torch.nan)), "final_conv.bias holds values that are not",
    ),
    "odd sizes": (
        lambda: damaged(lambda s: s.update({"stylegan_decoder.constant_input.weight": torch.zeros(1)})),
        "their shapes are of no GFPGANv1Clean",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_weights_of_another_kind_are_refused(tmp_path: Path, what: str) -> None:
    make, message = BAD[what]
    path = saved(tmp_path / "mine.pth", make())
    with pytest.raises(WeightsError, match=message) as caught:
        load_network(path, "face-restorer")
    assert path in str(caught.value)


def test_names_of_another_kind_are_refused() -> None:
    with pytest.raises(UsageError, match="model parsenet is a face-parser, which --face-enhance uses by itself"):
        load_network("parsenet", "face-restorer")
    with pytest.raises(UsageError, match=r"gfpgan-1\.3 is a face-restorer, which --face-enhance takes"):
        load_model("1.3")
    with pytest.raises(UsageError, match=r"did you mean 'gfpgan-1\.4'"):
        load_network("gfpgan-14", "face-restorer")


def test_a_file_under_a_known_name_must_be_the_known_one(tmp_path: Path, home: Path) -> None:
    path = saved(tmp_path / "GFPGANv1.4.pth", small())
    with pytest.raises(WeightsError, match="sha256 differs"):
        load_network(path, "face-restorer")
    home.mkdir(parents=True)
    saved(home / "GFPGANv1.4.pth", small())
    with pytest.raises(WeightsError, match="sha256 differs"):
        load_network("1.4", "face-restorer")


def test_what_forbids_commercial_use_says_so(home: Path) -> None:
    """gfpgan-1 has no known sha256, so that any weights can stand in for it here."""
    home.mkdir(parents=True)
    saved(home / "GFPGANv1.pth", {"params_ema": small(GFPGANv1)})
    heard: list[Event] = []
    found = load_network("1", "face-restorer", heard.append)
    texts = [event.text for event in heard if isinstance(event, Notice) and event.level == "warning"]
    assert any("gfpgan-1 are not free for commercial use: Apache-2.0; StyleGAN2" in text for text in texts)
    assert (found.name, found.licence) == ("gfpgan-1", builtin().get("1").licence)


def test_the_embedded_detector_is_whole_and_free() -> None:
    heard: list[Event] = []
    found = load_network("retinaface-mobile", "face-detector", heard.append)
    path = Path(found.origin)
    assert heard == []
    assert path.stat().st_size == builtin().get("retinaface-mobile").bytes
    assert path.stat().st_size < 1_000_000
    assert found.sha256 == store.sha256_of(read_bytes(path)) == builtin().get("retinaface-mobile").sha256
    assert found.sha256 in path.with_name("NOTICE.txt").read_text()
    assert "MIT License" in path.with_name("NOTICE.txt").read_text()


def test_the_embedded_detector_is_not_removed() -> None:
    with pytest.raises(UsageError, match="no weights of 'retinaface-mobile' are in the cache"):
        remove("retinaface-mobile")
    assert store.official_file(builtin().get("retinaface-mobile")).is_file()


def test_models_shows_them_with_their_licence(home: Path) -> None:
    def facts(name: str) -> dict[str, object]:
        shown: dict[str, object] = json.loads(CliRunner().invoke(models, ["info", name, "--json"]).stdout)
        return shown

    assert facts("retinaface-mobile")["parameters"] == 426608
    gfpgan = facts("1.4")
    assert gfpgan["non_commercial"] is True
    assert "NVIDIA" in str(gfpgan["licence"])
    assert "parameters" not in gfpgan
    home.mkdir(parents=True)
    path = saved(home / "GFPGANv1.pth", small(GFPGANv1))
    assert facts("1")["architecture"] == facts(path)["architecture"] == "GFPGANv1"
    rows = {row["name"]: row for row in json.loads(CliRunner().invoke(models, ["list", "--json"]).stdout)}
    assert rows["gfpgan-1"]["weights"] == "cached"
    assert rows["retinaface-mobile"]["weights"] == "in package"
    text = CliRunner().invoke(models, ["list"]).stdout
    assert "not for commercial use" in next(line for line in text.splitlines() if line.startswith("gfpgan-1.4"))
    assert CliRunner().invoke(models, ["download", "retinaface-mobile"]).stdout.strip().endswith(".safetensors")
