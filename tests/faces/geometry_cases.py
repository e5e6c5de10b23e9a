"""What facexlib and vidsr are both asked for: a picture, landmarks, restored faces and the classes of their pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import drawn

GOLDENS = Path(__file__).parent / "goldens_geometry.npz"

Arrays = dict[str, NDArray[Any]]


def codes(values: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray(np.rint(values * 255), np.uint8)


def landmarks() -> NDArray[np.float32]:
    """K 5 2: upright and turned faces of many sizes, exact ones, rough ones, and some with one landmark far off."""
    rng = np.random.default_rng(7)
    first = [drawn.landmarks(170, 150, 230, 8), drawn.landmarks(450, 200, 300, -20), drawn.landmarks(600, 430, 180)]
    others = [
        drawn.landmarks(*rng.uniform(0, 600, 2), rng.uniform(40, 900), rng.uniform(-60, 60), noise, seed)
        for seed, noise in enumerate((0.0, 0.3, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0), 1)
    ]
    outliers = [drawn.landmarks(300, 240, 260, 5) for _ in range(5)]
    for number, points in enumerate(outliers):
        points[number] += (25, -18)
    return np.stack([*first, *others, *outliers])


def jobs() -> Arrays:
    """`picture` and `restored` are BGR codes of 8 bits, as the reference has them."""
    rows, columns = np.mgrid[:512, :512]
    oval = np.hypot((columns - 256) / 170, (rows - 280) / 200) < 1
    classes = np.where(oval, 1 + rows // 64, np.where(rows > 400, 17, 0))
    return {
        "picture": codes(drawn.picture(480, 640))[..., ::-1].copy(),
        "restored": np.stack([codes(drawn.picture(512, 512, seed, 40))[..., ::-1] for seed in (1, 2, 3)]),
        "landmarks": landmarks(),
        "classes": classes.astype(np.uint8),
    }
