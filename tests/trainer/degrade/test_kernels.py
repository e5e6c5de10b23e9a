from __future__ import annotations

import numpy as np
import pytest

from tests.trainer.degrade import cases
from trainer.degrade.kernels import draw_blur, draw_sinc, draw_size, gaussian, padded, plateau, sinc, weighted
from trainer.degrade.options import Blur
from trainer.sample import Key

RNG = Key(3, 0, 0)


@pytest.mark.parametrize("name", cases.KERNELS)
def test_a_kernel_is_the_reference_s(name: str) -> None:
    assert cases.made(name).astype(np.float32) == pytest.approx(cases.goldens()[f"kernel {name}"], abs=2e-7)


@pytest.mark.parametrize("name", cases.KERNELS)
def test_a_kernel_sums_to_one_and_is_the_same_upside_down(name: str) -> None:
    kernel = cases.made(name)
    assert kernel.sum() == pytest.approx(1)
    assert kernel == pytest.approx(kernel[::-1, ::-1])


def test_an_angle_turns_the_long_axis() -> None:
    flat, steep = gaussian(21, (3, 0.5)), gaussian(21, (3, 0.5), np.pi / 2)
    assert flat == pytest.approx(steep.T)
    assert flat[10].sum() > 3 * flat[:, 10].sum()


def test_a_higher_exponent_makes_a_flatter_top() -> None:
    soft, hard = (plateau(21, (4, 4), 0, beta) for beta in (1.0, 2.0))
    assert hard[10, 12] / hard[10, 10] > soft[10, 12] / soft[10, 10]


def test_sinc_rings_and_an_open_one_lets_nearly_everything_pass() -> None:
    assert sinc(21, np.pi / 3).min() < 0
    assert sinc(21, np.pi)[10, 10] > 0.7


def test_padding_keeps_the_middle() -> None:
    kernel = padded(sinc(7, 2.0), 21)
    assert kernel.shape == (21, 21)
    assert kernel[10, 10] == kernel.max()


def test_sizes_are_all_odd_numbers_between_the_ends() -> None:
    rng = RNG.rng()
    assert {draw_size((7, 21), rng) for _ in range(300)} == set(range(7, 22, 2))


def test_choices_come_by_weight() -> None:
    rng = RNG.rng()
    drawn = [weighted({"a": 3.0, "b": 0.0, "c": 1.0}, rng) for _ in range(4000)]
    assert drawn.count("a") == pytest.approx(3000, abs=100)
    assert drawn.count("b") == 0


@pytest.mark.parametrize(
    "kind", ["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso"]
)
def test_every_kind_is_drawn_round_or_not(kind: str) -> None:
    options = Blur(kinds={kind: 1}, sinc=0, sigma=(0.5, 3))
    kernels = [draw_blur(options, Key(1, 0, index).rng()) for index in range(20)]
    round_ = [np.allclose(kernel, kernel.T) for kernel in kernels]
    assert all(round_) if kind.endswith("_iso") or kind == "iso" else not any(round_)
    assert all(kernel.min() >= 0 and kernel.sum() == pytest.approx(1) for kernel in kernels)


def test_the_share_of_sinc_filters_is_obeyed() -> None:
    drawn = [draw_blur(Blur(sinc=0.3), Key(2, 0, index).rng()).min() < 0 for index in range(600)]
    assert sum(drawn) == pytest.approx(180, abs=40)


def test_the_same_key_gives_the_same_kernel() -> None:
    first, second = (draw_blur(Blur(), Key(5, 1, 2).rng("degrade")) for _ in range(2))
    assert np.array_equal(first, second)
    assert np.array_equal(draw_sinc((7, 21), RNG.rng()), draw_sinc((7, 21), RNG.rng()))
