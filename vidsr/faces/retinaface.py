"""Faces found by RetinaFace, on the device."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from .face import Face
from .nets.retinaface import RetinaFace, anchors, decoded
from .scales import COARSE, LARGEST, border_of, distinct, face_of, first_size, merged, placed

OVERLAP = 0.4
"""Boxes that share more are of one face; that of facexlib."""
MOST = 5000
"""Boxes that are compared, the best ones; a face has about ten."""


class RetinaFaceDetector:
    """Finds faces of any size. `threshold` is the least score; `largest` the longer side, in pixels, that is looked at.

    The same picture gives the same faces, bit for bit. Not for several threads at once.
    """

    def __init__(self, network: nn.Module, device: torch.device, *, threshold: float, largest: int = LARGEST) -> None:
        self.network, self.device = network.to(device), device
        self.threshold, self.largest = threshold, largest
        self._mean = torch.tensor(RetinaFace.mean, device=device).view(1, 3, 1, 1)
        self._anchors: dict[tuple[int, int], Tensor] = {}

    @torch.inference_mode()
    def find(self, picture: NDArray[np.uint8]) -> list[Face]:
        """The faces in a picture H W 3, RGB, best first; boxes may reach beyond it."""
        height, width = picture.shape[:2]
        size = first_size(height, width, self.largest)
        first = self._sized(picture, size)
        second = functional.avg_pool2d(first, COARSE, ceil_mode=True)
        border = border_of(*second.shape[2:])
        small = self._look(first, size, (height, width), 0)
        large = self._look(second, (size[0] / COARSE, size[1] / COARSE), (height, width), border)
        return merged(small, large, size[1] / width)

    def _sized(self, picture: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
        """As 1 3 h w, BGR less the mean."""
        pixels = torch.from_numpy(np.ascontiguousarray(picture)).to(self.device)
        x = pixels.permute(2, 0, 1)[None].flip(1).float()
        if size != picture.shape[:2]:
            x = functional.interpolate(x, size, mode="bilinear", antialias=True)
        return x - self._mean

    def _look(self, pixels: Tensor, size: tuple[float, float], picture: tuple[int, int], border: int) -> list[Face]:
        scores, boxes, marks = self._candidates(functional.pad(pixels, (border,) * 4))
        boxes = placed(boxes.reshape(-1, 2, 2), size, picture, border).reshape(-1, 4)
        marks = placed(marks, size, picture, border)
        best = distinct(boxes, scores, OVERLAP)
        return [face_of(boxes[index], scores[index], marks[index]) for index in best]

    def _candidates(self, pixels: Tensor) -> tuple[NDArray[np.float32], ...]:
        """Scores N, boxes N 4 and landmarks N 5 2 of all anchors that see a face, at most MOST."""
        scores, boxes, marks = (found[0] for found in self.network(pixels))
        chosen = scores[:, 1].topk(min(MOST, len(scores))).indices
        chosen = chosen[scores[chosen, 1] >= self.threshold]
        box, points = decoded(boxes[chosen], marks[chosen], self._anchors_of(pixels)[chosen])
        return scores[chosen, 1].cpu().numpy(), box.cpu().numpy(), points.cpu().numpy()

    def _anchors_of(self, pixels: Tensor) -> Tensor:
        """Those of this size; kept, as the frames of a film have one."""
        height, width = pixels.shape[2:]
        if (height, width) not in self._anchors:
            self._anchors = {} if len(self._anchors) > 1 else self._anchors
            self._anchors[height, width] = anchors(height, width).to(self.device)
        return self._anchors[height, width]
