"""Alignment, against facexlib's: see benchmarks/oracle_faces_geometry.py."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vidsr.faces.align import BORDER, SIDE, TEMPLATE, crop, similarity, source_box
from vidsr.faces.warp import Matrix, composed, inverted, magnification, reduced, resized

from . import drawn
from .geometry_cases import GOLDENS, jobs, landmarks

CORNERS = np.array([[0, 0, 1], [511, 0, 1], [0, 511, 1], [511, 511, 1]], np.float64)


def tensor(picture: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))


def test_matrices_are_those_of_facexlib() -> None:
    """Where the corners of the aligned square lie in the picture, within 0.1 pixels."""
    with np.load(GOLDENS) as goldens:
        expected = goldens["matrices"]
    found = [similarity(points) for points in landmarks()]
    apart = [
        inverted(one) @ CORNERS.T - inverted(other) @ CORNERS.T for one, other in zip(found, expected, strict=True)
    ]
    assert len(apart) == 16
    assert np.abs(apart).max() < 0.1


def test_crops_are_those_of_facexlib() -> None:
    """Codes differ by what OpenCV's positions in 32nds of a pixel and its rounding cost."""
    given = jobs()
    rgb = tensor(given["picture"][..., ::-1].astype(np.float32) / 255)
    with np.load(GOLDENS) as goldens:
        expected = goldens["crops"]
    found = torch.stack([crop(rgb, similarity(points)) for points in given["landmarks"][:3]])
    codes = found[:, [2, 1, 0], ::8, ::8].permute(0, 2, 3, 1).numpy() * 255
    apart = np.abs(codes - expected)
    assert apart.mean() < 0.5
    assert np.percentile(apart, 99) < 3  # a border of the picture is a step


@pytest.mark.parametrize("robust", [True, False])
@pytest.mark.parametrize("degrees", [-75.0, 0.0, 30.0, 178.0])
def test_exact_landmarks_come_back_to_the_template(degrees: float, robust: bool) -> None:
    points = drawn.landmarks(900, 500, 340, degrees)
    matrix = similarity(points, robust=robust)
    assert np.abs(matrix @ np.column_stack([points, np.ones(5)]).T - TEMPLATE.T).max() < 0.02
    assert magnification(matrix) == pytest.approx(512 / 340, rel=1e-4)


def test_one_landmark_far_off_is_left_out_only_if_robust() -> None:
    points = drawn.landmarks(300, 240, 260)
    exact = similarity(points)
    points[2] += (40, -30)
    assert np.abs(similarity(points) - exact).max() < 0.05
    assert np.abs(similarity(points, robust=False) - exact).max() > 1


def test_least_squares_moves_a_face_no_farther_than_its_landmarks() -> None:
    """Rough landmarks, off by another fifth of a pixel in each frame, as those of faces from the side."""
    rng = np.random.default_rng(0)

    def films() -> list[NDArray[np.float64]]:
        """S F 5 2: ten faces in sixty frames each."""
        return [
            drawn.landmarks(300, 240, 150, noise=2.0, seed=seed) + rng.normal(0, 0.2, (60, 5, 2)) for seed in range(10)
        ]

    def jump(film: NDArray[np.float64], robust: bool) -> float:
        corners = [inverted(similarity(points, robust=robust)) @ CORNERS.T for points in film]
        return float(np.abs(np.diff(corners, axis=0)).max())

    pairs = [(jump(film, False), jump(film, True)) for film in films()]
    assert max(calm for calm, _ in pairs) < 2.5
    assert max(nervous for _, nervous in pairs) > 5


@pytest.mark.parametrize(
    "points", [np.full((5, 2), 7.0), np.full((5, 2), np.nan), np.r_[np.zeros((4, 2)), [[np.inf, 0]]]]
)
def test_landmarks_that_are_no_face_are_refused(points: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="no face"):
        similarity(points)


def test_what_lies_outside_of_the_picture_is_the_border() -> None:
    rgb = torch.ones(3, 120, 160)
    beside = crop(rgb, similarity(drawn.landmarks(-900, 60, 100)))
    assert torch.equal(beside, torch.tensor(BORDER)[:, None, None].expand(3, SIDE, SIDE))
    half = crop(rgb, similarity(drawn.landmarks(0, 60, 100)))
    assert half[:, 256, 20].tolist() == pytest.approx(BORDER)
    assert half[:, 256, 490].tolist() == pytest.approx([1, 1, 1])


def test_a_face_larger_than_the_frame_is_all_of_it() -> None:
    matrix = similarity(drawn.landmarks(80, 60, 2000))
    box = source_box(matrix, 120, 160)
    assert (box.top, box.left, box.bottom, box.right) == (0, 0, 120, 160)
    assert crop(torch.rand(3, 120, 160), matrix).isfinite().all()


def test_large_faces_are_averaged_not_sampled() -> None:
    """One-pixel stripes become gray, wherever the face lies; the reference picks some of the pixels."""
    stripes = torch.zeros(3, 2400, 2400)
    stripes[:, :, ::2] = 1
    inside = crop(stripes, similarity(drawn.landmarks(1200, 1200, 2048)))[:, 100:400, 100:400]
    assert (inside - 0.5).abs().max() < 1e-3


@pytest.mark.parametrize(("size", "degrees"), [(150, 0), (400, 30), (1300, -15)])
def test_a_crop_has_the_values_of_the_picture_where_its_pixels_lie(size: float, degrees: float) -> None:
    picture = drawn.picture(700, 900, finest=60)
    matrix = similarity(drawn.landmarks(450, 350, size, degrees))
    found = crop(tensor(picture), matrix)
    for x, y in ((256, 256), (200, 300), (330, 190)):
        at = inverted(matrix) @ (x, y, 1)
        expected = cv2.getRectSubPix(picture, (1, 1), (float(at[0]), float(at[1])))[0, 0]
        assert found[:, y, x].tolist() == pytest.approx(expected.tolist(), abs=0.01)


def test_maps_compose_invert_and_keep_edges() -> None:
    matrix: Matrix = similarity(drawn.landmarks(200, 100, 333, 25))
    assert np.allclose(composed(matrix, inverted(matrix)), np.eye(2, 3), atol=1e-9)
    assert resized(4, 4) @ (-0.5, -0.5, 1) == pytest.approx((-0.5, -0.5))
    assert resized(2, 3) @ (9.5, 9.5, 1) == pytest.approx((19.5, 29.5))
    small, back = reduced(torch.arange(8.0).expand(1, 8, 8), 2.7)
    assert small[0, 0].tolist() == pytest.approx([0.5, 2.5, 4.5, 6.5])
    assert (back @ (1, 0, 1))[0] == pytest.approx(2.5)
