"""Transparency of video from end to end: kept, upscaled, looked at again, or declared as dropped.

With a network that costs nothing, except where what it sees around a pixel, or keeps from one picture to the next, is
what matters.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch

from vidsr import Upscaler, muxing, pipeline, upscale, upscaler
from vidsr.errors import UsageError, VerificationError
from vidsr.frames import PixelLayout
from vidsr.hardware import accelerate
from vidsr.media.alpha import resized_alpha
from vidsr.media.alpha_streams import alpha_beside
from vidsr.media.claims import probe
from vidsr.options import Options
from vidsr.pipeline import plan_only
from vidsr.prepare import describe
from vidsr.stages.encode import Encoding
from vidsr.stages.infer import Inference
from vidsr.stages.source import open_source

from .alpha_clips import cutout, make_alpha_clip, read_planes
from .fakes import Repeater
from .fakes import describe as network_of

FRAMES = [cutout(index) for index in range(3)]
LOADERS = {module: module.load_model for module in (pipeline, upscaler)}
OPAQUE = [np.dstack([frame[..., :3], np.full(frame.shape[:2], 255, np.uint8)]) for frame in FRAMES]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in LOADERS:
        monkeypatch.setattr(module, "load_model", lambda *_, **__: network_of(Repeater(2)))


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network that comes with vidsr."""
    for module, load in LOADERS.items():
        monkeypatch.setattr(module, "load_model", load)


def codes(path: Path) -> list[tuple[np.ndarray[Any, Any], ...]]:
    return read_planes(path)[1]


def alphas(path: Path) -> list[np.ndarray[Any, Any]]:
    """The last plane of every picture as parts of opaque."""
    _, planes, layout = read_planes(path)
    assert layout.alpha
    return [each[-1].astype(float) / layout.peak for each in planes]


