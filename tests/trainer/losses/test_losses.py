"""What single losses do, told by small cases with known results, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from trainer.losses import build
from trainer.losses.base import Loss
from trainer.losses.context import LossContext
from trainer.losses.filters import unit
from trainer.losses.ldl import local_variance
from trainer.losses.options import LossOptions
from vidsr.errors import UsageError


def made(kind: str, **given: Any) -> Loss:
    return build(TypeAdapter(LossOptions).validate_python({"kind": kind, **given}))


def value(loss: Loss, output: Tensor, gt: Tensor, lq: Tensor | None = None, **other: Any) -> float:
    return loss(LossContext(output, gt, gt if lq is None else lq, **other)).item()


def noise(*shape: int) -> Tensor:
    return torch.rand(shape)


def test_features_that_are_zero_have_a_length_and_a_gradient() -> None:
    """Black pictures give whole areas of them, where the root of a sum of squares has no derivative."""
    x = torch.zeros(1, 4, 3, 3)
    x[..., 0, 0] = 3
    x.requires_grad_()
    found = unit(x)
    found.square().sum().backward()
    assert found[0, :, 0, 0].tolist() == pytest.approx([0.5] * 4)
    assert not found[..., 1:, 1:].any()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_huber_is_quadratic_then_linear() -> None:
    loss = made("huber", delta=0.1)
    gt = torch.zeros(1, 3, 4, 4)
    assert value(loss, gt + 0.05, gt) == pytest.approx(0.05**2 / 2)
    assert value(loss, gt + 0.5, gt) == pytest.approx(0.1 * (0.5 - 0.05))


def test_the_weight_is_in_the_result() -> None:
    gt = noise(1, 3, 8, 8)
    assert value(made("l1", weight=0.25), gt + 0.1, gt) == pytest.approx(0.025)


def test_ssim_sees_structure_and_not_position_of_pictures() -> None:
    gt = noise(2, 3, 32, 32)
    blurred = torch.nn.functional.avg_pool2d(gt, 3, 1, 1)
    assert value(made("ssim"), blurred, gt) > 10 * value(made("ssim"), gt * 0.95, gt)
    assert value(made("ssim"), 1 - gt, gt) > 1


def test_ms_ssim_of_opposites_is_finite_and_near_one() -> None:
    gt = noise(2, 3, 48, 48)
    output = (1 - gt).requires_grad_()
    loss = made("ms-ssim", scales=3)(LossContext(output, gt, gt))
    loss.backward()
    assert 0.95 < loss.item() < 1
    assert output.grad is not None
    assert output.grad.isfinite().all()


def test_ms_ssim_of_odd_sides() -> None:
    gt = noise(1, 3, 51, 47)
    assert value(made("ms-ssim", scales=3), gt, gt) == pytest.approx(0, abs=1e-6)


def test_fft_in_its_orthonormal_form_does_not_depend_on_the_size() -> None:
    loss = made("fft")
    small, large = (
        value(loss, torch.randn(1, 3, side, side) * 0.1, torch.zeros(1, 3, side, side)) for side in (32, 96)
    )
    assert small == pytest.approx(large, rel=0.1)


def test_focal_frequency_counts_hard_frequencies_most() -> None:
    """Two waves, one twice as high: with growing alpha the lower one, weighted by 2^-alpha, is left out."""
    x = torch.arange(32) * 2 * torch.pi / 32
    high, low = torch.sin(3 * x), 0.5 * torch.sin(9 * x)
    output = (high + low).expand(1, 3, 32, 32)
    gt = torch.zeros_like(output)
    alone = value(made("focal-frequency", alpha=1), high.expand(1, 3, 32, 32), gt)
    assert value(made("focal-frequency", alpha=1), output, gt) == pytest.approx(alone * (1 + 0.25 / 2), rel=1e-3)
    assert value(made("focal-frequency", alpha=8), output, gt) == pytest.approx(alone, rel=1e-2)


def test_local_variance_is_that_of_each_window() -> None:
    x = noise(1, 1, 12, 12)
    found = local_variance(x, 5)
    assert found.shape == x.shape
    assert found[0, 0, 6, 4].item() == pytest.approx(x[0, 0, 4:9, 2:7].var().item(), rel=1e-5)


def test_ldl_leaves_places_where_the_averaged_network_is_no_better() -> None:
    gt = noise(2, 3, 16, 16)
    output = gt + 0.1 * torch.randn_like(gt)
    assert value(made("ldl"), output, gt, ema_output=gt) > 0
    assert value(made("ldl"), output, gt, ema_output=gt + 1) == 0


def test_ldl_gives_the_averaged_network_no_gradient() -> None:
    gt = noise(1, 3, 16, 16)
    averaged = gt.clone().requires_grad_()
    output = (gt + 0.1 * torch.randn_like(gt)).requires_grad_()
    made("ldl")(LossContext(output, gt, gt, ema_output=averaged)).backward()
    assert averaged.grad is None


def test_consistency_sees_a_cast_and_no_detail() -> None:
    lq = noise(2, 3, 32, 32)
    output = lq.repeat_interleave(2, 2).repeat_interleave(2, 3)
    checks = torch.ones(64, 64)
    checks[::2, ::2] = checks[1::2, 1::2] = -1
    loss = made("consistency")
    assert value(loss, output + 0.3 * checks, output, lq) < 1e-6
    cast = torch.tensor([0.1, 0, -0.05]).view(3, 1, 1)
    assert value(loss, output + cast, output, lq) == pytest.approx(0.05, rel=1e-4)
    assert value(loss, output + 0.1 * torch.randn_like(output), output, lq) < 0.01


def test_temporal_sees_flicker_and_no_constant_error() -> None:
    """Two clips of three frames; the error of one frame is in two of the four changes."""
    gt = noise(6, 3, 8, 8)
    loss = made("temporal")
    assert value(loss, gt + 0.2, gt, frames=3) == pytest.approx(0, abs=1e-6)
    output = gt.clone()
    output[1] += 0.2
    assert value(loss, output, gt, frames=3) == pytest.approx(0.1, rel=1e-5)
    assert value(made("temporal", spans=(2,)), output, gt, frames=3) == pytest.approx(0, abs=1e-6)


def test_temporal_does_not_compare_across_clips() -> None:
    gt = noise(4, 3, 8, 8)
    output = gt.clone()
    output[2:] += 0.3
    assert value(made("temporal"), output, gt, frames=2) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "side", "other", "said"),
    [
        ({"kind": "ldl"}, 16, {}, "averaged network"),
        ({"kind": "ldl"}, 6, {"ema_output": torch.zeros(2, 3, 6, 6)}, "6x6 px, allowed are sides from 7 px"),
        ({"kind": "temporal"}, 16, {}, "clips of 1 frames, allowed are those from 2"),
        ({"kind": "temporal", "spans": (1, 2)}, 16, {"frames": 2}, "from 3 frames"),
        ({"kind": "ms-ssim"}, 128, {}, "128x128 px, allowed are sides from 176 px"),
        ({"kind": "ssim"}, 8, {}, "sides from 11 px"),
        ({"kind": "focal-frequency", "patches": 3}, 16, {}, "do not divide into patches: 3"),
        ({"kind": "consistency"}, 6, {}, "inputs of 6x6 px, allowed are sides above 6 px"),
        ({"kind": "l1", "on": "usm"}, 8, {}, "no sharpened ground truth"),
    ],
)
def test_what_does_not_fit_is_told(options: dict[str, Any], side: int, other: dict[str, Any], said: str) -> None:
    gt = torch.zeros(2, 3, side, side)
    with pytest.raises(UsageError, match=said):
        value(made(**options), gt, gt, **other)


def test_consistency_refuses_another_shape() -> None:
    with pytest.raises(UsageError, match="no multiple of the input's 24x24"):
        value(made("consistency"), noise(1, 3, 32, 32), noise(1, 3, 32, 32), noise(1, 3, 24, 24))


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "l1", "weigth": 1},
        {"kind": "l1", "weight": 0},
        {"kind": "l1", "weight": float("nan")},
        {"kind": "l1", "on": "lq"},
        {"kind": "l3"},
        {"kind": "charbonnier", "eps": 0},
        {"kind": "ssim", "window": 10},
        {"kind": "ms-ssim", "scales": 6},
        {"kind": "perceptual", "layers": {"conv9_1": 1}},
        {"kind": "perceptual", "layers": {}},
        {"kind": "perceptual", "trunk": "vgg16"},
        {"kind": "perceptual", "sha256": "dcbb"},
        {"kind": "anime", "layers": {"stage5": 1}},
        {"kind": "lpips", "net": "st-vgg", "trunk": "a.pth"},
        {"kind": "ldl", "window": 4},
        {"kind": "consistency", "on": "usm"},
        {"kind": "temporal", "spans": ()},
    ],
)
def test_options_are_strict_to_the_last_argument(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(LossOptions).validate_python(options)


def test_every_argument_has_a_help_text() -> None:
    options = TypeAdapter(LossOptions).json_schema()["$defs"]
    bare = [f"{name}.{key}" for name, part in options.items() for key, field in part["properties"].items()
            if "description" not in field and key != "kind"]  # fmt: skip
    assert not bare
