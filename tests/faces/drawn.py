"""Pictures and faces for the tests of faces: drawn by formulas, the same everywhere."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vidsr.faces.align import TEMPLATE
from vidsr.faces.face import Face

Floats = NDArray[np.float32]


def picture(height: int, width: int, seed: int = 0, finest: float = 24.0) -> Floats:
    """H W 3 RGB in [0, 1]: waves of many directions, none shorter than `finest` pixels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waves = np.zeros((height, width, 3))
    for _ in range(12):
        angle, length = rng.uniform(0, 2 * np.pi), finest * rng.uniform(1, 4)
        phase = 2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / length
        waves += np.cos(phase[..., None] + rng.uniform(0, 2 * np.pi, 3)) * rng.uniform(0.2, 1)
    return np.asarray(0.5 + 0.4 * waves / np.abs(waves).max(), np.float32)


def landmarks(x: float, y: float, size: float, degrees: float = 0.0, noise: float = 0.0, seed: int = 0) -> Floats:
    """5 2: those of the template about (x, y), where its 512 pixels are `size`, turned, and off by `noise` pixels."""
    turn = np.exp(1j * np.radians(degrees)) * size / 512
    points = ((TEMPLATE - 256) @ (1, 1j)) * turn + complex(x, y)
    off = np.random.default_rng(seed).normal(0, noise, (5, 2)) if noise else 0
    return np.asarray(np.column_stack([points.real, points.imag]) + off, np.float32)


def face(x: float, y: float, size: float, degrees: float = 0.0, score: float = 0.9, track: int = -1) -> Face:
    """A face about (x, y) whose aligned square has sides of `size` pixels."""
    half = size / 3
    return Face((x - half, y - half, x + half, y + half), score, landmarks(x, y, size, degrees), track)


def portrait(height: int, width: int, points: Floats) -> NDArray[np.uint8]:
    """H W 3 RGB: something with eyes, a nose and a mouth where the landmarks are."""
    canvas = np.full((height, width, 3), (70, 90, 110), np.uint8)
    unit = float(np.linalg.norm(points[1] - points[0]))
    middle = points.mean(0)

    def oval(centre: NDArray[np.floating], across: float, down: float, colour: tuple[int, int, int]) -> None:
        axes = (max(1, round(across * unit * 8)), max(1, round(down * unit * 8)))
        place = (round(float(centre[0]) * 8), round(float(centre[1]) * 8))
        cv2.ellipse(canvas, place, axes, 0, 0, 360, colour, -1, cv2.LINE_AA, 3)

    oval(middle, 1.05, 1.45, (224, 180, 150))
    for eye in points[:2]:
        oval(eye, 0.22, 0.12, (250, 250, 250))
        oval(eye, 0.1, 0.1, (40, 30, 20))
    oval(points[2], 0.12, 0.2, (200, 150, 125))
    oval(points[3:].mean(0), 0.42, 0.12, (170, 60, 60))
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), max(0.6, unit / 40)), np.uint8)
