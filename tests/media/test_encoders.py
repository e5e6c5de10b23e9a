"""The encoders: what is chosen, what is refused before the first frame, and what can be read back."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from av.sidedata.sidedata import Type

from tests.clips import make_clip
from vidsr.errors import UsageError
from vidsr.frames import ColorTags, HdrStatic, PixelLayout, VideoTraits
from vidsr.media.containers import container_name
from vidsr.media.encoder_options import check_opens, option_names, settings
from vidsr.media.encoders import (
    ENCODERS,
    Encoder,
    available,
    choose,
    formats,
    keeps_aspect,
    output_format,
    settle_short,
    size_rule,
)
from vidsr.media.pixels import fill_frame, planes_of
from vidsr.options import Codec, Options

SOFTWARE = ["x264", "x265", "svt-av1", "vp9", "ffv1", "prores"]
HDR = HdrStatic(
    tuple(
        (Fraction(x, 50000), Fraction(y, 50000))
        for x, y in ((34000, 16000), (13250, 34500), (7500, 3000), (15635, 16450))
    ),
    (Fraction(1, 200), Fraction(1000)),
    1000,
    400,
)
SAR = Fraction(16, 11)
YUV420 = PixelLayout("yuv", 8, 1, 1)
YUV420P10 = PixelLayout("yuv", 10, 1, 1)


def fits(name: str, extension: str) -> bool:
    return ENCODERS[name].fits(container_name(extension))


def traits(layout: PixelLayout = YUV420, size: tuple[int, int] = (64, 64), **changes: Any) -> VideoTraits:
    color = changes.pop("color", ColorTags(1, False, 1, 1, "left"))
    return VideoTraits(*size, layout, color, Fraction(1, 24), Fraction(24), **changes)


def encode(
    encoder: Encoder, pix_fmt: str, layout: PixelLayout, words: dict[str, str], size: tuple[int, int] = (64, 64)
) -> Any:
    """Three grey-ramp frames in Matroska: their planes, and the open container of the result."""
    buffer = io.BytesIO()
    ramp = np.add.outer(np.arange(size[1]), np.arange(size[0])) * layout.peak // 200
    planes = tuple((ramp[:h, :w] % (layout.peak + 1)).astype(layout.dtype) for h, w in layout.plane_sizes(*size))
    with av.open(buffer, "w", format="matroska") as output:
        stream = output.add_stream(encoder.libav, rate=24, options=words)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = 9, 16, 9, 1
        for index in range(3):
            frame = fill_frame(planes, layout, *size).reformat(format=pix_fmt)
            frame.pts, frame.time_base = index, Fraction(1, 24)
            frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range = 9, 16, 9, 1
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    buffer.seek(0)
    return planes, av.open(buffer)


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("name", SOFTWARE)
def test_every_software_encoder_writes_and_reads_back(name: str, depth: int) -> None:
    encoder = ENCODERS[name]
    pix_fmt, layout, notes = output_format(encoder, PixelLayout("yuv", depth, 1, 1))
    words, _ = settings(encoder, Options(), traits(layout))
    check_opens(encoder, pix_fmt, 64, 64, words)
    planes, container = encode(encoder, pix_fmt, layout, words)
    frames = list(container.decode(video=0))
    assert len(frames) == 3
    assert layout.depth >= depth or notes
    worst = np.abs(planes_of(frames[0], layout)[0].astype(int) - planes[0]).max() / layout.peak
    assert worst <= (0 if encoder.lossless else 0.1)


@pytest.mark.parametrize("name", SOFTWARE)
def test_every_option_we_set_exists(name: str) -> None:
    encoder = ENCODERS[name]
    words, _ = settings(encoder, Options(), traits(YUV420P10, hdr=HDR))
    assert set(words) <= set(option_names(encoder))


@pytest.mark.parametrize("name", [name for name in ENCODERS if available(name) and name not in SOFTWARE])
def test_every_hardware_option_exists(name: str) -> None:
    encoder = ENCODERS[name]
    assert set(settings(encoder, Options(), traits())[0]) <= set(option_names(encoder))
    assert output_format(encoder, YUV420)[1].depth == 8


def test_the_table_holds_every_codec_of_the_options() -> None:
    assert tuple(ENCODERS) == get_args(Codec)


@pytest.mark.parametrize("container", ["mp4", "mov", "matroska", "avi", "webm"])
def test_default_by_container(container: str) -> None:
    assert choose(None, container).name == ("vp9" if container == "webm" else "x264")


@pytest.mark.parametrize(
    ("codec", "container"), [("x264", "webm"), ("ffv1", "mov"), ("prores", "mp4"), ("svt-av1", "mov")]
)
def test_impossible_container_names_the_possible(codec: str, container: str) -> None:
    with pytest.raises(UsageError, match=f"{container} cannot hold what {codec} makes") as caught:
        choose(codec, container)
    possible = caught.value.hint.split(", or")[0].removeprefix("possible are ").split(", ")
    assert possible
    assert codec not in possible
    assert set(possible) <= set(ENCODERS)


def test_unknown_codec_has_a_near_miss() -> None:
    with pytest.raises(UsageError, match="did you mean 'x265'"):
        choose("x256", "mp4")


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("x264", YUV420, "yuv420p"),
        ("x264", PixelLayout("yuv", 10, 1, 0), "yuv422p10le"),
        ("x264", PixelLayout("yuv", 12, 0, 0), "yuv444p10le"),
        ("x264", PixelLayout("yuv", 8, 2, 2), "yuv420p"),
        ("x264", PixelLayout("gray", 8), "gray"),
        ("x264", PixelLayout("rgb", 8), "yuv420p"),
        ("x265", PixelLayout("rgb", 10), "yuv420p10le"),
        ("x265", PixelLayout("yuv", 12, 0, 0), "yuv444p12le"),
        ("svt-av1", PixelLayout("yuv", 8, 0, 0), "yuv420p"),
        ("svt-av1", PixelLayout("yuv", 9, 1, 1), "yuv420p10le"),
        ("vp9", PixelLayout("gray", 8), "yuv420p"),
        ("ffv1", PixelLayout("rgb", 8), "bgr0"),
        ("ffv1", PixelLayout("rgb", 16), "gbrp16le"),
        ("ffv1", PixelLayout("yuv", 8, 2, 0), "yuv411p"),
        ("ffv1", PixelLayout("gray", 12), "gray12le"),
        ("prores", YUV420, "yuv422p10le"),
        ("prores", PixelLayout("yuv", 12, 0, 0), "yuv444p10le"),
    ],
)
def test_nearest_format(name: str, source: PixelLayout, expected: str) -> None:
    pix_fmt, layout, notes = output_format(ENCODERS[name], source)
    assert pix_fmt == expected
    lossy = layout.depth < source.depth or layout.log2_w > source.log2_w or layout.family != source.family
    assert bool(notes) == (lossy and source.family != "gray")


def test_packed_rgb_of_ffv1_is_exact() -> None:
    encoder = ENCODERS["ffv1"]
    pix_fmt, layout, _ = output_format(encoder, PixelLayout("rgb", 8))
    planes, container = encode(encoder, pix_fmt, layout, settings(encoder, Options(), traits(layout))[0])
    got = planes_of(next(container.decode(video=0)), layout)
    assert all(np.array_equal(a, b) for a, b in zip(got, planes, strict=True))


def test_asked_format() -> None:
    assert output_format(ENCODERS["x264"], YUV420, "yuv420p10")[0] == "yuv420p10le"
    with pytest.raises(UsageError, match="did you mean 'yuv420p'"):
        output_format(ENCODERS["x264"], YUV420, "yuv420")
    with pytest.raises(UsageError, match="x264 does not take 'yuva420p'"):
        output_format(ENCODERS["x264"], YUV420, "yuva420p")


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("x264", {"encoder_option": ("crff=1",)}, "no option 'crff', did you mean 'crf'"),
        ("svt-av1", {"encoder_option": ("tune=0",)}, "no option 'tune'"),
        ("x264", {"encoder_preset": "slowww"}, "no preset 'slowww', did you mean 'slow'"),
        ("svt-av1", {"encoder_preset": "slow"}, "no preset 'slow'"),
        ("ffv1", {"encoder_preset": "slow"}, "has no presets"),
        ("x265", {"crf": 60}, "out of range for x265, allowed are 0 to 51"),
        ("ffv1", {"crf": 20}, "ffv1 has no such setting"),
        ("prores", {"crf": 20}, "prores has no such setting"),
    ],
)
def test_bad_options_are_refused(name: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings(ENCODERS[name], Options(**options), traits())
    assert said in str(caught.value)
    assert "slow" not in caught.value.hint or "slower" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "pair", "said"),
    [
        ("x264", "x264-params=nonsense=1", "nonsense"),
        ("x264", "x264-params=aq-mode=abc", "aq-mode"),
        ("x265", "x265-params=nonsense=1", "nonsense"),
        ("x265", "x265-params=aq-mode=abc", "aq-mode"),
        ("svt-av1", "svtav1-params=nonsense=1", "nonsense"),
        ("x264", "profile=nonsense", "refuses 64x64"),
        ("vp9", "tile-columns=99", "out of range"),
        ("prores", "quant_mat=nonsense", "quant_mat"),
    ],
)
def test_bad_values_are_refused_by_opening(name: str, pair: str, said: str) -> None:
    encoder = ENCODERS[name]
    pix_fmt, layout, _ = output_format(encoder, YUV420)
    words, _ = settings(encoder, Options(encoder_option=(pair,)), traits(layout))
    with pytest.raises(UsageError, match=said):
        check_opens(encoder, pix_fmt, 64, 64, words)


def test_users_options_win_and_parameter_lists_are_joined() -> None:
    users = ("crf=3", "x265-params=aq-mode=3")
    words, _ = settings(ENCODERS["x265"], Options(crf=20, encoder_option=users), traits(YUV420P10, hdr=HDR))
    assert words["crf"] == "3"
    assert words["x265-params"].startswith("log-level=none:master-display=G(")
    assert words["x265-params"].endswith(":max-cll=1000,400:aq-mode=3")


@pytest.mark.parametrize("name", ["x264", "x265", "svt-av1"])
def test_hdr_comes_back(name: str) -> None:
    encoder = ENCODERS[name]
    pix_fmt, layout, _ = output_format(encoder, YUV420P10)
    words, notes = settings(encoder, Options(), traits(layout, color=ColorTags(9, False, 9, 16, "topleft"), hdr=HDR))
    check_opens(encoder, pix_fmt, 64, 64, words)
    _, container = encode(encoder, pix_fmt, layout, words)
    frame = next(container.decode(video=0))
    data = {entry.type: bytes(entry) for entry in frame.side_data}
    light = np.frombuffer(data[Type.CONTENT_LIGHT_LEVEL], np.uint32)
    assert (frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range) == (9, 16, 9, 1)
    assert list(light[:2]) == [1000, 400]
    values = np.frombuffer(data[Type.MASTERING_DISPLAY_METADATA], np.int32)[:20].reshape(10, 2)
    expected = [float(part) for point in HDR.chromaticities for part in point] + [0.005, 1000]
    assert (values[:, 0] / values[:, 1]).tolist() == pytest.approx(expected, abs=1e-4)
    assert notes == ()


@pytest.mark.parametrize("name", ["vp9", "ffv1", "prores"])
def test_hdr_that_cannot_be_kept_is_told(name: str) -> None:
    _, notes = settings(ENCODERS[name], Options(), traits(YUV420P10, hdr=HDR))
    assert notes
    assert "HDR metadata cannot be kept" in notes[0]


@pytest.mark.parametrize(
    ("name", "siting", "expected"), [("x264", "topleft", 2), ("x265", "topleft", 2), ("x264", "center", 1)]
)
def test_chroma_location_is_in_the_bitstream(name: str, siting: Any, expected: int) -> None:
    words, _ = settings(ENCODERS[name], Options(), traits(color=ColorTags(1, False, 1, 1, siting)))
    _, container = encode(ENCODERS[name], "yuv420p", YUV420, words)
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        with av.logging.Capture(local=True) as said:
            trace = BitStreamFilterContext("trace_headers", in_stream=container.streams.video[0])
            for packet in container.demux(video=0):
                trace.filter(packet if packet.size else None)
    finally:
        av.logging.set_level(level)
    (line, *_) = [text for _, _, text in said if "chroma_sample_loc_type_top_field" in text]
    assert line.strip().endswith(f"= {expected}")


@pytest.mark.parametrize("name", SOFTWARE)
def test_sizes_as_the_rule_says(name: str) -> None:
    encoder = ENCODERS[name]
    pix_fmt, layout, _ = output_format(encoder, YUV420)
    across, down, least = size_rule(encoder, layout)
    words = settings(encoder, Options(), traits(layout, (least, least)))[0]
    small = (-(-least // across) * across, -(-least // down) * down)
    _, container = encode(encoder, pix_fmt, layout, words, small)
    assert len(list(container.decode(video=0))) == 3
    for width, height in ((small[0] - 1, small[1]), (small[0] + across - 1, small[1])):
        if width > 0 and (width, height) != small:
            with pytest.raises(UsageError, match=f"{width}x{height}"):
                check_opens(encoder, pix_fmt, width, height, words)


@pytest.mark.parametrize(("name", "extension"), [(n, e) for n in SOFTWARE for e in ("mkv", "mp4", "mov") if fits(n, e)])
def test_aspect_as_the_rule_says(name: str, extension: str, tmp_path: Path) -> None:
    encoder, container = ENCODERS[name], container_name(extension)
    pix_fmt = output_format(encoder, YUV420)[0]
    path = make_clip(tmp_path / f"a.{extension}", frames=2, codec=encoder.libav, pix_fmt=pix_fmt, audio=None, sar=SAR)
    with av.open(str(path)) as written:
        assert (written.streams.video[0].sample_aspect_ratio == SAR) is keeps_aspect(encoder, container)


@pytest.mark.parametrize("count", [1, 2])
def test_short_clips_of_x265_have_sound_decoding_times(count: int) -> None:
    encoder = ENCODERS["x265"]
    words, _ = settings(encoder, Options(encoder_preset="ultrafast"), traits())
    for _ in range(10):  # it is memory that was never written: right most of the time
        with av.open(io.BytesIO(), "w", format="mp4") as output:
            stream = output.add_stream(encoder.libav, rate=24, options=words)
            stream.width = stream.height = 64
            stream.codec_context.time_base = Fraction(1, 24000)
            packets = []
            for index in range(count):
                frame = fill_frame(tuple(np.zeros(s, np.uint8) for s in YUV420.plane_sizes(64, 64)), YUV420, 64, 64)
                frame.pts, frame.time_base = 1000 * index, Fraction(1, 24000)
                packets += stream.encode(frame)
            packets = settle_short(packets + stream.encode(None))
            assert [packet.dts for packet in packets] == [1000 * index for index in range(count)]
            output.mux(packets)


def test_formats_leave_out_alpha_that_is_lost_and_surfaces() -> None:
    assert {"yuva420p", "bgra"} < set(formats(ENCODERS["ffv1"]))
    assert not {"yuvj420p", "pal8"} & {*formats(ENCODERS["ffv1"]), *formats(ENCODERS["png"])}
    assert not any(layout.alpha for layout in formats(ENCODERS["x265"]).values()), "it lists some and refuses them"
    for name in filter(available, ENCODERS):
        assert not {"cuda", "qsv", "amf"} & set(formats(ENCODERS[name]))


def test_ffmpeg_is_listened_to_only_where_that_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its threads wait for Python when they say something; Python may hold its lock while it waits for them to end."""
    levels: list[int | None] = []
    set_level = av.logging.set_level
    monkeypatch.setattr(av.logging, "set_level", lambda level: (levels.append(level), set_level(level)))
    check_opens(ENCODERS["x264"], "yuv420p", 64, 64, {"crf": "20"})
    assert levels == []
    check_opens(ENCODERS["x264"], "yuv420p", 64, 64, {"x264-params": "ref=2"})
    assert levels == [av.logging.WARNING, None]
