"""--hwaccel: what comes out is the same wherever pictures are decoded and encoded, and what cannot be done is said."""

from __future__ import annotations

import os
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from tests.clips import BT709, HDR10, make_clip
from tests.fakes import Repeater, describe
from tests.nvidia import Gpu
from vidsr import hardware, pipeline
from vidsr.api import describe as describe_run
from vidsr.api import upscale
from vidsr.errors import DeviceError, UsageError
from vidsr.frames import PixelLayout
from vidsr.hardware import accelerate, encoder_gpu
from vidsr.media.encoders import ENCODERS
from vidsr.options import Options
from vidsr.record import Report
from vidsr.stages.source import open_source

YUV8, YUV10 = PixelLayout("yuv", 8, 1, 1), PixelLayout("yuv", 10, 1, 1)
NVENC, CUDA = ENCODERS["hevc-nvenc"], torch.device("cuda")

needs_no_driver = pytest.mark.skipif(torch.cuda.is_available(), reason="shows what is said without a driver")


@pytest.fixture(autouse=True)
def repeater(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "load_model", lambda spec, **_: describe(Repeater(2)))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    return Gpu(monkeypatch)


def read(path: Path) -> list[tuple[Fraction, Any, tuple[Any, ...]]]:
    """Time, samples and tags of every picture."""
    with av.open(str(path)) as container:
        return [
            (
                frame.pts * Fraction(frame.time_base),
                frame.to_ndarray(),
                (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc),
            )
            for frame in container.decode(video=0)
        ]


def check_same(path: Path, other: Path) -> None:
    for (time, samples, tags), (wanted, original, wanted_tags) in zip(read(path), read(other), strict=True):
        assert (time, tags) == (wanted, wanted_tags)
        assert np.array_equal(samples, original)


def counts(report: Report) -> tuple[Any, ...]:
    """What must not depend on where pictures are decoded."""
    return (report.frames_in, report.frames_out, report.repeated, report.concealed, report.losses, list(report.pts))


def upscaled(source: Path, output: Path, **choices: Any) -> Report:
    return upscale(source, output, **{"codec": "ffv1", "device": "cpu", **choices})


def make_source(path: Path, layout: PixelLayout) -> Path:
    """Without loss, so that held pictures are equal; the codecs are those that NVDEC knows."""
    if layout.depth == 8:
        words = {"preset": "ultrafast", "qp": "0"}
        return make_clip(path, frames=14, held=[4, 5], color=BT709, options=words)
    words = {"preset": "ultrafast", "x265-params": "log-level=none:lossless=1"}
    return make_clip(path, frames=14, held=[4, 5], codec="libx265", pix_fmt="yuv420p10le", color=HDR10, options=words)


@pytest.mark.parametrize("layout", [YUV8, YUV10], ids=lambda layout: f"{layout.depth} bits")
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("decodes", "encodes"), [(True, False), (False, True), (True, True)])
def test_it_is_the_same_wherever_pictures_lie(
    tmp_path: Path, gpu: Gpu, layout: PixelLayout, batch: int, decodes: bool, encodes: bool
) -> None:
    source = make_source(tmp_path / "in.mkv", layout)
    plain = upscaled(source, tmp_path / "plain.mkv", batch=batch)
    if decodes:
        gpu.decodes()
    if encodes:
        gpu.encodes(layout)
    before = vars(gpu.lanes).copy()
    report = upscaled(source, tmp_path / "out.mkv", batch=batch, hwaccel="cuda" if decodes else "auto")
    done = {name: count - before[name] for name, count in vars(gpu.lanes).items()}
    check_same(tmp_path / "out.mkv", tmp_path / "plain.mkv")
    assert counts(report) == counts(plain)
    distinct = 14 - plain.reused
    assert plain.reused == 2
    assert (done["sent"], done["adopted"]) == ((0, 14) if decodes else (distinct, 0))
    made = 14 if decodes else distinct  # pictures on the device are not compared
    assert (done["fetched"], done["surfaces"]) == ((0, made) if encodes else (made, 0))
    assert gpu.current == decodes * [threading.main_thread().name] + encodes * ["vidsr-write"]


def test_a_padded_and_resampled_picture_is_the_same_too(tmp_path: Path, gpu: Gpu) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=5, size=(64, 48), rotation=90)
    choices = {"size": "70x50", "bit_depth": 10}
    upscaled(source, tmp_path / "plain.mkv", **choices)
    gpu.decodes()
    gpu.encodes(YUV10)
    upscaled(source, tmp_path / "out.mkv", hwaccel="cuda", **choices)
    check_same(tmp_path / "out.mkv", tmp_path / "plain.mkv")


def test_a_picture_that_never_comes_is_bridged_and_told(tmp_path: Path, gpu: Gpu) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=10, options={"g": "1", "preset": "ultrafast"})
    gpu.fail = {3, 7}
    plain = upscaled(source, tmp_path / "plain.mkv")
    gpu.decodes()
    report = upscaled(source, tmp_path / "out.mkv", hwaccel="cuda")
    check_same(tmp_path / "out.mkv", tmp_path / "plain.mkv")
    assert counts(report) == counts(plain)
    assert (report.repeated, report.exit_code, report.frames_out) == (2, 7, 10)
    assert report.reused == 2  # shown again is the same picture, which needs no look at it


