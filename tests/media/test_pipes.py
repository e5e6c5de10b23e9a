"""Streams: the header of Y4M, raw planes, and reading and writing that waits without hanging."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest

from vidsr.errors import InputError, ReaderGoneError, UsageError
from vidsr.flow import Cancel, Cancelled
from vidsr.frames import ColorTags, PixelLayout, VideoTraits
from vidsr.media import plain
from vidsr.media.containers import muxer_options
from vidsr.media.forms import Form, Outlet, form_of, outlet_of
from vidsr.media.libav import allowed_formats, open_input
from vidsr.media.pipes import CHUNK, STDIO, Reader, Writer, is_stream, streamed
from vidsr.media.pixels import layout_of, planes_of
from vidsr.media.plain import Header, Packer, header, raw_formats, read_header, y4m_formats
from vidsr.media.stdout import stdout_apart


def traits(layout: PixelLayout, **changes: Any) -> VideoTraits:
    color = ColorTags(1, changes.pop("full", False), 1, 1, changes.pop("siting", "left"))
    return VideoTraits(6, 4, layout, color, Fraction(1, 24), **changes)


def ffmpeg(*arguments: str, data: bytes = b"") -> bytes:
    """What the ffmpeg program writes to stdout."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", *arguments]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    ("layout", "changes", "tag"),
    [
        (PixelLayout("yuv", 8, 1, 1), {}, "C420mpeg2 XCOLORRANGE=LIMITED"),
        (PixelLayout("yuv", 8, 1, 1), {"siting": "center"}, "C420jpeg XCOLORRANGE=LIMITED"),
        (PixelLayout("yuv", 8, 1, 1), {"siting": "topleft", "full": True}, "C420paldv XCOLORRANGE=FULL"),
        (PixelLayout("yuv", 10, 1, 1), {}, "C420p10 XCOLORRANGE=LIMITED"),
        (PixelLayout("yuv", 8, 1, 0), {}, "C422 XCOLORRANGE=LIMITED"),
        (PixelLayout("yuv", 16, 0, 0), {"siting": None}, "C444p16 XCOLORRANGE=LIMITED"),
        (PixelLayout("yuv", 8, 2, 0), {}, "C411 XCOLORRANGE=LIMITED"),
        (PixelLayout("gray", 8), {"full": True, "siting": None}, "Cmono XCOLORRANGE=FULL"),
        (PixelLayout("gray", 12), {"siting": None}, "Cmono12 XCOLORRANGE=LIMITED"),
    ],
)
def test_the_header_says_what_the_samples_mean(layout: PixelLayout, changes: dict[str, Any], tag: str) -> None:
    line = header(traits(layout, **changes), Fraction(24000, 1001), 1)
    assert line.decode() == f"YUV4MPEG2 W6 H4 F24000:1001 Ip A1:1 {tag}\n"


def test_the_header_says_the_order_of_fields_and_the_aspect() -> None:
    shown = traits(PixelLayout("yuv", 8, 1, 1), interlaced=True, sample_aspect=Fraction(16, 11))
    orders = {number: header(shown, Fraction(25), number).split()[4].decode() for number in range(6)}
    assert orders == {0: "Im", 1: "Im", 2: "It", 3: "Ib", 4: "It", 5: "Ib"}
    assert b" A16:11 " in header(shown, Fraction(25), 2)


@pytest.mark.parametrize("pix_fmt", y4m_formats())
def test_ffmpeg_reads_every_kind_of_y4m(pix_fmt: str) -> None:
    layout = layout_of(pix_fmt)
    sizes = layout.plane_sizes(6, 4)
    rng = np.random.default_rng(7)
    planes = tuple(rng.integers(0, layout.peak + 1, size, dtype=layout.dtype) for size in sizes)
    siting = "left" if (layout.log2_w, layout.log2_h) == (1, 1) else None
    data = header(traits(layout, siting=siting), Fraction(24), 1) + plain.FRAME
    data += bytes(Packer(layout, pix_fmt, 6, 4).packed(planes))
    made = ffmpeg("-f", "yuv4mpegpipe", "-i", "-", "-f", "rawvideo", "-pix_fmt", pix_fmt, "-", data=data)
    assert made == b"".join(plane.tobytes() for plane in planes)


