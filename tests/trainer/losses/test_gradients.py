"""Every loss teaches every weight of a generator, before and after a validation, and stays finite on flat pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainer.losses.base import Frozen, Loss
from trainer.losses.context import LossContext
from trainer.losses.options import LossOptions
from vidsr.models.archs.compact import SRVGGNetCompact

from .ours import loss

KINDS: dict[str, dict[str, Any]] = {
    "l1": {}, "charbonnier": {}, "huber": {}, "ssim": {}, "ms-ssim": {"scales": 3, "window": 3}, "fft": {},
    "focal-frequency": {}, "perceptual": {"trunk": "vgg16", "layers": {"conv1_2": 1.0, "conv3_2": 1.0}, "style": 1.0},
    "anime": {}, "lpips": {"net": "st-alex"}, "dists": {}, "ldl": {}, "consistency": {}, "temporal": {"spans": (1, 2)},
}  # fmt: skip
"""Arguments by kind; there is a test below that no kind is left out."""

FRAMES, SIDE = 3, 16


@pytest.fixture(scope="module")
def losses(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Loss]:
    folder = tmp_path_factory.mktemp("weights")
    return {kind: loss({"kind": kind, **given}, folder) for kind, given in KINDS.items()}


@pytest.fixture
def generator() -> SRVGGNetCompact:
    torch.manual_seed(1)
    return SRVGGNetCompact(features=4, convolutions=1, scale=2)


def context(output: Tensor, **other: Any) -> LossContext:
    """Two clips of noise as ground truth, and the output of an averaged network that is nearer to it."""
    random = torch.Generator().manual_seed(2)
    lq = torch.rand((2 * FRAMES, 3, SIDE, SIDE), generator=random)
    gt = torch.rand(output.shape, generator=random)
    return LossContext(output, gt, lq, gt.flip(-1), ema_output=gt * 0.9 + output.detach() * 0.1, frames=FRAMES, **other)


def lq() -> Tensor:
    return torch.rand((2 * FRAMES, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(2))


def dead(loss: Loss, generator: nn.Module) -> list[str]:
    """Weights that the loss gives no gradient, or none that is finite."""
    generator.zero_grad()
    loss(context(generator(lq()))).backward()
    pairs = [(name, weight.grad) for name, weight in generator.named_parameters()]
    return [name for name, grad in pairs if grad is None or not grad.isfinite().all() or not grad.abs().max() > 0]


def test_no_kind_is_left_out() -> None:
    union = LossOptions.__origin__  # type: ignore[attr-defined]
    assert set(KINDS) == {option.model_fields["kind"].default for option in union.__args__}


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_teaches_every_weight_also_after_a_validation(
    kind: str, losses: dict[str, Loss], generator: SRVGGNetCompact
) -> None:
    assert dead(losses[kind], generator) == []
    validate(generator, losses[kind])
    assert dead(losses[kind], generator) == []


def validate(generator: nn.Module, loss: Loss) -> None:
    """What a validation does: all is in eval mode, and nothing is recorded."""
    generator.eval()
    loss.eval()
    with torch.inference_mode():
        loss(context(generator(lq())))
    generator.train()
    loss.train()


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_learns_nothing_and_stays_as_it_is(
    kind: str, losses: dict[str, Loss], generator: SRVGGNetCompact
) -> None:
    before = {name: value.clone() for name, value in losses[kind].state_dict().items()}
    dead(losses[kind].train(), generator)
    assert not [name for name, weight in losses[kind].named_parameters() if weight.requires_grad]
    assert not [module for module in losses[kind].modules() if isinstance(module, Frozen) and module.training]
    assert not [module for module in losses[kind].modules() if isinstance(module, nn.BatchNorm2d) and module.training]
    assert all(torch.equal(value, before[name]) for name, value in losses[kind].state_dict().items())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("of_output", "of_gt"), [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.5, 0.0)])
def test_a_loss_is_finite_on_frames_of_one_colour(
    kind: str, of_output: float, of_gt: float, losses: dict[str, Loss]
) -> None:
    output = torch.full((FRAMES, 3, 2 * SIDE, 2 * SIDE), of_output, requires_grad=True)
    gt = torch.full_like(output, of_gt).detach()
    small = torch.full((FRAMES, 3, SIDE, SIDE), of_gt)
    value = losses[kind](LossContext(output, gt, small, ema_output=gt, frames=FRAMES))
    value.backward()
    assert value.isfinite()
    assert value.shape == ()
    assert output.grad is not None
    assert output.grad.isfinite().all()
    if of_output == of_gt and kind != "charbonnier":
        assert abs(value.item()) < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_is_computed_in_float32_under_autocast(kind: str, losses: dict[str, Loss]) -> None:
    output = torch.rand((2 * FRAMES, 3, 2 * SIDE, 2 * SIDE)).bfloat16()
    expected = losses[kind](context(output.float()))
    with torch.autocast("cpu", torch.bfloat16):
        seen = losses[kind](context(output))
    assert seen.dtype == torch.float32
    assert torch.equal(seen, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_the_layout_in_memory_does_not_matter(kind: str, losses: dict[str, Loss]) -> None:
    output = torch.rand((2 * FRAMES, 3, 2 * SIDE, 2 * SIDE))
    last = output.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(losses[kind](context(last)), losses[kind](context(output)), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"consistency"}))
def test_a_loss_compares_with_the_sharpened_ground_truth_where_asked(
    kind: str, losses: dict[str, Loss], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = context(lq().repeat_interleave(2, 2).repeat_interleave(2, 3))
    swapped = LossContext(
        given.output,
        given.gt_usm,
        given.lq,
        ema_output=given.ema_output,
        frames=FRAMES,  # type: ignore[arg-type]
    )
    expected = losses[kind](swapped)
    monkeypatch.setattr(losses[kind], "on", "usm")
    assert losses[kind](given) == expected


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Bit equality of sums needs one order of them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
