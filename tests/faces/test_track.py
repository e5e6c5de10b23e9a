"""Tracks: who is who, landmarks that do not jitter, and nothing that depends on where a segment begins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from vidsr.faces.face import Face
from vidsr.faces.track import BEGIN, GAP, LOOK_BACK, Tracker

from . import drawn

Film = list[list[Face]]


def noisy(x: float, y: float, size: float, noise: float, seed: int, score: float = 0.9) -> Face:
    half = size / 3
    marks = drawn.landmarks(x, y, size, noise=noise, seed=seed)
    return Face((x - half, y - half, x + half, y + half), score, marks)


def walk(frames: int, speed: float, noise: float, size: float = 300) -> Film:
    return [[noisy(200 + speed * n, 300, size, noise, n)] for n in range(frames)]


def tracked(film: Film, cuts: Sequence[int] = ()) -> Film:
    tracker = Tracker()
    return [tracker.update(faces, number in cuts) for number, faces in enumerate(film)]


def marks(film: Film) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.stack([face.landmarks for faces in film for face in faces])


def jitter(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> float:
    return float(np.sqrt(np.square(np.diff(values[5:], 2, axis=0)).mean()))


def test_a_still_face_has_the_same_landmarks_bit_for_bit() -> None:
    face = noisy(200.3, 100.7, 111.1, 2, 1)
    found = marks(tracked([[face]] * 60))
    assert (found == found[0]).all()
    assert np.abs(found[0] - face.landmarks).max() < 1e-4


@pytest.mark.parametrize("speed", [0.0, 1.0, 4.0])
def test_jitter_gets_less_than_half(speed: float) -> None:
    film = walk(100, speed, noise=2)
    assert jitter(marks(tracked(film))) < 0.5 * jitter(marks(film))


@pytest.mark.parametrize("speed", [0.5, 3.0, 12.0])
def test_a_moving_face_is_not_left_behind(speed: float) -> None:
    """The lag stays below 3 % of the face at any speed."""
    film = walk(60, speed, noise=0)
    lag = np.abs(marks(tracked(film)) - marks(film)).max()
    assert lag < 0.03 * 200


@pytest.mark.parametrize("begin", [1, 10, 25, 40])
def test_a_segment_with_look_back_gives_what_the_whole_film_gives(begin: int) -> None:
    """Two faces that cross, one that is not always seen, some weak ones: equal bit for bit."""
    film = [
        [noisy(100 + 8 * n, 200, 150, 1.5, n), noisy(700 - 8 * n, 260, 150, 1.5, 100 + n, 0.6 if n % 3 else 0.9)]
        + ([noisy(400, 500, 90, 1, 200 + n)] if n % 5 else [])
        for n in range(70)
    ]
    whole = tracked(film)
    from_here = tracked(film[max(0, begin - LOOK_BACK) :])[min(begin, LOOK_BACK) :]
    assert len(from_here) == len(whole[begin:])
    for ours, theirs in zip(from_here, whole[begin:], strict=True):
        assert [face.box for face in ours] == [face.box for face in theirs]
        assert (marks([ours]) == marks([theirs])).all()


def test_a_cut_begins_anew() -> None:
    film = walk(40, 3, noise=2)
    whole, after = tracked(film, cuts=[20]), tracked(film[20:])
    assert (marks(whole[20:]) == marks(after)).all()
    assert whole[19][0].track != whole[20][0].track


def test_persons_keep_their_numbers_when_they_pass_each_other() -> None:
    film = [[noisy(100 + 10 * n, 200, 120, 1, n), noisy(700 - 10 * n, 290, 120, 1, 99 + n)] for n in range(60)]
    found = tracked([faces if n % 2 else faces[::-1] for n, faces in enumerate(film)])
    numbers = [[face.track for face in (faces if n % 2 else faces[::-1])] for n, faces in enumerate(found)]
    assert len({tuple(row) for row in numbers}) == 1
    assert len(set(numbers[0])) == 2


@pytest.mark.parametrize(("missed", "kept"), [(GAP - 1, True), (GAP, False)])
def test_a_face_may_be_missed_for_some_frames(missed: int, kept: bool) -> None:
    film = walk(30, 3, noise=0.5)
    film[15 : 15 + missed] = [[] for _ in range(missed)]
    found = tracked(film)
    assert (found[14][0].track == found[15 + missed][0].track) == kept


def test_weak_faces_go_on_but_do_not_begin() -> None:
    weak = [[noisy(200, 200, 150, 1, n, BEGIN - 0.2)] for n in range(50)]
    assert not any(tracked(weak))
    weak[10] = [noisy(200, 200, 150, 1, 10, BEGIN)]
    found = [bool(faces) for faces in tracked(weak)]
    assert found == [10 <= n <= 10 + LOOK_BACK for n in range(50)]


def test_faces_stay_in_their_order_with_boxes_and_scores() -> None:
    faces = [noisy(900, 100, 80, 0, 1, 0.95), noisy(100, 100, 80, 0, 2, 0.85), noisy(500, 100, 80, 0, 3, 0.81)]
    found = tracked([faces] * 3)[-1]
    assert [(face.box, face.score) for face in found] == [(face.box, face.score) for face in faces]
    assert len({face.track for face in found}) == 3


def test_two_hundred_faces() -> None:
    film = [
        [noisy(60 * (n % 20) + t, 60 * (n // 20), 50, 0.3, 300 * t + n) for n in range(200)]
        for t in range(LOOK_BACK + 3)
    ]
    found = tracked(film)
    assert [face.track for face in found[-1]] == list(range(200))


def test_no_faces() -> None:
    assert tracked([[]] * 3) == [[], [], []]
