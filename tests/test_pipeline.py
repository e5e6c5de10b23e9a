"""The main job end to end, with a network that costs nothing: times, streams, tags, counts."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.clips import BT709, HDR10, MASTERING, make_clip
from tests.fakes import Repeater, describe
from vidsr import pipeline
from vidsr.api import upscale
from vidsr.errors import InputError, OutputError, UsageError
from vidsr.media.audio import Transcoder
from vidsr.media.pixels import layout_of, planes_of


@pytest.fixture(autouse=True)
def repeater(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "load_model", lambda spec, **_: describe(Repeater(2)))


def read(path: Path) -> tuple[list[Fraction], list[Any]]:
    """Times in seconds and frames of the video stream."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [Fraction(frame.pts) * Fraction(frame.time_base) for frame in frames], frames


def payloads(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.mov"])
def test_every_time_and_every_byte_of_sound_is_kept(tmp_path: Path, name: str) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=30)
    report = upscale(source, tmp_path / name)
    times, frames = read(tmp_path / name)
    before, _ = read(source)
    tolerance = Fraction(1, 1000) if name.endswith("mkv") else 0
    assert all(abs(a - b) <= tolerance for a, b in zip(times, before, strict=True))
    assert payloads(tmp_path / name) == payloads(source)
    assert (frames[0].width, frames[0].height) == (128, 128)
    assert (report.frames_in, report.frames_out, report.exit_code) == (30, 30, 0)
    assert report.verified
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["in.mp4", name])


def test_variable_times_in_are_the_same_out(tmp_path: Path) -> None:
    pts = [0, 1001, 2500, 2501, 9000, 48000, 48024]
    source = make_clip(tmp_path / "in.mp4", pts=pts, time_base=Fraction(1, 24000), audio=None)
    upscale(source, tmp_path / "out.mp4")
    assert read(tmp_path / "out.mp4")[0] == [Fraction(n, 24000) for n in pts]


def test_times_below_zero_are_moved_with_the_sound_and_none_is_hidden(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.nut", pts=[n * 1000 for n in range(-5, 19)], audio="aac", audio_seconds=1)
    report = upscale(source, tmp_path / "out.mp4")
    times, _ = read(tmp_path / "out.mp4")
    assert len(times) == report.frames_out == 24
    assert times[0] == 0
    with av.open(str(tmp_path / "out.mp4")) as container:
        audio = next(packet for packet in container.demux(audio=0))
        assert float(audio.pts * audio.time_base) == pytest.approx(5 / 24, abs=0.03)


def test_held_pictures_are_not_computed_again_and_look_the_same(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=20, held=[3, 4, 5, 12], codec="ffv1", audio=None)
    exact = upscale(source, tmp_path / "exact.mkv", codec="ffv1")
    off = upscale(source, tmp_path / "off.mkv", codec="ffv1", reuse="off")
    assert (exact.reused, off.reused, exact.frames_out) == (4, 0, 20)
    for a, b in zip(read(tmp_path / "exact.mkv")[1], read(tmp_path / "off.mkv")[1], strict=True):
        assert np.array_equal(a.to_ndarray(), b.to_ndarray())


@pytest.mark.parametrize("batch", [2, 7])
def test_batches_change_nothing(tmp_path: Path, batch: int) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=20, held=[3, 4, 12], codec="ffv1", audio=None)
    for name, size in (("one.mkv", 1), ("many.mkv", batch)):
        upscale(source, tmp_path / name, codec="ffv1", batch=size)
    (times, one), (same, many) = read(tmp_path / "one.mkv"), read(tmp_path / "many.mkv")
    assert times == same
    assert all(np.array_equal(a.to_ndarray(), b.to_ndarray()) for a, b in zip(one, many, strict=True))


