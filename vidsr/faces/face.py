"""A face as it was found in a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Face:
    """Where a face is, how sure the detector was, and whose it is in a film."""

    box: tuple[float, float, float, float]
    """Left, top, right, bottom, in pixels of the picture; may reach beyond it."""
    score: float
    """How sure the detector is, 0 to 1."""
    landmarks: NDArray[np.float32]
    """5 2, x y in pixels of the picture: left eye, right eye, nose, left and right corner of the mouth, as seen."""
    track: int = -1
    """Number of the person in a film; -1 where nothing was tracked."""
