from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.trainer.degrade import cases
from tests.trainer.degrade.comparisons import chain
from trainer.degrade.canvas import Canvas
from trainer.degrade.classic import Degrader
from trainer.degrade.draws import Draw, draw_all
from trainer.degrade.options import Blur, Classic, Jpeg, Noise, Resize, Stage
from trainer.sample import Key
from vidsr.errors import UsageError

SMALL = Classic(gt_size=64)
KEYS = [Key(4, 0, index) for index in range(4)]


class Shared(Degrader):
    """Takes all samples on one canvas, as a GPU takes those of a bucket."""

    def _groups(self, draws: Sequence[Draw], side: int) -> list[list[int]]:
        return [list(range(len(draws)))]


@pytest.mark.parametrize("name", cases.CHAINS)
def test_the_whole_chain_is_the_reference_s_from_the_same_draws(name: str) -> None:
    apart = chain(cases.goldens(), name)
    assert apart["equal"] > 0.98  # it is 1 where it was made; a float's last bit may move a coefficient of JPEG
    assert apart["mean"] < 0.1


def test_a_sample_is_the_same_bytes_alone_and_in_any_batch() -> None:
    gt, degrader = cases.pictures(4, 96, 96), Degrader(SMALL, 4)
    together = degrader(gt, KEYS)
    backwards = degrader(gt.flip(0), KEYS[::-1])
    for number in range(4):
        alone = degrader(gt[number : number + 1], KEYS[number : number + 1])
        for one, many, turned in zip(alone, together, backwards, strict=True):
            assert torch.equal(one[0], many[number])
            assert torch.equal(one[0], turned[3 - number])


def test_samples_on_one_canvas_are_those_computed_alone() -> None:
    gt, keys = cases.pictures(12, 96, 96), [Key(6, 0, index) for index in range(12)]
    assert len({draw.first.factor for draw in draw_all(SMALL, keys)}) > 8
    alone, together = (made(SMALL, 4, fields=cases.FixedFields).degrade(gt, keys) for made in (Degrader, Shared))
    apart = (alone[0] - together[0]).abs() * 255
    assert (apart < 0.5).float().mean() > 0.98
    assert apart.mean() < 0.05
    assert torch.equal(alone[1], together[1])


