"""Hyper-parameters come back from names and shapes alone; what fits nothing is refused with names."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from vidsr.errors import WeightsError
from vidsr.models.archs.compact import SRVGGNetCompact
from vidsr.models.archs.rrdb import RRDBNet
from vidsr.models.recover import PREFIXES, WRAPPERS, build, normalise

OLD = {"conv_first": "model.0", "conv_up1": "model.3", "conv_up2": "model.6", "conv_hr": "model.8"}
OLD |= {"conv_last": "model.10"}
MIDDLE = {"conv_body": "trunk_conv", "conv_up1": "upconv1", "conv_up2": "upconv2", "conv_hr": "HRconv"}


def oldest_name(key: str, blocks: int) -> str:
    layer, _, kind = key.rpartition(".")
    if layer == "conv_body":
        return f"model.1.sub.{blocks}.{kind}"
    if layer in OLD:
        return f"{OLD[layer]}.{kind}"
    _, block, rdb, conv = layer.split(".")
    return f"model.1.sub.{block}.{rdb.upper()}.{conv}.0.{kind}"


def test_an_esrgan_plus_is_another_network() -> None:
    state = {oldest_name(key, 1): value for key, value in RRDBNet(4, 1, 2).state_dict().items()}
    state["model.1.sub.0.RDB1.conv1x1.weight"] = torch.zeros(2, 4, 1, 1)
    assert normalise(state).keys() == state.keys()
    with pytest.raises(WeightsError, match=r"first keys are model\.0\.weight"):
        build(normalise(state))


@pytest.mark.parametrize(("stages", "scale"), [(0, 1), (1, 2), (1, 1), (2, 4), (2, 2), (3, 8), (4, 16)])
@pytest.mark.parametrize("form", ["new", "oldest", "later"])
def test_other_numbers_of_enlargements_are_recovered(stages: int, scale: int, form: str) -> None:
    """In the numbered list of 2018 the last layers move by three places for each enlargement."""
    made = RRDBNet(4, 2, 3, scale, stages)
    tail = {f"conv_up{n}": f"model.{3 * n}" for n in range(1, stages + 1)}
    tail |= {"conv_hr": f"model.{3 * stages + 2}", "conv_last": f"model.{3 * stages + 4}"}

    def name(key: str) -> str:
        layer, _, kind = key.rpartition(".")
        if form == "new":
            return key
        if form == "later":
            return later_name(key)
        return f"{tail[layer]}.{kind}" if layer in tail else oldest_name(key, 2)

    network = build(normalise({name(key): value for key, value in made.state_dict().items()}))
    assert isinstance(network, RRDBNet)
    assert (network.stages, network.scale, network.multiple_of) == (stages, scale, 2**stages // scale)
    rgb = torch.rand(1, 3, 4, 8)
    with torch.inference_mode():
        assert torch.equal(network(rgb), made.eval()(rgb))


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_wrappers_and_prefixes_are_taken_off(wrapper: str, prefix: str) -> None:
    state = SRVGGNetCompact(4, 1, 2).state_dict()
    found = normalise({wrapper: {f"{prefix}{key}": value for key, value in state.items()}, "epoch": 3})
    assert found.keys() == state.keys()


def test_whole_numbers_are_no_weights() -> None:
    state = {**SRVGGNetCompact(4, 1, 2).state_dict(), "body.2.bias": torch.zeros(4, dtype=torch.int64)}
    with pytest.raises(WeightsError, match=r"body\.2\.bias holds torch\.int64"):
        build(normalise(state))


def later_name(key: str) -> str:
    layer, _, kind = key.rpartition(".")
    if layer.startswith("body."):
        _, block, rdb, conv = layer.split(".")
        return f"RRDB_trunk.{block}.{rdb.upper()}.{conv}.{kind}"
    return f"{MIDDLE.get(layer, layer.replace('conv_up', 'upconv'))}.{kind}"


@pytest.mark.parametrize("seed", range(30))
def test_compact_variants_are_recovered(seed: int) -> None:
    pick = random.Random(seed)
    made = SRVGGNetCompact(
        pick.randint(1, 24), pick.randint(0, 9), pick.randint(1, 5), pick.choice(["prelu", "relu", "leakyrelu"])
    )
    network = build(normalise({pick.choice(["params", "params_ema"]): made.state_dict()}))
    assert isinstance(network, SRVGGNetCompact)
    assert (network.features, network.convolutions, network.scale) == (made.features, made.convolutions, made.scale)
    assert network.activation == ("prelu" if made.activation == "prelu" else "relu")
    assert all(torch.equal(value, made.state_dict()[key]) for key, value in network.state_dict().items())
    assert not network.training
    assert not any(tensor.requires_grad for tensor in network.parameters())


@pytest.mark.parametrize("seed", range(30))
def test_rrdb_variants_are_recovered(seed: int) -> None:
    pick = random.Random(seed)
    made = RRDBNet(pick.randint(1, 9), pick.randint(1, 5), pick.randint(1, 7), pick.choice([1, 2, 4]))
    state = made.state_dict()
    form = pick.choice(["new", "module", "oldest", "later"])
    if form == "oldest":
        state = {oldest_name(key, made.blocks): value for key, value in state.items()}
    elif form == "later":
        state = {later_name(key): value for key, value in state.items()}
    elif form == "module":
        state = {f"module.{key}": value.half() for key, value in state.items()}
    network = build(normalise(state))
    assert isinstance(network, RRDBNet)
    kept = ("features", "blocks", "growth", "scale")
    assert [getattr(network, name) for name in kept] == [getattr(made, name) for name in kept]
    assert all(tensor.dtype == torch.float32 for tensor in network.parameters())


def test_averaged_weights_win() -> None:
    first, second = SRVGGNetCompact(2, 1, 2).state_dict(), SRVGGNetCompact(2, 1, 2).state_dict()
    state = normalise({"params": first, "params_ema": second, "iter": 5})
    assert all(torch.equal(state[key], second[key]) for key in second)


def compact(**changes: Tensor | None) -> dict[str, Tensor]:
    state = dict(SRVGGNetCompact(4, 3, 2).state_dict())
    for key, value in changes.items():
        state.pop(key, None)
        if value is not None:
            state[key] = value
    return state


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (compact(**{"body.2.weight": None, "body.4.bias": None}), "body.2.weight is missing, body.4.bias is missing"),
        (compact(**{"extra": torch.zeros(1)}), "extra is unexpected"),
        (compact(**{"body.2.weight": torch.zeros(4, 4, 1, 1)}), r"body.2.weight is \(4, 4, 1, 1\), expected \(4, 4, 3"),
        (compact(**{"body.2.bias": torch.full((4,), torch.nan)}), "body.2.bias holds values that are not finite"),
        (compact(**{"body.999998.weight": torch.zeros(12, 4, 3, 3)}), "body.999998.weight is 12x4x3x3"),
        (compact(**{"body.0.weight": torch.zeros(4)}), "body.0.weight is 4 "),
        ({f"k{i}": torch.zeros(1) for i in range(9)}, "k0, k1, k2, k3, k4 and 4 more"),
        ({"conv_first.weight": torch.zeros(4, 5, 3, 3)}, "conv_first.weight is 4x5x3x3 with 0 blocks"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(state: dict[str, Tensor], said: str) -> None:
    with pytest.raises(WeightsError, match=said):
        build(normalise(state))


@pytest.mark.parametrize("content", [{}, {"params": {}}, {"a": 5}, {"a": torch.zeros(2, dtype=torch.int64)}])
def test_content_that_is_no_state_dict_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(WeightsError, match="holds no state dict"):
        normalise(content)
