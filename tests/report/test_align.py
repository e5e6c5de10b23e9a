"""Alignment of pictures that are no more than thumbs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from vidsr.report.align import LENGTH, REACH, Step, aligned, difference
from vidsr.report.films import THUMB, Picture

RANDOM = np.random.default_rng(4)
WIDE = np.cumsum(RANDOM.normal(0, 30, (THUMB[1], 4000)), axis=1).astype(np.float32)


def shown(contents: Sequence[int], times: Sequence[float] | None = None, noise: float = 0) -> Iterator[Picture]:
    """Pictures of a scene that moves by a column from one content to the next."""
    for number, content in enumerate(contents):
        thumb = WIDE[:, content : content + THUMB[0]]
        if noise:
            thumb = (thumb + RANDOM.normal(0, noise, thumb.shape)).astype(np.float32)
        yield Picture((), number, times[number] if times else number / 24, thumb)


def pairs(steps: Iterator[Step]) -> list[tuple[int | None, int | None]]:
    return [(step.first and step.first.number, step.second and step.second.number) for step in steps]


def test_equal_films_are_paired_one_by_one() -> None:
    numbers = range(50)
    assert pairs(aligned(shown(numbers), shown(numbers), True)) == [(number, number) for number in numbers]


@pytest.mark.parametrize("count", range(1, REACH + 1))
@pytest.mark.parametrize("noise", [0, 0.5])
def test_gaps_that_were_closed_are_bridged(count: int, noise: float) -> None:
    numbers = [*range(20), *range(20 + count, 60)]
    steps = list(aligned(shown(range(60)), shown(numbers, noise=noise), True))
    assert [step.first.number for step in steps if step.first and not step.second] == list(range(20, 20 + count))
    assert steps[-1].lag == pytest.approx(-count / 24)
    mirrored = pairs(aligned(shown(numbers, noise=noise), shown(range(60)), True))
    assert mirrored == [(second, first) for first, second in pairs(iter(steps))]


def test_several_gaps_add_up() -> None:
    numbers = [number for number in range(100) if number not in (7, 30, 31, 66)]
    steps = list(aligned(shown(range(100)), shown(numbers), True))
    assert [step.first.number for step in steps if step.first and not step.second] == [7, 30, 31, 66]
    assert steps[-1].lag == pytest.approx(-4 / 24)


def test_a_still_scene_says_nothing_of_its_pictures() -> None:
    """The gap is found when the scene moves on, and all that moves meets its own."""
    contents = [0] * 10 + list(range(1, 30))
    steps = list(aligned(shown(contents), shown(contents[:5] + contents[6:]), True))
    met = [(contents[step.first.number], step.second) for step in steps if step.first and step.second]
    assert sum(step.second is None for step in steps) == 1
    assert [content for content, _ in met][9:] == list(range(1, 30))


def test_times_that_jitter_make_no_gap() -> None:
    times = [number / 24 + 0.004 * (-1) ** number for number in range(60)]
    assert pairs(aligned(shown(range(60)), shown(range(60), times), True)) == [(n, n) for n in range(60)]


def test_one_film_that_is_empty_or_shorter() -> None:
    assert pairs(aligned(shown(range(3)), shown(range(1)), True)) == [(0, 0), (1, None), (2, None)]
    assert pairs(aligned(shown([]), shown(range(2)), True)) == [(None, 0), (None, 1)]


@pytest.mark.parametrize("same_rate", [True, False])
def test_only_some_pictures_are_held(same_rate: bool) -> None:
    ahead, most = [0, 0], 0

    def counted(which: int) -> Iterator[Picture]:
        for picture in shown([number % 3000 for number in range(3500)], noise=0.5):
            ahead[which] += 1
            yield picture

    for done, _ in enumerate(aligned(counted(0), counted(1), same_rate)):
        most = max(most, *(count - done for count in ahead))
    assert most <= REACH + LENGTH + 1


def test_difference_is_blind_to_brightness_and_contrast() -> None:
    thumb, other = WIDE[:, :64], WIDE[:, 64:128]
    assert difference(thumb, thumb * np.float32(0.8) + np.float32(9)) < 1e-5
    assert difference(thumb, other) > 0.3
    assert difference(thumb, np.full_like(thumb, 16)) == 0
