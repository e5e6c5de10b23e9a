"""Whole networks out of the kernels: beside float32, and from frame to frame."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vidsr.frames import ColorTags, PixelLayout
from vidsr.models.archs.compact import SRVGGNetCompact
from vidsr.models.descriptor import Descriptor
from vidsr.models.load import load_model
from vidsr.runtime.fused import Fused
from vidsr.runtime.kernels.conv import Config
from vidsr.runtime.kernels.network import State
from vidsr.runtime.planes import FromRGB, ToRGB

from ...fakes import Repeater, describe

TAPS, WALK = Config("taps", 16, warps=8, stages=3), Config("walk", 32, group=4, warps=4)
LAYOUT, DEEP = PixelLayout("yuv", 8, 1, 1), PixelLayout("yuv", 10, 1, 1)
TALL = PixelLayout("yuv", 8, 0, 1)  # 4:4:0: the chroma filter goes down only, which the interpreter does sooner
COLOR = ColorTags(1, False, siting="topleft")
HEIGHT, WIDTH = 20, 37


def small(activation: str = "prelu", features: int = 16, convolutions: int = 2, scale: int = 2) -> Descriptor:
    network = SRVGGNetCompact(features, convolutions, scale, activation).eval().requires_grad_(False)
    return replace(describe(Repeater(scale), network.receptive_field), name="small", network=network)


def fused(device: torch.device, config: Config | None = TAPS, scale: int = 1, **options: object) -> Fused:
    """For planes 4:4:0 of 8 bits."""
    runtime = Fused(small(scale=scale), device, "fp16", config=config, **options)
    runtime.bind(TALL, COLOR, TALL, COLOR, dither=False)
    return runtime


def fused_like(runtime: Fused) -> Fused:
    """Another one with the same parameters."""
    fresh = fused(runtime.device, runtime._config)
    fresh._network = runtime._network
    return fresh


def test_what_was_chosen_can_be_given_to_another(device):
    first, second = fused(device, WALK), fused(device, None)
    assert second.chosen() == {}
    second._network = first._network
    second.fix(first.chosen())
    assert second.chosen() == first.chosen() == json.loads(json.dumps(first.chosen()))
    source = planes(device, TALL, 20, 24)
    assert same(first.planes(source, reuse=False), second.planes(source, reuse=False))


def psnr(a: Tensor, b: Tensor) -> float:
    return float(-10 * (a - b).square().mean().log10())


def smooth(height: int, width: int, device: torch.device) -> Tensor:
    coarse = torch.rand(1, 3, height // 4, width // 4)
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp_(0, 1).to(device)


def planes(device: torch.device, layout: PixelLayout, height: int, width: int) -> tuple[Tensor, ...]:
    sizes = layout.plane_sizes(width, height)
    return tuple(torch.randint(16, 236, size, dtype=torch.uint8).to(device) for size in sizes)


def same(a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> bool:
    return all(torch.equal(x.view(torch.uint8), y.view(torch.uint8)) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(("precision", "config"), [("fp16", TAPS), ("fp16", WALK), ("bf16", TAPS)])
def test_animevideov3_is_as_in_float32(device, precision, config):
    if config is WALK and device.type == "cuda" and torch.cuda.get_device_capability(device)[0] != 9:
        pytest.skip("nine slices of 64 x 64 fit into the shared memory of Hopper")
    descriptor, rgb = load_model("animevideov3"), smooth(24, 13, device)
    runtime = Fused(descriptor, device, precision, config=config)
    wanted = descriptor.network(rgb.cpu()).to(device)  # cuDNN would round to TF32
    assert psnr(runtime(rgb), wanted) >= 55
    assert runtime.bad.item() == 0


@pytest.mark.parametrize(
    ("activation", "features", "convolutions", "scale"),
    [("relu", 48, 1, 1), ("leakyrelu", 32, 0, 3), ("prelu", 128, 1, 1)],
)
def test_other_networks(device, activation, features, convolutions, scale):
    descriptor, rgb = small(activation, features, convolutions, scale), torch.rand(2, 3, 19, 9).to(device)
    out = Fused(descriptor, device, "fp16")(rgb)
    wanted = descriptor.network(rgb.cpu()).to(device)
    assert out.shape == wanted.shape
    assert psnr(out, wanted) >= 55


def test_planes_are_what_the_three_steps_give(device):
    runtime, given = fused(device, scale=2), planes(device, LAYOUT, 18, 15)
    runtime.bind(LAYOUT, COLOR, DEEP, COLOR, dither=False)
    rgb = ToRGB(LAYOUT, COLOR, device=device)(tuple(plane[None] for plane in given))
    wanted = FromRGB(DEEP, COLOR, device=device, dither=False)(runtime(rgb))
    for mine, reference in zip(runtime.planes(given, reuse=False), wanted, strict=True):
        difference = (mine.to(torch.int32) - reference[0].to(torch.int32)).abs()
        assert int(difference.max()) <= 1
        assert int(difference.count_nonzero()) <= 0.01 * difference.numel()


def test_reuse_changes_no_bit_of_the_planes(device):
    """A film: a held frame, a pixel in the last tile, a chroma sample on a seam of tiles, and a cut."""
    runtime, given, shares = fused(device), planes(device, TALL, HEIGHT, WIDTH), []
    whole = fused_like(runtime)
    for step in range(5):
        given = planes(device, TALL, HEIGHT, WIDTH) if step == 4 else tuple(plane.clone() for plane in given)
        if step == 2:
            given[0][-1, -1] ^= 64
        if step == 3:
            given[1][7, 15] ^= 64
        mine = runtime.planes(given)
        shares.append(runtime.share.item())
        if step != 1:
            theirs = whole.planes(given, reuse=False)
        assert same(mine, theirs), f"frame {step}"
    assert shares[0] == shares[4] == 1
    assert shares[1] == 0
    # the pixel (19, 36) lies in the last of 2 x 3 tiles, 4 rows below the others and 5 columns beside them
    assert shares[2] == pytest.approx((1 + 1 + 1 + 2) / (4 * 6))
    assert 0 < shares[3] < 0.7


def test_chroma_is_patched_as_far_as_its_filter_sees(device):
    """A network that moves the picture up by its reach of 4 rows: row 21 shows in row 17, and row 17 in the chroma of
    row 14, which lies in a tile that is 6 rows away from the change.
    """
    descriptor = small(scale=1)
    for layer in descriptor.network.body:
        if isinstance(layer, torch.nn.Conv2d):
            layer.weight.zero_()
            layer.bias.zero_()
            layer.weight[range(3), range(3), 2, 1] = 1
    runtime, whole = (Fused(descriptor, device, "fp16", config=TAPS) for _ in range(2))
    for each in (runtime, whole):
        each.bind(PixelLayout("yuv"), COLOR, TALL, COLOR, dither=False)
    given = tuple(torch.full((24, 18), code, dtype=torch.uint8, device=device) for code in (80, 128, 128))
    before = whole.planes(given, reuse=False)[1][7, 5].item()
    runtime.planes(given)
    given[1][21, 5] = 200
    wanted = whole.planes(given, reuse=False)
    assert wanted[1][7, 5].item() != before
    assert same(runtime.planes(given), wanted)


@pytest.mark.parametrize("config", [TAPS, WALK], ids=["taps", "walk"])
def test_reuse_changes_no_bit_of_floats(device, config):
    runtime, rgb = fused(device, config, scale=2), torch.rand(1, 3, HEIGHT, WIDTH).to(device)
    for change in (None, (2, 15, 16), (1, slice(18, 20), slice(30, 35))):
        if change is not None:
            rgb = rgb.clone()
            rgb[0][change] = 0.5
        updated, boxes = runtime.update(rgb)
        assert boxes is None
        assert torch.equal(updated, runtime(rgb))
        if change is not None:
            assert 0 < runtime.share.item() <= 1


def test_another_size_and_a_reset_start_anew(device, monkeypatch):
    monkeypatch.setattr("vidsr.runtime.fused.SHAPES", 2)
    runtime, rgb = fused(device), torch.rand(1, 3, 18, 20).to(device)
    first = runtime.update(rgb)[0].clone()
    for size in ((9, 10), (10, 9)):
        runtime.update(torch.rand(1, 3, *size).to(device))
        assert runtime.share.item() == 1
    assert torch.equal(first, runtime.update(rgb)[0])
    assert runtime.share.item() == 1, "the buffers of the first size should have made room"
    runtime.update(rgb)
    assert runtime.share.item() == 0
    runtime.reset()
    assert torch.equal(first, runtime.update(rgb)[0])
    assert runtime.share.item() == 1


def test_a_graph_gives_what_the_first_run_gave(device):
    """On CUDA the second call records and the third replays."""
    runtime, rgb = fused(device), torch.rand(1, 3, 18, 20).to(device)
    outs = [runtime(rgb).clone() for _ in range(3)]
    other = runtime(1 - rgb).clone()
    assert torch.equal(outs[0], outs[1])
    assert torch.equal(outs[0], outs[2])
    assert torch.equal(other, fused_like(runtime)(1 - rgb))


def test_what_is_not_finite_is_told(device):
    descriptor = small()
    descriptor.network.body[-1].bias[0] = float("inf")
    runtime = Fused(descriptor, device, "fp16", config=TAPS)
    runtime(torch.rand(1, 3, 18, 20).to(device))
    assert runtime.bad.item() == 1


def test_a_finite_frame_after_another_is_not_told(device):
    runtime, rgb = fused(device), torch.rand(1, 3, 9, 10).to(device)
    runtime.update(rgb)
    with torch.inference_mode():
        next(iter(runtime._prepared.values())).state.bad.fill_(1)
    runtime.update(rgb)
    assert runtime.bad.item() == 0


def test_what_a_frame_told_stays_true_when_the_next_is_queued(device):
    runtime, rgb = fused(device), torch.rand(1, 3, 9, 10).to(device)
    runtime.update(rgb)
    bad, share = runtime.bad, runtime.share
    runtime.update(rgb)
    with torch.inference_mode():
        next(iter(runtime._prepared.values())).state.bad.fill_(1)
    assert (bad.item(), share.item(), runtime.share.item()) == (0, 1, 0)


def test_the_check_is_called_once_a_frame_and_may_stop_it(device):
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt

    runtime, rgb = fused(device, check=check), torch.rand(1, 3, 18, 20).to(device)
    first = runtime.update(rgb)[0].clone()
    with pytest.raises(KeyboardInterrupt):
        runtime.update(rgb)
    assert torch.equal(first, runtime.update(rgb)[0])
    assert calls == 3


def test_after_a_failure_nothing_is_relied_on(device, monkeypatch):
    runtime, rgb = fused(device), torch.rand(1, 3, 9, 10).to(device)
    first = runtime.update(rgb)[0].clone()
    with monkeypatch.context() as patch:
        patch.setattr(State, "run_changed", lambda *others: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            runtime.update(rgb)
    assert torch.equal(first, runtime.update(rgb)[0])
    assert runtime.share.item() == 1


def test_the_memory_is_what_was_said(device):
    runtime = fused(device, scale=2)
    runtime.update(torch.rand(1, 3, 18, 20).to(device))
    runtime.planes(planes(device, TALL, 18, 20))
    floats, codes = runtime._prepared.values()
    assert held(floats) + nbytes(*floats.planes, floats.picture) == runtime.nbytes(18, 20)
    assert held(codes) == runtime.cache_bytes(18, 20)


def held(prepared: object) -> int:
    state = prepared.state
    return nbytes(*state._maps, state.rgb, state._differences)


def nbytes(*tensors: Tensor) -> int:
    return sum(tensor.nbytes for tensor in tensors)
