"""Masks, against what OpenCV makes of the same classes as in the reference."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from vidsr.faces.masks import Oval, Parsed, oval, softened

CPU = torch.device("cpu")

COLORMAP = [0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 255, 0, 0, 0]
"""As the reference has it."""


class ByBrightness(nn.Module):
    """Stands in for ParseNet: the class is the red of the face, in steps."""

    def forward(self, faces: Tensor) -> Tensor:
        classes = ((faces[:, 0] + 1) / 2 * 18).round().long()
        return torch.nn.functional.one_hot(classes, 19).permute(0, 3, 1, 2).float()


def reference(classes: np.ndarray) -> np.ndarray:
    mask = np.zeros(classes.shape)
    for number, colour in enumerate(COLORMAP):
        mask[classes == number] = colour
    mask = cv2.GaussianBlur(cv2.GaussianBlur(mask, (101, 101), 11), (101, 101), 11)
    mask[:10] = mask[-10:] = 0
    mask[:, :10] = mask[:, -10:] = 0
    return mask / 255


def test_masks_are_those_of_the_reference() -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 19, (2, 16, 16))
    classes = coarse.repeat(32, 1).repeat(32, 2)
    faces = torch.from_numpy(classes / 18)[:, None].float().expand(2, 3, 512, 512)
    found = Parsed(ByBrightness(), CPU)(faces)
    expected = np.stack([reference(one) for one in classes])
    assert 0.1 < expected.mean() < 0.9
    assert np.abs(found.numpy() - expected).max() < 1e-5


def test_every_face_has_the_mask_of_itself_alone() -> None:
    masks, faces = Parsed(ByBrightness(), CPU), torch.rand(9, 3, 512, 512)
    found = masks(faces)
    assert found.shape == (9, 512, 512)
    assert 0 <= found.min() <= found.max() <= 1 + 1e-6
    assert torch.equal(found[8], masks(faces[8:])[0])


def test_blurs_of_all_and_nothing() -> None:
    found = softened(torch.stack([torch.ones(512, 512), torch.zeros(512, 512)]))
    assert found[0, 10:-10, 10:-10].allclose(torch.tensor(1.0), atol=1e-5)
    assert found[0, :10].max() == found[0, :, -10:].max() == found[1].max() == 0


def test_the_oval_is_soft_and_holds_the_face() -> None:
    mask = oval()
    assert mask.shape == (512, 512)
    assert mask.min() == mask[:10].max() == mask[:, -10:].max() == 0
    for x, y in ((193, 240), (319, 240), (257, 314), (201, 371), (313, 371)):
        assert mask[y, x] > 0.95
    assert mask.diff(dim=0).abs().max() < 0.025
    assert 0.15 < mask.mean() < 0.5


def test_the_oval_is_the_same_for_every_face() -> None:
    masks = Oval(CPU)(torch.rand(3, 3, 512, 512))
    assert masks.shape == (3, 512, 512)
    assert torch.equal(masks[0], masks[2])
    assert len(Oval(CPU)(torch.rand(0, 3, 512, 512))) == 0
