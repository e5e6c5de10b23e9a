"""Adversarial losses: through a discriminator to every weight of a generator, and what they count."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from trainer import nets
from trainer.losses.gan import GanLoss, build
from trainer.losses.options import GanOptions
from trainer.nets.options import DiscriminatorOptions
from vidsr.errors import UsageError
from vidsr.models.archs.compact import SRVGGNetCompact

KINDS = ("vanilla", "lsgan", "hinge", "relativistic")
DISCRIMINATORS = (
    {"kind": "unet-sn", "features": 4},
    {"kind": "patch-sn", "features": 4, "layers": (1, 1)},
    {"kind": "vgg-style", "features": 2},
)

LAST = {
    "unet-sn": ["conv9.bias"],
    "patch-sn": ["dis_list.0.model.5.bias", "dis_list.1.model.5.bias"],
    "vgg-style": ["linear2.bias"],
}


def made(kind: str, **given: Any) -> GanLoss:
    return build(TypeAdapter(GanOptions).validate_python({"kind": kind, **given}))


def step(loss: GanLoss, generator: nn.Module, discriminator: nn.Module, side: int) -> tuple[list[str], list[str]]:
    """Weights of either network without a gradient after one step of each."""
    lq, gt = torch.rand(2, 3, side // 2, side // 2), torch.rand(2, 3, side, side)
    generator.zero_grad()
    discriminator.requires_grad_(False)
    output = generator(lq)
    real = discriminator(gt) if loss.needs_real else None
    loss.generator(discriminator(output), real).backward()
    discriminator.requires_grad_(True).zero_grad()
    loss.discriminator(discriminator(output.detach()), discriminator(gt)).backward()
    return dead(generator), dead(discriminator)


def dead(network: nn.Module) -> list[str]:
    pairs = [(name, weight.grad) for name, weight in network.named_parameters()]
    return [name for name, grad in pairs if grad is None or not grad.isfinite().all() or not grad.abs().max() > 0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", DISCRIMINATORS, ids=lambda options: options["kind"])
def test_the_gradient_reaches_every_weight_also_after_a_validation(kind: str, options: dict[str, Any]) -> None:
    torch.manual_seed(3)
    generator = SRVGGNetCompact(features=4, convolutions=1, scale=2)
    discriminator = nets.build(TypeAdapter(DiscriminatorOptions).validate_python(options))
    loss, side = made(kind), 128 if options["kind"] == "vgg-style" else 32
    # Within the margins of hinge both kinds move the last bias alike, in opposite directions.
    still = LAST[options["kind"]] if kind == "hinge" else []
    assert step(loss, generator, discriminator, side) == ([], still)
    generator.eval()
    discriminator.eval()
    with torch.inference_mode():
        discriminator(generator(torch.rand(1, 3, side // 2, side // 2)))
    generator.train()
    discriminator.train()
    assert step(loss, generator, discriminator, side) == ([], still)


@pytest.mark.parametrize("kind", KINDS)
def test_the_weight_is_the_generators_only(kind: str) -> None:
    fake, real = torch.randn(2, 1, 4, 4), torch.randn(2, 1, 4, 4)
    light, heavy = made(kind, weight=0.1), made(kind, weight=1)
    assert heavy.generator(fake, real).item() == pytest.approx(10 * light.generator(fake, real).item(), rel=1e-5)
    assert torch.equal(heavy.discriminator(fake, real), light.discriminator(fake, real))


@pytest.mark.parametrize("kind", KINDS)
def test_accuracy_is_one_where_the_discriminator_is_right_and_half_where_it_guesses(kind: str) -> None:
    loss = made(kind)
    sure = torch.full((2, 1, 8, 8), 3.0)
    assert loss.accuracy(-sure, sure).item() == 1
    assert loss.accuracy(sure, -sure).item() == 0
    assert loss.accuracy([-sure, sure], [sure, sure]).item() == (0.5 if kind == "relativistic" else 0.75)
    guesses = torch.randn(2, 1, 64, 64)
    assert loss.accuracy(guesses, guesses).item() == pytest.approx(0.5, abs=0.02)


def test_the_border_of_least_squares_lies_between_the_labels() -> None:
    logits = torch.full((1, 1), 0.4)
    assert made("lsgan").accuracy(logits, logits + 0.2).item() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_computed_in_float32_under_autocast_and_finite_when_the_discriminator_is_sure(kind: str) -> None:
    fake, real = torch.full((1, 1, 4, 4), -1e4), torch.full((1, 1, 4, 4), 1e4)
    with torch.autocast("cpu", torch.bfloat16):
        values = (made(kind).generator(fake.bfloat16(), real.bfloat16()), made(kind).discriminator(fake, real))
    assert all(value.dtype == torch.float32 and value.isfinite() and value.shape == () for value in values)


def test_real_pictures_get_no_gradient_in_the_generators_step() -> None:
    fake, real = (torch.randn(2, 1, 4, 4, requires_grad=True) for _ in range(2))
    made("relativistic").generator(fake, real).backward()
    assert real.grad is None
    assert fake.grad is not None


def test_a_relativistic_loss_asks_for_the_logits_of_real_pictures() -> None:
    assert made("relativistic").needs_real
    with pytest.raises(UsageError, match="need the logits of real pictures"):
        made("relativistic").generator(torch.zeros(1, 1))


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "wgan"},
        {"kind": "hinge", "real": 1},
        {"kind": "vanilla", "real": 1.2},
        {"kind": "lsgan", "real": -1, "fake": 1},
        {"kind": "vanilla", "weight": -1},
    ],
)
def test_options_are_strict(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(GanOptions).validate_python(options)
