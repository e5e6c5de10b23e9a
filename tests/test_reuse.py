"""`--reuse` from file to file, with the real network: exact gives the very codes of off, near:T stays near."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import vidsr
from tests.clips import make_clip
from vidsr.media.pixels import layout_of, planes_of


def codes(path: Path) -> list[np.ndarray[Any, Any]]:
    """Of each picture all samples of all planes, one after the other."""
    with av.open(str(path)) as container:
        frames = [planes_of(frame, layout_of(frame.format.name)) for frame in container.decode(video=0)]
    return [np.concatenate([plane.ravel() for plane in planes]) for planes in frames]


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lossless clip in which only a small square moves, with two held pictures and a cut."""
    folder = tmp_path_factory.mktemp("clips")
    return make_clip(folder / "still.mkv", codec="ffv1", frames=8, held=(3, 6), size=(160, 112), audio=None)


@pytest.mark.parametrize(
    "options",
    [{}, {"scale": 2}, {"scale": 1.5}, {"tile": 48}, {"precision": "fp32"}, {"pix_fmt": "yuv444p10le"}, {"batch": 2}],
    ids=str,
)
def test_exact_gives_the_very_codes_of_off(still: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    reports = {
        reuse: vidsr.upscale(still, tmp_path / f"{reuse}.mkv", codec="ffv1", reuse=reuse, **options)
        for reuse in ("off", "exact")
    }
    seen, wanted = codes(tmp_path / "exact.mkv"), codes(tmp_path / "off.mkv")
    assert len(seen) == len(wanted) == 8
    assert all(map(np.array_equal, seen, wanted))
    assert reports["off"].work_share == 1
    assert reports["off"].reused == reports["off"].kept_bytes == 0
    assert reports["exact"].kept_bytes > 0
    assert reports["exact"].reused == 2
    assert reports["exact"].work_share < (0.75 if options.get("tile") else 0.6)


def test_a_clip_in_which_everything_changes_is_computed_as_it_is(tmp_path: Path) -> None:
    noisy = make_clip(tmp_path / "noisy.mkv", size=(64, 64), frames=5, audio=None, options={"crf": "40"})
    reports = [vidsr.upscale(noisy, tmp_path / f"{reuse}.mkv", codec="ffv1", reuse=reuse) for reuse in ("off", "exact")]
    assert all(map(np.array_equal, codes(tmp_path / "exact.mkv"), codes(tmp_path / "off.mkv")))
    assert reports[1].work_share <= 1


def test_near_takes_small_differences_for_none(still: Path, tmp_path: Path) -> None:
    noisy = tmp_path / "noisy.mkv"
    make_clip(noisy, codec="libx264", frames=8, size=(160, 112), audio=None, options={"crf": "24"})
    exact = vidsr.upscale(noisy, tmp_path / "exact.mkv", codec="ffv1")
    near = vidsr.upscale(noisy, tmp_path / "near.mkv", codec="ffv1", reuse="near:6")
    assert near.work_share < exact.work_share
    pairs = zip(codes(tmp_path / "near.mkv"), codes(tmp_path / "exact.mkv"), strict=True)
    errors = [np.square(a.astype(float) - b).mean() for a, b in pairs]
    assert 10 * np.log10(255**2 / np.mean(errors)) > 35


def test_reuse_is_one_of_three_kinds() -> None:
    for bad in ("near", "near:0", "near:100", "near:2.5", "yes", ""):
        with pytest.raises(vidsr.errors.UsageError, match=r"--reuse: .* near:T"):
            vidsr.upscale("in.mkv", reuse=bad)