def enhanced(**choices: Any) -> list[np.ndarray[Any, Any]]:
    """What `Upscaler` makes of the frames, in float32."""
    network = Upscaler(precision="fp32")
    return [network.enhance(frame, **choices) for frame in FRAMES]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of every picture that a network gets, in order, whether it is gray as an alpha is."""
    found: list[bool] = []
    run = Inference._run

    def watched(self: Inference, rgb: Any) -> Any:
        found.append(bool((rgb[:, 0] == rgb[:, 1]).all() and (rgb[:, 0] == rgb[:, 2]).all()))
        return run(self, rgb)

    monkeypatch.setattr(Inference, "_run", watched)
    return found


@pytest.mark.parametrize("way", ["model", "lanczos"])
@pytest.mark.parametrize("choices", [{}, {"scale": 3}, {"size": "90x70"}, {"tile": 32}])
def test_what_is_kept_without_loss_is_what_upscaler_makes_of_the_frames(
    tmp_path: Path, way: Any, choices: dict[str, Any]
) -> None:
    source = make_alpha_clip(tmp_path / "in.mkv", FRAMES)
    upscale(source, tmp_path / "out.mkv", codec="ffv1", precision="fp32", alpha_upsampler=way, **choices)
    asked = {"size": (90, 70)} if "size" in choices else {"scale": choices.get("scale")}
    for planes, expected in zip(codes(tmp_path / "out.mkv"), enhanced(alpha=way, **asked), strict=True):
        np.testing.assert_array_equal(np.dstack(planes), expected)


def test_a_real_network_makes_the_same_of_a_frame_and_of_a_film(tmp_path: Path, real: None) -> None:
    small = [frame[16:48, :32] for frame in FRAMES[:2]]
    report = upscale(make_alpha_clip(tmp_path / "in.mkv", small), tmp_path / "out.mkv", codec="ffv1", precision="fp32")
    network = Upscaler(precision="fp32")
    for planes, frame in zip(codes(Path(report.output)), small, strict=True):
        np.testing.assert_array_equal(np.dstack(planes), network.enhance(frame))


@pytest.mark.parametrize(
    ("name", "codec", "off"),
    [
        ("out.webm", None, 0.06),
        ("out.mkv", None, 0.06),
        ("out.mov", None, 1 / 1023),
        ("out.mkv", "prores", 1 / 1023),
        ("out.mov", "png", 0),
        ("out.mov", "qtrle", 0),
        ("out.avi", "utvideo", 0),
        ("out.nut", None, 0),
        ("out.mp4", "ffv1", 0),
    ],
)
def test_every_codec_keeps_times_and_transparency(tmp_path: Path, name: str, codec: Any, off: float) -> None:
    source = make_alpha_clip(tmp_path / "in.mkv", FRAMES, pts=[0, 40, 120])
    report = upscale(source, tmp_path / name, codec=codec, precision="fp32")
    times, _, layout = read_planes(tmp_path / name)
    if not name.endswith("avi"):  # which knows no times
        assert [float(time) for time in times] == pytest.approx([0, 0.04, 0.12], abs=1e-3)
    for alpha, expected in zip(alphas(tmp_path / name), enhanced(), strict=True):
        assert np.abs(alpha - expected[..., 3] / 255.0).max() <= off + (0.5 / layout.peak if layout.depth > 8 else 0)
    assert "every frame with its transparency" in report.verified
    assert report.streams[0]["alpha"] is True
    assert not any("dropped" in note for note in report.notes)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("in.webm", "libvpx-vp9", "yuva420p"),
        ("in.webm", "libvpx", "yuva420p"),
        ("in.mov", "prores_ks", "yuva444p10le"),
        ("in.mov", "png", "rgba"),
        ("in.mov", "png", "rgba64be"),
        ("in.mov", "png", "ya8"),
        ("in.mov", "qtrle", "argb"),
        ("in.avi", "utvideo", "gbrap"),
        ("in.mkv", "ffv1", "yuva420p"),
        ("in.mkv", "ffv1", "yuva422p10le"),
        ("in.mkv", "ffv1", "gbrap12le"),
        ("in.mkv", "ffv1", "ya8"),
    ],
)
def test_every_input_comes_out_with_its_own_transparency(tmp_path: Path, name: str, codec: str, pix_fmt: str) -> None:
    words = {"auto-alt-ref": "0"} if codec == "libvpx" else {}
    source = make_alpha_clip(tmp_path / name, FRAMES, codec, pix_fmt, options=words)
    upscale(source, tmp_path / "out.mkv", codec="ffv1", alpha_upsampler="lanczos", scale=1, precision="fp32")
    (_, before, given), (_, after, kept) = read_planes(source), read_planes(tmp_path / "out.mkv")
    assert kept == given
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a[-1], b[-1])


def test_a_change_of_the_alpha_alone_is_seen(tmp_path: Path, real: None) -> None:
    still = FRAMES[0].copy()
    still[..., :3] = 120
    frames = [still, still, *(still.copy() for _ in range(3))]
    for number, frame in enumerate(frames[2:]):
        frame[8 * number : 8 * number + 4, 40:50, 3] = 200
    source = make_alpha_clip(tmp_path / "in.mkv", frames)
    made = {}
    for reuse in ("off", "exact"):
        report = upscale(source, tmp_path / f"{reuse}.mkv", codec="ffv1", reuse=reuse)
        made[reuse] = codes(tmp_path / f"{reuse}.mkv")
        assert report.reused == (1 if reuse == "exact" else 0)
    assert all(map(np.array_equal, made["exact"], made["off"]))
    assert len({planes[-1].tobytes() for planes in made["exact"]}) == 4
    assert report.work_share < 0.6, "the colours are not computed again"


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("way", ["model", "lanczos"])
def test_reuse_changes_no_code(tmp_path: Path, real: None, passes: int, way: Any) -> None:
    frames = [FRAMES[0], *FRAMES, OPAQUE[2], FRAMES[2], FRAMES[2], OPAQUE[0]]
    frames = [frame[24:40, 8:32] for frame in frames]
    source = make_alpha_clip(tmp_path / "in.mkv", frames, pix_fmt="yuva444p10le")
    made = []
    for reuse in ("off", "exact"):
        choices: Any = {"reuse": reuse, "passes": passes, "scale": 4, "alpha_upsampler": way}
        upscale(source, tmp_path / f"{reuse}.mkv", codec="ffv1", **choices)
        made.append(codes(tmp_path / f"{reuse}.mkv"))
    for off, exact in zip(*made, strict=True):
        assert all(map(np.array_equal, off, exact))


def test_what_is_opaque_costs_no_pass_and_stays_opaque(tmp_path: Path, seen: list[bool]) -> None:
    source = make_alpha_clip(tmp_path / "in.mkv", [*OPAQUE[:2], FRAMES[2], OPAQUE[1], OPAQUE[0]])
    report = upscale(source, tmp_path / "out.mkv", codec="ffv1", reuse="off")
    assert sum(seen) == 1
    assert seen.count(False) == 5
    stages = list(report.stages)
    assert stages[stages.index("assemble") + 1] == "alpha"
    opaque = [bool((alpha == 1).all()) for alpha in alphas(tmp_path / "out.mkv")]
    assert opaque == [True, True, False, True, True]


@pytest.mark.parametrize("level", [0, 77, 255])
def test_what_is_equally_transparent_everywhere_stays_so(tmp_path: Path, seen: list[bool], level: int) -> None:
    frame = OPAQUE[0].copy()
    frame[..., 3] = level
    source = make_alpha_clip(tmp_path / "in.mkv", [frame])
    upscale(source, tmp_path / "out.mov", codec="prores")
    assert not any(seen)
    _, [planes], layout = read_planes(tmp_path / "out.mov")
    assert np.abs(planes[-1].astype(float) / layout.peak - level / 255).max() <= 1 / 1023


def test_hidden_colours_leave_no_fringe(tmp_path: Path, real: None) -> None:
    """What stands where nothing is visible makes no difference to what is visible, in lossless 4:4:4."""
    made = []
    for around in ((0, 0, 0), (255, 0, 255)):
        source = make_alpha_clip(tmp_path / "in.mkv", [cutout(0, 32, 32, around)])
        upscale(source, tmp_path / "out.mkv", codec="ffv1", overwrite=True)
        made.append(codes(tmp_path / "out.mkv")[0])
    for one, other in zip(*made, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("pix_fmt", ["yuva420p", "yuva422p10le"])
def test_hidden_colours_hardly_show_where_chroma_is_coarse(tmp_path: Path, real: None, pix_fmt: str) -> None:
    """A chroma sample of a pixel that is visible and of one that is not was mixed before; no other is touched."""
    made = []
    for around in ((0, 0, 0), (0, 255, 0)):
        source = make_alpha_clip(tmp_path / "in.mkv", [cutout(0, 32, 32, around)], pix_fmt=pix_fmt)
        upscale(source, tmp_path / "out.mkv", codec="ffv1", overwrite=True)
        made.append(codes(tmp_path / "out.mkv")[0])
    visible = made[0][3] > made[0][3].max() // 2
    luma = np.abs(made[0][0].astype(int) - made[1][0])[visible]
    assert luma.mean() < 1 << (2 if "10" in pix_fmt else 0)


def test_orientation_and_prescale_hold_for_alpha_too(tmp_path: Path) -> None:
    frames = [frame[:48] for frame in FRAMES]
    source = make_alpha_clip(tmp_path / "in.mkv", frames, rotation=90)
    for way in ("model", "lanczos"):
        upscale(source, tmp_path / f"{way}.mkv", codec="ffv1", prescale="0.5", scale=1, alpha_upsampler=way)
    for number, frame in enumerate(frames):
        upright = np.rot90(frame[..., 3], 1) / 255.0
        for way in ("model", "lanczos"):
            alpha = alphas(tmp_path / f"{way}.mkv")[number]
            assert alpha.shape == upright.shape == (64, 48)
            assert np.abs(alpha - upright).mean() < 0.03


@pytest.mark.parametrize("pix_fmt", ["rgba", "bgra", "yuva444p", "gbrap10le", "ya8"])
def test_raw_planes_hold_it(tmp_path: Path, pix_fmt: str) -> None:
    make_alpha_clip(tmp_path / "in.mkv", FRAMES, pix_fmt="bgra")
    upscale(tmp_path / "in.mkv", tmp_path / "in.raw", out_format=pix_fmt, scale=1)
    raw: Any = {"in_format": pix_fmt, "in_size": "64x64", "in_rate": "24"}
    upscale(tmp_path / "in.raw", tmp_path / "out.mkv", codec="ffv1", alpha_upsampler="lanczos", scale=1, **raw)
    first, last = alphas(tmp_path / "out.mkv")[0], FRAMES[0][..., 3] / 255.0
    assert np.abs(first - last).mean() < 0.02
    size = {"rgba": 4, "bgra": 4, "yuva444p": 4, "gbrap10le": 8, "ya8": 2}[pix_fmt]
    assert (tmp_path / "in.raw").stat().st_size == 3 * 64 * 64 * size


def test_an_input_without_transparency_is_opaque_where_the_output_has_some(tmp_path: Path, seen: list[bool]) -> None:
    source = make_alpha_clip(tmp_path / "in.mkv", OPAQUE, pix_fmt="bgr0")
    report = upscale(source, tmp_path / "out.mkv", codec="ffv1", pix_fmt="bgra")
    assert all((alpha == 1).all() for alpha in alphas(tmp_path / "out.mkv"))
    assert not any(seen)
    assert not any("transparency" in note for note in report.notes)


@pytest.mark.parametrize(
    ("name", "choices", "words"),
    [
        ("out.mp4", {}, ("is dropped: x264 in mp4 cannot hold it", "--codec ffv1 or png keeps it")),
        ("out.mkv", {"codec": "x264"}, ("x264 in mkv", "--codec vp9 or ffv1 or prores keeps it")),
        ("out.ts", {}, ("x264 in ts", "webm, mkv or mov keeps it")),
        ("out.mp4", {"codec": "vp9"}, ("vp9 in mp4 cannot hold it",)),
        ("out.y4m", {}, ("y4m in y4m cannot hold it",)),
        ("out.mkv", {"codec": "ffv1", "pix_fmt": "bgr0"}, ("the pixel format asked for has none",)),
        ("out.mkv", {"alpha": "drop"}, ("left out, as --alpha drop asks",)),
    ],
)
def test_what_cannot_be_kept_is_declared(
    tmp_path: Path, name: str, choices: dict[str, Any], words: tuple[str, ...]
) -> None:
    source = make_alpha_clip(tmp_path / "in.mkv", FRAMES[:1])
    report = upscale(source, tmp_path / name, scale=1, **choices)
    [note] = [note for note in report.notes if "the transparency" in note]
    assert all(word in note for word in words)
    assert not read_planes(tmp_path / name)[2].alpha
    assert not any("transparency" in text for text in report.verified)


def test_a_format_whose_transparency_the_container_would_lose_is_refused(tmp_path: Path) -> None:
    source = make_alpha_clip(tmp_path / "in.mkv", FRAMES[:1])
    with pytest.raises(UsageError, match="mp4 cannot hold the transparency of vp9's yuva420p"):
        upscale(source, tmp_path / "out.mp4", codec="vp9", pix_fmt="yuva420p")


def test_a_header_that_speaks_of_transparency_without_any_is_no_reason_to_warn(tmp_path: Path) -> None:
    make_alpha_clip(tmp_path / "in.webm", OPAQUE, "libvpx-vp9", "yuv420p")
    with av.open(str(tmp_path / "in.webm")) as container, av.open(str(tmp_path / "said.webm"), "w") as output:
        stream = output.add_stream_from_template(container.streams.video[0])
        stream.metadata["alpha_mode"] = "1"
        for packet in container.demux(video=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    report = upscale(tmp_path / "said.webm", tmp_path / "out.webm")
    assert any("speaks of transparency, and the first picture has none" in note for note in report.notes)
    assert not any("dropped" in note for note in report.notes)


def test_plan_and_probe_tell_of_it(tmp_path: Path) -> None:
    source = make_alpha_clip(tmp_path / "in.webm", FRAMES, "libvpx-vp9", "yuva420p")
    assert probe(source).streams[0]["alpha"] is True
    plan = plan_only(source, tmp_path / "out.webm", Options(), lambda event: None)
    assert "yuv 8 bit, alpha" in describe(plan)
    assert "vp9 with alpha in webm" in describe(plan)
    assert plan.target.layout == PixelLayout("yuv", 8, 1, 1, alpha=True)
    opaque = make_alpha_clip(tmp_path / "opaque.webm", OPAQUE, "libvpx-vp9", "yuv420p")
    assert "alpha" not in probe(opaque).streams[0]
    assert "alpha" not in describe(plan_only(opaque, tmp_path / "out.webm", Options(), lambda event: None))


def test_nvdec_does_not_decode_what_has_its_transparency_beside_it(tmp_path: Path) -> None:
    path = make_alpha_clip(tmp_path / "in.webm", FRAMES, "libvpx-vp9", "yuva420p")
    with closing(open_source(path, 1 << 20)) as source:
        accelerate(source, Options(hwaccel="cuda", device="cuda"), torch.device("cuda:0"))
        assert source.decoder.name == "libvpx-vp9"
        assert source.notes[0].text.endswith("decoded in software, NVDEC passes over transparency")
        accelerate(source, Options(alpha="drop"), torch.device("cpu"))
        assert source.decoder is source.video.codec_context


def test_damage_is_told_of_the_transparency_too(tmp_path: Path) -> None:
    path = make_alpha_clip(tmp_path / "in.webm", [*FRAMES, *OPAQUE], "libvpx-vp9", "yuva420p")
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        beside = [alpha_beside(packet) for packet in container.demux(video=0) if packet.size]
    place = data.index(beside[2])
    data[place : place + 4] = bytes(4)
    path.write_bytes(data)
    report = upscale(path, tmp_path / "out.webm")
    assert (report.frames_out, report.exit_code) == (6, 7)
    assert report.repeated
    assert upscale(path, tmp_path / "colours.webm", alpha="drop").exit_code == 0


def test_one_picture_without_its_transparency_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = Encoding._encode

    def without(self: Encoding, frame: Any) -> Iterator[Any]:
        for packet in encode(self, frame):
            assert alpha_beside(packet)
            yield _bare(packet) if packet.pts == 1000 else packet

    monkeypatch.setattr(Encoding, "_encode", without)
    source = make_alpha_clip(tmp_path / "in.mov", FRAMES, "png", "rgba")
    with pytest.raises(VerificationError, match="the frame at 42 has no transparency beside it"):
        upscale(source, tmp_path / "out.webm")
    assert not (tmp_path / "out.webm").exists()


def _bare(packet: Any) -> Any:
    """The packet without what lies beside it."""
    bare = av.Packet(bytes(packet))
    for name in ("stream", "pts", "dts", "duration", "time_base", "is_keyframe"):
        setattr(bare, name, getattr(packet, name))
    return bare


def test_an_encoder_that_forgets_the_transparency_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, packed = muxing.add_video, Encoding._packed

    def plain(*call: Any) -> Any:
        stream = made(*call)
        stream.codec_context.pix_fmt = "yuv444p10le"
        return stream

    monkeypatch.setattr(muxing, "add_video", plain)
    monkeypatch.setattr(Encoding, "_packed", lambda *call: packed(*call).reformat(format="yuv444p10le"))
    source = make_alpha_clip(tmp_path / "in.mkv", FRAMES)
    with pytest.raises(VerificationError, match=r"pixel format yuv444p.*, sent one with transparency"):
        upscale(source, tmp_path / "out.mov")
    assert not (tmp_path / "out.mov").exists()


@pytest.mark.parametrize("name", ["out/%03d.png", "out/%03d.tif", "out.apng"])
def test_pictures_of_a_sequence_keep_their_transparency(name: str, tmp_path: Path) -> None:
    frames = [cutout(index, 48, 32) for index in range(4)]
    for folder in ("in", "out"):
        (tmp_path / folder).mkdir()
    for number, frame in enumerate(frames, 1):
        cv2.imwrite(str(tmp_path / "in" / f"{number:03}.png"), cv2.cvtColor(frame, cv2.COLOR_RGBA2BGRA))
    upscale(tmp_path / "in" / "%03d.png", tmp_path / name, in_rate="10", alpha_upsampler="lanczos")
    upscale(tmp_path / name, tmp_path / "back.mkv", codec="ffv1", scale=1, alpha_upsampler="lanczos")
    found = codes(tmp_path / "back.mkv")
    assert len(found) == 4
    for planes, frame in zip(found, frames, strict=True):
        assert np.array_equal(planes[-1], resized_alpha(np.ascontiguousarray(frame[..., 3]), (96, 64)))
