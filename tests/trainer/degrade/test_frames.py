"""Every step changes the picture in the way that it claims: blur, noise, levels, chroma, sizes, stills."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.trainer.degrade.pictures import chroma, degraded, grays, plain, psnr, scene
from trainer.degrade.frames.grain import grain_field
from trainer.degrade.frames.levels import bayer_matrix, range_mistake
from trainer.degrade.frames.resample import resampled
from trainer.degrade.pixels import rounded, to_rgb, to_ycc
from trainer.degrade.step_options import Shape


def dots(frames: int = 1, side: int = 41) -> NDArray[Any]:
    """Black with a white dot in the middle."""
    clip = np.zeros((frames, side, side, 3), np.uint8)
    clip[:, side // 2, side // 2] = 255
    return clip


def luma(clip: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(clip @ to_ycc()[0])


def detail(clip: NDArray[Any]) -> float:
    """Root mean square of the differences between neighbours along the lines."""
    return float(np.sqrt(np.mean(np.diff(clip.astype(float), axis=2) ** 2)))


def test_rounding_goes_to_the_nearest_code() -> None:
    values = np.array([[[-3.0, 0.4, 0.6], [254.4, 254.6, 300.0]]], np.float32)
    assert rounded(values).ravel().tolist() == [0, 0, 1, 254, 255, 255]


# lens


@pytest.mark.parametrize(
    "shape", ["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso", "sinc"]
)
def test_a_blur_keeps_the_mean_and_takes_detail(shape: Shape) -> None:
    clip = grays(2)
    blurred = degraded(clip, "blur", shapes={shape: 1}, sigma=(1.5, 2), elongated=(1, 3), cutoff=(1.1, 1.4))
    assert abs(blurred.mean() - clip.mean()) < 1
    assert detail(blurred[:, 12:-12, 12:-12]) < 0.85 * detail(clip[:, 12:-12, 12:-12])
    assert (degraded(plain((90, 120, 30)), "blur", shapes={shape: 1}) == plain((90, 120, 30))).all()


def test_the_width_of_a_blur_is_its_sigma_and_wanders() -> None:
    x = np.arange(41) - 20
    for sigma in (1.0, 2.5):
        spot = degraded(dots(), "blur", shapes={"iso": 1}, sigma=(sigma, sigma))[0, ..., 0].astype(float)
        assert np.sqrt((spot * x**2).sum() / spot.sum()) == pytest.approx(sigma, abs=0.35)
    frames = degraded(dots(6), "blur", 1, shapes={"iso": 1}, sigma=(1, 3), walk=0.4)
    assert len({frame.tobytes() for frame in frames}) > 3
    still = degraded(dots(6), "blur", 1, shapes={"aniso": 1}, walk=0, turn=0)
    assert len({frame.tobytes() for frame in still}) == 1


def step_edge() -> NDArray[Any]:
    clip = plain((80, 80, 80), 1)
    clip[:, :, 28:] = 160
    return clip


def test_a_halo_overshoots_on_both_sides_of_an_edge_and_nowhere_else() -> None:
    sharpened = degraded(step_edge(), "halo", amount=(1, 1), radius=(1, 1), horizontal=0)[0, 20, :, 0].astype(int)
    assert sharpened[27] < 60
    assert sharpened[28] > 180
    assert (sharpened[:24] == 80).all()
    assert (sharpened[32:] == 160).all()


def test_a_horizontal_halo_leaves_horizontal_edges() -> None:
    edge = np.ascontiguousarray(step_edge().transpose(0, 2, 1, 3))
    assert (degraded(edge, "halo", horizontal=1) == edge).all()
    assert (degraded(step_edge(), "halo", horizontal=1) != step_edge()).any()


def test_an_echo_is_a_weaker_copy_to_the_right() -> None:
    clip = plain((100, 100, 100), 1, 20, 100)
    clip[:, :, 30:33] = 220
    line = degraded(clip, "echo", delay=(0.2, 0.2), gain=(0.2, 0.2), softness=(0.1, 0.1))[0, 10, :, 0].astype(int)
    assert line[51] == pytest.approx(100 + 120 * 0.2 / 1.2, abs=2)
    assert line[31] == pytest.approx(100 + 120 / 1.2, abs=2)
    assert (line[:28] == 100).all()
    negative = degraded(clip, "echo", delay=(0.2, 0.2), gain=(-0.2, -0.2))[0, 10, :, 0].astype(int)
    assert negative[51] < 95


# grain


@pytest.mark.parametrize("gray", [0, 1])
def test_gaussian_noise_has_its_deviation_and_is_new_in_each_frame(gray: int) -> None:
    noisy = degraded(plain((128, 128, 128), 3, 80, 80), "noise", sigma=(9, 9), gray=gray).astype(float) - 128
    assert noisy.std() == pytest.approx(9, rel=0.05)
    assert abs(noisy.mean()) < 0.3
    assert abs(np.corrcoef(noisy[0].ravel(), noisy[1].ravel())[0, 1]) < 0.03
    assert (chroma(noisy).max() == 0) == bool(gray)


def test_poisson_noise_grows_with_the_root_of_the_light() -> None:
    spread = [
        degraded(plain((level,) * 3, 1, 90, 90), "noise", poisson=1, scale=(1, 1), gray=1).astype(float).std()
        for level in (16, 64, 144)
    ]
    assert spread == pytest.approx([4, 8, 12], rel=0.06)


def test_grain_is_strongest_in_the_middle_and_absent_in_black_and_white() -> None:
    spread = {
        level: degraded(plain((level,) * 3, 2, 80, 80), "grain", strength=(6, 6), chroma=(0, 0)).astype(float).std()
        for level in (0, 26, 128, 255)
    }
    assert spread[0] == spread[255] == 0
    assert spread[128] == pytest.approx(6, rel=0.1)
    assert spread[26] == pytest.approx(6 * 0.6, rel=0.1)


def test_grain_has_a_size_and_no_memory() -> None:
    rng = np.random.default_rng(0)
    for size, neighbours in ((0.0, 0.0), (1.0, np.exp(-1 / 4))):
        field = grain_field((200, 200), 1, size, rng)[..., 0]
        assert field.std() == pytest.approx(1, rel=0.05)
        assert np.corrcoef(field[:, 1:].ravel(), field[:, :-1].ravel())[0, 1] == pytest.approx(neighbours, abs=0.05)
    grainy = degraded(plain((128, 128, 128), 2, 80, 80), "grain", strength=(6, 6)).astype(float) - 128
    assert abs(np.corrcoef(grainy[0].ravel(), grainy[1].ravel())[0, 1]) < 0.05


def test_grain_is_mostly_in_the_luma() -> None:
    clip = plain((128, 128, 128), 1, 80, 80)
    assert chroma(degraded(clip, "grain", chroma=(0, 0))).max() == 0
    coloured = degraded(clip, "grain", strength=(8, 8), chroma=(0.3, 0.3)).astype(float) - 128
    assert chroma(coloured).mean() > 1
    assert luma(coloured).std() == pytest.approx(8, rel=0.1)


# levels


def test_banding_leaves_few_levels_and_gray_gray() -> None:
    ramp = np.repeat(np.linspace(0, 255, 256)[None, None, :, None].astype(np.uint8), 3, axis=3).repeat(8, axis=1)
    banded = degraded(ramp, "banding", levels=(30, 30))
    assert len(np.unique(banded)) == 30
    assert chroma(banded).max() == 0
    assert np.abs(banded.astype(int) - ramp).max() <= 5


@pytest.mark.parametrize("bayer", [0, 1])
def test_dither_leaves_few_levels_and_the_mean(bayer: int) -> None:
    clip = np.concatenate([plain((101, 50, 7), 2, 64, 64), plain((250, 200, 130), 2, 64, 64)], axis=2)
    dithered = degraded(clip, "dither", levels=(16, 16), bayer=bayer)
    assert len(np.unique(dithered)) <= 16
    assert np.abs(dithered[:, :, :64].mean(axis=(0, 1, 2)) - (101, 50, 7)).max() < 1
    assert ((dithered[0] == dithered[1]).all()) == bool(bayer)


def test_bayers_matrix_holds_every_threshold_once() -> None:
    assert sorted((bayer_matrix() * 64 - 0.5).ravel().tolist()) == list(range(64))


def test_a_matrix_mistake_leaves_grays_and_is_undone_by_its_opposite() -> None:
    assert (degraded(grays(), "matrix", as_709=1) == grays()).all()
    clip = (scene().astype(int) // 2 + 50).astype(np.uint8)
    wrong = degraded(clip, "matrix", as_709=1)
    assert np.abs(wrong.astype(int) - clip).max() > 8
    assert np.abs(degraded(wrong, "matrix", as_709=0).astype(int) - clip).max() <= 1
    red = degraded(plain((200, 60, 60)), "matrix", as_709=1)[0, 0, 0].astype(float)
    y, cb, cr = to_ycc((0.299, 0.114)) @ np.array([200.0, 60, 60])
    assert red == pytest.approx(
        [y + 1.5748 * cr, y - 0.187324 * cb - 0.468124 * cr, y + 1.8556 * cb], abs=0.51
    )  # the equations of BT.709


def test_a_range_mistake_is_the_exact_affine_map() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, None, :, None], 3, axis=3)
    codes = np.arange(256)
    assert (degraded(ramp, "level_range", crushed=0)[0, 0, :, 0] == np.rint(16 + codes * 219 / 255)).all()
    crushed = np.clip(np.rint((codes - 16) * 255 / 219), 0, 255)
    assert (degraded(ramp, "level_range", crushed=1)[0, 0, :, 0] == crushed).all()
    there, back = range_mistake(crushed=False), range_mistake(crushed=True)
    colour = np.array([200.0, 90.0, 20.0])
    assert back @ np.append(there @ np.append(colour, 1), 1) == pytest.approx(colour, abs=1e-3)


# chroma


def test_shifted_chroma_leaves_luma_and_grays() -> None:
    clip = (scene().astype(int) // 3 + 80).astype(np.uint8)
    shifted = degraded(clip, "chroma_shift", across=(3, 3), down=(0, 0), bleed=(0, 0), walk=0)
    assert np.abs(luma(shifted) - luma(clip)).max() < 1
    red = [np.asarray(frames @ to_ycc()[2]) for frames in (clip, shifted)]
    assert np.abs(red[1][:, :, 3:] - red[0][:, :, :-3]).max() < 1
    assert (degraded(grays(), "chroma_shift", bleed=(2, 2)) == grays()).all()


def test_bleeding_chroma_is_smeared_along_the_line_only() -> None:
    clip = plain((120, 120, 120), 1)
    clip[:, 15:25, 20:36] = (160, 100, 110)
    bled = degraded(clip, "chroma_shift", across=(0, 0), down=(0, 0), bleed=(2.5, 2.5), walk=0)
    assert chroma(bled)[0, 20, 17] > 3
    assert chroma(bled)[0, 12].max() == 0


def test_wrong_siting_moves_chroma_by_a_fraction_of_a_pixel() -> None:
    clip = grays(1)
    assert np.abs(degraded(clip, "siting").astype(int) - clip).max() <= 2  # limited range has fewer codes
    edge = plain((150, 100, 100), 1)
    edge[:, :, 28:] = (100, 110, 150)
    moved = [degraded(edge, "siting", seed, again=1) for seed in range(6)]
    assert len({frame.tobytes() for frame in moved}) > 2
    assert all(np.abs(frame.astype(int) - edge)[:, :, [5, -5]].max() <= 2 for frame in moved)
    assert all(np.abs(frame.astype(int) - edge).max() > 5 for frame in moved)


# resample


@pytest.mark.parametrize("how", ["bilinear", "bicubic", "lanczos"])
def test_antialiasing_removes_what_would_alias(how: str) -> None:
    y, x = np.mgrid[:96, :96]
    zone = np.repeat(((x + y) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
    fine = resampled(zone, (32, 32), how, antialias=True)  # type: ignore[arg-type]
    assert np.abs(fine[3:-3, 3:-3].astype(int) - 127).max() < 12
    assert resampled(zone, (32, 32), how, antialias=False).std() > 40  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [(31, 22), (64, 48), (150, 101)])
def test_resampling_keeps_flat_areas_and_places(how: str, size: tuple[int, int]) -> None:
    flat = plain((10, 130, 250), 1, 48, 64)[0]
    assert (resampled(flat, size, how, antialias=True) == np.array([10, 130, 250])).all()  # type: ignore[arg-type]
    ramp = np.repeat(np.linspace(0, 255, 64)[None, :, None], 48, 0).repeat(3, 2).astype(np.uint8)
    once = resampled(ramp, size, how, antialias=True)  # type: ignore[arg-type]
    wanted = cv2.resize(ramp, size, interpolation=cv2.INTER_LINEAR)
    assert np.abs(once.astype(int) - wanted)[:, 6:-6].max() <= 3


def test_an_upscale_of_a_lower_resolution_has_its_size_and_less_detail() -> None:
    clip = scene(1, 64, 96)
    up = degraded(clip, "upscaled", factor=(0.5, 0.5), up={"bicubic": 1})
    assert up.shape == clip.shape
    assert detail(up) < 0.8 * detail(clip)
    blocks = degraded(clip, "upscaled", factor=(0.5, 0.5), up={"nearest": 1})
    assert (blocks[:, ::2] == blocks[:, 1::2]).all()
    assert (blocks[:, :, ::2] == blocks[:, :, 1::2]).all()


def test_a_resize_is_by_its_factor() -> None:
    assert degraded(scene(1, 40, 60), "resize", factor=(0.55, 0.55)).shape == (1, 22, 33, 3)


# still


@pytest.mark.parametrize("webp", [0, 1])
def test_stills_keep_colours_and_follow_their_quality(webp: int) -> None:
    red = degraded(plain((220, 40, 30)), "still", webp=webp, quality=(95, 95))
    assert np.abs(red.astype(int) - (220, 40, 30)).max() <= 4
    clip = scene()
    fine, coarse = (degraded(clip, "still", webp=webp, quality=(q, q), walk=0) for q in (90, 20))
    assert psnr(clip, fine) > psnr(clip, coarse) + 3


def test_the_conversions_are_each_others_inverse() -> None:
    for weights in ((0.299, 0.114), (0.2126, 0.0722)):
        assert to_rgb(weights) @ to_ycc(weights) == pytest.approx(np.eye(3), abs=1e-5)
