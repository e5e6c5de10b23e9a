"""What --hwaccel comes to, what it says when there is no hardware, and frames shared by DLPack."""

from __future__ import annotations

import gc
import weakref
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from vidsr.errors import DeviceError, UsageError
from vidsr.events import Notice
from vidsr.frames import PixelLayout
from vidsr.media import hwaccel
from vidsr.media.hwaccel import (
    Picture,
    Stream,
    Surfaces,
    check_driver,
    check_hwaccel,
    decoder_note,
    is_on_device,
    obstacle,
    on_host,
    sample_format,
    takes_surfaces,
)
from vidsr.media.pixels import planes_of
from vidsr.options import Options

H264 = Stream("h264", "yuv420p", 64, 64, True)

without_driver = pytest.mark.skipif(torch.cuda.is_available(), reason="shows what is said without a driver")


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (H264, ""),
        (Stream("h264", "yuvj420p", 64, 64, True), ""),
        (Stream("hevc", "yuv420p10le", 64, 64, True), ""),
        (Stream("vp9", "yuv420p10le", 64, 64, True), ""),
        (Stream("h264", "yuv420p10le", 64, 64, True), "NVDEC decodes h264 of 8 bits, not 10"),
        (Stream("hevc", "yuv420p12le", 64, 64, True), "NVDEC decodes hevc of 8 and 10 bits, not 12"),
        (Stream("hevc", "yuv444p", 64, 64, True), "NVDEC's pictures of yuv444p cannot be shared; those of 4:2:0 can"),
        (Stream("hevc", "gray", 64, 64, True), "NVDEC's pictures of gray cannot be shared; those of 4:2:0 can"),
        (Stream("hevc", None, 64, 64, True), "the header does not say its pixel format"),
        (
            Stream("prores", "yuv422p10le", 64, 64, True),
            "NVDEC is used for h264, hevc, vp9, vp8, mpeg2video, not for prores",
        ),
        (Stream("libdav1d", "yuv420p", 64, 64, True), "this FFmpeg decodes AV1 by libdav1d"),
        (Stream("h264", "yuv420p", 64, 64, False), "deinterlacing works on the host"),
        (Stream("h264", "yuv420p", 853, 480, True), "PyAV cannot share pictures with odd sides, and these are 853x480"),
    ],
)
def test_what_nvdec_cannot_decode(stream: Stream, said: str) -> None:
    assert obstacle(stream, "auto") == said


def test_deinterlacing_needs_the_host() -> None:
    assert obstacle(H264, "on") == "deinterlacing works on the host"
    assert obstacle(Stream("h264", "yuv420p", 64, 64, False), "off") == ""


@pytest.mark.parametrize("codec", sorted(hwaccel._DECODED))
def test_ffmpeg_has_an_nvdec_decoder_for_each(codec: str) -> None:
    configs = av.Codec(codec, "r").hardware_configs or []
    assert any(config.format is not None and config.format.name == "cuda" and config.is_supported for config in configs)


def test_what_is_said_of_the_decoder() -> None:
    assert decoder_note("why") == Notice("--hwaccel cuda: decoded in software, why")
    assert decoder_note("").level == "warning"
    assert "damage inside a picture is not" in decoder_note("").text


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_a_network_elsewhere_is_refused_only_with_cuda(device: str) -> None:
    with pytest.raises(UsageError, match=f"not on {device}") as caught:
        check_hwaccel(Options(hwaccel="cuda"), device)
    assert "--device cuda" in caught.value.hint
    check_hwaccel(Options(hwaccel="auto"), device)
    check_hwaccel(Options(hwaccel="none", reuse="near:2"), device)
    check_hwaccel(Options(hwaccel="cuda"), "cuda:1")


@pytest.mark.parametrize(
    ("pix_fmt", "takes"),
    [
        ("yuv420p", True),
        ("nv12", True),
        ("p010le", True),
        ("yuv420p10le", True),
        ("yuv420p12le", False),
        ("yuv444p", False),
    ],
)
def test_outputs_that_nvenc_takes_from_the_device(pix_fmt: str, takes: bool) -> None:
    assert takes_surfaces(pix_fmt) is takes


def test_decoders_use_the_context_that_pytorch_made() -> None:
    settings = hwaccel.decoder_settings(1)
    assert settings.options == {"primary_ctx": "0", "current_ctx": "1"}
    assert (settings.device_id, settings.is_hw_owned) == (1, True)
    context = hwaccel.encoder_context(1)
    assert (context.device_id, context.primary_ctx, context.current_ctx) == (1, False, True)


