"""The first frame of a fast runtime against float32: passed, refused, remembered, and at what cost."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tests.runtime.tiny import CPU, film, grown, tiny
from vidsr.events import Event, FellBack, Notice
from vidsr.models.descriptor import Descriptor
from vidsr.models.load import load_model
from vidsr.runtime import trust
from vidsr.runtime.eager import Eager
from vidsr.runtime.interface import Runtime
from vidsr.runtime.trust import SIDE, check_precision, choose_piece, decibels


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    trust.forget()
    yield
    trust.forget()


class Judged:
    """Runs the check, and keeps what was said and what the reference was asked to compute."""

    def __init__(self, descriptor: Descriptor) -> None:
        self.descriptor, self.events, self.sizes = descriptor, list[Event](), list[torch.Size]()

    def reference(self) -> Runtime:
        eager = Eager(self.descriptor, CPU, "fp32")
        eager.network.register_forward_pre_hook(lambda module, inputs: self.sizes.append(inputs[0].shape))
        return eager

    def __call__(self, runtime: Runtime, rgb: Tensor, result: Tensor | None = None) -> Runtime:
        result = runtime(rgb) if result is None else result
        return check_precision(runtime, self.descriptor, self.reference, rgb, result, self.events.append)

    def told(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, FellBack)]


def blown_up() -> Descriptor:
    """A network that lives on differences of large numbers, which bf16 does not have."""
    network = grown(copy.deepcopy(tiny("compact4").network), gain=12.0)
    last = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)][-1]
    last.weight.data *= 1e-2
    return replace(tiny("compact4"), name="blown-up", sha256="blown-up", network=network)


def test_the_released_network_passes_in_bf16_with_a_known_figure() -> None:
    network = load_model("animevideov3")
    judged, fast = Judged(network), Eager(network, CPU, "bf16")
    assert judged(fast, film(144, 176)) is fast
    assert not judged.told()
    (figure,) = trust._verdicts.values()
    assert 65 < figure < 80
    assert [event.text for event in judged.events if isinstance(event, Notice)] == [
        f"eager bf16 is {figure:.1f} dB from fp32 on the first frame"
    ]


def test_a_network_that_bf16_does_not_suit_falls_back_to_float32() -> None:
    network = blown_up()
    judged, fast = Judged(network), Eager(network, CPU, "bf16")
    used = judged(fast, film(64, 64))
    assert (used.name, used.precision) == ("eager", "fp32")
    (figure,) = trust._verdicts.values()
    assert 5 < figure < 50
    (event,) = [event for event in judged.events if isinstance(event, FellBack)]
    assert (event.wanted, event.used) == ("eager bf16", "fp32")
    assert event.reason == f"eager bf16 is {figure:.1f} dB from fp32 with blown-up, expected is 50"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_fall_back(value: float) -> None:
    judged, fast = Judged(tiny("compact4")), Eager(tiny("compact4"), CPU, "bf16")
    rgb = film(64, 64)
    result = fast(rgb).clone()
    result[..., 100:110, 100:110] = value
    assert judged(fast, rgb, result) is not fast
    assert len(judged.told()) == 1


def test_float32_itself_is_not_computed_twice() -> None:
    judged, exact = Judged(tiny("compact4")), Eager(tiny("compact4"), CPU, "fp32")
    assert judged(exact, film(64, 64)) is exact
    assert not judged.sizes
    assert not judged.events


@pytest.mark.parametrize("good", [True, False])
def test_the_verdict_holds_for_the_process_and_is_told_in_every_run(good: bool) -> None:
    network = tiny("compact4") if good else blown_up()
    for run in range(2):
        judged, fast = Judged(network), Eager(network, CPU, "bf16")
        assert (judged(fast, film(64, 64)) is fast) == good
        assert len(judged.told()) == (not good)
        assert len(judged.sizes) == (run == 0)


@pytest.mark.parametrize("change", ["weights", "runtime", "precision"])
def test_a_verdict_is_for_one_network_in_one_runtime_and_format(change: str) -> None:
    network, fast = tiny("compact4"), Eager(tiny("compact4"), CPU, "bf16")
    Judged(network)(fast, film(64, 64))
    other = Eager(network, CPU, "bf16")
    if change == "weights":
        network = replace(network, sha256="another")
    elif change == "runtime":
        other.name = "fused"
    else:
        other.precision = "fp16"
    judged = Judged(network)
    judged(other, film(64, 64))
    assert len(judged.sizes) == 1


def test_the_cost_is_bounded() -> None:
    """Of a 720p frame, at most 1.9 % is computed again, whatever the network; so is a part of a small one."""
    for kind, field in [("compact4", 4), ("compact4", 34), ("rrdb4", 349), ("rrdb2", 698), ("rrdb1", 1396)]:
        network = replace(tiny(kind), receptive_field=field)
        piece, core = choose_piece(torch.rand(1, 3, 720, 1280), network)
        assert piece.height * piece.width <= SIDE**2 <= 0.019 * 720 * 1280
        assert core.height * core.width >= 32**2
        assert piece.height % network.multiple_of == piece.width % network.multiple_of == 0


def test_the_piece_with_the_most_detail_is_taken() -> None:
    rgb = torch.full((1, 3, 200, 300), 0.9)  # brighter than the detail
    rgb[..., 96:192, 160:256] = torch.rand(96, 96).round()
    piece, core = choose_piece(rgb, replace(tiny("compact4"), receptive_field=18))
    assert (core.top, core.left, core.bottom, core.right) == (96, 160, 192, 256)
    assert (piece.top, piece.left, piece.bottom, piece.right) == (78, 142, 200, 274)


@pytest.mark.parametrize("kind", ["compact4", "rrdb4", "rrdb2", "rrdb1"])
@pytest.mark.parametrize(("height", "width"), [(160, 216), (37, 50), (150, 31), (5, 7), (3, 2), (1, 1)])
def test_float32_agrees_with_itself_wherever_the_piece_lies(kind: str, height: int, width: int) -> None:
    """Cut edges must not count, and the frame's own edges are treated as the run treats them."""
    network = tiny(kind)
    exact = Eager(network, CPU, "fp32")
    rgb = torch.rand(1, 3, height, width)
    whole = exact(trust.fitted(rgb, network))[..., : height * network.scale, : width * network.scale]
    assert decibels(network, exact, rgb, whole) > 100


def test_frames_are_fitted_as_the_reference_does() -> None:
    row = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]).expand(1, 3, 6, 5)
    assert trust.fitted(row, tiny("compact4")) is row
    assert trust.fitted(row, tiny("rrdb1"))[0, 0, 0].tolist() == [1, 2, 3, 4, 5, 4, 3, 2]
    assert trust.fitted(row[..., :1], tiny("rrdb1"))[0, 0, 0].tolist() == [1, 1, 1, 1]
    assert trust.fitted(row, tiny("rrdb1")).shape == (1, 3, 8, 8)


def test_a_shifted_result_is_not_taken_for_the_same() -> None:
    network = tiny("compact4")
    exact = Eager(network, CPU, "fp32")
    rgb = film(150, 200)
    assert decibels(network, exact, rgb, exact(rgb).roll(1, -1)) < 40


def test_of_a_batch_the_first_frame_is_compared() -> None:
    judged, fast = Judged(tiny("compact4")), Eager(tiny("compact4"), CPU, "bf16")
    rgb = torch.cat([film(64, 64), film(64, 64).flip(-1)])
    assert judged(fast, rgb) is fast
    assert judged.sizes == [torch.Size([1, 3, 64, 64])]
