"""What is seen of a restored face: skin, features and hair as ParseNet finds them, or a soft oval."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from .align import SIDE, TEMPLATE

Masks = Callable[[Tensor], Tensor]
"""Faces N 3 512 512 RGB in [0, 1], restored, to masks N 512 512 in [0, 1], which are 0 at the border."""

SHOWN = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15)
"""Classes of ParseNet that are shown: skin, nose, glasses, eyes, brows, ears, mouth, lips, hair, earrings; not the
background, hats, necks, necklaces and clothes. As in facexlib's FaceRestoreHelper."""

BORDER = 10
"""Pixels at the border that are never shown."""

_BLUR, _RADIUS = 11.0, 50
"""Standard deviation and radius in pixels of the blur, which is done twice."""

_TOGETHER = 8
"""Faces that are parsed together."""

_OVAL = (1.45, 1.7)
"""Half axes of the oval, in distances between the eyes."""

_CORE = 0.65
"""The part of the oval, from its middle, that is shown wholly."""


def softened(masks: Tensor) -> Tensor:
    """N 512 512 of 0 and 1, blurred twice, with nothing at the border."""
    blur = _blur(masks.device)
    return _bordered(blur @ masks.float() @ blur.T)


@cache
def _blur(device: torch.device) -> Tensor:
    """512 512: the matrix that blurs a column twice, mirrored at its ends as OpenCV does.

    A Gaussian is separable, and what is linear may be multiplied out beforehand: two products of matrices take a
    fraction of the time of four convolutions with 101 taps.
    """
    offsets = torch.arange(-_RADIUS, _RADIUS + 1, dtype=torch.float64)
    weights = torch.exp(-offsets.square() / (2 * _BLUR**2))
    seen = functional.pad(torch.eye(SIDE, dtype=torch.float64)[None], (_RADIUS, _RADIUS), "reflect")
    once = functional.conv1d(seen.transpose(0, 1), (weights / weights.sum()).view(1, 1, -1))[:, 0].T
    return (once @ once).float().to(device)


def _bordered(masks: Tensor) -> Tensor:
    inner = masks[:, BORDER:-BORDER, BORDER:-BORDER]
    return functional.pad(inner, (BORDER, BORDER, BORDER, BORDER))


class Parsed:
    """Masks by `network`, a ParseNet, which is moved to `device` and runs in float32."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self.device = device
        self._network = network.to(device).eval().requires_grad_(False)
        shown = torch.zeros(19, device=device)
        shown[list(SHOWN)] = 1
        self._shown = shown

    @torch.no_grad()
    def __call__(self, faces: Tensor) -> Tensor:
        parts = [self._network(part.float() * 2 - 1).argmax(1) for part in torch.split(faces, _TOGETHER)]
        return softened(self._shown[torch.cat(parts)])


class Oval:
    """The same soft oval for every face, about what is skin in an aligned one. It needs no weights."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._mask = oval().to(device)

    def __call__(self, faces: Tensor) -> Tensor:
        return self._mask.expand(len(faces), SIDE, SIDE)


def oval() -> Tensor:
    """512 512: 1 in the middle of the face, falling off smoothly to 0 at an ellipse around it."""
    eyes, mouth = TEMPLATE[:2].mean(0), TEMPLATE[3:].mean(0)
    centre, unit = eyes * 0.6 + mouth * 0.4, float(TEMPLATE[1, 0] - TEMPLATE[0, 0])
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    away = torch.hypot((columns - centre[0]) / (_OVAL[0] * unit), (rows - centre[1]) / (_OVAL[1] * unit))
    inside = ((1 - away.float()) / (1 - _CORE)).clamp(0, 1)
    return _bordered((inside.square() * (3 - 2 * inside))[None])[0]
