"""Planes to planes in one go: order, held pictures, and what happens when the device is not up to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.runtime.simulated import Simulated
from vidsr.errors import DeviceError
from vidsr.events import Event, FellBack
from vidsr.frames import RawFrame, UpscaledFrame, Work
from vidsr.runtime.transfer import Downloader
from vidsr.stages import direct as stage
from vidsr.stages.direct import Direct

CPU = torch.device("cpu")


class Doubler:
    """Stands for the kernels: doubles every code, always into the same memory, as those do."""

    device = CPU

    def __init__(self, fault: dict[int, str]) -> None:
        self.fault, self.calls = fault, 0
        self.bad, self.share = torch.zeros(1, dtype=torch.int32), torch.tensor(0.5)
        self.out = torch.zeros(4, 4, dtype=torch.uint8)

    def cache_bytes(self, height: int, width: int) -> int:
        return 7 * height * width

    def planes(self, planes: tuple[Tensor, ...], *, reuse: bool) -> tuple[Tensor, ...]:
        kind = self.fault.get(self.calls)
        self.calls += 1
        if kind == "memory":
            raise torch.OutOfMemoryError("out of memory")
        self.bad.fill_(kind == "nan")
        self.out.copy_(planes[0] * 2)
        return (self.out,)


class Judge:
    def __init__(self, trusts: bool) -> None:
        self.trusts, self.asked, self.told = trusts, 0, 0

    def trusted(self, rgb: Tensor) -> bool:
        self.asked += 1
        return self.trusts

    def distrust(self) -> None:
        self.told += 1


def films(held: list[bool]) -> list[Work]:
    value, works = 0, []
    for pts, same in enumerate(held):
        value += not same
        works.append(Work(RawFrame((np.full((4, 4), value, np.uint8),), pts * 2, duration=2), same))
    return works


def usual(works: Iterable[Work]) -> Iterator[UpscaledFrame]:
    """The other way: starts anew, so the first picture must not be a held one."""
    shown: tuple[Any, ...] = ()
    for work in works:
        shown = shown if work.held else (work.frame.planes[0] * 2 + 100,)
        assert shown
        yield UpscaledFrame(shown, work.frame.pts, work.frame.duration)


def run(held: list[bool], fault: dict[int, str]) -> tuple[list[UpscaledFrame], Judge, list[Event]]:
    judge, said = Judge(True), []
    fused: Any = Doubler(fault)
    direct = Direct(fused, lambda planes: planes[0], True, usual, judge, said.append)  # type: ignore[arg-type]
    frames = list(direct.frames(films(held)))
    assert direct.work == pytest.approx(0.5 * (fused.calls - ("memory" in fault.values())))
    assert direct.kept == 7 * 16
    return frames, judge, said


def check(frames: list[UpscaledFrame], held: list[bool]) -> list[bool]:
    """Every picture is there once, in order, right one way or the other; which were done the usual way."""
    works = films(held)
    assert [frame.pts for frame in frames] == [work.frame.pts for work in works]
    other = []
    for frame, work in zip(frames, works, strict=True):
        value = 2 * int(work.frame.planes[0][0, 0])
        (plane,) = frame.planes
        assert (plane == plane[0, 0]).all()
        assert plane[0, 0] in (value, value + 100)
        other.append(plane[0, 0] == value + 100)
    return other


HELD = st.lists(st.booleans(), max_size=40).map(lambda rest: [False, *rest])


@given(HELD)
def test_every_picture_in_order_and_held_ones_share_planes(held: list[bool]) -> None:
    frames, judge, said = run(held, {})
    assert not any(check(frames, held))
    assert judge.asked == 1
    assert not said
    for before, frame, same in zip(frames, frames[1:], held[1:], strict=False):
        assert (frame.planes[0] is before.planes[0]) == same


@given(HELD, st.integers(0, 30))
def test_a_value_that_is_not_finite_sends_that_picture_and_the_rest_the_usual_way(held: list[bool], place: int) -> None:
    fresh = [n for n, same in enumerate(held) if not same]
    frames, judge, _ = run(held, {place: "nan"})
    other = check(frames, held)
    if place < len(fresh):
        assert other == [n >= fresh[place] for n in range(len(held))]
        assert judge.told == 1
    else:
        assert not any(other)


@given(HELD, st.integers(0, 30))
def test_memory_that_runs_out_costs_no_picture(held: list[bool], place: int) -> None:
    fresh = [n for n, same in enumerate(held) if not same]
    if place >= len(fresh):
        return
    frames, _, said = run(held, {place: "memory"})
    assert check(frames, held) == [n >= fresh[place] for n in range(len(held))]
    assert [event.wanted for event in said if isinstance(event, FellBack)] == ["fused planes"]


def test_a_precision_that_is_not_enough_is_seen_before_the_first_picture() -> None:
    judge, held = Judge(False), [False, True, False]
    direct = Direct(Doubler({}), lambda planes: planes[0], True, usual, judge, lambda event: None)  # type: ignore[arg-type]
    assert all(check(list(direct.frames(films(held))), held))
    assert judge.asked == 1


def test_other_errors_are_those_of_the_device() -> None:
    class Broken(Doubler):
        def planes(self, planes: tuple[Tensor, ...], *, reuse: bool) -> tuple[Tensor, ...]:
            raise RuntimeError("illegal memory access")

    broken: Any = Broken({})
    direct = Direct(broken, lambda planes: planes[0], True, usual, Judge(True), lambda event: None)  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match="the device cpu failed: illegal memory access"):
        list(direct.frames(films([False])))


class Doubler420(Doubler):
    """The same with the three planes of 4:2:0, the chroma ones of half the codes."""

    def planes(self, planes: tuple[Tensor, ...], *, reuse: bool) -> tuple[Tensor, ...]:
        (luma,) = super().planes(planes, reuse=reuse)
        return luma, luma[:2, :2] // 2, luma[2:, 2:] // 4


@given(HELD, st.integers(0, 30), st.integers(0, 99))
def test_surfaces_stay_on_the_device_and_only_the_flag_comes_down(held: list[bool], place: int, seed: int) -> None:
    device, judge, fused = Simulated(seed, eager=2), Judge(True), Doubler420({place: "nan"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "Downloader", partial(Downloader, lanes=device))
        to_rgb: Any = lambda planes: planes[0]  # noqa: E731
        direct: Any = Direct(fused, to_rgb, True, usual, judge, lambda event: None, surface_depth=8)  # type: ignore[arg-type]
        frames = list(direct.frames(films(held)))
    fresh = [n for n, same in enumerate(held) if not same]
    good = fresh[place] if place < len(fresh) else len(held)
    works = films(held)
    assert [frame.pts for frame in frames] == [work.frame.pts for work in works]
    assert judge.told == (good < len(held))
    for frame, work in zip(frames[:good], works, strict=False):
        luma, chroma = frame.planes
        code = 2 * int(work.frame.planes[0][0, 0])
        assert (luma == code).all()
        assert (chroma == torch.tensor([code // 2, code // 4])).all()
        assert frame.nbytes == 24
    for n in range(1, good):
        assert (frames[n].planes is frames[n - 1].planes) == held[n]
    assert device.pinned_most <= 4 * 5  # flags, of depth + 2 frames and one being read
    assert all(len(frame.planes) == 1 for frame in frames[good:])
