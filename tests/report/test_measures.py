"""Measures against oracles in float64, and against FFmpeg."""

from __future__ import annotations

import math
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.filter import Graph
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from vidsr.frames import ColorTags, PixelLayout
from vidsr.report import measures
from vidsr.report.forms import Adapter, Form, rgb_of
from vidsr.report.levels import Colours, Levels

from .made import LAYOUT, picture

FORM = Form(128, 72, LAYOUT, ColorTags(matrix=1, full_range=False))


def noisy(plane: NDArray[Any], spread: int, peak: int = 255) -> NDArray[Any]:
    added = np.random.default_rng(5).integers(-spread, spread + 1, plane.shape)
    return np.clip(plane.astype(int) + added, 0, peak).astype(plane.dtype)


def pairs() -> list[tuple[NDArray[Any], NDArray[Any], int]]:
    luma, deep = picture(0)[0], picture(0)[0].astype(np.uint16) * 4
    return [
        (luma, noisy(luma, 1), 255), (luma, noisy(luma, 20), 255), (luma, picture(3)[0], 255),
        (deep, noisy(deep, 9, 1023), 1023), (luma, luma.astype(np.float32) + np.float32(0.25), 255),
        (np.full_like(luma, 255), np.zeros_like(luma), 255),
    ]  # fmt: skip


@pytest.mark.parametrize(("first", "second", "peak"), pairs())
def test_psnr_and_ssim_equal_their_definitions(first: NDArray[Any], second: NDArray[Any], peak: int) -> None:
    x, y = first.astype(np.float64), second.astype(np.float64)
    error = ((x - y) ** 2).mean()
    assert measures.mse(first, second) == pytest.approx(error, rel=1e-6)
    assert measures.psnr(error, peak) == pytest.approx(10 * math.log10(peak**2 / error))
    assert measures.ssim(first, second, peak) == pytest.approx(ssim_by_definition(x, y, peak), abs=1e-4)


