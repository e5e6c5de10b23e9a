"""Positions, orders, lanes and mixes: arithmetic that must hold for all numbers."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.mix import Mix
from trainer.data.sampling import Lanes, Position, item_at, key_at
from trainer.sample import Key

small = st.integers(1, 60)


@given(place=st.integers(0, 10**12), length=st.integers(1, 10**7))
def test_keys_count_through_the_epochs(place: int, length: int) -> None:
    key, following = key_at(3, place, length), key_at(3, place + 1, length)
    assert key.epoch * length + key.index == place
    assert 0 <= key.index < length
    assert (following.epoch, following.index) > (key.epoch, key.index)


def test_a_position_moves_on() -> None:
    assert Position(5).advanced(7) == Position(12)


@settings(max_examples=40, deadline=None)
@given(count=small, rounds=st.integers(1, 4), seed=st.integers(0, 99), epoch=st.integers(0, 3))
def test_every_item_comes_once_before_any_comes_again(count: int, rounds: int, seed: int, epoch: int) -> None:
    key = Key(seed, epoch, 0)
    items = [item_at(key, turn, "set", count) for turn in range(count * rounds)]
    for begin in range(0, len(items), count):
        assert sorted(items[begin : begin + count]) == list(range(count))


def test_orders_differ_by_seed_epoch_round_and_set() -> None:
    def order(seed: int, epoch: int, first: int, name: str) -> tuple[int, ...]:
        return tuple(item_at(Key(seed, epoch, 0), turn, name, 50) for turn in range(first, first + 50))

    assert len({order(1, 0, 0, "a"), order(2, 0, 0, "a"), order(1, 1, 0, "a"), order(1, 0, 50, "a")}) == 4
    assert order(1, 0, 0, "a") != order(1, 0, 0, "b")


@given(lanes=small, reuse=st.integers(1, 9), rank=st.integers(0, 10**6))
def test_each_item_of_a_lane_is_used_as_often_as_asked(lanes: int, reuse: int, rank: int) -> None:
    plan = Lanes(lanes, reuse)
    begin = rank // (lanes * reuse) * lanes * reuse
    turns = Counter(plan.turn(number) for number in range(begin, begin + lanes * reuse))
    assert set(turns.values()) == {reuse}
    assert len(turns) == lanes
    assert all(plan.turn(number) % lanes == plan.lane(number) for number in range(begin, begin + lanes * reuse))


@given(lanes=small, reuse=st.integers(1, 9))
def test_turns_leave_none_out(lanes: int, reuse: int) -> None:
    turns = {Lanes(lanes, reuse).turn(rank) for rank in range(3 * lanes * reuse)}
    assert turns == set(range(3 * lanes))


@settings(max_examples=60, deadline=None)
@given(
    weights=st.lists(st.floats(0.01, 100), min_size=1, max_size=6),
    length=st.integers(1, 400),
    seed=st.integers(0, 999),
    epoch=st.integers(0, 9),
)
def test_an_epoch_holds_each_set_by_its_weight(weights: list[float], length: int, seed: int, epoch: int) -> None:
    mix = Mix(weights, length)
    drawn = [mix.draw(Key(seed, epoch, index)) for index in range(length)]
    for number, weight in enumerate(weights):
        ranks = [rank for chosen, rank in drawn if chosen == number]
        assert ranks == list(range(len(ranks)))
        assert abs(len(ranks) - weight / sum(weights) * length) <= 1 + 1e-6


def test_a_set_that_is_too_small_for_an_epoch_has_its_share_over_many() -> None:
    mix = Mix([1, 99], 10)
    drawn = [mix.draw(Key(5, epoch, index))[0] for epoch in range(1000) for index in range(10)]
    assert 70 < drawn.count(0) < 130


def test_the_order_of_sets_is_random() -> None:
    mix = Mix([1, 1], 1000)
    sets = np.array([mix.draw(Key(1, 0, index))[0] for index in range(1000)])
    changes = sum(before != after for before, after in pairwise(sets))
    assert 400 < changes < 600
