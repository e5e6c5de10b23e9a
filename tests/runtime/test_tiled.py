"""Tiles: hard seams that are exact, soft seams that are smooth, and tiles that are not computed again."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vidsr.frames import Box
from vidsr.models.archs.rrdb import RRDBNet
from vidsr.models.descriptor import Descriptor
from vidsr.runtime.eager import Eager
from vidsr.runtime.layered import Layered
from vidsr.runtime.layers import shapes_are_free
from vidsr.runtime.tiled import Tiled
from vidsr.runtime.trust import fitted
from vidsr.stages.tile import tiles

from .test_incremental import CPU, film, small

COMPACT = small(convolutions=2)


def rrdb(scale: int) -> Descriptor:
    import dataclasses

    torch.manual_seed(2)
    network = RRDBNet(8, 1, 4, scale).requires_grad_(False)
    return dataclasses.replace(
        COMPACT,
        network=network,
        scale=scale,
        receptive_field=network.receptive_field,
        multiple_of=network.multiple_of,
        minimum=network.multiple_of,
    )


def tiled(
    network: Descriptor, size: tuple[int, int], side: int, overlap: int, precision: str = "bf16", **more: object
) -> Tiled:
    runner = Layered(network, CPU, precision) if network is COMPACT else Eager(network, CPU, precision)

    def run(rgb: Tensor) -> Tensor:
        height, width = rgb.shape[-2:]
        return runner(fitted(rgb, network))[..., : height * network.scale, : width * network.scale]

    cut = list(tiles(*size, side, overlap, network.multiple_of))
    settled: dict[str, object] = {"together": 1, "ramp": 0, "free": True} | more
    return Tiled(run, cut, network, **settled)  # type: ignore[arg-type]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("together", [1, 4])
@settings(max_examples=10, deadline=None)
@given(st.integers(16, 90), st.integers(16, 90), st.integers(16, 48))
def test_tiles_equal_the_whole_frame_bit_for_bit(
    precision: str, together: int, height: int, width: int, side: int
) -> None:
    rgb = torch.rand(2, 3, height, width)
    exact = tiled(COMPACT, (height, width), side, COMPACT.receptive_field, precision, together=together)
    assert torch.equal(exact(rgb), Layered(COMPACT, CPU, precision)(rgb))


@pytest.mark.parametrize("scale", [4, 2])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_tiles_of_a_network_with_a_size_rule_too(scale: int, precision: str) -> None:
    network = rrdb(scale)
    rgb = torch.rand(1, 3, 90, 107)
    whole = tiled(network, (90, 107), 0, 0, precision)(rgb)
    assert torch.equal(tiled(network, (90, 107), 40, network.receptive_field + 1, precision)(rgb), whole)


@pytest.mark.parametrize("side", [0, 32])
@pytest.mark.parametrize(("network", "ramp"), [(COMPACT, 0), (rrdb(4), 0), (rrdb(4), 6)])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_updates_equal_the_whole_frame_bit_for_bit(network: Descriptor, ramp: int, side: int, precision: str) -> None:
    height, width = 150, 170
    overlap = 10 if ramp else network.receptive_field
    once = tiled(network, (height, width), side, overlap, precision, ramp=ramp * bool(side))
    every = tiled(network, (height, width), side, overlap, precision, ramp=ramp * bool(side))
    spots = [[(3, 3, 2, 2)], [], [(149, 0, 1, 1), (148, 160, 2, 5)], [(0, 0, 150, 170)], [(80, 80, 1, 1)]]
    shares, before = [], None
    for frame in film(height, width, spots):
        out, boxes = once.update(frame)
        wanted = every(frame)
        assert torch.equal(out, wanted)
        if before is not None and boxes is not None:
            outside = torch.ones(wanted.shape[-2:], dtype=torch.bool)
            for box in boxes:
                box.of(outside)[...] = False
            assert torch.equal(wanted[..., outside], before[..., outside])
        shares.append(once.share)
        before = wanted.clone()
    assert shares[0] == shares[4] == 1
    assert shares[2] == 0
    assert 0 < shares[1] < 1


def test_soft_seams_are_a_partition_of_one() -> None:
    network = rrdb(4)
    same = tiled(network, (70, 90), 32, 10, ramp=8)
    same.run = lambda rgb: torch.ones(len(rgb), 3, rgb.shape[-2] * 4, rgb.shape[-1] * 4)
    torch.testing.assert_close(same(torch.rand(1, 3, 70, 90)), torch.ones(1, 3, 280, 360), atol=1e-6, rtol=0)


def test_soft_seams_have_no_step() -> None:
    """Tiles that disagree by 1 meet in a ramp of 16 source pixels, so neighbours differ by 1 / 64 at most."""
    network = rrdb(4)
    stepped = tiled(network, (16, 64), 32, 10, ramp=8)
    stepped.run = lambda rgb: torch.full((1, 3, 64, rgb.shape[-1] * 4), float(rgb[0, 0, 0, 0]))
    rgb = torch.zeros(1, 3, 16, 64)
    rgb[..., 20:] = 1  # the second tile begins at column 22 and sees nothing else
    line = stepped(rgb)[0, 0, 30]
    assert line[0] == 0
    assert line[-1] == 1
    assert line.diff().abs().max() <= 1 / 64 + 1e-6
    assert (line.diff() >= 0).all()


def test_where_shapes_are_not_free_only_whole_tiles_are_kept() -> None:
    fixed = tiled(COMPACT, (60, 60), 0, 0, free=False)
    assert not fixed.reuses
    frames = film(60, 60, [[(1, 1, 1, 1)]])
    fixed.update(frames[0])
    assert fixed.update(frames[1])[1] is None
    assert fixed.share == 1


def test_a_far_region_of_a_large_frame_is_computed_alone() -> None:
    network = rrdb(4)
    alone = tiled(network, (300, 300), 0, 0)
    frames = film(300, 300, [[(10, 10, 2, 2)]])
    alone.update(frames[0])
    _, boxes = alone.update(frames[1])
    assert alone.share < 0.2
    assert boxes is not None
    assert all(box.bottom <= 160 and box.right <= 160 for box in boxes)
    assert isinstance(boxes[0], Box)


def test_convolutions_of_this_machine_do_not_depend_on_the_shape() -> None:
    assert shapes_are_free()


@pytest.mark.parametrize("ramp", [0, 6])
def test_results_may_lie_in_the_same_memory_at_every_call(ramp: int) -> None:
    """As those of CUDA graphs do."""
    shared: dict[tuple[int, ...], Tensor] = {}
    apart, reused = (tiled(rrdb(4), (60, 70), 32, 10, ramp=ramp) for _ in range(2))
    run = reused.run

    def same_memory(rgb: Tensor) -> Tensor:
        result = run(rgb)
        return shared.setdefault(tuple(result.shape), torch.empty_like(result)).copy_(result)

    reused.run = same_memory
    rgb = torch.rand(1, 3, 60, 70)
    assert torch.equal(reused(rgb), apart(rgb))
    assert torch.equal(reused.update(rgb)[0], apart(rgb))
