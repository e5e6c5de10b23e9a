"""Crops, turns and padding: large and small stay in line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.cutter import Cutter, Frames, Turn, Whole, padded, random_box
from trainer.degrade.options import Classic, DegradeOptions, Paired
from trainer.degrade.video_options import VideoChain
from trainer.sample import Key
from vidsr.errors import InputError

from .sets import picture

VIDEO = VideoChain(style="mild")


def cutter(degrade: DegradeOptions, scale: int = 2, gt_size: int = 16, **other: object) -> Cutter:
    return Cutter(scale, gt_size, degrade, **other)  # type: ignore[arg-type]


def numbered(height: int, width: int, frames: int = 1) -> Frames:
    """Frames in which every pixel tells its row and column."""
    rows, columns = np.mgrid[:height, :width]
    return np.repeat(np.stack([rows, columns, rows * 0], 2)[None].astype(np.uint8), frames, 0)


@settings(max_examples=80, deadline=None)
@given(
    scale=st.sampled_from([1, 2, 3, 4]),
    small=st.tuples(st.integers(4, 40), st.integers(4, 40)),
    index=st.integers(0, 10**6),
    rotate=st.booleans(),
)
def test_the_small_crop_of_a_pair_is_where_the_large_one_is(
    scale: int, small: tuple[int, int], index: int, rotate: bool
) -> None:
    lq = numbered(*small)
    gt = lq.repeat(scale, 1).repeat(scale, 2)
    made = cutter(Paired(), scale, 4 * scale, rotate=rotate).pair(gt, lq, Key(0, 0, index), "x")
    assert made[0].shape == (1, 4 * scale, 4 * scale, 3)
    assert np.array_equal(made[0], made[1].repeat(scale, 1).repeat(scale, 2))


@given(height=st.integers(1, 90), width=st.integers(1, 90), side=st.integers(1, 60), index=st.integers(0, 10**6))
def test_a_box_lies_inside_and_every_place_can_come(height: int, width: int, side: int, index: int) -> None:
    box = random_box(Key(0, 0, index).rng(), (height, width), side)
    assert 0 <= box.top < box.bottom <= height
    assert 0 <= box.left < box.right <= width
    assert (box.height, box.width) == (min(side, height), min(side, width))


def test_boxes_reach_both_edges() -> None:
    boxes = [random_box(Key(0, 0, index).rng(), (6, 6), 4) for index in range(60)]
    assert {box.top for box in boxes} == {box.left for box in boxes} == {0, 1, 2}


def test_the_eight_turns_are_different_and_keep_every_pixel() -> None:
    frames = numbered(3, 3)
    turned = {Turn(a, b, c).of(frames).tobytes() for a in (0, 1) for b in (0, 1) for c in (0, 1)}  # type: ignore[arg-type]
    assert len(turned) == 8


def test_turns_come_in_halves_and_only_as_allowed() -> None:
    drawn = [Turn.drawn(Key(0, 0, index).rng(), True, False) for index in range(400)]
    assert 150 < sum(turn.left_right for turn in drawn) < 250
    assert not any(turn.upside_down or turn.transposed for turn in drawn)
    assert any(Turn.drawn(Key(0, 0, index).rng(), False, True).transposed for index in range(20))


def test_what_is_too_small_is_mirrored_at_the_bottom_and_right_without_its_edge() -> None:
    frames = padded(numbered(3, 4), 5)
    assert frames.shape == (1, 5, 5, 3)
    assert frames[0, :, 0, 0].tolist() == [0, 1, 2, 1, 0]
    assert frames[0, 0, :, 1].tolist() == [0, 1, 2, 3, 2]


def test_classic_degradation_gets_the_larger_crop() -> None:
    view = Whole(picture(1, 60, 70)[None])
    gt, lq = cutter(Classic(), crop_pad=40).single(view, Key(0, 0, 1))
    assert (gt.shape, lq) == ((1, 40, 40, 3), None)
    assert cutter(Classic(), crop_pad=80).single(view, Key(0, 0, 1))[0].shape == (1, 80, 80, 3)


def test_video_degradation_sees_whole_frames_before_the_crop(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def degrade(frames: Frames, chain: object, scale: int, rng: object, tally: object) -> Frames:
        seen.append(frames.shape)
        return frames[:, ::scale, ::scale]

    monkeypatch.setattr("trainer.data.cutter.degrade_clip", degrade)
    view = Whole(numbered(41, 67, frames=3))
    gt, lq = cutter(VIDEO).single(view, Key(0, 0, 3))
    assert seen == [(3, 40, 66, 3)]
    assert lq is not None
    assert np.array_equal(gt[:, ::2, ::2], lq)
    assert cutter(VIDEO, window=32).single(view, Key(0, 0, 3))[0].shape == (3, 16, 16, 3)
    assert seen[1] == (3, 32, 32, 3)


def test_the_same_key_gives_the_same_bytes_and_another_does_not() -> None:
    view, made = Whole(picture(2, 48, 64)[None]), []
    for index in (4, 4, 5):
        gt, lq = cutter(VIDEO).single(view, Key(0, 0, index))
        assert lq is not None
        made.append(gt.tobytes() + lq.tobytes())
    assert made[0] == made[1] != made[2]


@pytest.mark.parametrize(
    ("size", "words"), [((24, 30), "must be 60x48"), ((7, 8), "too few for crops of 16")], ids=["ratio", "small"]
)
def test_pairs_that_do_not_fit_are_refused_by_name(size: tuple[int, int], words: str) -> None:
    gt = numbered(48, 64) if size == (24, 30) else numbered(14, 16)
    with pytest.raises(InputError, match=words) as caught:
        cutter(Paired()).pair(gt, numbered(*size), Key(0, 0, 0), "a.png and b.png")
    assert "a.png and b.png" in str(caught.value)
