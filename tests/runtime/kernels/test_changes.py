"""Distances from what changed, beside a search of every pixel; and the lists made of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vidsr.runtime.kernels import coding
from vidsr.runtime.kernels.changes import distances, distances_eager, ordered, segments
from vidsr.runtime.kernels.first import FAR, SIDES, to_rgb_eager
from vidsr.runtime.kernels.places import ALIGNED, TILE, across, down

HEIGHT, WIDTH = 90, 118


def searched(changed: Tensor, radius: int) -> Tensor:
    """For each tile the smallest k for which the mask, made larger by k pixels on all sides, touches it."""
    high, wide = down(HEIGHT), across(WIDTH)
    nearest = torch.full((high, wide), FAR, dtype=torch.int32)
    for k in range(radius, -1, -1):
        larger = functional.max_pool2d(changed[None].float(), 2 * k + 1, 1, k)
        larger = functional.pad(larger, (0, wide * TILE - WIDTH, 0, high * TILE - HEIGHT))
        nearest[larger.view(high, TILE, wide, TILE).amax((1, 3)) > 0] = k
    return nearest.flatten()


@pytest.mark.parametrize("radius", [3, 18, 35])
@pytest.mark.parametrize("pixels", [0, 1, 12])
def test_distances_are_those_of_a_search(device, radius, pixels):
    changed = torch.zeros(HEIGHT * WIDTH, dtype=torch.bool)
    changed[torch.randperm(len(changed))[:pixels]] = True
    changed = changed.view(HEIGHT, WIDTH)
    rgb, number = torch.zeros(3, HEIGHT, WIDTH, device=device), across(WIDTH) * down(HEIGHT)
    sides = torch.zeros(number, SIDES, dtype=torch.int32, device=device)
    to_rgb_eager(tuple(changed.float().expand(3, -1, -1).contiguous().to(device)), coding.floats(device), rgb, sides)
    found, twin = (torch.zeros(number, dtype=torch.int32, device=device) for _ in range(2))
    distances(sides, found, across(WIDTH), radius)
    distances_eager(sides, twin, across(WIDTH), radius)
    assert torch.equal(found, twin)
    assert torch.equal(found.cpu(), searched(changed, radius))


def test_one_list_serves_all_layers(device):
    distance = torch.tensor([4, 0, FAR, 2, 0, 3, 2], dtype=torch.int32, device=device)
    order = torch.zeros(7, dtype=torch.int32, device=device)
    counts = torch.zeros(4, ALIGNED, dtype=torch.int32, device=device)
    ordered(distance, torch.tensor([1, 2, 3, 5], dtype=torch.int32, device=device), order, counts)
    assert order.tolist() == [1, 4, 3, 6, 5, 0, 2]
    assert counts[:, 0].tolist() == [2, 4, 5, 6]
    assert [int(segments(order, count).count[0]) for count in counts] == [2, 4, 5, 6]
    assert all(count.data_ptr() % 16 == counts.data_ptr() % 16 for count in counts)
