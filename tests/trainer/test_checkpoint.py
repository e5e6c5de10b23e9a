"""States on the disk: whole, few, and readable by others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import torch

from tests.trainer import fakes
from tests.trainer.fakes import equal
from trainer import checkpoint, generator, reference
from trainer.options import Model, Rrdb, Srvgg
from trainer.tree import pack, unpack
from vidsr.errors import OutputError, UsageError, WeightsError
from vidsr.events import Notice, ignore
from vidsr.models.archs.compact import SRVGGNetCompact
from vidsr.models.load import load_model

fakes.one_thread()
TREES: list[Any] = [
    {},
    {"a": torch.arange(3), "b": {"c": torch.ones(2, 2, dtype=torch.float16), "d": None}},
    {"state": {0: {"step": torch.tensor(4.0)}, 7: {}}, "groups": [{"betas": (0.9, 0.99), "lr": 1e-4}]},
    ("MT19937", np.arange(4, dtype=np.uint32), 7, 0.5),
    (3, tuple(range(5)), None),
    {"$tensor": 1, "true": True, "text": "ü", "big": 2**127, "tiny": 5e-324},
    [torch.rand(3).expand(4, 3), torch.zeros(0)],
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run with a discriminator."""
    chosen = fakes.config(tmp_path, gan=fakes.GAN, checkpoint={"every": 1, "keep": 2, "milestones": [0.25]})
    fakes.train(chosen, tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("tree", TREES, ids=range(len(TREES)))
def test_trees_come_back_as_they_were(tree: Any) -> None:
    import json

    tensors, skeleton = pack(tree)
    back = unpack(tensors, json.loads(json.dumps(skeleton)))
    assert equal(tree, back)
    assert type(back) is type(tree)


def test_what_is_not_equal_is_told_apart() -> None:
    base = {"a": torch.zeros(2), "b": [1, (2.0,)]}
    for other in (
        {"a": torch.zeros(3), "b": [1, (2.0,)]},
        {"a": torch.zeros(2), "b": [1, (3.0,)]},
        {"a": torch.zeros(2)},
    ):
        assert not equal(base, other)
    assert not equal(torch.zeros(1), torch.zeros(1, dtype=torch.float64))


def test_code_is_never_kept() -> None:
    with pytest.raises(TypeError, match=r"a\.b is a set, which a checkpoint cannot hold"):
        pack({"a": {"b": {1}}})


def test_others_find_weights_and_configuration_in_the_file(run: Path) -> None:
    with safetensors.safe_open(fakes.last(run).path, "pt") as file:
        names = set(file.keys())
        assert "name" in file.metadata()[checkpoint.KEY]
    assert {"generator.body.0.weight", "ema.weights.body.0.weight", "discriminator.conv0.weight"} <= names
    assert fakes.last(run).config["net"]["features"] == 4


def test_the_newest_and_the_milestones_are_kept(run: Path) -> None:
    assert [int(path.stem) for path in checkpoint.listed(run)] == [1, 3, 4]


def test_pruning_takes_the_parts_of_other_processes_along(tmp_path: Path) -> None:
    for iteration in range(4):
        for rank in range(2):
            checkpoint.write(checkpoint.file_of(tmp_path, iteration, rank), {}, {}, iteration)
    checkpoint.prune(tmp_path, 1, {1})
    left = sorted(path.name for path in (tmp_path / "checkpoints").glob("*.safetensors"))
    assert left == [f"0000000{n}{part}.safetensors" for n in (1, 3) for part in (".rank1", "")]


def test_a_failed_write_leaves_the_checkpoint_before_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.read_bytes() for path in checkpoint.listed(run)}

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(
        OutputError, match=r"checkpoint .*00000009\.safetensors cannot be written: no space left"
    ) as told:
        checkpoint.write(checkpoint.file_of(run, 9), {"a": torch.zeros(9)}, {}, 9)
    assert "resume goes on from the checkpoint before it" in told.value.hint
    assert {path: path.read_bytes() for path in checkpoint.listed(run)} == before
    assert not [path for path in (run / "checkpoints").iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("damage", ["cut", "header", "other", "empty", "newer"])
def test_a_damaged_file_is_refused_in_one_sentence(run: Path, damage: str) -> None:
    path = fakes.last(run).path
    data = path.read_bytes()
    other = safetensors.torch.save({"a": torch.zeros(1)})
    newer = data.replace(b'\\"format\\": 1', b'\\"format\\": 2')
    path.write_bytes(
        {"cut": data[:-1], "header": b"\xff" * 8 + data[8:], "other": other, "empty": b"", "newer": newer}[damage]
    )
    told = "has format 2, this vidsr reads 1" if damage == "newer" else "is damaged, or no checkpoint of vidsr train"
    with pytest.raises(WeightsError, match=rf"checkpoint .*00000004\.safetensors {told}"):
        checkpoint.read(path)


def test_a_run_without_checkpoints_has_none_to_pick(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no checkpoint"):
        checkpoint.pick(tmp_path)


def test_the_layout_of_the_reference(run: Path, tmp_path: Path) -> None:
    saved = fakes.last(run)
    g, d = reference.write(saved, tmp_path / "models")
    assert (g.name, d.name) == ("net_g_4.pth", "net_d_4.pth")
    content = torch.load(g, weights_only=True)
    assert set(content) == {"params", "params_ema"}
    assert equal(content["params"], saved.weights("net"))
    assert equal(content["params_ema"], saved.weights("ema"))
    assert equal(torch.load(d, weights_only=True), {"params": saved.state["discriminator"]})
    loaded = load_model(str(g))
    assert loaded.scale == 2
    assert equal(loaded.network.state_dict(), saved.weights("ema"))


@pytest.mark.parametrize("key", ["params", "params_ema"])
def test_a_run_begins_with_weights_in_the_layout_of_the_reference(run: Path, tmp_path: Path, key: str) -> None:
    saved = fakes.last(run)
    g, d = reference.write(saved, tmp_path / "models")
    net = {"kind": "srvgg", "features": 4, "convolutions": 1, "start": str(g), "start_key": key}
    gan = fakes.GAN | {"discriminator": fakes.GAN["discriminator"] | {"weights": str(d)}}
    fakes.train(fakes.config(tmp_path, net=net, gan=gan, checkpoint={"every": 4}), tmp_path / "second")
    begun = checkpoint.read(checkpoint.file_of(tmp_path / "second", 0)).state
    expected = saved.weights("net" if key == "params" else "ema")
    assert equal(begun["generator"], expected)
    assert equal(begun["ema"]["weights"], expected)
    assert equal(begun["discriminator"], saved.state["discriminator"])


def test_a_run_begins_with_an_earlier_run(run: Path) -> None:
    net = generator.build(Srvgg(features=4, convolutions=1, start=str(run)), 2)
    assert equal(net.state_dict(), fakes.last(run).weights("ema"))
    assert net.training
    assert all(weight.requires_grad for weight in net.parameters())


def test_a_network_comes_with_its_weights(tmp_path: Path) -> None:
    made = SRVGGNetCompact(8, 3, 2)
    safetensors.torch.save_file(made.state_dict(), tmp_path / "known.safetensors")
    net = generator.build(Model(start=str(tmp_path / "known.safetensors")), 2)
    assert isinstance(net, SRVGGNetCompact)
    assert (net.features, net.convolutions) == (8, 3)
    with pytest.raises(UsageError, match="has scale 2, the run has scale 4"):
        generator.build(Model(start=str(tmp_path / "known.safetensors")), 4)


def test_what_fits_another_scale_is_taken_over(tmp_path: Path) -> None:
    small = Rrdb(features=4, blocks=1, growth=2)
    four = generator.build(small, 4)
    safetensors.torch.save_file(four.state_dict(), tmp_path / "x4.safetensors")
    start = small.model_copy(update={"start": str(tmp_path / "x4.safetensors")})
    with pytest.raises(WeightsError, match=r"net\.start .*x4\.safetensors for RRDBNet .*conv_first\.weight"):
        generator.build(start, 2)
    said: list[Any] = []
    two = generator.build(start.model_copy(update={"start_partial": True}), 2, said.append)
    assert equal(two.body.state_dict(), four.body.state_dict())
    assert two.conv_first.weight.shape != four.conv_first.weight.shape
    total = len(two.state_dict())
    assert [event.text for event in said if isinstance(event, Notice)] == [
        f"{total - 1} of {total} tensors begin with {tmp_path / 'x4.safetensors'}, the others are random"
    ]


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    safetensors.torch.save_file(SRVGGNetCompact(8, 3, 2).state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="the weights do not fit"):
        generator.build(Srvgg(features=4, start=str(tmp_path / "other.safetensors")), 2)
    with pytest.raises(WeightsError, match="does not exist"):
        generator.build(Srvgg(start=str(tmp_path / "none.pth")), 2)
    packaged = generator.build(Model(start="animevideov3"), 4)
    assert isinstance(packaged, SRVGGNetCompact)
    assert (packaged.features, packaged.convolutions) == (64, 16)
    with pytest.raises(WeightsError, match=r"net\.start runs/before does not exist"):
        generator.build(Srvgg(start="runs/before"), 2)
    with pytest.raises(UsageError, match="'animevideov4' is unknown, did you mean 'animevideov3'"):
        generator.build(Srvgg(start="animevideov4"), 2, ignore)