def packed_by_numpy(pix_fmt: str, planes: tuple[Any, ...]) -> bytes:
    """RGB and semi-planar formats, put together without FFmpeg."""
    if pix_fmt.startswith(("rgb", "bgr")):
        order = planes if pix_fmt.startswith("rgb") else planes[::-1]
        packed = np.stack(order, axis=2)
        return packed.astype(">u2").tobytes() if pix_fmt.endswith("be") else packed.tobytes()
    luma, *chroma = (plane << (16 - 10) if pix_fmt == "p010le" else plane for plane in planes)
    return luma.tobytes() + np.stack(chroma, axis=2).tobytes()


@pytest.mark.parametrize("pix_fmt", ["rgb24", "bgr24", "rgb48le", "rgb48be", "nv12", "p010le"])
def test_packed_samples_are_where_the_format_says(pix_fmt: str) -> None:
    layout = layout_of(pix_fmt)
    rng = np.random.default_rng(3)
    planes = tuple(rng.integers(0, layout.peak + 1, size, dtype=layout.dtype) for size in layout.plane_sizes(34, 6))
    assert bytes(Packer(layout, pix_fmt, 34, 6).packed(planes)) == packed_by_numpy(pix_fmt, planes)


@pytest.mark.parametrize("pix_fmt", raw_formats())
def test_raw_planes_of_every_format_come_back(pix_fmt: str, tmp_path: Path) -> None:
    layout = layout_of(pix_fmt)
    rng = np.random.default_rng(3)
    planes = tuple(rng.integers(0, layout.peak + 1, size, dtype=layout.dtype) for size in layout.plane_sizes(32, 8))
    path = tmp_path / "a.raw"
    path.write_bytes(bytes(Packer(layout, pix_fmt, 32, 8).packed(planes)))
    with open_input(path, None, form_of(pix_fmt, "32x8", "25", allowed_formats())) as container:
        [frame] = container.decode(video=0)
        read = planes_of(frame, layout)
    assert all(np.array_equal(a, b) for a, b in zip(read, planes, strict=True))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"YUV4MPEG2 C420 W640 H480 F24000:1001 Ip A0:0 XLENGTH=100\nFRAME", Header(640, 480, 100, None)),
        (b"YUV4MPEG2 W64 H48 F24:1 Ip A1:1 C420mpeg2 XYSCSS=420MPEG2\n", Header(64, 48, 0, "left")),
        (b"YUV4MPEG2 W64 H48 F24:1 C420jpeg\n", Header(64, 48, 0, "center")),
        (b"YUV4MPEG2 W64 H48 F24:1\n", Header(64, 48, 0, "center")),
        (b"YUV4MPEG2 W64 H48 F24:1 C420p10 XLENGTH=-4\n", Header(64, 48, 0, None)),
        (b"YUV4MPEG2 Wx H\xff\n", Header(0, 0, 0, "center")),
        (b"\x1aE\xdf\xa3", Header()),
        (b"", Header()),
    ],
)
def test_a_header_is_read_as_far_as_it_can_be(line: bytes, expected: Header) -> None:
    assert read_header(line) == expected


