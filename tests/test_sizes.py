"""How often pictures go through the network, at which size, and what comes of that."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.clips import make_clip
from tests.fakes import Repeater, describe
from tests.measure import planes
from vidsr import pipeline
from vidsr.errors import InputError
from vidsr.events import ignore
from vidsr.frames import ColorTags, PixelLayout, VideoTraits
from vidsr.options import Options
from vidsr.record import Report
from vidsr.sizes import own_scale, plan_sizes


def upright(width: int = 64, height: int = 48) -> VideoTraits:
    return VideoTraits(
        width=width, height=height, layout=PixelLayout("yuv", 8, 1, 1), color=ColorTags(), time_base=Fraction(1, 24)
    )


@pytest.mark.parametrize(
    ("choices", "scale", "expected"),
    [
        ({}, 4, ((64, 48), 1, (256, 192))),
        ({"scale": 2}, 4, ((64, 48), 1, (128, 96))),
        ({"scale": 6}, 4, ((64, 48), 1, (384, 288))),
        ({"scale": 6.1}, 4, ((64, 48), 2, (390, 293))),
        ({"scale": 8}, 4, ((64, 48), 2, (512, 384))),
        ({"scale": 16}, 4, ((64, 48), 2, (1024, 768))),
        ({"scale": 8}, 2, ((64, 48), 3, (512, 384))),
        ({"scale": 16}, 1, ((64, 48), 1, (1024, 768))),
        ({"scale": 8, "passes": 1}, 4, ((64, 48), 1, (512, 384))),
        ({"passes": 2}, 2, ((64, 48), 2, (256, 192))),
        ({"prescale": "0.5"}, 4, ((32, 24), 1, (128, 96))),
        ({"prescale": "32x20", "scale": 4}, 4, ((32, 20), 2, (256, 192))),
        ({"prescale": "0.5", "height": 144}, 4, ((32, 24), 1, (192, 144))),
        ({"size": "100x50"}, 4, ((64, 48), 1, (100, 50))),
    ],
)
def test_sizes(choices: dict[str, Any], scale: int, expected: tuple[Any, ...]) -> None:
    sizes = plan_sizes(upright(), Options(**choices), scale)
    assert (sizes.native, sizes.passes, sizes.final) == expected
    assert sizes.before(1, scale) == (expected[0][0] * scale, expected[0][1] * scale)


def test_the_scale_in_the_name_of_the_output() -> None:
    assert own_scale(Options(), 4) == 4
    assert own_scale(Options(passes=2, prescale="0.5"), 4) == 8


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "load_model", lambda spec, **_: describe(Repeater(2)))


def upscaled(clip: Path, output: Path, **choices: Any) -> Report:
    return pipeline.run(clip, output, Options(codec="ffv1", precision="fp32", **choices), ignore)


def test_passes_are_the_network_again_and_not_resampling(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=4, codec="ffv1", pix_fmt="yuv444p", held=(2,))
    report = upscaled(clip, tmp_path / "out.mkv", scale=8)
    assert (report.width, report.height, report.frames_out, report.reused) == (512, 512, 4, 1)
    assert "the network runs 3 times, up to x8" in report.notes
    for before, after in zip(planes(clip), planes(tmp_path / "out.mkv"), strict=True):
        repeated = before[0].repeat(8, 0).repeat(8, 1)
        assert np.abs(after[0].astype(int) - repeated).max() <= 1
    upscaled(clip, tmp_path / "again.mkv", scale=8, reuse="off", tile=32)
    for one, other in zip(planes(tmp_path / "out.mkv"), planes(tmp_path / "again.mkv"), strict=True):
        assert all(map(np.array_equal, one, other))


def test_prescale_gives_the_network_the_size_it_asks_for(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=3, codec="ffv1", pix_fmt="yuv444p")
    report = upscaled(clip, tmp_path / "out.mkv", prescale="0.25")
    assert (report.width, report.height) == (32, 32)
    report = upscaled(clip, tmp_path / "full.mkv", prescale="16x16", height=64)
    assert (report.width, report.height) == (64, 64)
    assert "the network runs 2 times, up to x4" in report.notes
    small = next(planes(tmp_path / "full.mkv"))[0]
    assert np.array_equal(small[::4, ::4], small[1::4, 2::4]), "the network saw 16x16"


def test_a_pass_that_would_be_too_large_is_refused(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=2, codec="ffv1")
    with pytest.raises(InputError, match="a frame of 256x256 exceeds the limit of 40000 pixels"):
        upscaled(clip, tmp_path / "out.mkv", passes=3, scale=1, max_pixels=40000)


@pytest.mark.parametrize("value", ["0", "1.5", "-1", "axb", "0x5", ".0"])
def test_a_prescale_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="prescale"):
        Options(prescale=value)