@pytest.mark.gpu
def test_a_gpu_makes_what_a_cpu_makes_and_the_same_each_time() -> None:
    gt, keys = cases.pictures(12, 96, 96), [Key(6, 0, index) for index in range(12)]
    alone, together = (
        Degrader(SMALL, 4, device, fields=cases.FixedFields)(gt.to(device), keys) for device in ("cpu", "cuda")
    )
    assert ((alone[0] - together[0].cpu()).abs() < 0.5 / 255).float().mean() > 0.98
    assert torch.equal(alone[1], together[1].cpu())
    assert torch.allclose(alone[2], together[2].cpu(), atol=1e-4)
    first, second = (Degrader(SMALL, 4, "cuda")(gt.cuda(), keys) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_other_keys_give_other_pictures_and_the_global_generator_is_left_alone() -> None:
    gt, degrader = cases.pictures(1, 96, 96), Degrader(SMALL, 4)
    before = torch.get_rng_state()
    first, second = (degrader.degrade(gt, [Key(4, epoch, 0)])[0] for epoch in (0, 1))
    assert not torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("scale", [2, 4])
def test_the_result_is_in_8_bits_and_shows_the_same_part_of_the_picture(scale: int) -> None:
    gt = cases.pictures(6, 120, 96)
    lq, crop, usm = Degrader(SMALL, scale)(gt, [Key(2, 0, index) for index in range(6)])
    assert lq.shape == (6, 3, 64 // scale, 64 // scale)
    assert crop.shape == usm.shape == (6, 3, 64, 64)
    assert torch.equal((lq * 255).round() / 255, lq)
    assert lq.min() >= 0
    assert lq.max() <= 1
    mild = Classic(gt_size=64, first=MILD, second=MILD, sinc=0)
    lq, crop, _ = Degrader(mild, scale)(gt, [*KEYS, Key(5, 0, 0), Key(5, 0, 1)])
    shrunk = functional.interpolate(crop, scale_factor=1 / scale, mode="area")
    assert (lq - shrunk).abs().mean() < 0.05


MILD = Stage(
    blur=Blur(probability=0),
    resize=Resize(directions={"keep": 1}),
    noise=Noise(probability=0),
    jpeg=Jpeg(quality=(99, 100)),
)


def test_nothing_but_a_resize_is_left_when_every_step_is_off() -> None:
    stage = MILD.model_copy(update={"jpeg": Jpeg(probability=0)})
    options = Classic(gt_size=64, first=stage, second=stage, sinc=0, from_sharpened=False, modes={"area": 1})
    gt = cases.pictures(1, 64, 64)
    expected = functional.interpolate(gt, scale_factor=0.5, mode="bilinear", align_corners=False)
    assert torch.allclose(Degrader(options, 2).degrade(gt, KEYS[:1])[0], expected, atol=0.51 / 255)


def test_a_clip_keeps_its_draw_and_has_fresh_noise_in_each_frame() -> None:
    still = cases.pictures(2, 96, 96)[:, None].expand(-1, 3, -1, -1, -1)
    quiet = Stage(noise=Noise(probability=0))
    options = Classic(gt_size=64, first=quiet, second=quiet)
    lq, crop = Degrader(options, 4).degrade(still, KEYS[:2])
    assert lq.shape == (2, 3, 3, 16, 16)
    assert torch.equal(lq[:, 0], lq[:, 1])
    assert torch.equal(crop[:, 0], crop[:, 2])
    noisy, _ = Degrader(SMALL, 4).degrade(still, KEYS[:2])
    assert not torch.equal(noisy[:, 0], noisy[:, 1])
    one, _ = Degrader(SMALL, 4).degrade(still[1:], KEYS[1:2])
    assert torch.equal(one[0], noisy[1])


def test_per_batch_a_plan_is_shared_and_per_sample_it_is_not() -> None:
    keys = [Key(1, 0, index) for index in range(8)]
    batch, sample = draw_all(Classic(draws="batch"), keys), draw_all(Classic(), keys)
    assert {_plan(draw) for draw in batch} == {_plan(batch[0])}
    assert len({_plan(draw) for draw in sample}) == 8
    assert len({draw.first.quality for draw in batch}) == 8
    seeds = [draw.first.noise for draw in batch if draw.first.noise]
    assert len({noise.gray_seed for noise in seeds}) == 1
    assert len({noise.seed for noise in seeds}) == 8
    other = draw_all(Classic(draws="batch"), keys[1:])
    assert _plan(other[0]) != _plan(batch[0])


def _plan(draw: Draw) -> tuple[object, ...]:
    stages = [(s.factor, s.mode, s.noise and s.noise.kind, s.kernel is None) for s in (draw.first, draw.second)]
    return (*stages, draw.mode, draw.jpeg_last, draw.crop)


def test_draws_stay_in_their_ranges() -> None:
    options = Classic()
    for draw in draw_all(options, [Key(0, 1, index) for index in range(300)]):
        for stage, limits in ((draw.first, options.first), (draw.second, options.second)):
            low, high = limits.resize.factor
            assert low <= stage.factor <= high
            assert stage.quality is not None
            assert limits.jpeg.quality[0] <= stage.quality <= limits.jpeg.quality[1]
            assert stage.noise is not None
            level = limits.noise.sigma if stage.noise.kind == "gaussian" else limits.noise.poisson
            assert level[0] <= stage.noise.level <= level[1]
        assert draw.first.kernel is not None
        assert min(draw.crop) >= 0
        assert max(draw.crop) < 1


def test_the_precision_of_the_training_does_not_reach_the_chain() -> None:
    gt, degrader = cases.pictures(1, 64, 64), Degrader(SMALL, 4)
    plain = degrader(gt, KEYS[:1])
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            low = degrader(gt, KEYS[:1])
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert all(torch.equal(first, second) for first, second in zip(plain, low, strict=True))
    assert not any(made.requires_grad for made in plain)


def test_sizes_that_do_not_fit_are_refused_in_a_sentence() -> None:
    with pytest.raises(UsageError, match=r"gt_size 66 is no multiple of scale 4"):
        Degrader(Classic(gt_size=66), 4)
    degrader = Degrader(SMALL, 4)
    for height, width in ((60, 96), (96, 98)):
        with pytest.raises(UsageError, match=rf"ground truth of {width}x{height} cannot be degraded to crops of 64x64"):
            degrader.degrade(torch.zeros(1, 3, height, width), KEYS[:1])


def test_sharpening_takes_pictures_and_clips() -> None:
    clips = cases.pictures(4, 64, 64).view(2, 2, 3, 64, 64)
    sharp = Degrader(SMALL, 4).sharpen(clips)
    assert torch.equal(sharp[1], Degrader(SMALL, 4).sharpen(clips[1]))
    assert not torch.equal(sharp, clips)


def test_taking_from_a_canvas_and_putting_back_changes_only_those_taken() -> None:
    canvas = Canvas(cases.pictures(3, 20, 24), ((20, 24), (7, 9), (12, 5)))
    taken = canvas.take([1, 2])
    assert taken.pixels.shape == (2, 3, 12, 9)
    back = canvas.put([1, 2], replace(taken, pixels=taken.pixels + 1))
    assert torch.equal(back.pixels[0], canvas.pixels[0])
    assert torch.equal(back.pixels[1, :, :7, :9], canvas.pixels[1, :, :7, :9] + 1)
    assert np.array_equal(canvas.inside().sum((1, 2, 3)).numpy(), [480, 63, 60])