def test_damage_before_the_first_picture_is_told_once(tmp_path: Path, gpu: Gpu) -> None:
    """A first picture is decoded beforehand, to see whether the chip takes the stream; nobody hears of that."""
    source = make_clip(tmp_path / "in.mp4", frames=6, options={"g": "1", "preset": "ultrafast"})
    gpu.fail = {0, 1}
    plain = upscaled(source, tmp_path / "plain.mkv")
    gpu.decodes()
    report = upscaled(source, tmp_path / "out.mkv", hwaccel="cuda")
    assert gpu.opened == [False, False, True, True]
    assert counts(report) == counts(plain)
    assert len(report.losses) == len(set(report.losses)) == 4


def test_sizes_that_change_are_adapted_on_the_host(tmp_path: Path, gpu: Gpu) -> None:
    clip: dict[str, Any] = {"frames": 10, "codec": "mpeg2video", "time_base": Fraction(1, 24), "audio": None}
    parts = [make_clip(tmp_path / f"{side}.ts", size=(side, side), **clip) for side in (64, 96)]
    source = tmp_path / "in.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    plain = upscaled(source, tmp_path / "plain.mkv")
    gpu.decodes()
    before = vars(gpu.lanes).copy()
    report = upscaled(source, tmp_path / "out.mkv", hwaccel="cuda")
    check_same(tmp_path / "out.mkv", tmp_path / "plain.mkv")
    assert counts(report) == counts(plain)
    assert (gpu.lanes.adopted + report.reused, gpu.lanes.sent - before["sent"]) == (10, 10)  # one is shown again
    [told] = [note for note in report.notes if "scaled to the first" in note]
    assert told in plain.notes


def test_fields_are_decoded_in_software(tmp_path: Path, gpu: Gpu) -> None:
    source = make_clip(tmp_path / "in.mkv", interlaced=True, frames=6, audio=None)
    gpu.decodes()
    report = upscaled(source, tmp_path / "out.mkv", hwaccel="cuda")
    assert "--hwaccel cuda: decoded in software, deinterlacing works on the host" in report.notes
    assert gpu.opened == [False, False]


def test_fields_that_the_header_does_not_tell_of_are_deinterlaced(
    tmp_path: Path, gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_clip(tmp_path / "in.mkv", interlaced=True, frames=6, audio=None)
    upscaled(source, tmp_path / "plain.mkv")
    gpu.decodes()
    monkeypatch.setattr(hardware, "obstacle", lambda stream, deinterlace: "")
    upscaled(source, tmp_path / "out.mkv", hwaccel="cuda")
    assert gpu.opened[-1]
    check_same(tmp_path / "out.mkv", tmp_path / "plain.mkv")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("refuses", "the GPU, or its driver without libnvcuvid, does not decode this stream"),
        ("gives_nothing", "NVDEC gives no picture"),
    ],
)
def test_a_stream_that_the_chip_refuses_is_decoded_in_software(tmp_path: Path, gpu: Gpu, fault: str, said: str) -> None:
    source = make_clip(tmp_path / "in.mp4")
    upscaled(source, tmp_path / "plain.mkv")
    gpu.decodes()
    setattr(gpu, fault, True)
    gpu.opened.clear()
    report = upscaled(source, tmp_path / "out.mkv", hwaccel="cuda")
    assert f"--hwaccel cuda: decoded in software, {said}" in report.notes
    assert (gpu.opened, gpu.lanes.adopted) == ([False, False, True], 0)
    check_same(tmp_path / "out.mkv", tmp_path / "plain.mkv")


def test_an_obstacle_is_told_and_nothing_is_tried(tmp_path: Path, gpu: Gpu) -> None:
    source = make_clip(tmp_path / "in.mkv", codec="ffv1", audio=None)
    gpu.decodes()
    words = describe_run(source, tmp_path / "out.mkv", Options(codec="ffv1", device="cpu", hwaccel="cuda"))
    assert "note     --hwaccel cuda: decoded in software, NVDEC is used for h264, hevc" in words
    assert (set(gpu.opened), gpu.current) == ({False}, [])


def test_a_pipe_is_read_once(tmp_path: Path, gpu: Gpu) -> None:
    clip, pipe = make_clip(tmp_path / "in.ts", audio=None), tmp_path / "pipe.ts"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(clip.read_bytes()))
    writer.start()
    gpu.decodes()
    source = open_source(pipe, 1 << 27)
    accelerate(source, Options(hwaccel="cuda"), CUDA)
    source.close()
    writer.join()
    assert [note.text for note in source.notes] == [
        "--hwaccel cuda: decoded in software, an input that is no file can be opened only once"
    ]
    assert gpu.opened == [False]


