"""Metrics: range, exact values, the reference's values, and what they do when a picture gets worse."""

from __future__ import annotations

import json
import math
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.metric_cases import BORDERS, CHANNELS, GOLDENS, drawing, judged, noisy, pairs, pristine_pictures
from trainer.losses.lpips import LPIPSDistance, load_lpips
from trainer.losses.options import LPIPS
from trainer.metrics import niqe, temporal
from trainer.metrics.build import build
from trainer.metrics.frames import luma
from trainer.metrics.options import Features, Flicker, Niqe, Psnr, Ssim, Tof, Validation, VideoSet, WarpingError
from vidsr.errors import InputError, WeightsError

REFERENCE = json.loads(GOLDENS.read_text(encoding="utf-8"))
BETTER = {"psnr_y": "higher", "psnr_rgb": "higher", "ssim_y": "higher", "warping_error": "lower", "tof": "lower"}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("niqe") / "pristine.npz"
    niqe.save(path, niqe.fit(pristine_pictures()))
    return path


def moving(frames: int = 3, height: int = 64, width: int = 80, step: int = 2) -> np.ndarray:
    """T H W 3: a drawing that moves `step` pixels to the left from frame to frame."""
    wide = drawing(height, width + step * frames, 11, cells=False)
    return np.stack([wide[:, step * index : step * index + width] for index in range(frames)])


# --- against the reference


@pytest.mark.parametrize("name", sorted(pairs()))
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("channel", CHANNELS)
def test_psnr_and_ssim_are_those_of_basicsr(name: str, border: int, channel: str) -> None:
    pair = pairs()[name]
    psnr, ssim = (build(kind(channel=channel, border=border))(*pair) for kind in (Psnr, Ssim))
    assert psnr == pytest.approx(REFERENCE[f"psnr {name} {border} {channel}"], abs=1e-5)
    assert ssim == pytest.approx(REFERENCE[f"ssim {name} {border} {channel}"], abs=1e-6)


@pytest.mark.parametrize("name", sorted(judged()))
def test_niqe_is_that_of_basicsr_by_the_same_statistics(name: str, pristine: Path) -> None:
    """The reference halves pictures in float32, and the covariance magnifies that."""
    assert build(Niqe(model=pristine, border=0))(judged()[name]) == pytest.approx(REFERENCE[f"niqe {name}"], rel=2e-3)


# --- exact values


def test_luma_is_that_of_bt601_in_limited_range() -> None:
    corners = np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0]], np.float64).reshape(1, 1, 3, 3)
    assert luma(corners).ravel() == pytest.approx([16, 235, 81.481], abs=1e-3)


def test_psnr_of_one_code_is_exact() -> None:
    first = np.full((8, 8, 3), 100, np.uint8)
    assert build(Psnr(channel="rgb", border=0))(first + 1, first) == pytest.approx(20 * math.log10(255))
    step = (65.481 + 128.553 + 24.966) / 255
    assert build(Psnr(border=0))(first + 1, first) == pytest.approx(20 * math.log10(255 / step))


@pytest.mark.parametrize("kind", ["uint8", "float64", "float32"])
def test_equal_pictures_are_perfect(kind: str) -> None:
    clip = moving()
    clip = clip if kind == "uint8" else (clip / 255).astype(kind)
    assert build(Psnr())(clip, clip) == math.inf
    assert build(Ssim())(clip, clip) == pytest.approx(1, abs=1e-12)
    assert build(Tof())(clip, clip) == 0
    still = np.stack([clip[0], clip[0]])
    assert build(Flicker())(still, still) == 0
    assert build(WarpingError())(still, still) == 0


@given(seed=st.integers(0, 1000), spread=st.integers(0, 60))
@settings(max_examples=15, deadline=None)
def test_metrics_stay_in_their_ranges_and_floats_give_what_codes_give(seed: int, spread: int) -> None:
    gt = drawing(40, 52, seed)
    output = noisy(gt, spread, seed)
    psnr, ssim = (build(kind(), 4) for kind in (Psnr, Ssim))
    assert psnr(output, gt) >= 0
    assert -1 <= ssim(output, gt) <= 1 + 1e-12
    for metric in (psnr, ssim):
        if spread:
            assert metric(output / 255, gt / 255) == pytest.approx(metric(output, gt), rel=1e-9)
            assert metric(output, gt) == pytest.approx(metric(gt, output), rel=1e-9)


@pytest.mark.parametrize("kind", [Psnr, Ssim])
def test_more_noise_is_worse(kind: type) -> None:
    gt = drawing(60, 60, 1)
    values = [build(kind(), 4)(noisy(gt, spread, 2), gt) for spread in (1, 4, 16, 64)]
    assert values == sorted(values, reverse=True)


def test_a_clip_counts_as_the_mean_of_its_frames() -> None:
    gt, metric = moving(), build(Psnr(), 2)
    output = np.stack([noisy(frame, 5 * number + 3, number) for number, frame in enumerate(gt)])
    assert metric(output, gt) == pytest.approx(np.mean([metric(*pair) for pair in zip(output, gt, strict=True)]))


