"""Films with transparency cut into segments: the same pictures as in one piece, and cut where both may be entered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.alpha_clips import cutout, make_alpha_clip, read_planes
from tests.fakes import Repeater, describe
from tests.jobs.inline import Inline
from vidsr import pipeline
from vidsr.events import ignore
from vidsr.jobs import run
from vidsr.options import Options
from vidsr.record import Report
from vidsr.scan import scan

FRAMES = [cutout(index // 2 if index < 8 else index, 48, 32) for index in range(24)]
"""Some are equal to the one before."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that costs nothing, and workers in this process."""
    monkeypatch.setattr(pipeline, "load_model", lambda spec, **_: describe(Repeater(2)))
    monkeypatch.setattr(run, "_executor", lambda options: Inline(2))


def vp9(path: Path, every: int) -> Path:
    """The frames in VP9 with a keyframe for `every` so many of them."""
    words = {"g": str(every), "cpu-used": "8", "lag-in-frames": "0", "crf": "30", "b": "0"}
    return make_alpha_clip(path, FRAMES, "libvpx-vp9", "yuva420p", options=words)


@pytest.mark.parametrize(
    ("codec", "way"), [("vp9", "model"), ("ffv1", "model"), ("ffv1", "lanczos"), ("prores", "model")]
)
def test_sharded_equals_unsharded(tmp_path: Path, codec: Any, way: Any) -> None:
    source = vp9(tmp_path / "in.webm", 6)
    choices: Any = {"codec": codec, "alpha_upsampler": way, "precision": "fp32"}
    whole = pipeline.run(source, tmp_path / "whole.mkv", Options(**choices), ignore)
    [cut] = run.upscale([(source, tmp_path / "cut.mkv")], Options(**choices, shards=3), ignore)
    assert isinstance(cut, Report)
    assert list(cut.pts) == list(whole.pts)
    assert cut.verified == whole.verified
    assert "every frame with its transparency" in cut.verified
    assert cut.streams == whole.streams
    (times, made, layout), (meant, expected, _) = read_planes(tmp_path / "cut.mkv"), read_planes(tmp_path / "whole.mkv")
    assert layout.alpha
    assert times == meant
    for ours, theirs in zip(made, expected, strict=True):
        if codec == "vp9":  # each segment begins with a keyframe of its own
            assert np.abs(ours[-1].astype(int) - theirs[-1]).mean() < 1
        else:
            assert all(map(np.array_equal, ours, theirs))


def test_a_segment_begins_only_where_the_transparency_can_be_entered_too(tmp_path: Path) -> None:
    often, seldom = vp9(tmp_path / "often.webm", 6), vp9(tmp_path / "seldom.webm", 12)
    assert [key.number for key in scan(often, 1 << 20).keys] == [0, 6, 12, 18]
    with av.open(str(often)) as colours, av.open(str(seldom)) as alpha, av.open(str(tmp_path / "in.webm"), "w") as out:
        stream = out.add_stream_from_template(colours.streams.video[0])
        stream.metadata["alpha_mode"] = "1"
        for packet, other in zip(colours.demux(video=0), alpha.demux(video=0), strict=True):
            if packet.size:
                packet.set_sidedata(other.get_sidedata("matroska_block_additional"))
                packet.stream = stream
                out.mux(packet)
    assert [key.number for key in scan(tmp_path / "in.webm", 1 << 20).keys] == [0, 12]
    for reuse in ("off", "exact"):
        choices: Any = {"codec": "ffv1", "reuse": reuse, "precision": "fp32"}
        pipeline.run(tmp_path / "in.webm", tmp_path / f"{reuse}.mkv", Options(**choices), ignore)
        [cut] = run.upscale([(tmp_path / "in.webm", tmp_path / f"c{reuse}.mkv")], Options(**choices, shards=8), ignore)
        assert isinstance(cut, Report)
        pairs = zip(read_planes(tmp_path / f"{reuse}.mkv")[1], read_planes(tmp_path / f"c{reuse}.mkv")[1], strict=True)
        assert all(np.array_equal(a, b) for whole, part in pairs for a, b in zip(whole, part, strict=True))