def test_hdr10_tags_and_static_metadata_come_through(tmp_path: Path) -> None:
    source = make_clip(
        tmp_path / "in.mkv", codec="libx265", pix_fmt="yuv420p10le", color=HDR10, hdr=MASTERING, audio=None
    )
    upscale(source, tmp_path / "out.mkv", codec="x265", encoder_preset="ultrafast")
    (_, before), (_, after) = read(source), read(tmp_path / "out.mkv")
    for name in ("colorspace", "color_primaries", "color_trc", "color_range"):
        assert getattr(before[0], name) == getattr(after[0], name)
    for kind in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"):
        first, second = (next(s for s in f[0].side_data if s.type.name == kind) for f in (before, after))
        assert bytes(first) == bytes(second)
    assert after[0].format.name == "yuv420p10le"


@pytest.mark.parametrize("turns", [0, 90, 180, 270])
def test_rotation_is_applied_once(tmp_path: Path, turns: int) -> None:
    source = make_clip(tmp_path / "in.mp4", size=(64, 48), rotation=turns, audio=None, frames=3, color=BT709)
    upscale(source, tmp_path / "out.mp4", crf=1)
    _, stored = read(source)
    _, shown = read(tmp_path / "out.mp4")
    assert shown[0].rotation == 0
    luma = stored[0].to_ndarray(format="gray").astype(int)
    upright = np.rot90(luma, turns // 90)  # the display matrix counts counter-clockwise, and so does rot90
    got = shown[0].to_ndarray(format="gray").astype(int)[::2, ::2]
    assert got.shape == upright.shape
    assert np.abs(got - upright).mean() < 3


def test_the_shape_of_pixels_is_kept(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", sar=Fraction(16, 11), audio=None, frames=3)
    upscale(source, tmp_path / "out.mp4")
    upscale(source, tmp_path / "wide.mkv", size="256x128")
    for name, aspect in (("out.mp4", Fraction(16, 11)), ("wide.mkv", Fraction(8, 11))):
        with av.open(str(tmp_path / name)) as container:
            assert container.streams.video[0].sample_aspect_ratio == aspect


@pytest.mark.parametrize("size", [(65, 63), (1, 1), (2, 2), (9, 1), (7, 5)])
@pytest.mark.parametrize("codec", ["x264", "ffv1", "vp9"])
def test_odd_sizes_work(tmp_path: Path, size: tuple[int, int], codec: Any) -> None:
    source = make_clip(tmp_path / "in.mkv", size=size, codec="ffv1", audio=None, frames=2)
    report = upscale(source, tmp_path / "out.mkv", codec=codec, scale=1)
    assert report.frames_out == 2
    _, frames = read(tmp_path / "out.mkv")
    assert (frames[0].width, frames[0].height) == (report.width, report.height)
    assert all(0 <= got - wanted <= 1 for got, wanted in zip((report.width, report.height), size, strict=True))


@pytest.mark.parametrize(
    "pix_fmt", ["yuv420p", "yuv422p10le", "yuv444p12le", "gray", "gray10le", "bgr0", "bgra", "yuv420p10le"]
)
def test_lossless_output_holds_the_source_in_its_own_format(tmp_path: Path, pix_fmt: str) -> None:
    source = make_clip(tmp_path / "in.mkv", codec="ffv1", pix_fmt=pix_fmt, audio=None, frames=2)
    report = upscale(source, tmp_path / "out.mkv", codec="ffv1", scale=1, precision="fp32")
    layout = layout_of(pix_fmt)
    (_, before), (_, after) = read(source), read(tmp_path / "out.mkv")
    assert layout_of(after[0].format.name) == layout
    for a, b in zip(planes_of(before[0], layout), planes_of(after[0], layout), strict=True):
        legal = a if layout.family == "rgb" else np.clip(a, 16 << (layout.depth - 8), 235 << (layout.depth - 8))
        assert np.abs(legal.astype(int) - b.astype(int)).mean() < 1.5 * 2 ** (layout.depth - 8)  # chroma edges soften
    assert any("transparency" in text for text in report.verified) == (pix_fmt == "bgra")


def test_the_default_name_says_what_was_done(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a film.mp4", frames=2)
    assert Path(upscale(source).output).name == "a film_animevideov3_x2.mp4"
    (tmp_path / "there").mkdir()
    assert Path(upscale(source, tmp_path / "there", height=96).output).name == "a film_animevideov3_96p.mp4"


def test_the_input_is_never_touched(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=3)
    before = source.read_bytes()
    (tmp_path / "link.mp4").symlink_to(source)
    (tmp_path / "hard.mp4").hardlink_to(source)
    for name in ("in.mp4", "link.mp4", "hard.mp4"):
        with pytest.raises(UsageError, match="is the input itself"):
            upscale(source, tmp_path / name, overwrite=True)
    upscale(source, tmp_path / "out.mp4")
    assert source.read_bytes() == before


def test_one_frame(tmp_path: Path) -> None:
    report = upscale(make_clip(tmp_path / "in.mp4", frames=1, audio=None), tmp_path / "out.mp4")
    assert report.frames_out == 1
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert float(container.duration / av.time_base) == pytest.approx(1 / 24, abs=0.002)


def test_the_report_adds_up_and_is_json(tmp_path: Path) -> None:
    import json

    source = make_clip(tmp_path / "in.mp4", frames=10)
    report = upscale(source, tmp_path / "out.mp4", report=tmp_path / "report.json")
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["frames_in"] + told["repeated"] - told["dropped"] == told["frames_out"] == 10
    assert told["bound_by"] in told["stages"]
    assert list(told["stages"])[:3] == ["source", "decode", "reuse"]
    assert report.pts[0] == told["first_pts"]


@pytest.mark.parametrize("name", ["in.mp4", "out.mp4", "hard.mp4"])
def test_the_report_never_replaces_a_film(tmp_path: Path, name: str) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=2)
    before = source.read_bytes()
    (tmp_path / "hard.mp4").hardlink_to(source)
    with pytest.raises(UsageError, match="--report"):
        upscale(source, tmp_path / "out.mp4", report=tmp_path / name)
    assert source.read_bytes() == before
    assert not (tmp_path / "out.mp4").exists()


def test_a_folder_of_the_report_that_is_missing_is_told_first(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=2)
    with pytest.raises(OutputError, match="--report"):
        upscale(source, tmp_path / "out.mp4", report=tmp_path / "none" / "report.json")
    assert not (tmp_path / "out.mp4").exists()


def test_names_too_long_are_errors_of_the_user(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=2)
    with pytest.raises(OutputError, match="too long"):
        upscale(source, tmp_path / f"{'n' * 300}.mp4")
    with pytest.raises(InputError, match="too long"):
        upscale(tmp_path / f"{'n' * 300}.mp4")


def test_a_frame_over_the_limit_is_named(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=2)
    with pytest.raises(InputError, match="64x64 exceeds the limit of 100 pixels"):
        upscale(source, tmp_path / "out.mp4", max_pixels=100)


def test_sound_that_cannot_be_decoded_is_a_declared_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=48)
    whole = Transcoder.take

    def damaged(self: Transcoder, packet: Any) -> Any:
        broken = av.Packet(b"\xff" * packet.size)
        for name in ("stream", "pts", "dts", "duration", "time_base"):
            setattr(broken, name, getattr(packet, name))
        return whole(self, broken if packet.pts > 500 else packet)

    monkeypatch.setattr(Transcoder, "take", damaged)
    report = upscale(source, tmp_path / "out.mkv", audio="flac")
    assert report.exit_code == 7
    assert any("audio could not be decoded" in loss for loss in report.losses)


def test_a_transparency_that_is_dropped_is_not_claimed(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "in.webm"), "w") as output:
        stream = output.add_stream("libvpx-vp9", rate=24, options={"cpu-used": "8", "auto-alt-ref": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuva420p"
        frame = av.VideoFrame(64, 64, "yuva420p")
        frame.pts = 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    with av.open(str(tmp_path / "in.webm")) as container:
        assert container.streams.video[0].metadata["alpha_mode"] == "1"
    report = upscale(tmp_path / "in.webm", tmp_path / "out.mkv", codec="x264")
    assert any("transparency" in note for note in report.notes)
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert "alpha_mode" not in container.streams.video[0].metadata
