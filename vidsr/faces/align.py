"""Faces made upright: a turn, a size and a place, so that five landmarks lie where the networks expect them.

The template and the border are those of facexlib's FaceRestoreHelper (the mean of FFHQ's faces), which the networks
were trained with.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..frames import Box
from .warp import Matrix, composed, inverted, magnification, moved, reach, reduced, sampled

SIDE = 512
"""Pixels of an aligned face, both ways."""

TEMPLATE: NDArray[np.float64] = np.array(
    [
        (192.98138, 239.94708),
        (318.90277, 240.1936),
        (256.63416, 314.01935),
        (201.26117, 371.41043),
        (313.08905, 371.15118),
    ]
)
"""5 2, x y in pixels of an aligned face: eyes, nose, corners of the mouth."""

BORDER = (132 / 255, 133 / 255, 135 / 255)
"""RGB of what lies outside of the picture."""

ALIGNED = Box(0, 0, SIDE, SIDE)


def similarity(
    landmarks: NDArray[np.floating], template: NDArray[np.float64] = TEMPLATE, *, robust: bool = True
) -> Matrix:
    """2 3: the turn, size and shift that take `landmarks`, 5 2 in pixels, to `template`.

    `robust` leaves out landmarks that do not fit the others (least median of squares, P. Rousseeuw 1984), as the
    reference does. Which ones those are changes from frame to frame where a face is seen from the side; in films all
    five count (least squares), so that the face does not jump. Raises ValueError for landmarks of one place, or that
    are not finite.
    """
    points = np.asarray(landmarks, np.float64)
    if not np.isfinite(points).all() or np.ptp(points, axis=0).max() < 1e-3:
        raise ValueError("these landmarks are no face")
    if robust:
        found = cv2.estimateAffinePartial2D(points.astype(np.float32), template, method=cv2.LMEDS)[0]
        if found is not None:
            return np.asarray(found, np.float64)
    return _least_squares(points, template)


def _least_squares(points: NDArray[np.float64], template: NDArray[np.float64]) -> Matrix:
    """S. Umeyama, "Least-squares estimation of transformation parameters", 1991, in the plane, as complex numbers."""
    given, wanted = points @ (1, 1j), template @ (1, 1j)
    centred = given - given.mean()
    turn = np.vdot(centred, wanted) / np.vdot(centred, centred).real
    shift = wanted.mean() - turn * given.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def source_box(matrix: Matrix, height: int, width: int) -> Box:
    """The pixels of a picture of that size that the aligned face is made of; empty for a face beside the picture."""
    return reach(inverted(matrix), ALIGNED, Box(0, 0, height, width))


def crop(rgb: Tensor, matrix: Matrix) -> Tensor:
    """The aligned face, 3 512 512, of a picture 3 H W RGB in [0, 1]; `matrix` is that of `similarity`.

    Bilinear, as in the reference; faces of more than twice the size are averaged first, which the reference leaves out.
    """
    box = source_box(matrix, *rgb.shape[-2:])
    border = rgb.new_tensor(BORDER)[:, None, None]
    if not box.area:
        return border.expand(3, SIDE, SIDE).clone()
    inside = box.of(rgb) - border
    small, back = reduced(inside, 1 / magnification(matrix))
    to_small = inverted(composed(moved(matrix, box.left, box.top), back))
    return sampled(small, to_small, SIDE, SIDE) + border
