"""Paste-back: where, how much of it, in which colours; against facexlib's (benchmarks/oracle_faces_geometry.py)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vidsr.faces.align import crop, similarity
from vidsr.faces.masks import oval, softened
from vidsr.faces.paste import matched, paste, rectangle
from vidsr.faces.warp import composed, inverted, moved, resized

from . import drawn
from .geometry_cases import GOLDENS, jobs
from .test_align import CORNERS, tensor


def psnr(one: Tensor, other: Tensor, weight: Tensor | None = None) -> float:
    """dB, of the pixels that `weight` counts."""
    apart = (one - other).double().square().mean(0)
    weight = torch.ones_like(apart) if weight is None else weight
    return float(-10 * torch.log10((apart * weight).sum() / weight.sum() + 1e-12))


def shown(mask: Tensor, matrix: np.ndarray, scale: float, frame: Tensor) -> Tensor:
    """H W: the mask where it lies in the frame."""
    black = torch.zeros_like(frame)
    return paste(black, torch.ones(3, 512, 512), matrix, mask, scale)[0]


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_faces_lie_where_facexlib_puts_them(scale: int) -> None:
    """Within 0.1 pixels; but for the half pixel of the larger picture that the reference is off."""
    with np.load(GOLDENS) as goldens:
        expected = goldens[f"inverse{scale}"]
    for points, theirs in zip(jobs()["landmarks"][:3], expected, strict=True):
        ours = composed(resized(scale, scale), inverted(similarity(points)))
        half = 0.5 if scale > 1 else 0.0
        assert np.abs(ours @ CORNERS.T + half - theirs @ CORNERS.T).max() < 0.1 * scale
        assert np.abs(ours @ CORNERS.T + half - theirs @ CORNERS.T).max() < 0.1


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_pasted_pictures_are_those_of_facexlib(scale: int) -> None:
    given = jobs()
    rgb = tensor(given["picture"][..., ::-1].astype(np.float32) / 255)
    frame = functional.interpolate(rgb[None], scale_factor=scale, mode="bilinear")[0] if scale > 1 else rgb.clone()
    mask = softened(torch.from_numpy(np.isin(given["classes"], [*range(1, 14), 15]))[None].float())[0]
    for points, face in zip(given["landmarks"][:3], given["restored"], strict=True):
        half = -0.5 / scale if scale > 1 else 0
        matrix = moved(similarity(points), half, half)
        paste(frame, tensor(face[..., ::-1].astype(np.float32) / 255), matrix, mask, scale)
    step = 8 * scale
    codes = frame[[2, 1, 0], ::step, ::step].permute(1, 2, 0).numpy() * 255
    with np.load(GOLDENS) as goldens:
        apart = np.abs(codes - goldens[f"pasted{scale}"])
    assert apart.mean() < 0.8  # the reference cuts fractions off, which is half a code
    assert apart.max() < 4


@pytest.mark.parametrize(
    ("size", "degrees", "scale"), [(460, 0, 1), (300, 20, 1), (420, -12, 2), (200, 5, 2), (1200, 40, 1)]
)
def test_an_unchanged_face_cannot_be_seen(size: float, degrees: float, scale: int) -> None:
    """At least 45 dB inside of the mask, and no step along its border."""
    before = tensor(drawn.picture(480, 640, finest=28))
    background = functional.interpolate(before[None], scale_factor=scale, mode="bicubic")[0] if scale > 1 else before
    matrix, mask = similarity(drawn.landmarks(330, 250, size, degrees)), oval()
    after = paste(background.clone(), crop(before, matrix), matrix, mask, scale)
    weight = shown(mask, matrix, scale, background)
    assert psnr(after, background, (weight > 0.01).double()) >= 45
    rim = ((weight > 0) & (weight < 0.2)).double()
    assert psnr(after, background, rim) >= 45
    step = (after - background).diff(dim=-1).abs()[:, rim[:, 1:] > 0]
    assert step.max() < (0.5 if size < 480 else 4) / 255  # beyond the edge of the picture there is only gray


def test_another_face_leaves_no_step_at_the_border_of_the_mask() -> None:
    """A white face on black: from one pixel to the next a twentieth at most."""
    frame, matrix = torch.zeros(3, 400, 400), similarity(drawn.landmarks(200, 200, 300))
    after = paste(frame, torch.ones(3, 512, 512), matrix, oval())
    assert after.max() == 1
    assert after.diff(dim=-1).abs().max() < 0.05
    assert after.diff(dim=-2).abs().max() < 0.05


def test_nothing_changes_outside_of_the_rectangle() -> None:
    before = torch.rand(3, 300, 400)
    matrix = similarity(drawn.landmarks(180, 140, 120, 15))
    after = paste(before.clone(), torch.rand(3, 512, 512), matrix, oval())
    box = rectangle(matrix, 1, 300, 400)
    assert not torch.equal(box.of(after), box.of(before))
    box.of(after).copy_(box.of(before))
    assert torch.equal(after, before)
    assert box.area < 220 * 220


@pytest.mark.parametrize(
    ("x", "y", "size"), [(0, 0, 200), (399, 299, 300), (200, -60, 300), (200, 150, 5000), (5, 295, 40)]
)
def test_faces_at_the_border_and_beyond_it(x: float, y: float, size: float) -> None:
    before = tensor(drawn.picture(300, 400, finest=30))
    matrix = similarity(drawn.landmarks(x, y, size))
    after = paste(before.clone(), torch.full((3, 512, 512), 0.5), matrix, oval())
    assert after.isfinite().all()
    assert not torch.equal(after, before)


def test_a_face_beside_the_picture_changes_nothing() -> None:
    before = torch.rand(3, 100, 100)
    matrix = similarity(drawn.landmarks(900, 900, 100))
    assert rectangle(matrix, 4, 100, 100).area == 0
    assert torch.equal(paste(before.clone(), torch.ones(3, 512, 512), matrix, oval(), 1), before)


def test_small_faces_are_averaged_not_sampled() -> None:
    """One-pixel stripes in the face become gray; sampled, they would flicker whenever it moves."""
    stripes = torch.zeros(3, 512, 512)
    stripes[:, :, ::2] = 1
    after = paste(torch.zeros(3, 200, 200), stripes, similarity(drawn.landmarks(100, 100, 128)), torch.ones(512, 512))
    assert (after[:, 60:140, 60:140] - 0.5).abs().max() < 1e-3


def test_sides_may_be_enlarged_by_different_factors() -> None:
    matrix = similarity(drawn.landmarks(50, 40, 60))
    box = rectangle(matrix, (4, 2), 160, 400)
    assert box.width / box.height == pytest.approx(2, rel=0.1)
    assert (box.left + box.right) / 2 == pytest.approx(200, abs=3)


def test_codes_of_sixteen_bits_lose_nothing() -> None:
    """Frames are floats: steps of a sixteen-bit ramp are still there in a pasted face."""
    ramp = (torch.arange(512) / 65535 + 0.5).expand(3, 512, 512)
    matrix = similarity(drawn.landmarks(255.5, 255.5, 512))
    after = paste(torch.zeros(3, 512, 512), ramp, matrix, torch.ones(512, 512))[:, 256, 100:400]
    assert len(torch.unique((after[0] * 65535).round())) == 300


def test_colours_become_those_of_the_surroundings_and_details_stay() -> None:
    reference = tensor(drawn.picture(512, 512, finest=120))[None] * 0.6 + 0.1
    details = 0.05 * torch.rand(1, 3, 512, 512).sub(0.5)
    tinted = ((reference - 0.4) * 1.1 + torch.tensor([0.45, 0.38, 0.36])[None, :, None, None] + details).clamp(0, 1)
    masks = oval()[None]
    found = matched(tinted, reference, masks)
    inside = masks[0] > 0.9
    assert (found - reference)[0][:, inside].mean(1).abs().max() < 0.004
    assert (tinted - reference)[0][:, inside].mean(1).abs().max() > 0.03
    kept = (found - functional.avg_pool2d(found, 9, 1, 4))[0][:, inside].std()
    assert kept > 0.8 * (tinted - functional.avg_pool2d(tinted, 9, 1, 4))[0][:, inside].std()


def test_equal_colours_stay_as_they_are() -> None:
    faces = torch.rand(2, 3, 512, 512)
    assert torch.allclose(matched(faces, faces, oval().expand(2, 512, 512)), faces, atol=1e-5)


def test_a_flat_reference_does_not_make_a_face_flat() -> None:
    faces = tensor(drawn.picture(512, 512))[None]
    found = matched(faces, torch.full_like(faces, 0.5), oval()[None])
    assert found.std() > 0.75 * faces.std()
