from __future__ import annotations

import pytest
import torch
from torch import Tensor

from trainer.degrade.pool import PairPool
from trainer.sample import Key
from vidsr.errors import UsageError


def batch(*numbers: int) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Pairs that say which they are: every pixel of pair n has the code n."""
    level = torch.tensor(numbers).view(-1, 1, 1, 1) / 255
    return level.expand(-1, 3, 2, 2), level.expand(-1, 3, 4, 4), tuple(str(number) for number in numbers)


def numbers_of(lq: Tensor, gt: Tensor, names: tuple[str, ...]) -> list[int]:
    """Which pairs these are; fails where picture, ground truth and name do not belong together."""
    found = [int(name) for name in names]
    expected = batch(*found)
    assert torch.equal(lq, expected[0])
    assert torch.equal(gt, expected[1])
    return found


def test_while_it_fills_batches_pass_through() -> None:
    pool = PairPool(6)
    for start in (0, 3):
        given = batch(*range(start, start + 3))
        assert numbers_of(*pool.exchange(*given, Key(0, 0, start))) == [start, start + 1, start + 2]
    assert len(pool) == 6


@pytest.mark.parametrize(("size", "count"), [(6, 3), (7, 3), (5, 4), (2, 4), (1, 1)])
def test_every_pair_leaves_at_most_once_and_none_is_lost(size: int, count: int) -> None:
    pool, filled, out = PairPool(size), 0, []
    for step in range(12):
        given = list(range(step * count, (step + 1) * count))
        fresh = min(size - filled, count)
        filled += fresh
        made = numbers_of(*pool.exchange(*batch(*given), Key(1, 0, step)))
        assert made[:fresh] == given[:fresh]
        out += made[fresh:]
    assert len(set(out)) == len(out)
    held = {int(name) for name in pool.state_dict()["names"]}
    assert len(held) == size
    assert held.isdisjoint(out)


def test_a_full_pool_gives_pairs_of_earlier_batches() -> None:
    pool = PairPool(20)
    for step in range(5):
        pool.exchange(*batch(*range(4 * step, 4 * step + 4)), Key(0, 0, step))
    made = numbers_of(*pool.exchange(*batch(20, 21, 22, 23), Key(0, 0, 5)))
    assert len(set(made)) == 4
    assert max(made) < 20
    others = PairPool(20)
    others.load_state_dict(pool.state_dict())
    assert made != numbers_of(*others.exchange(*batch(30, 31, 32, 33), Key(0, 0, 6)))


def test_a_resumed_pool_goes_on_bit_for_bit() -> None:
    pool, resumed = PairPool(7), PairPool(7)
    for step in range(4):
        pool.exchange(*batch(*range(3 * step, 3 * step + 3)), Key(2, 0, step))
    resumed.load_state_dict(pool.state_dict())
    for step in range(4, 9):
        given = batch(*range(3 * step, 3 * step + 3))
        first, second = (side.exchange(*given, Key(2, 0, step)) for side in (pool, resumed))
        assert torch.equal(first[0], second[0])
        assert torch.equal(first[1], second[1])
        assert first[2] == second[2]


def test_a_pool_resumed_while_it_fills_and_an_empty_one() -> None:
    pool, resumed = PairPool(8), PairPool(8)
    resumed.load_state_dict(pool.state_dict())
    assert len(resumed) == 0
    pool.exchange(*batch(1, 2, 3), Key(0, 0, 0))
    resumed.load_state_dict(pool.state_dict())
    assert numbers_of(*resumed.exchange(*batch(4, 5, 6), Key(0, 0, 1))) == [4, 5, 6]
    assert resumed.state_dict()["names"] == ["1", "2", "3", "4", "5", "6"]


def test_what_does_not_fit_is_refused() -> None:
    pool = PairPool(4)
    pool.exchange(*batch(1, 2), Key(0, 0, 0))
    with pytest.raises(UsageError, match=r"holds pictures of \(3, 2, 2\), and a batch has \(3, 8, 8\)"):
        pool.exchange(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 16, 16), ["x"], Key(0, 0, 1))
    with pytest.raises(UsageError, match="pair_pool 1 is smaller than the 2 pairs"):
        PairPool(1).load_state_dict(pool.state_dict())
