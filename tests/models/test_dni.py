"""Mixing two networks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vidsr.errors import UsageError, WeightsError
from vidsr.models.archs.compact import SRVGGNetCompact
from vidsr.models.archs.rrdb import RRDBNet
from vidsr.models.dni import blend, mix, parts
from vidsr.models.load import load_model
from vidsr.models.recover import build


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_every_tensor_lies_between(weight: float) -> None:
    first, second = SRVGGNetCompact(4, 1, 2).state_dict(), SRVGGNetCompact(4, 1, 2).state_dict()
    mixed = mix(first, second, weight)
    for key in first:
        expected = weight * first[key].numpy() + (1 - weight) * second[key].numpy()
        torch.testing.assert_close(mixed[key], torch.from_numpy(expected))


@pytest.mark.parametrize("other", [SRVGGNetCompact(4, 2, 2), SRVGGNetCompact(5, 1, 2), SRVGGNetCompact(4, 1, 3)])
def test_unequal_networks_are_refused(other: SRVGGNetCompact) -> None:
    with pytest.raises(WeightsError, match="equal names and shapes"):
        mix(SRVGGNetCompact(4, 1, 2).state_dict(), other.state_dict(), 0.5)


def test_several_networks_are_mixed_and_the_first_has_the_rest() -> None:
    states = [SRVGGNetCompact(4, 1, 2).state_dict() for _ in range(3)]
    mixed = blend(states[0], [(states[1], 0.3), (states[2], 0.2)])
    for key, value in mixed.items():
        expected = 0.5 * states[0][key].numpy() + 0.3 * states[1][key].numpy() + 0.2 * states[2][key].numpy()
        torch.testing.assert_close(value, torch.from_numpy(expected))


def test_rrdb_networks_are_mixed() -> None:
    first, second = RRDBNet(4, 1, 2).state_dict(), RRDBNet(4, 1, 2).state_dict()
    mixed = build(mix(first, second, 0.25))
    expected = 0.25 * first["conv_last.weight"] + 0.75 * second["conv_last.weight"]
    torch.testing.assert_close(mixed.state_dict()["conv_last.weight"], expected)


def test_the_first_differences_are_named() -> None:
    first, second = SRVGGNetCompact(4, 2, 2).state_dict(), SRVGGNetCompact(5, 1, 2).state_dict()
    with pytest.raises(WeightsError) as caught:
        mix(first, second, 0.5)
    said = str(caught.value)
    assert "body.5.weight is only in the first" in said
    assert "and 6 more" in said
    with pytest.raises(WeightsError, match=r"body\.0\.weight is \(4, 3, 3, 3\) and \(5, 3, 3, 3\)"):
        mix(SRVGGNetCompact(4, 1, 2).state_dict(), second, 0.5)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ((), []),
        (("a.pth:0.5",), [("a.pth", 0.5)]),
        (("C:/nets/a.pth:1",), [("C:/nets/a.pth", 1.0)]),
        (("a.pth:.25", "x4plus:.75"), [("a.pth", 0.25), ("x4plus", 0.75)]),
        (("a:0.1",) * 10, [("a", 0.1)] * 10),
    ],
)
def test_blends_are_read(texts: tuple[str, ...], expected: list[tuple[str, float]]) -> None:
    assert parts(texts) == expected


@pytest.mark.parametrize("text", ["a.pth", "a.pth:", ":0.5", "a.pth:x", "a:0", "a:-0.1", "a:1.1", "a:nan", "a:inf", ""])
def test_blends_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected PATH:W with W above 0 and at most 1"):
        parts([text])


def test_weights_above_one_together_are_refused() -> None:
    with pytest.raises(UsageError, match=r"the weights are 1\.2 together, allowed is at most 1"):
        parts(["a:0.7", "b:0.5"])


def save(path: Path, seed: int, wrapper: str) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    state = SRVGGNetCompact(4, 1, 2).state_dict()
    torch.save({wrapper: state} if wrapper else state, path)
    return dict(state)


@pytest.mark.parametrize("wrappers", [("params_ema", "params"), ("params", ""), ("", "state_dict")])
def test_a_blended_model_has_a_hash_of_its_own(tmp_path: Path, wrappers: tuple[str, str]) -> None:
    first, second = tmp_path / "a.pth", tmp_path / "b.pth"
    states = [save(path, seed, name) for seed, (path, name) in enumerate(zip((first, second), wrappers, strict=True))]
    found = load_model(str(first), blend=[f"{second}:0.25"])
    expected = 0.75 * states[0]["body.2.weight"] + 0.25 * states[1]["body.2.weight"]
    torch.testing.assert_close(found.network.state_dict()["body.2.weight"], expected)
    hashes = {load_model(str(first), blend=blend).sha256 for blend in ((), [f"{second}:0.25"], [f"{second}:0.5"])}
    assert len(hashes) == 3
    assert found.sha256 in hashes
    assert found.sha256 == load_model(str(first), blend=[f"{second}:0.25"]).sha256
    assert found.origin == f"0.75 * {first} + 0.25 * {second}"


def test_unequal_models_and_onnx_files_are_not_blended(tmp_path: Path) -> None:
    save(tmp_path / "a.pth", 1, "params")
    with pytest.raises(WeightsError, match="equal names and shapes"):
        load_model("animevideov3", blend=[f"{tmp_path / 'a.pth'}:0.5"])
    (tmp_path / "a.onnx").write_bytes(b"graph")
    with pytest.raises(UsageError, match="--blend: model a is an ONNX file, whose weights cannot be mixed"):
        load_model(str(tmp_path / "a.pth"), blend=[f"{tmp_path / 'a.onnx'}:0.5"])
