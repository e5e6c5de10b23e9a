from __future__ import annotations

import pytest
import torch

from tests.trainer.degrade import cases
from tests.trainer.degrade.comparisons import results
from trainer.degrade.canvas import Canvas
from trainer.degrade.noise import NoiseDraw, SeededFields, add_noise, photons_of_white, poisson

CPU = torch.device("cpu")


def with_fields(draw: NoiseDraw) -> tuple[NoiseDraw, SeededFields]:
    return draw, SeededFields(draw, CPU)


@pytest.mark.parametrize("name", ["gaussian", "poisson"])
def test_the_noise_is_the_reference_s_from_the_same_random_pixels(name: str) -> None:
    assert results()[name].numpy() == pytest.approx(cases.goldens()[name], abs=1e-6)


def test_gaussian_noise_has_its_standard_deviation() -> None:
    canvas = Canvas.of(torch.full((1, 3, 128, 128), 0.5))
    noise = add_noise(canvas, [with_fields(NoiseDraw("gaussian", 12.0, gray=False, seed=4))]).pixels - 0.5
    assert noise.std() * 255 == pytest.approx(12, rel=0.02)
    assert noise.mean() * 255 == pytest.approx(0, abs=0.2)
    assert torch.corrcoef(noise[0].flatten(1)).triu(1).abs().max() < 0.03


@pytest.mark.parametrize("draw", [NoiseDraw("gaussian", 9.0, gray=True), NoiseDraw("poisson", 1.0, gray=True)])
def test_gray_noise_is_the_same_in_all_channels(draw: NoiseDraw) -> None:
    pixels = 0.3 + 0.4 * cases.pictures(1, 32, 32)
    noise = add_noise(Canvas.of(pixels), [with_fields(draw)]).pixels - pixels
    assert torch.allclose(noise[:, :1], noise[:, 1:], atol=1e-6)
    assert noise.abs().max() > 0.01


def test_poisson_noise_has_the_variance_of_counted_photons() -> None:
    pixels = torch.full((1, 3, 128, 128), 128 / 255)
    pixels[..., 64:] = 64 / 255  # two codes: white is two photons
    made = poisson(
        Canvas.of(pixels), [NoiseDraw("poisson", 1.0, gray=False)], [with_fields(NoiseDraw("poisson", 1, False))[1]]
    )
    for part, level in ((made[..., :64], 128 / 255), (made[..., 64:], 64 / 255)):
        assert part.mean() == pytest.approx(0, abs=0.02)
        assert part.var() == pytest.approx(level / 2, rel=0.05)


def test_white_is_as_many_photons_as_there_are_codes_up_to_a_power_of_two() -> None:
    codes = torch.zeros(5, 1, 16, 32)
    for number, count in enumerate((1, 2, 3, 5, 256)):
        codes[number] = (torch.arange(512) % count).view(1, 16, 32)
    inside = torch.ones(5, 1, 16, 32, dtype=torch.bool)
    assert photons_of_white(codes, inside).flatten().tolist() == [1, 2, 4, 8, 256]
    inside[..., 4:, :] = False
    inside[..., :, 3:] = False
    assert photons_of_white(codes, inside)[4] == 16  # 12 places are left


def test_pictures_of_several_sizes_get_the_noise_they_get_alone() -> None:
    pixels = cases.pictures(4, 40, 36)
    sizes = ((40, 36), (20, 11), (31, 36), (9, 30))
    draws = [*cases.NOISES, *cases.SHOTS]
    together = add_noise(Canvas(pixels, sizes), [(draw, cases.FixedFields()) for draw in draws]).pixels
    for number, (height, width) in enumerate(sizes):
        part = Canvas.of(pixels[number : number + 1, :, :height, :width])
        alone = add_noise(part, [(draws[number], cases.FixedFields())]).pixels[0]
        assert torch.equal(together[number, :, :height, :width], alone)


def test_pictures_without_noise_stay_as_they_are() -> None:
    canvas = Canvas.of(cases.pictures(2, 16, 16) * 1.5)
    made = add_noise(canvas, [None, with_fields(NoiseDraw("gaussian", 5, gray=False))]).pixels
    assert torch.equal(made[0], canvas.pixels[0])
    assert made[1].max() <= 1


def test_a_seed_names_the_field_and_a_second_call_gives_another() -> None:
    first, second = (SeededFields(NoiseDraw("gaussian", 1, gray=False, seed=8, gray_seed=9), CPU) for _ in range(2))
    field = first.normal((3, 8, 8))
    assert torch.equal(field, second.normal((3, 8, 8)))
    assert not torch.equal(field, first.normal((3, 8, 8)))
    shared = SeededFields(NoiseDraw("gaussian", 1, gray=True, seed=1, gray_seed=9), CPU)
    assert torch.equal(first.normal((1, 8, 8)), shared.normal((1, 8, 8)))