def test_the_border_is_left_out() -> None:
    gt = drawing(40, 40, 3)
    output = gt.copy()
    output[:4], output[:, -4:] = 0, 0
    assert build(Psnr(), 4)(output, gt) == math.inf
    assert build(Psnr(border=3), 4)(output, gt) < 60


# --- from frame to frame


def test_flow_finds_the_motion() -> None:
    codes = luma(moving(2, step=2) / 255).round().astype(np.uint8)
    flow = temporal._searcher(64, 80)(codes[0], codes[1])
    assert np.median(flow[16:48, 16:64], axis=(0, 1)) == pytest.approx([-2, 0], abs=0.1)


def test_warping_error_is_small_for_motion_and_grows_with_flicker() -> None:
    gt, metric = moving(), build(WarpingError())
    flickering = np.stack([noisy(frame, 12, number) for number, frame in enumerate(gt)])
    assert metric(gt, gt) < 0.2 * metric(flickering, gt)
    assert 0 <= metric(gt, gt) < 1e-3
    assert metric(gt) == metric(gt, gt)  # without a ground truth, the motion is that of the output


def test_hidden_places_do_not_count() -> None:
    onward = np.zeros((20, 20, 2), np.float32)
    back = np.zeros((20, 20, 2), np.float32)
    assert temporal.visible(onward, back).all()
    back[:, 10:] = 5  # the way back does not end where it began
    assert not temporal.visible(onward, back)[:, 10:].any()
    assert temporal.visible(onward, back)[:, :10].all()
    onward[:] = (0, 30)  # beyond the lower edge
    assert not temporal.visible(onward, -onward).any()


def test_warp_brings_the_next_frame_back() -> None:
    frame = drawing(20, 30, 4) / 255
    flow = np.zeros((20, 30, 2), np.float32)
    flow[..., 0] = 3
    assert temporal.warp(frame, flow)[:, :27] == pytest.approx(frame[:, 3:], abs=1e-6)


def test_tof_sees_motion_that_is_not_there() -> None:
    gt, metric = moving(3), build(Tof())
    still = np.stack([gt[0]] * 3)
    assert metric(still, gt) == pytest.approx(2, abs=0.4)
    assert metric(still, still) == 0


def test_flicker_counts_where_the_ground_truth_stands_still() -> None:
    still = np.full((3, 32, 48, 3), 100, np.uint8)
    output = still.copy()
    output[1] += 10
    step = 10 * (65.481 + 128.553 + 24.966) / 255
    assert build(Flicker())(output, still) == pytest.approx(step)
    gt = still.copy()
    gt[:, :, :16] = np.arange(3, dtype=np.uint8)[:, None, None, None] * 50  # moves: does not count
    output = gt.copy()
    output[1, :, 16:32] += 10
    assert build(Flicker())(output, gt) == pytest.approx(step / 2)
    output[1, :, :16] += 20
    assert build(Flicker())(output, gt) == pytest.approx(step / 2)


def test_what_cannot_be_measured_is_nan() -> None:
    everywhere = np.stack([np.full((32, 32, 3), code, np.uint8) for code in (0, 90, 180)])
    assert math.isnan(build(Flicker())(everywhere, everywhere))
    one = drawing(32, 32, 1)
    assert math.isnan(build(WarpingError())(one, one))
    assert math.isnan(build(Tof())(one, one))


@pytest.mark.parametrize("size", [(9, 40), (12, 12)])
def test_flow_of_tiny_pictures_works(size: tuple[int, int]) -> None:
    clip = np.stack([drawing(*size, 1)] * 2)
    assert build(WarpingError())(clip, clip) == 0


# --- NIQE


def test_niqe_rises_with_faults(tmp_path: Path) -> None:
    niqe.save(tmp_path / "clean.npz", niqe.fit(drawing(384, 480, seed, cells=False) for seed in range(20, 28)))
    metric, first = build(Niqe(model=tmp_path / "clean.npz")), drawing(300, 400, 5, cells=False)
    assert metric(first) < metric(noisy(first, 6, 1)) < metric(noisy(first, 30, 1))


def test_flat_blocks_do_not_count(pristine: Path) -> None:
    metric, first = build(Niqe(model=pristine)), drawing(192, 384, 5, cells=False)
    wide = np.concatenate([first, np.full((192, 96, 3), 128, np.uint8)], axis=1)
    assert metric(wide) == pytest.approx(metric(first), rel=0.25)  # the filter sees the seam
    assert math.isnan(metric(np.full((200, 200, 3), 7, np.uint8)))


def test_statistics_are_made_of_a_folder(pristine: Path, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    for place, picture in enumerate(pristine_pictures()):
        assert cv2.imwrite(str(tmp_path / "inner" / f"{place:02}.png"), picture[..., ::-1])
    (tmp_path / "notes.txt").write_text("no picture")
    made, known = niqe.fit_folder(tmp_path), niqe.load(pristine)
    assert np.array_equal(made.mean, known.mean)
    assert np.array_equal(made.covariance, known.covariance)


def test_niqe_takes_the_names_of_basicsr(pristine: Path, tmp_path: Path) -> None:
    known = niqe.load(pristine)
    np.savez(tmp_path / "other.npz", mu_pris_param=known.mean[None], cov_pris_param=known.covariance)
    assert np.array_equal(niqe.load(tmp_path / "other.npz").mean, known.mean)


@pytest.mark.parametrize("content", [b"", b"no statistics", b"PK\x03\x04"])
def test_a_file_without_statistics_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"model\.npz holds no statistics"):
        build(Niqe(model=path))