def test_what_nvdec_does_not_show_is_said(tmp_path: Path, gpu: Gpu) -> None:
    source = make_clip(tmp_path / "in.mp4")
    gpu.decodes()
    said: list[Any] = []
    upscaled(source, tmp_path / "out.mkv", hwaccel="cuda", emit=said.append)
    [warning] = [event for event in said if getattr(event, "level", "") == "warning"]
    assert "damage inside a picture is not; --hwaccel auto sees it" in warning.text


@pytest.mark.parametrize("mode", ["auto", "none"])
def test_without_being_asked_nothing_is_opened_twice_and_nothing_said(tmp_path: Path, gpu: Gpu, mode: Any) -> None:
    source = open_source(make_clip(tmp_path / "in.mp4"), 1 << 27)
    for device in ("cpu", "cuda", "cuda:1", "mps"):
        accelerate(source, Options(hwaccel=mode), torch.device(device))
    assert (source.notes, gpu.current) == ((), [])
    source.close()


def test_a_network_on_the_cpu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--hwaccel: cuda needs the network on a GPU, not on cpu"):
        upscale(make_clip(tmp_path / "in.mp4"), tmp_path / "out.mp4", device="cpu", hwaccel="cuda")
    assert not (tmp_path / "out.mp4").exists()


def test_near_is_refused(tmp_path: Path) -> None:
    source = open_source(make_clip(tmp_path / "in.mp4"), 1 << 27)
    with pytest.raises(UsageError, match="and --reuse near:3 compares them on the host") as caught:
        accelerate(source, Options(hwaccel="cuda", reuse="near:3"), CUDA)
    assert "--reuse exact" in caught.value.hint
    source.close()


@needs_no_driver
def test_a_driver_that_is_missing_is_told_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "make_current", lambda device: None)
    source = open_source(make_clip(tmp_path / "in.mp4"), 1 << 27)
    with pytest.raises(DeviceError, match=r"--hwaccel: cuda is absent, FFmpeg says: cannot load libcuda"):
        accelerate(source, Options(hwaccel="cuda"), CUDA)
    assert not source.seen
    source.close()


@pytest.mark.parametrize(
    ("mode", "device", "encoder", "pix_fmt", "gpu"),
    [
        ("auto", "cuda", "hevc-nvenc", "p010le", "cuda:0"),
        ("auto", "cuda:1", "h264-nvenc", "yuv420p", "cuda:1"),
        ("cuda", "cuda:1", "av1-nvenc", "nv12", "cuda:1"),
        ("none", "cuda", "hevc-nvenc", "p010le", None),
        ("auto", "cpu", "hevc-nvenc", "p010le", None),
        ("auto", "mps", "hevc-nvenc", "p010le", None),
        ("auto", "cuda", "x264", "yuv420p", None),
        ("cuda", "cuda", "hevc-nvenc", "yuv444p", None),
        ("auto", "cuda", "hevc-qsv", "nv12", None),
    ],
)
def test_who_encodes_on_the_device(mode: Any, device: str, encoder: str, pix_fmt: str, gpu: str | None) -> None:
    found = encoder_gpu(Options(hwaccel=mode), torch.device(device), ENCODERS[encoder], pix_fmt)
    assert found == (None if gpu is None else torch.device(gpu))


def clip_for_gpu(path: Path) -> Path:
    """Not a multiple of 16, so that the chip cuts it; held pictures, pictures that refer to later ones."""
    options = {"preset": "medium", "bf": "2", "g": "12"}
    return make_clip(path, frames=48, size=(328, 186), held=[7, 8, 20], options=options, color=BT709)


@pytest.mark.gpu
@pytest.mark.parametrize("runtime", ["eager", "auto"])
def test_nvdec_changes_no_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str) -> None:
    monkeypatch.undo()  # a real network
    source = clip_for_gpu(tmp_path / "in.mp4")
    plain = upscaled(source, tmp_path / "plain.mkv", device="cuda", runtime=runtime, hwaccel="none")
    report = upscaled(source, tmp_path / "out.mkv", device="cuda", runtime=runtime, hwaccel="cuda")
    assert any("decoded by NVDEC" in note for note in report.notes)
    assert counts(report) == counts(plain)
    check_same(tmp_path / "out.mkv", tmp_path / "plain.mkv")


@pytest.mark.gpu
@pytest.mark.parametrize("runtime", ["eager", "auto"])
@pytest.mark.parametrize("depth", [8, 10])
def test_nvenc_gets_the_same_from_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str, depth: int
) -> None:
    monkeypatch.undo()  # a real network
    source = clip_for_gpu(tmp_path / "in.mp4")
    choices = {"codec": "hevc-nvenc", "device": "cuda", "runtime": runtime, "bit_depth": depth}
    for mode in ("none", "auto", "cuda"):
        report = upscale(source, tmp_path / f"{mode}.mkv", hwaccel=mode, **choices)
        assert report.frames_out == 48
    check_same(tmp_path / "auto.mkv", tmp_path / "none.mkv")
    check_same(tmp_path / "cuda.mkv", tmp_path / "none.mkv")
