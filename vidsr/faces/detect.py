"""From the name of a face detector to one that finds faces."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ..events import Emit, ignore
from .face import Face
from .retinaface import RetinaFaceDetector
from .weights import find_face, network_of
from .yunet import YuNetDetector

SCORE = 0.8
"""Faces below it are no faces; that of facexlib's RetinaFace, for all detectors."""
SCORE_IN_FILMS = 0.5
"""For detectors that a `Tracker` follows, which sorts out the weak ones."""
DEFAULT = "retinaface-mobile"
"""Its weights come with vidsr."""


class Detector(Protocol):
    """Finds the faces in a picture."""

    def find(self, picture: NDArray[np.uint8]) -> list[Face]:
        """The faces in a picture H W 3, RGB, best first."""


def load_detector(
    name: str = DEFAULT, device: torch.device | str = "cpu", emit: Emit = ignore, *, threshold: float = SCORE
) -> Detector:
    """The detector that `name` stands for: one of presets/weights.yaml, or the path of a file of RetinaFace or YuNet.

    RetinaFace runs on `device`, YuNet on the CPU. Faces with lower scores than `threshold` are left out. Raises
    UsageError for unknown names, WeightsError for weights that are missing or refused or of another network.
    """
    found = find_face(name, "face-detector", emit)
    if found.graph:
        return YuNetDetector(found.graph, found.origin, threshold=threshold)
    return RetinaFaceDetector(network_of(found, "face-detector").network, torch.device(device), threshold=threshold)