@without_driver
def test_a_missing_driver_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DeviceError) as caught:
        check_driver()
    assert str(caught.value) == "--hwaccel: cuda is absent, FFmpeg says: cannot load libcuda.so.1"
    assert "--hwaccel none" in caught.value.hint
    assert capfd.readouterr().err == ""


@without_driver
def test_an_input_opened_for_hardware_fails_at_once(tmp_path: Path) -> None:
    """PyAV asks for the device when it opens the input, not at the first picture: nothing has begun by then."""
    path = tmp_path / "clip.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", 25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    with pytest.raises(av.error.PermissionError):
        av.open(path, hwaccel=hwaccel.decoder_settings(0))
    with av.open(path) as container:
        assert Stream.of(container.streams.video[0]) == H264


def filled(depth: int, width: int = 34, height: int = 6) -> tuple[av.VideoFrame, list[Any]]:
    """A host frame of NV12 or P010, and views of its two planes."""
    frame = av.VideoFrame(width, height, "nv12" if depth == 8 else "p010le")
    kind = np.dtype(np.uint8 if depth == 8 else np.uint16)
    rng = np.random.default_rng(depth)
    views = []
    for plane, rows in zip(frame.planes, (height, height // 2), strict=True):
        lines = np.frombuffer(memoryview(plane), kind).reshape(-1, plane.line_size // kind.itemsize)
        lines[:rows, :width] = rng.integers(0, 1 << depth, (rows, width)) << (kind.itemsize * 8 - depth)
        views.append(lines[:rows, :width])
    return frame, views


@pytest.mark.parametrize("depth", [8, 10])
def test_a_picture_lends_its_planes_without_a_copy(depth: int) -> None:
    frame, views = filled(depth)
    picture = Picture(frame)
    luma, chroma = map(torch.from_dlpack, picture.capsules())
    assert (picture.depth, picture.nbytes) == (depth, 34 * 6 * 3 // 2 * (1 if depth == 8 else 2))
    assert luma.data_ptr() == views[0].ctypes.data
    assert np.array_equal(luma.numpy(), views[0])
    assert np.array_equal(chroma.reshape(3, 34).numpy(), views[1])


def test_a_picture_lives_as_long_as_what_was_made_of_it() -> None:
    frame, views = filled(8)
    wanted = views[0].copy()
    picture = Picture(frame)
    luma, _ = map(torch.from_dlpack, picture.capsules())
    gone = weakref.ref(picture)
    del frame, views, picture, _
    gc.collect()
    assert gone() is None
    for _ in range(8):  # would take the memory if it were free
        filled(8)
    assert np.array_equal(luma.numpy(), wanted)


@pytest.mark.parametrize("depth", [8, 10])
def test_a_frame_made_of_tensors_shares_them_until_it_dies(depth: int) -> None:
    _, views = filled(depth)
    luma, chroma = torch.from_numpy(views[0].copy()), torch.from_numpy(views[1].copy()).unflatten(1, (17, 2))
    frame = Surfaces(depth, None).frame(luma, chroma)
    assert (frame.width, frame.height, frame.format.name) == (34, 6, "nv12" if depth == 8 else "p010le")
    assert torch.from_dlpack(frame.planes[0]).data_ptr() == luma.data_ptr()
    address = luma.data_ptr()
    del luma, chroma
    gc.collect()
    for _ in range(8):  # would take the memory if it were free
        filled(depth)
    assert torch.from_dlpack(frame.planes[0]).data_ptr() == address
    assert np.array_equal(torch.from_dlpack(frame.planes[0]).numpy(), views[0])


def test_a_device_that_ffmpeg_cannot_use_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        @staticmethod
        def from_dlpack(*planes: Any, **words: Any) -> av.VideoFrame:
            raise av.error.ExternalError(542398533, "Generic error in an external library")

    monkeypatch.setattr(av, "VideoFrame", Refusing)
    with pytest.raises(DeviceError, match="picture on the GPU for NVENC: generic error") as caught:
        Surfaces(8, None).frame(torch.zeros(2, 2), torch.zeros(1, 1, 2))
    assert "--hwaccel none" in caught.value.hint


def test_frames_of_the_host_stay_as_they_are() -> None:
    frame, _ = filled(10)
    assert not is_on_device(frame)
    assert on_host(frame) is frame
    assert sample_format(frame) == "p010le"


@pytest.mark.parametrize("depth", [8, 10])
def test_pictures_come_to_the_host_whole(monkeypatch: pytest.MonkeyPatch, depth: int) -> None:
    """libswscale with threads is wrong here now and then, as a race decides: 10 bits, in this size."""
    monkeypatch.setattr(hwaccel, "is_on_device", lambda frame: frame.format.name in ("nv12", "p010le"))
    frame, (luma, chroma) = filled(depth, 328, 186)
    frame.pts, frame.time_base, frame.color_range, frame.color_trc = 7, Fraction(1, 25), 2, 16
    for _ in range(20):
        copy = on_host(frame)
        assert (copy.pts, copy.time_base, copy.color_range, copy.color_trc) == (7, Fraction(1, 25), 2, 16)
        shift = 0 if depth == 8 else 6
        wanted = luma >> shift, chroma[:, ::2] >> shift, chroma[:, 1::2] >> shift
        for plane, whole in zip(planes_of(copy, PixelLayout("yuv", depth, 1, 1)), wanted, strict=True):
            assert np.array_equal(plane, whole)


def test_a_picture_of_the_host_shows_that_the_gpu_refused() -> None:
    frame, _ = filled(8)
    assert "does not decode this stream" in hwaccel.refusal(frame, H264)


def clip_for_nvdec(path: Path, count: int = 12) -> list[Any]:
    """A short H.264 clip, and its planes as the software decoder sees them."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", 25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 320, 192, "yuv420p"
        for n in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((288, 320), 16 + 8 * n, np.uint8), "yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(path) as container:
        return [frame.to_ndarray() for frame in container.decode(video=0)]


@pytest.mark.gpu
def test_nvdec_gives_the_pictures_of_the_software_decoder(tmp_path: Path) -> None:
    from vidsr.runtime.lanes import make_current
    from vidsr.runtime.transfer import Uploader

    device = torch.device("cuda:0")
    wanted = clip_for_nvdec(tmp_path / "clip.mp4")
    make_current(device)
    check_driver(0)
    with av.open(tmp_path / "clip.mp4", hwaccel=hwaccel.decoder_settings(0)) as container:
        frames = list(container.decode(video=0))
    assert all(map(is_on_device, frames))
    assert hwaccel.refusal(frames[0], Stream("h264", "yuv420p", 320, 192, True)) == ""
    assert "320x192" in hwaccel.refusal(frames[0], H264)
    assert sample_format(frames[0]) == "nv12"
    assert np.array_equal(on_host(frames[0]).to_ndarray(), wanted[0])
    uploaded = Uploader(device).uploaded((n, Picture(frame)) for n, frame in enumerate(frames))
    for (n, planes), whole in zip(uploaded, wanted, strict=True):
        assert planes is not None, n
        assert np.array_equal(torch.cat([plane.flatten() for plane in planes]).cpu().numpy(), whole.flatten())


@pytest.mark.gpu
@pytest.mark.parametrize(("name", "depth"), [("h264_nvenc", 8), ("hevc_nvenc", 8), ("hevc_nvenc", 10)])
def test_nvenc_takes_frames_of_the_device(tmp_path: Path, name: str, depth: int) -> None:
    from vidsr.runtime.lanes import make_current
    from vidsr.runtime.transfer import Downloader

    device = torch.device("cuda:0")
    make_current(device)
    kind = torch.uint8 if depth == 8 else torch.uint16

    def planes(n: int) -> tuple[torch.Tensor, ...]:
        codes = ((192, 320), 64 + 8 * n), ((96, 160), 100), ((96, 160), 150)
        return tuple(
            torch.full(shape, code << (depth - 8), dtype=torch.int32, device=device).to(kind) for shape, code in codes
        )

    surfaces = Surfaces(depth, hwaccel.encoder_context(0))
    with av.open(tmp_path / "clip.mkv", "w") as container:
        stream = container.add_stream(name, 25, options={"preset": "p5", "rc": "constqp", "qp": "1"})
        stream.width, stream.height, stream.pix_fmt = 320, 192, surfaces.pix_fmt
        for n, (luma, chroma) in Downloader(device).surfaces(((n, planes(n)) for n in range(10)), depth):
            frame = surfaces.frame(luma, chroma)
            frame.pts = n
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(tmp_path / "clip.mkv") as container:
        decoded = [frame.to_ndarray() for frame in container.decode(video=0)]
    assert len(decoded) == 10
    for n, whole in enumerate(decoded):
        assert abs(int(whole[96, 160]) - ((64 + 8 * n) << (depth - 8))) <= 2 << (depth - 8)
        assert abs(int(whole[200].reshape(-1)[40]) - (100 << (depth - 8))) <= 2 << (depth - 8)
