"""Learning rates, and averages of weights."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from trainer.ema import Average
from trainer.options import Ema, Gan, ScheduleOptions, Swa
from trainer.schedule import factor, gan_share

TOTAL = 1000


def rates(**words: Any) -> list[float]:
    """The factor of all iterations."""
    options = TypeAdapter(ScheduleOptions).validate_python(words)
    return [factor(options, iteration, TOTAL) for iteration in range(TOTAL)]


def test_constant_is_one() -> None:
    assert set(rates(kind="constant")) == {1.0}


def test_cosine_falls_from_one_to_its_floor() -> None:
    found = rates(kind="cosine", floor=0.1)
    assert found[0] == 1
    assert found[500] == pytest.approx(0.55)
    assert found[-1] == pytest.approx(0.1, abs=1e-5)
    assert found == sorted(found, reverse=True)


def test_cosine_is_that_of_torch() -> None:
    weight = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, TOTAL)
    for ours in rates(kind="cosine"):
        assert ours == pytest.approx(optimiser.param_groups[0]["lr"], abs=1e-9)
        optimiser.step()
        theirs.step()


def test_milestones_are_parts_of_the_run() -> None:
    found = rates(kind="multistep", milestones=[0.25, 0.5], gamma=0.1)
    assert found[249] == 1
    assert found[250] == found[499] == pytest.approx(0.1)
    assert found[500] == pytest.approx(0.01)


def test_the_milestone_of_the_reference_never_comes() -> None:
    assert set(rates(kind="multistep", milestones=[1.0], gamma=0.5)) == {1.0}


@pytest.mark.parametrize(("shape", "middle"), [("linear", 0.5), ("sqrt", 1 - math.sqrt(0.5))])
def test_wsd_is_stable_and_then_decays(shape: str, middle: float) -> None:
    found = rates(kind="wsd", warmup=10, decay=0.2, shape=shape)
    assert set(found[10:801]) == {1.0}
    assert found[900] == pytest.approx(middle)
    assert 0 < found[-1] < 0.01


@pytest.mark.parametrize("kind", ["constant", "cosine", "multistep", "wsd"])
def test_warm_up_climbs_evenly_to_the_full_rate(kind: str) -> None:
    found = rates(kind=kind, warmup=100)
    assert found[0] == pytest.approx(0.01)
    assert found[49] == pytest.approx(0.5)
    assert found[99] == found[100] == 1


def test_the_adversarial_loss_waits_and_then_climbs() -> None:
    options = Gan.model_validate({"discriminator": {"kind": "unet-sn"}, "warmup": 3, "ramp": 4})
    assert [gan_share(options, it) for it in range(9)] == [0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1]
    at_once = Gan.model_validate({"discriminator": {"kind": "unet-sn"}})
    assert gan_share(at_once, 0) == 1


def network(value: float) -> nn.Conv2d:
    net = nn.Conv2d(1, 1, 1)
    nn.init.constant_(net.weight, value)
    return net


def test_ema_without_warm_up_is_that_of_the_reference() -> None:
    """It begins as a copy and keeps `decay` of itself at each update."""
    net, expected = network(1.0), 1.0
    average = Average(net, Ema(decay=0.9, warmup=False))
    for step in range(5):
        nn.init.constant_(net.weight, float(step))
        average.update(net)
        expected = 0.9 * expected + 0.1 * step
    assert float(average.module.weight) == pytest.approx(expected)
    assert not average.module.training
    assert not average.module.weight.requires_grad


def test_ema_warms_up() -> None:
    net = network(1.0)
    average = Average(net, Ema(decay=0.999))
    memories = []
    for _ in range(20_000):
        memories.append(average.decay())
        average._updates += 1
    assert memories[:3] == pytest.approx([1 / 10, 2 / 11, 3 / 12])
    assert memories == sorted(memories)
    assert memories[-1] == 0.999


def test_swa_is_the_plain_mean() -> None:
    net = network(0.0)
    average = Average(net, Swa())
    for value in (1.0, 2.0, 6.0):
        nn.init.constant_(net.weight, value)
        average.update(net)
    assert float(average.module.weight) == pytest.approx(3)


def test_an_average_goes_on_where_it_was() -> None:
    whole, first = (Average(network(1.0), Ema(decay=0.9)) for _ in range(2))
    nets = [network(float(value)) for value in range(6)]
    for net in nets:
        whole.update(net)
    for net in nets[:3]:
        first.update(net)
    second = Average(network(8.0), Ema(decay=0.9))
    second.load_state_dict(first.state_dict())
    for net in nets[3:]:
        second.update(net)
    assert torch.equal(second.module.weight, whole.module.weight)
    assert second.updates == whole.updates
