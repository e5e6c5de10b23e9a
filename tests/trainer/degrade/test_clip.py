"""Whole chains: sizes, types, repeatability, and which steps happen."""

from __future__ import annotations

from collections import Counter
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.degrade_sheet import CODERS_SHOWN, STEPS_SHOWN
from tests.trainer.degrade.pictures import degraded, options, psnr, scene
from trainer.degrade.clip import STEPS, degrade_clip, drawn
from trainer.degrade.codec_options import Codec
from trainer.degrade.video_options import VideoChain
from trainer.degrade.video_styles import STYLES
from vidsr.errors import InputError

KEEPING = sorted(set(STEPS) - {"resize"})


def chain(*steps: dict[str, Any]) -> VideoChain:
    return VideoChain(steps=steps)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", sorted(STEPS))
@settings(max_examples=8, deadline=None)
@given(frames=st.integers(1, 3), height=st.integers(1, 37), width=st.integers(1, 37), seed=st.integers(0, 999))
def test_every_step_takes_any_size_and_leaves_its_input_alone(
    kind: str, frames: int, height: int, width: int, seed: int
) -> None:
    clip = np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8)
    before = clip.copy()
    result = degraded(clip, kind, seed)
    assert result.dtype == np.uint8
    assert result.ndim == 4
    assert result.shape[0] == frames
    assert result.shape[3] == 3
    assert kind not in KEEPING or result.shape == clip.shape
    assert (clip == before).all()


@pytest.mark.parametrize("kind", sorted(STEPS))
def test_every_step_changes_the_picture_by_its_generator_alone(kind: str) -> None:
    clip = scene()
    results = [degraded(clip, kind, seed) for seed in (0, 0, 1, 2)]
    np.random.default_rng().random()
    assert (results[0] == results[1]).all()
    assert any(other.shape != results[0].shape or (other != results[0]).any() for other in results[2:])
    assert results[0].shape != clip.shape or (results[0] != clip).any()


@pytest.mark.parametrize("style", STYLES)
def test_a_style_gives_the_same_bytes_for_the_same_generator(style: Any) -> None:
    clip, steps = scene(3, 67, 90), VideoChain(style=style)
    one, two, other = (degrade_clip(clip, steps, 2, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert one.shape == (3, 33, 45, 3)
    assert (one == two).all()
    assert (one != other).any()
    assert psnr(one, degrade_clip(clip, chain({"kind": "shrink"}), 2, np.random.default_rng(0))) > 12


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(4, 50), st.integers(4, 50), st.sampled_from([1, 2, 3, 4]), st.integers(0, 99))
def test_the_result_is_smaller_by_the_scale(frames: int, height: int, width: int, scale: int, seed: int) -> None:
    steps = chain({"kind": "resize"}, {"kind": "noise"}, {"kind": "shrink"}, {"kind": "composite"})
    result = degrade_clip(scene(frames, height, width), steps, scale, np.random.default_rng(seed))
    assert result.shape == (frames, height // scale, width // scale, 3)
    assert result.dtype == np.uint8


def test_pixels_keep_their_place() -> None:
    clip = scene(1, 43, 61)
    area = {"kind": "shrink", "filters": {"area": 1}, "antialias": 0}
    result = degrade_clip(clip, chain(area), 4, np.random.default_rng(0))
    means = clip[0, :40, :60].astype(float).reshape(10, 4, 15, 4, 3).mean(axis=(1, 3))
    assert np.abs(result[0] - means).max() <= 0.5 + 1e-6


@pytest.mark.parametrize(
    "frames",
    [np.zeros((1, 3, 9, 3), np.uint8), np.zeros((1, 9, 9, 3), np.float32), np.zeros((9, 9, 3), np.uint8),
     np.zeros((0, 9, 9, 3), np.uint8)],
)  # fmt: skip
def test_frames_that_cannot_be_degraded_are_refused(frames: Any) -> None:
    with pytest.raises(InputError):
        degrade_clip(frames, chain({"kind": "shrink"}), 4, np.random.default_rng(0))


def test_steps_happen_as_often_as_they_should() -> None:
    steps = chain(
        {"kind": "halo", "probability": 0.3},
        {"kind": "one_of", "probability": 0.5, "steps": [
            {"kind": "noise", "probability": 0.25}, {"kind": "grain", "probability": 0.75}]},
        {"kind": "shuffle", "steps": [{"kind": "shrink"}, {"kind": "still", "probability": 0.5}]},
    ).steps  # fmt: skip
    rng = np.random.default_rng(0)
    lists = [[step.kind for step in drawn(steps, rng)] for _ in range(4000)]
    shares = {kind: sum(kind in kinds for kinds in lists) / 4000 for kind in ("halo", "noise", "grain", "still")}
    wanted = {"halo": 0.3, "noise": 0.125, "grain": 0.375, "still": 0.5}
    assert all(abs(shares[kind] - share) < 0.03 for kind, share in wanted.items()), shares
    last = Counter(kinds[-1] for kinds in lists if "still" in kinds)
    assert abs(last["still"] / (last["still"] + last["shrink"]) - 0.5) < 0.05


def test_the_tally_names_what_coded_the_clip() -> None:
    tally: Counter[str] = Counter()
    others = dict.fromkeys(("mpeg4", "h264", "hevc", "vp9", "av1"))
    steps = chain({"kind": "shrink"}, {"kind": "codec", **others})
    degrade_clip(scene(), steps, 2, np.random.default_rng(0), tally)
    assert tally == {"codec: mpeg2": 1}


def test_all_options_of_steps_have_an_implementation() -> None:
    schema = VideoChain.model_json_schema()["$defs"]
    kinds = {entry["properties"]["kind"]["const"] for entry in schema.values() if "kind" in entry.get("properties", {})}
    assert kinds == set(STEPS) | {"shrink", "codec", "shuffle", "one_of"}
    assert options("halo").probability == 1


def test_bytes_do_not_depend_on_the_number_of_threads() -> None:
    clip, steps, before = scene(2, 180, 240), VideoChain(style="broadcast"), cv2.getNumThreads()
    try:
        results = []
        for threads in (1, 4):
            cv2.setNumThreads(threads)
            results.append([degrade_clip(clip, steps, 2, np.random.default_rng(seed)) for seed in range(3)])
    finally:
        cv2.setNumThreads(before)
    assert all((one == other).all() for one, other in zip(*results, strict=True))


def test_the_sheet_shows_every_step() -> None:
    assert {kind for _, kind, *_ in STEPS_SHOWN} == set(STEPS) - {"resize"}
    assert {name for name, *_ in CODERS_SHOWN} == set(Codec().coders)
