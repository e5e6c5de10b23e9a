"""Which clips of a film are drawn, and that their pixels are those of `vidsr upscale`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.build import build, clip_set
from trainer.data.clips import ClipSet, ClipView
from trainer.data.cutter import Cutter
from trainer.data.film import Film
from trainer.data.index import DAMAGED, FRAME, VideoIndex, index_of, read_index
from trainer.data.options import VideoData
from trainer.data.scenes import Rules, cuts, starts
from trainer.degrade.options import Classic
from trainer.sample import Key
from vidsr.errors import InputError
from vidsr.frames import Box, ColorTags, Orientation, PixelLayout

from ...clips import make_clip, packaged
from .sets import film, scene

BLANK = [np.full((64, 96, 3), 8, np.uint8)] * 6
CUTTER = Cutter(2, 32, Classic(), crop_pad=32)


def index(change: list[float], motion: list[float] | None = None, marks: dict[int, int] | None = None) -> VideoIndex:
    """Made-up measures of a film at 24 frames per second."""
    frames = np.zeros(len(change), FRAME)
    frames["pts"], frames["change"], frames["flat"] = range(len(change)), change, 0.3
    frames["motion"] = change if motion is None else motion
    for frame, mark in (marks or {}).items():
        frames["marks"][frame] = mark
    return VideoIndex(64, 48, PixelLayout("yuv"), ColorTags(), Orientation(), 1 / 24, frames)  # type: ignore[arg-type]


def test_cuts_stand_alone_and_pans_do_not() -> None:
    assert np.flatnonzero(cuts(index([0, 5, 5, 60, 5, 5]).frames)).tolist() == [3]
    assert np.flatnonzero(cuts(index([0, 3, 3, 14, 3, 3]).frames)).tolist() == [3]
    assert not cuts(index([0, 14, 15, 14, 16, 15]).frames).any()
    held = [0, 12, 0, 0, 12, 0, 0, 12, 0, 0, 12, 0, 0, 12]
    assert not cuts(index(held).frames).any(), "a pan drawn on threes is no row of cuts"


def test_clips_stay_inside_their_scene_and_away_from_damage() -> None:
    found = starts(index([9] * 20, marks={12: DAMAGED}), Rules(frames=3, stride=(1, 2)))
    assert found.frames.tolist() == [*range(0, 8), *range(13, 16)]
    assert set(found.ends.tolist()) == {12, 20}
    found = starts(index([9, 9, 9, 9, 99, 9, 9, 9]), Rules(frames=3))
    assert found.frames.tolist() == [0, 1, 4, 5]


def test_still_frames_begin_no_clip_and_still_clips_are_left_out() -> None:
    motion = [0.0, 20, 0, 0, 20, 0, 0, 0, 0, 0]
    assert starts(index([9] * 10, motion), Rules()).frames.tolist() == [0, 1, 4]
    assert starts(index([9] * 10, motion), Rules(frames=3)).frames.tolist() == [0]
    assert len(starts(index([9] * 10, motion), Rules(frames=3, still=True))) == 8


def test_only_the_seconds_that_are_asked_for_are_drawn_from() -> None:
    rules = Rules(start=2 / 24, end=12 / 24, skip=((4 / 24, 6 / 24),))
    assert starts(index([9] * 20), rules).frames.tolist() == [2, 3, *range(6, 12)]


@settings(max_examples=60, deadline=None)
@given(
    change=st.lists(st.sampled_from([0.0, 5.0, 60.0]), min_size=1, max_size=60),
    damaged=st.sets(st.integers(0, 59), max_size=5),
    frames=st.integers(1, 5),
    stride=st.lists(st.integers(1, 3), min_size=1, max_size=2),
)
def test_no_clip_holds_a_cut_or_damage(change: list[float], damaged: set[int], frames: int, stride: list[int]) -> None:
    made = index(change, marks={place: DAMAGED for place in damaged if place < len(change)})
    rules = Rules(frames=frames, stride=tuple(stride))
    found, cut = starts(made, rules), cuts(made.frames)
    for first, end in zip(found.frames, found.ends, strict=True):
        last = first + rules.span - 1
        assert last < end <= len(change)
        assert not cut[first + 1 : last + 1].any()
        assert not made.frames["marks"][first : last + 1].any()


def two_scenes(tmp_path: Path) -> Path:
    return film(tmp_path / "a.mkv", [*scene(0, 20), *BLANK, *scene(3, 20, held=2)])


def test_a_film_is_cut_into_its_scenes(tmp_path: Path) -> None:
    found = starts(read_index(two_scenes(tmp_path)), Rules(frames=3))
    assert {int(end) for end in found.ends} == {20, 46}
    assert not set(found.frames.tolist()) & {18, 19, *range(20, 26)}, "blank frames are left out"
    assert {26, 28, 30} <= set(found.frames.tolist())
    assert 29 not in found.frames, "it repeats the one before"


def test_the_scenes_of_a_real_film_are_found() -> None:
    made = index_of(packaged("bikes.mp4"))
    assert np.flatnonzero(cuts(made.frames)).tolist() == [30, 76, 137, 187, 242]


def clips(path: Path, **options: object) -> ClipSet:
    made, bad = clip_set(VideoData(paths=(path,), gt_size=32, **options), "data[0]", CUTTER)  # type: ignore[arg-type]
    assert not bad
    return made


def test_a_clip_has_its_frames_in_order_by_its_stride(tmp_path: Path) -> None:
    made = clips(two_scenes(tmp_path), frames=3, stride=(1, 2), reverse=True, stretch=4)
    steps = set()
    for number in range(80):
        key = Key(1, 0, number)
        stretch = made.choose(key, number, 0)
        numbers = made.clip(stretch, key)
        steps.add((numbers[1] - numbers[0], numbers[2] - numbers[1]))
        assert stretch.first <= min(numbers)
        assert max(numbers) <= stretch.last
    made.close()
    assert steps == {(1, 1), (2, 2), (-1, -1), (-2, -2)}


def test_samples_of_a_lane_share_a_stretch_that_is_decoded_once(tmp_path: Path) -> None:
    made = clips(two_scenes(tmp_path), reuse=4, lanes=2, stretch=8)
    stretches = [made.choose(Key(1, 0, rank), rank, 0) for rank in range(16)]
    assert stretches[0] == stretches[2] == stretches[4] == stretches[6] != stretches[8]
    for rank, stretch in enumerate(stretches):
        made.make(stretch, Key(1, 0, rank))
    assert (made._cache.hits, made._cache.misses) == (16 - len(set(stretches)), len(set(stretches)))
    made.close()


def test_a_sample_shows_what_the_decoder_shows(tmp_path: Path) -> None:
    """GT without degradation, against plain decoding: within the rounding of two YUV conversions of smooth frames."""
    path = two_scenes(tmp_path)
    made = clips(path, frames=2, hflip=False)
    key = Key(1, 0, 5)
    stretch = made.choose(key, 5, 0)
    made.cutter = Cutter(2, 32, Classic(), crop_pad=4096, hflip=False)
    gt = made.make(stretch, key).gt[:, :, :64, :96].permute(0, 2, 3, 1).numpy().astype(int)
    frames = [*scene(0, 20), *BLANK, *scene(3, 20, held=2)]
    for got, number in zip(gt, made.clip(stretch, key), strict=True):
        assert np.abs(got - frames[number]).mean() < 4
        others = [np.abs(got - frames[other]).mean() for other in (number - 3, number + 3) if 0 <= other < 46]
        assert min(others) > np.abs(got - frames[number]).mean()
    made.close()


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv444p"])
def test_a_part_is_converted_as_the_whole_is(tmp_path: Path, pix_fmt: str) -> None:
    path = film(tmp_path / "a.mkv", scene(1, 4, size=(65, 97)), codec="ffv1", pix_fmt=pix_fmt)
    made = read_index(path)
    opened = Film(path, made)
    view = ClipView(opened.stretch(0, 3), made)
    opened.close()
    whole = view.cut(Box(0, 0, *view.size))
    for box in (Box(0, 0, 8, 8), Box(13, 21, 46, 60), Box(57, 90, 65, 97), Box(31, 0, 33, 97)):
        assert np.array_equal(view.cut(box), whole[:, box.top : box.bottom, box.left : box.right])


def test_rotated_films_are_upright(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", size=(64, 48), rotation=90, audio=None, frames=4)
    made = read_index(path)
    opened = Film(path, made)
    view = ClipView(opened.stretch(0, 0), made)
    opened.close()
    assert view.size == (64, 48)
    whole = view.cut(Box(0, 0, 64, 48))[0].astype(int)
    dark = [whole[:24, :20], whole[:24, 28:], whole[40:, :20], whole[40:, 28:]]
    assert np.argmin([part.mean() for part in dark]) == 2, "the dark quarter, top left, is turned counter-clockwise"


def test_a_film_without_clips_says_why(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", BLANK)
    with pytest.raises(InputError, match=r"a\.mkv holds no clip to train on: its 6 frames in 1 scenes hold none of 1"):
        build([VideoData(paths=(path,), gt_size=32)], Classic(), 2)
    interlaced = make_clip(tmp_path / "b.mkv", interlaced=True, audio=None)
    with pytest.raises(InputError, match="are interlaced; deinterlace it first"):
        build([VideoData(paths=(interlaced,), gt_size=32)], Classic(), 2)
    with pytest.raises(InputError, match="96x64 are too small for crops of 256 pixels"):
        build([VideoData(paths=(path,))], Classic(), 2)


def test_a_stretch_that_cannot_be_read_any_more_is_left_out_and_many_end_the_run(tmp_path: Path) -> None:
    source = build([VideoData(paths=(two_scenes(tmp_path),), gt_size=32, stretch=0)], Classic(), 2)
    made = source.streams[0]
    assert isinstance(made, ClipSet)
    frames = made.reels[0].index.frames
    frames["crc"][3] ^= 1
    for number in range(400):
        source.get(Key(1, 0, number))
    assert list(source.quarantine.bad) == [f"{tmp_path}/a.mkv at 0.125 s"]
    frames["crc"] ^= 1
    source.close()
    words = r"of \d+ stretches of data\[0\] cannot be used, max_bad allows 5%; the first: film"
    with pytest.raises(InputError, match=words):
        source.get(Key(1, 0, 400))
    source.close()
