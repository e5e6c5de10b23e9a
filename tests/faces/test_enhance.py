"""Pictures and films through FaceEnhancer and Film, with drawn faces, given detections and an identity network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vidsr.faces.align import similarity
from vidsr.faces.batches import with_faces
from vidsr.faces.enhance import Choice, FaceEnhancer, codes, load_enhancer
from vidsr.faces.face import Face
from vidsr.faces.film import Film
from vidsr.faces.masks import Oval, oval
from vidsr.faces.paste import rectangle
from vidsr.faces.restore import Restorer
from vidsr.frames import Batch, Box, RawFrame

from . import drawn
from .test_align import tensor
from .test_paste import psnr, shown
from .test_restore import Negative, Seen

CPU = torch.device("cpu")


class Given:
    """A detector that finds the faces it was told, picture after picture."""

    def __init__(self, *pictures: Sequence[Face]) -> None:
        self.pictures, self.seen = list(pictures), list[NDArray[np.uint8]]()

    def find(self, picture: NDArray[np.uint8]) -> list[Face]:
        self.seen.append(picture)
        return list(self.pictures[min(len(self.seen), len(self.pictures)) - 1])


def enhancer(network: nn.Module, *pictures: Sequence[Face], **choice: object) -> FaceEnhancer:
    return FaceEnhancer(Given(*pictures), Restorer(network, CPU, "fp32"), Oval(CPU), Choice(**choice))  # type: ignore[arg-type]


def larger(rgb: Tensor, scale: int) -> Tensor:
    return functional.interpolate(rgb, scale_factor=scale, mode="bicubic") if scale > 1 else rgb


@pytest.mark.parametrize("scale", [1, 2])
def test_with_an_identity_network_nothing_is_to_be_seen(scale: int) -> None:
    source = tensor(drawn.picture(360, 480, finest=28))[None]
    upscaled = larger(source, scale)
    faces = [drawn.face(150, 150, 180, 10), drawn.face(330, 200, 260, -20)]
    found = enhancer(Seen(), faces)(source, upscaled)
    weight = sum((shown(oval(), similarity(face.landmarks), scale, found[0]) for face in faces), torch.zeros(()))
    assert psnr(found[0], upscaled[0], (weight > 0.01).double()) >= 45
    assert (found - upscaled)[0][:, weight == 0].abs().max() == 0
    assert not torch.equal(found, upscaled)


def test_the_detector_gets_codes_and_what_was_given_is_not_changed() -> None:
    source = torch.rand(1, 3, 100, 120)
    upscaled = larger(source, 2)
    kept, detector = upscaled.clone(), Given([drawn.face(60, 50, 80)])
    FaceEnhancer(detector, Restorer(Negative(), CPU), Oval(CPU))(source, upscaled)
    assert torch.equal(upscaled, kept)
    assert detector.seen[0].shape == (100, 120, 3)
    assert np.array_equal(detector.seen[0], (source[0] * 255).round().byte().permute(1, 2, 0).numpy())
    assert codes(torch.tensor([[[-0.5]], [[0.5]], [[7.0]]])).ravel().tolist() == [0, 128, 255]


def test_without_a_face_the_picture_is_handed_on() -> None:
    upscaled = torch.rand(2, 3, 40, 40)
    assert enhancer(Negative(), [])(torch.rand(2, 3, 20, 20), upscaled) is upscaled


def test_two_hundred_faces() -> None:
    """All are restored, and the last lies over the first where they overlap."""
    places = [(20 + 20 * (number % 20), 25 + 25 * (number // 20)) for number in range(200)]
    faces = [drawn.face(x, y, 40) for x, y in places]
    kept: list[int] = []
    enhance = enhancer(Negative(), faces, colours=False, least_eyes=5.0)
    enhance.keep = lambda number, face, restored: kept.append(restored.shape[-1])
    source = torch.full((1, 3, 300, 440), 0.25)
    found = enhance(source, source)
    assert kept == [512] * 200
    assert all(found[0, 0, y, x] == pytest.approx(0.75, abs=0.01) for x, y in places)


@pytest.mark.parametrize("size", [700.0, 4000.0])
def test_a_face_larger_than_the_frame(size: float) -> None:
    source = tensor(drawn.picture(120, 160, finest=20))[None]
    found = enhancer(Negative(), [drawn.face(80, 60, size)], colours=False)(source, source)
    assert found.isfinite().all()
    assert (found - source).abs().mean() > 0.05


def test_overlapping_faces_the_larger_one_lies_over_the_smaller() -> None:
    small, large = drawn.face(100, 100, 80), drawn.face(120, 100, 160)
    order: list[float] = []
    for faces in ([small, large], [large, small]):
        enhance = enhancer(Seen(), faces)
        enhance.keep = lambda number, face, restored: order.append(face.box[2] - face.box[0])
        enhance(torch.rand(1, 3, 200, 240), torch.rand(1, 3, 200, 240))
    assert order == sorted(order[:2]) * 2


def test_faces_that_cannot_be_restored_are_left_alone() -> None:
    """Too small, unsure, beside the picture, without a place."""
    good = drawn.face(60, 60, 100)
    nowhere = replace(good, landmarks=np.full((5, 2), np.nan, np.float32))
    point = replace(good, landmarks=np.full((5, 2), 50, np.float32))
    bad = [drawn.face(60, 60, 15), drawn.face(60, 60, 100, score=0.6), drawn.face(900, 900, 90), nowhere, point]
    upscaled = torch.rand(1, 3, 120, 120)
    assert enhancer(Negative(), bad)(upscaled, upscaled) is upscaled
    assert enhancer(Negative(), [*bad, good])(upscaled, upscaled) is not upscaled


def test_only_the_face_in_the_middle_or_the_largest() -> None:
    middle, large = drawn.face(155, 98, 60), drawn.face(60, 60, 110)
    small = drawn.face(280, 150, 40)
    picked = {
        only: enhancer(Seen(), only=only).chosen([small, middle, large], 200, 300)
        for only in ("all", "center", "largest")
    }
    assert picked == {"all": [small, middle, large], "center": [middle], "largest": [large]}


def test_weight_zero_gives_the_face_back_and_one_the_restored() -> None:
    source, face = tensor(drawn.picture(200, 240, finest=30))[None], drawn.face(120, 100, 150)
    apart = [
        (enhancer(Negative(), [face], weight=weight, colours=False)(source, source) - source).abs().mean()
        for weight in (0.0, 0.5, 1.0)
    ]
    assert apart[0] < 0.002 < 0.3 * apart[2] < apart[1] < 0.7 * apart[2]


def test_gray_pictures_stay_gray() -> None:
    gray = tensor(drawn.picture(200, 240))[:1].expand(3, -1, -1)[None]
    found = enhancer(Negative(), [drawn.face(120, 100, 150)], colours=False)(gray, gray)
    assert (found[:, 0] - found[:, 1]).abs().max() < 0.02  # the border of an aligned face has a tint
    assert (found - gray).abs().mean() > 0.02


def test_an_enhancer_by_name_needs_its_detector_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidsr.faces.enhance.load_restorer", lambda *_, **__: Restorer(Seen(), CPU))
    monkeypatch.setattr("vidsr.faces.enhance.load_masks", lambda *_: Oval(CPU))
    points = drawn.landmarks(160, 120, 200)
    source = tensor(drawn.portrait(240, 320, points).astype(np.float32) / 255)[None]
    found = load_enhancer("1.4", CPU)(source, source)
    assert psnr(found[0], source[0]) > 30


# Films


def film(network: nn.Module, *pictures: Sequence[Face]) -> Film:
    return Film(enhancer(network, *pictures, colours=False))


def test_a_still_face_is_equal_bit_for_bit_whatever_moves_beside_it() -> None:
    """Landmarks that jitter, another part of the frame that changes: the face stays, and is restored once."""
    network, rng = Seen(), np.random.default_rng(0)
    base = drawn.landmarks(90, 90, 100)
    faces = [
        [replace(drawn.face(90, 90, 100), landmarks=base + rng.normal(0, 0.3, (5, 2)).astype(np.float32))]
        for _ in range(6)
    ]
    frames = torch.rand(3, 180, 320).repeat(6, 1, 1, 1)
    frames[:, :, :, 200:] = torch.rand(6, 3, 180, 120)
    follow = film(network, *faces)
    results = [follow(frames[at : at + 2], frames[at : at + 2]) for at in (0, 2, 4)]
    pictures = torch.cat([rgb for rgb, _ in results])
    assert all(torch.equal(picture[..., :200], pictures[0, ..., :200]) for picture in pictures)
    assert len(network.given) == 1
    assert [len(boxes) for _, changed in results for boxes in changed] == [1, 0, 0, 0, 0, 0]


def test_a_face_is_computed_again_when_a_pixel_of_it_changes() -> None:
    network = Seen()
    frames = torch.rand(1, 3, 180, 320).repeat(3, 1, 1, 1)
    frames[2, 1, 90, 90] += 0.5
    follow = film(network, [drawn.face(90, 90, 100)])
    pictures, changed = follow(frames, frames)
    assert len(network.given) == 2
    assert torch.equal(pictures[0], pictures[1])
    assert not torch.equal(pictures[1], pictures[2])
    assert [len(boxes) for boxes in changed] == [1, 0, 2]


def test_faces_of_several_frames_go_through_the_network_together() -> None:
    network = Seen()
    follow = film(network, [drawn.face(90, 90, 100), drawn.face(220, 90, 100)])
    follow.enhancer.restorer._together = 8  # as on a GPU
    frames = torch.rand(1, 3, 180, 320) * 0.2 + 0.1 * torch.arange(4).view(4, 1, 1, 1) / 4
    follow(frames, frames)
    assert [len(part) for part in network.given] == [8]


def test_where_frames_differ_is_told() -> None:
    """Outside of the boxes of a frame it has what the one before has, if the background does."""
    frames = torch.rand(1, 3, 200, 300).repeat(5, 1, 1, 1)
    frames[2:, :, :60, 100:120] = 0.5  # in the face
    places = [[drawn.face(100, 80, 110)]] * 3 + [[]] + [[drawn.face(200, 120, 90)]]
    pictures, changed = film(Negative(), *places)(frames, frames.clone())
    for number in range(1, 5):
        same = pictures[number] == pictures[number - 1]
        for box in (*changed[number], *([Box(0, 100, 60, 120)] if number == 2 else [])):
            box.of(same).fill_(True)
        assert bool(same.all()), number
    assert [len(boxes) for boxes in changed] == [1, 0, 2, 1, 1]
    assert changed[0][0] == rectangle(similarity(drawn.landmarks(100, 80, 110), robust=False), 1, 200, 300)


def test_a_cut_begins_a_new_track() -> None:
    first, second = torch.full((2, 3, 180, 240), 0.2), torch.full((1, 3, 180, 240), 0.8)
    follow = film(Seen(), [drawn.face(100, 90, 100)])
    rows = [*follow.follow(first), *follow.follow(second)]
    tracks = [row[0].face.track for row in rows]
    assert tracks[0] == tracks[1] != tracks[2]


def test_looking_back_makes_a_segment_equal_to_the_whole() -> None:
    rng = np.random.default_rng(1)
    frames = torch.rand(40, 3, 120, 160)
    faces = [
        [
            replace(
                drawn.face(80, 60, 90),
                landmarks=drawn.landmarks(70 + n / 2, 60, 90) + rng.normal(0, 0.4, (5, 2)).astype(np.float32),
            )
        ]
        for n in range(40)
    ]
    whole, _ = film(Negative(), *faces)(frames, frames)
    part = film(Negative(), *faces[8:])
    part.follow(frames[8:32])
    late, _ = part(frames[32:], frames[32:])
    assert torch.equal(late, whole[32:])


def test_crowds_are_followed_with_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidsr.faces.film.KEPT", 4)
    follow = film(
        Seen(), [drawn.face(25 + 30 * number, 30, 30, track=number) for number in range(6)], [drawn.face(100, 60, 90)]
    )
    frames = torch.rand(2, 3, 120, 220)
    follow.enhancer.choice = Choice(least_eyes=1)
    follow.follow(frames[:1])
    assert len(follow._known) == 6
    follow.follow(frames[1:])
    assert len(follow._known) == 4


def _batches(frames: Tensor, boxes: tuple[Box, ...] | None) -> Iterator[Batch]:
    for number, frame in enumerate(frames):
        yield Batch((RawFrame((), number),), (0,), frame[None], None if number == 0 else boxes)
        yield Batch((RawFrame((), 100 + number),), (-1,), None)


def test_batches_keep_their_frames_and_get_the_places_of_faces() -> None:
    frames = torch.rand(1, 3, 180, 240).repeat(2, 1, 1, 1)
    frames[1, :, 60:70, 60:70] = 0

    def upscale(batches: Iterable[Batch]) -> Iterator[Batch]:
        for batch in batches:
            yield batch if batch.rgb is None else replace(batch, rgb=larger(batch.rgb, 2))

    plain = list(upscale(_batches(frames, (Box(0, 0, 4, 4),))))
    follow = film(Negative(), [drawn.face(90, 90, 100)])
    found = list(with_faces(_batches(frames, (Box(0, 0, 4, 4),)), upscale, follow))
    assert [batch.frames for batch in found] == [batch.frames for batch in plain]
    assert [batch.rgb is None for batch in found] == [False, True, False, True]
    assert found[0].boxes is None
    box = rectangle(similarity(drawn.landmarks(90, 90, 100), robust=False), 2, 360, 480)
    assert found[2].boxes == (Box(0, 0, 4, 4), box, box)
    before, after = plain[2].rgb, found[2].rgb
    assert before is not None
    assert after is not None
    assert not torch.equal(box.of(before), box.of(after))
    box.of(after).copy_(box.of(before))
    assert torch.equal(after, before)