def test_a_form_is_a_pixel_format_or_a_container() -> None:
    demuxers = allowed_formats()
    assert form_of(None, None, None, demuxers) is None
    raw = form_of("yuv420p10", "64x48", "24000/1001", demuxers)
    assert raw == Form("rawvideo", (64, 48), Fraction(24000, 1001), "yuv420p10le")
    assert [form_of(name, None, None, demuxers) for name in ("y4m", "mkv", "ts", "nut")] == [
        Form("yuv4mpegpipe"), Form("matroska"), Form("mpegts"), Form("nut"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (("rgb24", None, "25"), "--in-size is needed"),
        (("rgb24", "4x4", None), "--in-rate is needed"),
        (("y4m", "4x4", None), "only raw planes need them"),
        (("rgb25", "4x4", "25"), "'rgb25' is no pixel format"),
        (("hls", None, None), "neither a pixel format nor a container"),
        (("rawvideo", None, None), "neither a pixel format nor a container"),
        (("yuv420q", None, None), "did you mean 'yuv420p"),
        (("cuda", "4x4", "25"), "not supported"),
        (("bayer_rggb8", "4x4", "25"), "not supported"),
    ],
)
def test_a_form_that_says_too_little_or_nonsense_is_refused(call: tuple[Any, ...], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        form_of(*call, allowed_formats())


def test_what_is_written_where() -> None:
    assert outlet_of(STDIO, None, None, None) == Outlet("matroska")
    assert outlet_of(STDIO, None, "mp4", "yuv420p") == Outlet("mp4", "yuv420p")
    assert outlet_of(Path("a.mp4"), None, "mkv", None) == Outlet("mp4")
    assert outlet_of(Path("a.y4m"), None, None, None) == Outlet("yuv4mpegpipe")
    assert outlet_of(Path("a.mp4"), "y4m", None, "yuv444p16le") == Outlet("yuv4mpegpipe", "yuv444p16le")
    assert outlet_of(STDIO, "rgb48", None, None) == Outlet("rawvideo", "rgb48le")
    assert outlet_of(STDIO, "rgb48", None, "rgb48le") == Outlet("rawvideo", "rgb48le")
    with pytest.raises(UsageError, match="contradict"):
        outlet_of(STDIO, "rgb48", None, "rgb24")
    for name, hint in (("avi", "neither"), ("rgb2", "did you mean 'rgb24'"), ("pal8", "neither")):
        with pytest.raises(UsageError, match=hint):
            outlet_of(STDIO, name, None, None)


def test_only_what_can_be_streamed_is_fragmented() -> None:
    assert "delay_moov" in muxer_options("mp4", streamed=True)["movflags"]
    assert "movflags" not in muxer_options("mp4")
    assert "movflags" not in muxer_options("matroska", streamed=True)


def fifo(folder: Path) -> Path:
    path = folder / "pipe"
    os.mkfifo(path)
    return path


def beside(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_bytes_go_through_a_pipe_that_is_smaller_than_they_are(tmp_path: Path) -> None:
    data = np.random.default_rng(1).bytes(3 * CHUNK * 5 + 17)
    path = fifo(tmp_path)

    def write() -> None:
        with streamed(path, lambda: None) as pipe:
            assert pipe is not None
            assert pipe.write(data) == len(data)

    writer = beside(write)
    reader = Reader(path)
    parts = list(iter(lambda: reader.read(CHUNK), b""))
    writer.join()
    reader.close()
    assert b"".join(parts) == data
    assert reader.total == len(data)


def test_a_socket_is_a_stream_too() -> None:
    ours, theirs = socket.socketpair()
    data = os.urandom(1 << 20)

    def write() -> None:
        with streamed(Path(f"/dev/fd/{theirs.fileno()}"), lambda: None) as pipe:
            assert pipe is not None
            pipe.write(data)
        theirs.close()

    writer = beside(write)
    reader = Reader(Path(f"/dev/fd/{ours.fileno()}"))
    assert b"".join(iter(lambda: reader.read(CHUNK), b"")) == data
    writer.join()
    reader.close()
    ours.close()


def test_a_stalled_writer_does_not_outlast_the_run(tmp_path: Path) -> None:
    path, cancel = fifo(tmp_path), Cancel()
    keeping = os.open(path, os.O_RDWR)
    os.write(keeping, b"0123456789")
    reader = Reader(path)
    reader.check = cancel.check
    assert reader.read(100) == b"0123456789"
    stopper = threading.Timer(0.1, lambda: cancel.set(KeyboardInterrupt()))
    stopper.start()
    assert reader.read(100) == b""
    with pytest.raises(Cancelled):
        reader.raise_failure()
    stopper.join()
    reader.close()
    os.close(keeping)


def test_a_stalled_reader_does_not_outlast_the_run(tmp_path: Path) -> None:
    path, cancel = fifo(tmp_path), Cancel()
    keeping = os.open(path, os.O_RDWR)
    stopper = threading.Timer(0.1, lambda: cancel.set(KeyboardInterrupt()))

    def write() -> None:
        with streamed(path, cancel.check) as pipe:
            assert pipe is not None
            with pytest.raises(OSError, match="stopped"):
                pipe.write(bytes(8 << 20))
            assert pipe.write(b"what closes the output") == 22  # goes nowhere, and does not wait
            raise OSError("what PyAV makes of it")

    stopper.start()
    with pytest.raises(Cancelled):
        write()
    stopper.join()
    os.close(keeping)


def test_nobody_has_to_wait_for_a_reader_that_never_comes(tmp_path: Path) -> None:
    cancel = Cancel()
    cancel.set(KeyboardInterrupt())
    with pytest.raises(Cancelled):
        Writer(fifo(tmp_path), cancel.check)


def test_a_reader_that_goes_is_told_once(tmp_path: Path) -> None:
    path = fifo(tmp_path)
    end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def write() -> None:
        with streamed(path, lambda: None) as pipe:
            assert pipe is not None
            pipe.write(b"some")
            os.close(end)
            with pytest.raises(BrokenPipeError):
                pipe.write(b"more")
            assert pipe.write(b"the trailer") == 11

    with pytest.raises(ReaderGoneError):  # also where a muxer passed over it, as that of MP4 does at the end
        write()


def test_an_empty_pipe_says_so(tmp_path: Path) -> None:
    path = fifo(tmp_path)
    writer = beside(lambda: os.close(os.open(path, os.O_WRONLY)))
    with pytest.raises(InputError, match="is empty"):
        open_input(path)
    writer.join()


def test_what_is_a_stream(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert [is_stream(path) for path in (STDIO, Path("/dev/stdin"), Path("/dev/null"), fifo(tmp_path))] == [True] * 4
    assert not any(map(is_stream, (tmp_path, tmp_path / "file", tmp_path / "none", Path("x" * 300))))


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_prints_go_to_stderr_while_stdout_holds_data(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(1, b"before ")
    with stdout_apart() as path, streamed(path, lambda: None) as pipe:
        os.write(1, b"a library talks")
        assert pipe is not None
        pipe.write(b"data ")
    os.write(1, b"after")
    assert capfd.readouterr() == ("before data after", "a library talks")


def test_a_terminal_takes_no_video() -> None:
    terminal, other = os.openpty()
    kept = os.dup(1)
    os.dup2(other, 1)
    try:
        with pytest.raises(UsageError, match="terminal"), stdout_apart():
            pass
    finally:
        os.dup2(kept, 1)
        for fd in (terminal, other, kept):
            os.close(fd)


def test_the_siting_tags_mean_what_ffmpeg_means_by_them() -> None:
    for siting, word in (("left", "mpeg2"), ("center", "jpeg"), ("topleft", "paldv")):
        clip = ("-f", "lavfi", "-i", f"testsrc=s=16x16:d=0.1,format=yuv420p,setparams=chroma_location={siting}")
        made = ffmpeg(*clip, "-f", "yuv4mpegpipe", "-")
        assert f" C420{word} ".encode() in made[:100]
        assert read_header(made) == Header(16, 16, 0, siting)  # type: ignore[arg-type]
