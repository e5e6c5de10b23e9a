"""Real clips with real weights through the whole of the main job: every time, every byte of sound, shape and counts."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.clips import packaged
from tests.excerpts import excerpt, packet_hashes, times, trim
from tests.measure import displacement, planes, shrunk
from vidsr.api import upscale
from vidsr.record import Report

QUICK: dict[str, Any] = {"encoder_preset": "ultrafast"}


def check(source: Path, target: Path, report: Report, pictures: int) -> None:
    """What holds for every whole run."""
    before, after = times(source), times(target)
    assert len(before) == pictures
    assert after == before
    assert (report.frames_in, report.frames_out, report.exit_code) == (pictures, pictures, 0)
    assert report.frames_in + report.repeated - report.dropped == report.frames_out
    assert (report.repeated, report.concealed, report.dropped, report.retimed, report.losses) == (0, 0, 0, 0, ())
    assert [Fraction(pts) * Fraction(report.time_base) for pts in report.pts] == before
    assert packet_hashes(target) == packet_hashes(source)
    assert report.verified[0] == f"{pictures} frames at their times"
    assert packet_ends(target) == packet_ends(source)


def packet_ends(path: Path) -> Fraction:
    """Seconds at which the last picture ends."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    last = max(packets, key=lambda packet: packet.pts)
    return Fraction((last.pts + last.duration) * last.time_base)


def check_content(source: Path, target: Path, scale: int, chroma: bool = False) -> None:
    """The pictures are those of the input: same order, no shift, the brightness that the network makes of it.

    animevideov3 makes everything a little brighter, by 1 code in the shadows and 6 in the lights. A chroma sample at
    the left of its luma samples is not in the middle of what replaces it, so their mean lies a little to the right.
    That is looked at where there is `chroma` enough to see it.
    """
    aside = (1 - 1 / scale) / 4
    for before, after in zip(planes(source), planes(target), strict=True):
        luma, blue, red = (shrunk(new, old.shape) for old, new in zip(before, after, strict=True))
        assert 0 < float(luma.mean() - before[0].mean()) < 4
        assert abs(blue.mean() - before[1].mean()) < 1
        assert abs(red.mean() - before[2].mean()) < 1
        assert np.corrcoef(before[0].ravel(), luma.ravel())[0, 1] > 0.99
        assert np.abs(displacement(before[0], luma)).max() < 0.15
        if chroma:
            for old, new in ((before[1], blue), (before[2], red)):
                right, down = displacement(old, new)
                assert abs(right + aside) < 0.1
                assert abs(down) < 0.1


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_carphone(scale: int, tmp_path: Path) -> None:
    source = trim(packaged("carphone_pristine.mp4"), tmp_path / "in.mp4", 5)
    report = upscale(source, tmp_path / "out.mp4", scale=scale, **QUICK)
    check(source, tmp_path / "out.mp4", report, 5)
    check_content(source, tmp_path / "out.mp4", scale)
    assert (report.width, report.height) == (176 * scale, 144 * scale)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(128, 117)
        assert next(container.decode(video=0)).colorspace == 6  # not guessed from the new height by the next program


@pytest.mark.parametrize("scale", [2, 4])
def test_bikes(scale: int, tmp_path: Path) -> None:
    source = excerpt(packaged("bikes.mp4"), tmp_path / "in.mp4", 3, shrink=2, codec="libx264")
    report = upscale(source, tmp_path / "out.mp4", scale=scale, **QUICK)
    check(source, tmp_path / "out.mp4", report, 3)
    check_content(source, tmp_path / "out.mp4", scale)
    assert (report.width, report.height) == (320 * scale, 136 * scale)


@pytest.mark.parametrize("scale", [3, 4])
def test_bigbuckbunny(scale: int, tmp_path: Path) -> None:
    source = excerpt(packaged("bigbuckbunny.mp4"), tmp_path / "in.mp4", 6, shrink=8, codec="libx264", sound=True)
    assert len(packet_hashes(source)[0]) > 10
    report = upscale(source, tmp_path / "out.mp4", scale=scale, **QUICK)
    check(source, tmp_path / "out.mp4", report, 6)
    check_content(source, tmp_path / "out.mp4", scale, chroma=True)
    assert (report.width, report.height) == (160 * scale, 90 * scale)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.audio[0].codec_context.channels == 6


@pytest.mark.slow
def test_a_real_picture_of_720_lines(tmp_path: Path) -> None:
    source = trim(packaged("bigbuckbunny.mp4"), tmp_path / "in.mp4", 1)
    report = upscale(source, tmp_path / "out.mp4", scale=2, **QUICK)
    check(source, tmp_path / "out.mp4", report, 1)
    check_content(source, tmp_path / "out.mp4", 2)
    assert (report.width, report.height) == (2560, 1440)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert next(container.decode(video=0)).colorspace == 1


def test_cut_within_a_real_picture(tmp_path: Path) -> None:
    """`--tile` on real content at the edge of what fits: the same times, the same content."""
    source = trim(packaged("carphone_pristine.mp4"), tmp_path / "in.mp4", 3)
    report = upscale(source, tmp_path / "out.mp4", tile=64, **QUICK)
    check(source, tmp_path / "out.mp4", report, 3)
    check_content(source, tmp_path / "out.mp4", 4)
