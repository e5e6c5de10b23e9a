"""Incremental inference: the same bits as the whole frame, whatever changes, moves or stays."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vidsr.frames import Box
from vidsr.models.archs.compact import SRVGGNetCompact
from vidsr.models.descriptor import Descriptor
from vidsr.models.load import load_model
from vidsr.runtime import layered
from vidsr.runtime.eager import Eager
from vidsr.runtime.incremental import KEPT, WHOLE, Incremental, fitting, is_exact
from vidsr.runtime.layered import Layered

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def real() -> Descriptor:
    return load_model("animevideov3")


def small(features: int = 16, convolutions: int = 3, scale: int = 2, activation: str = "prelu") -> Descriptor:
    """A network of random weights, described as the real one is."""
    torch.manual_seed(1)
    network = SRVGGNetCompact(features, convolutions, scale, activation).requires_grad_(False)  # type: ignore[arg-type]
    return dataclasses.replace(
        load_model("animevideov3"), network=network, scale=scale, receptive_field=network.receptive_field, sha256="made"
    )


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("activation", ["prelu", "relu", "leakyrelu"])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (37, 53), (9, 130), (1, 1), (200, 3)])
def test_layered_equals_eager(precision: str, activation: str, height: int, width: int) -> None:
    network = small(activation=activation)
    rgb = torch.rand(2, 3, height, width)
    seen, wanted = Layered(network, CPU, precision)(rgb), Eager(network, CPU, precision)(rgb)
    if precision == "bf16":
        assert torch.equal(seen, wanted)
    else:  # PyTorch takes another library than oneDNN for tiny pictures
        torch.testing.assert_close(seen, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("band", [1, 130, 500, 1000, 100_000])
def test_bands_of_any_height_give_the_same(band: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network, rgb = small(convolutions=5), torch.rand(2, 3, 37, 53)
    wanted = Layered(network, CPU, "bf16")(rgb).clone()
    monkeypatch.setattr(layered, "BAND", band)
    assert torch.equal(Layered(network, CPU, "bf16")(rgb), wanted)
    incremental = Incremental(Layered(network, CPU, "bf16"))
    assert torch.equal(incremental.update(rgb[:1])[0], wanted[:1])
    assert torch.equal(incremental.update(rgb[1:])[0], wanted[1:])


def film(height: int, width: int, changes: list[list[tuple[int, int, int, int]]]) -> list[Tensor]:
    """Frames of noise; each differs from the one before in rectangles (row, column, height, width)."""
    frames = [torch.rand(1, 3, height, width)]
    for boxes in changes:
        frame = frames[-1].clone()
        for row, column, h, w in boxes:
            part = frame[:, :, row % height : row % height + h, column % width : column % width + w]
            part.copy_(torch.rand(part.shape))
        frames.append(frame)
    return frames


BOXES = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 149), st.integers(1, 9), st.integers(1, 30)), max_size=3)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("every", [1, 2, 5])
@settings(max_examples=12, deadline=None)
@given(st.integers(17, 100), st.integers(17, 150), st.lists(BOXES, min_size=1, max_size=4))
def test_every_frame_equals_the_whole_frame_bit_for_bit(
    precision: str, every: int, height: int, width: int, changes: list[list[tuple[int, int, int, int]]]
) -> None:
    network = small()
    incremental, whole = Incremental(Layered(network, CPU, precision), every), Layered(network, CPU, precision)
    before = None
    for frame in film(height, width, changes):
        out, boxes = incremental.update(frame)
        wanted = whole(frame)
        assert torch.equal(out, wanted)
        if before is not None and boxes is not None:
            outside = torch.ones(wanted.shape[-2:], dtype=torch.bool)
            for box in boxes:
                box.of(outside)[...] = False
            assert torch.equal(wanted[..., outside], before[..., outside])
            assert incremental.share <= WHOLE
        before = wanted


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_real_network_on_a_cut_a_still_and_a_moving_spot(real: Descriptor, precision: str) -> None:
    incremental, whole = Incremental(Layered(real, CPU, precision)), Layered(real, CPU, precision)
    frames = film(96, 112, [[(5, 5, 4, 4)], [], [(0, 0, 96, 112)], [(90, 100, 6, 12)]])
    shares = []
    for frame in frames:
        assert torch.equal(incremental.update(frame)[0], whole(frame))
        shares.append(incremental.share)
    assert shares[0] == shares[3] == 1
    assert shares[2] == 0
    assert 0 < shares[1] < WHOLE
    assert 0 < shares[4] < WHOLE


def test_another_size_starts_anew_and_reset_forgets() -> None:
    network = small()
    incremental, whole = Incremental(Layered(network, CPU, "bf16")), Layered(network, CPU, "bf16")
    for height, width in ((32, 48), (48, 32), (32, 48)):
        frame = torch.rand(1, 3, height, width)
        out, boxes = incremental.update(frame)
        assert boxes is None
        assert torch.equal(out, whole(frame))
    incremental.reset()
    assert incremental.update(frame)[1] is None


def test_this_machine_is_exact_and_the_check_can_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    layered = Layered(small(), CPU, "fp32")
    assert is_exact(layered)
    layer = layered.layers[2]
    exact = layer._convolve
    monkeypatch.setattr(layer, "_convolve", lambda patch, pad: exact(patch, pad) * (1 + 1e-6 * (patch.shape[-1] < 40)))
    assert not is_exact(layered)


@given(st.integers(1, 200), st.integers(1, 200), st.integers(0, 60_000_000))
@settings(deadline=None)
def test_what_is_kept_fits_the_budget(height: int, width: int, budget: int) -> None:
    layered = Layered(NETWORK, CPU, "bf16")
    found = fitting(layered, height, width, budget)
    least = Incremental(layered, len(layered.layers)).nbytes(height, width)
    if found is None:
        assert least > budget
    else:
        assert found.nbytes(height, width) <= budget


NETWORK = small(convolutions=6)


@pytest.mark.parametrize("every", [1, 3, 8])
def test_the_bytes_told_are_the_bytes_held(every: int) -> None:
    incremental = Incremental(Layered(NETWORK, CPU, "bf16"), every)
    frame = torch.rand(1, 3, 40, 60)
    incremental.update(frame)
    held = sum(
        tensor.untyped_storage().nbytes() for tensor in (*incremental._buffers.values(), incremental._out, frame)
    )
    told = incremental.nbytes(40, 60)
    assert told == pytest.approx(held, rel=0.01)


def test_a_whole_frame_leaves_what_is_kept_alone() -> None:
    network = small()
    layered = Layered(network, CPU, "bf16")
    incremental = Incremental(layered)
    first, second = film(64, 96, [[(3, 3, 2, 2)]])
    incremental.update(first)
    layered(torch.rand(1, 3, 64, 96))
    assert torch.equal(incremental.update(second)[0], layered(second))


def test_boxes_are_whole_tiles_around_the_change() -> None:
    incremental = Incremental(Layered(small(convolutions=1), CPU, "bf16"))
    frames = film(128, 128, [[(70, 70, 1, 1)]])
    incremental.update(frames[0])
    _, boxes = incremental.update(frames[1])
    assert boxes == (Box(128, 128, 160, 160),)  # x2: pixels 64 … 80 are the tiles that hold all within 3 of the change


@given(st.lists(st.sampled_from(["all", "spot", "same"]), min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_frames_after_a_run_of_new_ones_equal_the_whole_frame(kinds: list[str]) -> None:
    """Where everything moves nothing is kept after a while; what comes then must not use what was kept before."""
    network = Layered(small(), CPU, "fp32")
    incremental, whole = Incremental(network), Layered(small(), CPU, "fp32")
    frame = torch.rand(1, 3, 40, 56)
    for number, kind in enumerate(kinds):
        frame = {"all": torch.rand(1, 3, 40, 56), "same": frame.clone(), "spot": frame.clone()}[kind]
        if kind == "spot":
            frame[..., 9, number % 56] = 0.25
        result, _ = incremental.update(frame)
        assert torch.equal(result, whole(frame))


def test_where_everything_moves_activations_are_kept_only_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Layered(small(), CPU, "fp32")
    incremental = Incremental(network)
    kept: list[bool] = []
    compute = network.whole
    monkeypatch.setattr(
        network, "whole", lambda rgb, out, buffers: (kept.append(bool(buffers)), compute(rgb, out, buffers))
    )
    frame = torch.rand(1, 3, 40, 56)
    for _ in range(5):
        frame = torch.rand(1, 3, 40, 56)
        incremental.update(frame)
    assert kept == [True] * KEPT + [False] * (5 - KEPT)
    incremental.update(frame.clone())
    assert len(kept) == 5, "nothing changed"
    frame = frame.clone()
    frame[..., 3, 3] = 0.5
    incremental.update(frame)
    assert kept[5:] == [True]
    assert incremental.share == 1
    frame = frame.clone()
    frame[..., 3, 3] = 0.75
    incremental.update(frame)
    assert (len(kept), incremental.share < 1) == (6, True)