def ssim_by_definition(x: NDArray[Any], y: NDArray[Any], peak: int) -> float:
    """Window by window."""
    line = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    weights = np.outer(line, line) / line.sum() ** 2
    xs, ys = (sliding_window_view(plane, (11, 11)) for plane in (x, y))

    def mean(values: NDArray[Any]) -> NDArray[Any]:
        return np.asarray((values * weights).sum(axis=(-2, -1)))

    mx, my = mean(xs), mean(ys)
    vx, vy, vxy = mean(xs**2) - mx**2, mean(ys**2) - my**2, mean(xs * ys) - mx * my
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    return float(((2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean())


def test_psnr_is_that_of_ffmpeg() -> None:
    first, second = picture(0)[0], noisy(picture(0)[0], 12)
    graph = Graph()
    frames = [av.VideoFrame.from_ndarray(plane, "gray") for plane in (first, second)]
    one, two = (graph.add_buffer(width=128, height=72, format=frame.format, time_base=1) for frame in frames)
    node, sink = graph.add("psnr"), graph.add("buffersink")
    one.link_to(node, 0, 0)
    two.link_to(node, 0, 1)
    node.link_to(sink)
    graph.configure()
    for source, frame in zip((one, two), frames, strict=True):
        frame.pts, frame.time_base = 0, 1
        source.push(frame)
        source.push(None)
    told = sink.pull().metadata["lavfi.psnr.psnr.y"]
    assert measures.psnr(measures.mse(first, second), 255) == pytest.approx(float(told), abs=0.01)


def test_equal_planes() -> None:
    luma = picture(0)[0]
    assert measures.mse(luma, luma) == 0
    assert measures.psnr(0, 255) == math.inf
    assert measures.ssim(luma, luma, 255) == pytest.approx(1, abs=1e-6)
    assert math.isnan(measures.ssim(luma[:10], luma[:10], 255))


def test_flicker_counts_what_moves_where_nothing_should() -> None:
    still = np.full((40, 70), 100, np.uint8)
    moving = still.copy()
    moving[:16, :16] = 160  # one of eight whole blocks
    brighter = still + np.uint8(3)
    assert measures.flicker((still, still), (still, still), 8) == 0
    assert measures.flicker((still, still), (still, brighter), 8) == pytest.approx(3)
    assert measures.flicker((still, still), (moving, moving + np.uint8(3)), 8) == pytest.approx(3)
    assert measures.flicker((still, moving), (still, still), 8) == pytest.approx(60 / 8)
    assert math.isnan(measures.flicker((still, still), (still + np.uint8(9), still), 8))
    deep = still.astype(np.uint16) * 4
    assert measures.flicker((deep, deep), (deep, deep + np.uint16(4)), 10) == pytest.approx(1)


def test_drift_is_in_codes_of_8_bits() -> None:
    luma = picture(0)[0]
    assert measures.drift(luma, luma, 8) == 0
    assert measures.drift(luma, luma + np.uint8(2), 8) == pytest.approx(2)
    assert measures.drift(luma.astype(np.uint16) * 4, luma.astype(np.uint16) * 4 + np.uint16(2), 10) == pytest.approx(
        0.5
    )


def test_a_form_of_its_own_is_left_untouched() -> None:
    planes = picture(0)
    assert all(one is two for one, two in zip(Adapter(FORM, FORM)(planes), planes, strict=True))


@pytest.mark.parametrize(
    "other",
    [
        Form(128, 72, LAYOUT, ColorTags(matrix=1, full_range=True)),
        Form(128, 72, PixelLayout("yuv", 10, 1, 1), ColorTags(matrix=1, full_range=False)),
        Form(128, 72, PixelLayout("yuv", 12), ColorTags(matrix=9, full_range=False)),
        Form(128, 72, PixelLayout("rgb", 16), ColorTags(matrix=0, full_range=True)),
    ],
    ids=["full", "10 bit", "2020", "rgb"],
)
def test_what_went_to_another_form_comes_back(other: Form) -> None:
    luma, *chroma = picture(0)
    pale = (luma // 2 + 60, *(plane // 8 + 112 for plane in chroma))  # within RGB
    back = Adapter(other, FORM)(Adapter(FORM, other)(pale))
    assert np.abs(back[0] - pale[0]).max() < 0.01
    assert max(np.abs(plane - meant).max() for plane, meant in zip(back, pale, strict=True)) < 2  # chroma is resampled


def test_matrices_are_those_of_the_standards() -> None:
    white, red = rgb_of(1) @ [1, 0, 0], rgb_of(6) @ [0.299, -0.168736, 0.5]
    assert white == pytest.approx([1, 1, 1])
    assert red == pytest.approx([1, 0, 0], abs=1e-5)


def test_levels_give_the_difference_at_each_level() -> None:
    levels, random = Levels(10), np.random.default_rng(1)
    for _ in range(8):
        plane = np.repeat(np.repeat(random.integers(64, 940, (36, 64)), 8, 0), 8, 1).astype(np.uint16)
        levels.add(plane, plane + np.where(plane > 500, 2, 0).astype(np.uint16))
    curve = levels.curve()
    assert {curve[level] for level in curve if level < 124} == {0}
    assert {curve[level] for level in curve if level > 126} == {2}
    assert levels.moved(64, 940) is not None


def test_colours_name_the_matrices() -> None:
    wrong = Adapter(Form(128, 72, PixelLayout("yuv"), ColorTags(matrix=9, full_range=False)),
                    Form(128, 72, PixelLayout("yuv"), ColorTags(matrix=7, full_range=False)))  # fmt: skip
    full = tuple(cv2.resize(plane, (128, 72)) for plane in picture(0))
    colours = Colours(Form(128, 72, PixelLayout("yuv"), ColorTags(matrix=9, full_range=False)))
    colours.add(full, wrong(full))
    assert colours.mixed_up() == ("smpte240m", "bt2020nc")
    same = Colours(colours.form)
    same.add(full, full)
    assert same.mixed_up() is None
