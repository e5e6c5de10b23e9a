"""Inference on a film: which way is taken, and the steps down."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.runtime.test_incremental import CPU, film, small
from tests.runtime.tiny import grown
from vidsr.errors import DeviceError
from vidsr.events import Event, FellBack
from vidsr.frames import Batch, Box, RawFrame
from vidsr.models.descriptor import Descriptor
from vidsr.runtime import trust
from vidsr.runtime.engine import Engine
from vidsr.runtime.incremental import Incremental
from vidsr.runtime.layered import Layered
from vidsr.runtime.tiled import Tiled
from vidsr.stages.infer import Inference, _is_finite
from vidsr.stages.tile import tiles

ENGINE = Engine(CPU, "bf16", "layered", 1, 0, 99, 0, True, 1 << 30)


@pytest.fixture(autouse=True)
def _no_verdicts() -> None:
    trust.forget()


def inference(network: Descriptor, said: list[Event], **changes: Any) -> Inference:
    engine = dataclasses.replace(ENGINE, overlap=network.receptive_field, **changes)
    return Inference(network, engine, Layered(network, CPU, engine.precision), tiles, said.append)


def results(inference: Inference, frames: Iterable[Tensor]) -> list[Tensor]:
    batches = (Batch((RawFrame((), n),), (0,), frame) for n, frame in enumerate(frames))
    return [batch.rgb.clone() for batch in inference.upscaled(batches) if batch.rgb is not None]


SPOTS = [[(5, 5, 2, 2)], [(60, 80, 3, 1)], [(0, 0, 96, 128)], [(5, 5, 2, 2)]]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("tile", [0, 32, 50])
@pytest.mark.parametrize("every", [1, 5, None])
def test_reuse_is_bit_identical_with_every_tile_precision_and_budget(
    precision: str, tile: int, every: int | None
) -> None:
    network, said = small(), []
    cache = Incremental(Layered(network, CPU, precision), every).nbytes(96, 128) if every else 0
    frames = film(96, 128, SPOTS)
    whole = results(inference(network, said, precision=precision, reuse=False), frames)
    reused = inference(network, said, precision=precision, tile=tile, cache=cache)
    assert all(map(torch.equal, results(reused, frames), whole))
    assert 2 < reused.work < 5
    assert 0 < reused.kept <= max(cache, 12 * 96 * 128 * 5)
    if every and not tile:
        assert isinstance(reused._way, Incremental)
        assert len(reused._way.cuts) == (6 if every == 1 else 2)
    else:
        assert isinstance(reused._way, Tiled)


def test_a_batch_of_frames_is_the_same_too() -> None:
    network, said = small(), []
    frames = film(96, 128, SPOTS)
    whole = results(inference(network, said, reuse=False), frames)
    for reuse in (False, True):
        together = inference(network, said, batch=3, reuse=reuse)
        batch = Batch(tuple(RawFrame((), n) for n in range(5)), tuple(range(5)), torch.cat(frames))
        (made,) = together.upscaled([batch])
        assert made.boxes is None
        assert torch.equal(made.rgb, torch.cat(whole))


class Narrow(Layered):
    """Runs out of memory on request."""

    most_pixels = 1 << 30
    most_buffers = 99

    def whole(self, rgb: Tensor, out: Tensor, buffers: Mapping[int, Tensor]) -> None:
        if len(buffers) > self.most_buffers and rgb.shape[-1] == 128:  # the trial of `is_exact` is another size
            raise torch.OutOfMemoryError("out of memory")
        super().whole(rgb, out, buffers)

    def __call__(self, rgb: Tensor) -> Tensor:
        if rgb.shape[-1] * rgb.shape[-2] * len(rgb) > self.most_pixels:
            raise torch.OutOfMemoryError("out of memory")
        return super().__call__(rgb)


def narrow(said: list[Event], **limits: int) -> Inference:
    network = small(convolutions=6)
    made = inference(network, said)
    made.runner = Narrow(network, CPU, "bf16")
    for name, limit in limits.items():
        setattr(made.runner, name, limit)
    return made


def fallbacks(said: list[Event]) -> list[str]:
    return [event.used for event in said if isinstance(event, FellBack)]


def test_the_ladder_keeps_less_then_takes_tiles_and_every_frame_stays_the_same() -> None:
    frames, said = film(96, 128, SPOTS), []
    whole = results(inference(small(convolutions=6), said, reuse=False), frames)
    less = narrow(said, most_buffers=4)
    assert all(map(torch.equal, results(less, frames), whole))
    assert isinstance(less._way, Incremental)
    assert set(fallbacks(said)) == {"reuse of fewer layers"}
    said.clear()
    least = narrow(said, most_buffers=0, most_pixels=60 * 60)
    assert all(map(torch.equal, results(least, frames), whole))
    assert isinstance(least._way, Tiled)
    assert fallbacks(said)[-2:] == ["tile 64", "tile 32"]
    assert least.work < 5


def test_memory_that_runs_out_in_the_middle_of_a_film_costs_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, said = film(96, 128, [*SPOTS, *SPOTS]), []
    whole = results(inference(small(convolutions=6), said, reuse=False), frames)
    made = inference(small(convolutions=6), said)
    patch, calls = Incremental._patch, []

    def failing(self: Incremental, *arguments: Any) -> None:
        ours = arguments[0].shape[-1] == 128  # not the trial of `is_exact`
        calls.extend([1] * ours)
        if ours and len(calls) == 2:
            patch(self, arguments[0], [*arguments[1][:3], *([[]] * (len(arguments[1]) - 3))])  # half done
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        patch(self, *arguments)

    monkeypatch.setattr(Incremental, "_patch", failing)
    assert all(map(torch.equal, results(made, frames), whole))
    assert fallbacks(said) == ["reuse of fewer layers"]


def test_other_errors_of_the_device_are_not_taken_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    made = narrow([])
    monkeypatch.setattr(Narrow, "whole", lambda *a: (_ for _ in ()).throw(RuntimeError("illegal memory access")))
    with pytest.raises(DeviceError, match="illegal memory access"):
        results(made, film(32, 32, []))


def test_a_precision_that_is_not_near_enough_is_given_up_with_the_first_frame() -> None:
    network, said = small(), []
    grown(network.network, gain=12.0)
    network.network.body[-1].weight.data *= 1e-2  # type: ignore[index,union-attr,operator]
    frames = film(64, 64, [[(3, 3, 1, 1)]])
    made = inference(network, said)
    seen = results(made, frames)
    assert made.runner.precision == "fp32"
    assert [event.wanted for event in said if isinstance(event, FellBack)] == ["layered bf16"]
    wanted = results(inference(network, [], precision="fp32", reuse=False), frames)
    for a, b in zip(seen, wanted, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_a_way_that_depends_on_shapes_is_not_taken_and_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidsr.stages.infer.is_exact", lambda layered: False)
    monkeypatch.setattr("vidsr.stages.infer.shapes_are_free", lambda: False)
    network, said = small(), []
    made = inference(network, said)
    frames = film(64, 64, [[(3, 3, 1, 1)], []])
    assert all(map(torch.equal, results(made, frames), results(inference(network, [], reuse=False), frames)))
    assert made.work == 3
    assert any("only whole frames" in getattr(event, "text", "") for event in said)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", [(0, 0, 0, 0), (1, 2, 30, 17), (0, 1, 63, 63)])
def test_a_single_value_that_is_not_finite_is_found(value: float, place: tuple[int, ...]) -> None:
    out = torch.rand(2, 3, 64, 64)
    assert _is_finite(out, None)
    out[place] = value
    assert not _is_finite(out, None)
    assert _is_finite(out, ())
    assert _is_finite(out[:1], (Box(3, 3, 9, 9),))
    row, column = place[-2:]
    assert not _is_finite(out, (Box(3, 3, 9, 9), Box(row, column, row + 1, column + 1)))
