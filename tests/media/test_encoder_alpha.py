"""Which encoder gets transparency, and what is said."""

from __future__ import annotations

from typing import Any

import pytest

from vidsr.errors import UsageError
from vidsr.frames import PixelLayout
from vidsr.media.encoder_alpha import choose_coding, keeps_alpha
from vidsr.media.encoders import ENCODERS
from vidsr.media.pixels import layout_of


@pytest.mark.parametrize(
    ("source", "container", "encoder", "pix_fmt"),
    [
        ("yuva420p", "webm", "vp9", "yuva420p"),
        ("yuva420p", "matroska", "vp9", "yuva420p"),
        ("bgra", "matroska", "vp9", "yuva420p"),
        ("yuva444p", "matroska", "ffv1", "yuva444p"),
        ("yuva420p10le", "matroska", "ffv1", "yuva420p10le"),
        ("yuva444p12le", "webm", "vp9", "yuva420p"),
        ("yuva420p", "mov", "prores", "yuva444p10le"),
        ("ya8", "mov", "prores", "yuva444p10le"),
        ("rgba64be", "nut", "ffv1", "gbrap16le"),
        ("ya8", "avi", "ffv1", "ya8"),
        ("yuva420p", "mp4", "x264", "yuv420p"),
        ("yuva420p", "mpegts", "x264", "yuv420p"),
        ("yuv420p", "matroska", "x264", "yuv420p"),
        ("bgr0", "webm", "vp9", "yuv420p"),
        ("yuva420p", "yuv4mpegpipe", "y4m", "yuv420p"),
    ],
)
def test_what_is_taken_where_no_codec_is_asked_for(source: str, container: str, encoder: str, pix_fmt: str) -> None:
    coding = choose_coding(layout_of(source), None, container)
    assert (coding.encoder.name, coding.pix_fmt) == (encoder, pix_fmt)
    dropped = [note for note in coding.notes if "is dropped" in note.text]
    assert len(dropped) == (layout_of(source).alpha and not coding.layout.alpha)
    assert all(note.level == "warning" for note in dropped)
    replaced = any("takes the place of x264" in note.text for note in coding.notes)
    assert replaced == (coding.layout.alpha and container != "webm")


@pytest.mark.parametrize(
    ("codec", "source", "pix_fmt"),
    [
        ("png", "yuva420p", "rgba"),
        ("png", "yuv420p10le", "rgb48be"),
        ("png", "ya8", "ya8"),
        ("png", "gray10le", "gray16be"),
        ("qtrle", "yuva420p", "argb"),
        ("prores", "yuv420p", "yuv422p10le"),
        ("utvideo", "gbrap", "gbrap"),
        ("ffv1", "gbrap12le", "gbrap12le"),
    ],
)
def test_the_nearest_format_of_an_encoder(codec: str, source: str, pix_fmt: str) -> None:
    container = "avi" if codec == "utvideo" else "matroska" if codec == "ffv1" else "mov"
    coding = choose_coding(layout_of(source), codec, container)
    assert (coding.pix_fmt, coding.layout.alpha) == (pix_fmt, layout_of(source).alpha)


@pytest.mark.parametrize(
    ("codec", "container", "kept"),
    [("vp9", "webm", True), ("vp9", "matroska", True), ("vp9", "mp4", False), ("vp9", "nut", False)]
    + [("ffv1", "mp4", True), ("prores", "mov", True), ("x264", "matroska", False), ("x265", "mp4", False)]
    + [(name, "matroska", False) for name in ("svt-av1", "hevc-nvenc", "hevc-qsv", "hevc-amf")],
)
def test_who_keeps_it(codec: str, container: str, kept: bool) -> None:
    assert keeps_alpha(ENCODERS[codec], container) is kept


def test_a_format_that_is_asked_for_decides() -> None:
    source: Any = PixelLayout("rgb", 8, alpha=True)
    [note] = choose_coding(source, "ffv1", "matroska", "yuv420p").notes
    assert note.text.endswith("the pixel format asked for has none")
    assert choose_coding(source.colours, "ffv1", "matroska", "yuva420p").layout.alpha
    with pytest.raises(UsageError, match="nut cannot hold the transparency of vp9's yuva420p"):
        choose_coding(source, "vp9", "nut", "yuva420p")