def test_statistics_of_another_size_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "model.npz", mu=np.zeros(18), cov=np.eye(18))
    with pytest.raises(InputError, match="holds 18 means"):
        niqe.load(tmp_path / "model.npz")


def test_too_few_pristine_blocks_are_told() -> None:
    with pytest.raises(InputError, match="more than 36 are needed"):
        niqe.fit([drawing(200, 200, 1, cells=False)])


# --- distance of features


@pytest.fixture(scope="module")
def lpips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Options of LPIPS with random weights in the layout of the shift-tolerant AlexNet."""
    torch.manual_seed(1)
    state = LPIPSDistance("st-alex").state_dict()
    for key, value in state.items():
        if not key.endswith("filt"):
            state[key] = torch.rand_like(value) if key.startswith("heads") else torch.randn_like(value) * 0.05
    path = tmp_path_factory.mktemp("lpips") / "alex.pth"
    torch.save(state, path)
    return {"kind": "lpips", "net": "st-alex", "weights": path, "sha256": sha256(path.read_bytes()).hexdigest()}


def test_distance_of_features_is_that_of_the_loss(lpips: dict[str, Any]) -> None:
    metric, loss = build(Features(by=lpips)), load_lpips(LPIPS(**lpips))
    gt = np.stack([drawing(48, 52, seed) for seed in (1, 2)])
    output = np.stack([noisy(frame, 20, 3) for frame in gt])
    first, second = (torch.from_numpy(clip).permute(0, 3, 1, 2) / 255 for clip in (output, gt))
    with torch.no_grad():
        assert metric(output, gt) == pytest.approx(loss(first, second).mean().item(), rel=1e-5)
    assert build(Features(by=lpips, every=2))(output, gt) == metric(output[0], gt[0])
    assert metric.name == "lpips"
    assert metric(gt, gt) == 0
    assert metric(noisy(gt[0], 10, 1), gt[0]) < metric(noisy(gt[0], 60, 1), gt[0])


def test_weights_that_are_missing_are_told(lpips: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="do not exist"):
        build(Features(by={**lpips, "weights": tmp_path / "none.pth"}))


# --- what is refused


@pytest.mark.parametrize(
    ("output", "gt", "words"),
    [
        (np.zeros((8, 8)), np.zeros((8, 8)), "shape"),
        (np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 4), np.uint8), "shape"),
        (np.zeros((8, 8, 3), np.int32), np.zeros((8, 8, 3), np.int32), "int32"),
        (np.full((8, 8, 3), 1.5), np.zeros((8, 8, 3)), "from 1.5"),
        (np.full((8, 8, 3), np.nan), np.zeros((8, 8, 3)), "nan"),
        (np.zeros((8, 8, 3)), np.zeros((8, 9, 3)), "equal ones"),
        (np.zeros((8, 8, 3)), None, "ground truth is needed"),
    ],
)
def test_what_is_no_picture_is_refused(output: np.ndarray, gt: np.ndarray | None, words: str) -> None:
    with pytest.raises(InputError, match=words):
        build(Psnr(border=0))(output, gt)


def test_a_border_without_a_rest_and_tiny_pictures_are_refused(pristine: Path) -> None:
    small = np.zeros((10, 10, 3), np.uint8)
    for metric, words in (
        (build(Psnr(), 5), "border of 5"),
        (build(Ssim(), 0), "window"),
        (build(Niqe(model=pristine)), "block"),
    ):
        with pytest.raises(InputError, match=words):
            metric(small, small)


# --- options


def test_names_and_directions() -> None:
    options = Validation(
        sets=(VideoSet(name="a", gt=Path("a.mkv")), VideoSet(name="b", lq=Path("b.mkv"))),
        metrics=(Psnr(), Psnr(channel="rgb"), Ssim(), WarpingError(), Tof()),
    )
    assert {name: options.direction(name) for name in options.metric_names} == BETTER
    assert options.direction("b/tof") == "lower"
    assert options.allowed[-1] == "b/tof"
    assert options.deciding == "psnr_y"
    assert Validation().deciding is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"best": "psnr"}, "'psnr' is not measured, did you mean 'psnr_y'"),
        ({"early_stop": {"metric": "c/tof"}}, "not measured"),
        ({"metrics": [{"kind": "psnr"}, {"kind": "psnr"}]}, "psnr_y stands there twice"),
        ({"sets": [{"kind": "video", "name": "a"}]}, "neither gt nor lq"),
        ({"sets": [{"kind": "video", "name": "a/b", "gt": "x"}]}, "pattern"),
        ({"metrics": [{"kind": "psrn"}]}, "psrn"),
    ],
)
def test_mistakes_are_told(values: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Validation.model_validate(values)
