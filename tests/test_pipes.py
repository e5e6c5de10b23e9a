"""From pipe to pipe: the same bits as from file to file, real programs at both ends, and ends that go away."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import pytest

from tests.child import Child
from tests.clips import make_clip, make_feature_clip
from tests.fakes import Repeater, describe
from tests.faults import one_thread, stray_threads
from vidsr import pipeline
from vidsr.api import upscale
from vidsr.cli import main
from vidsr.errors import InputError, OutputError, UsageError
from vidsr.events import Progress
from vidsr.media.pixels import layout_of, planes_of
from vidsr.record import Report

HANG = 20.0
"""Seconds after which a program that should end counts as hung."""
SIZE = (64, 48)
FRAME = 64 * 48 * 3 // 2
"""Bytes of a picture of SIZE in 4:2:0."""


@pytest.fixture(autouse=True)
def repeater(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(pipeline, "load_model", lambda spec, **_: describe(Repeater(2)))
    with one_thread():
        yield
    assert stray_threads() == []


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    started = Child(tmp_path_factory.mktemp("child"))
    yield started
    started.close()


@pytest.fixture
def child(server: Child) -> Iterator[Child]:
    server.said.write_bytes(b"")
    yield server
    server.stop()


@pytest.fixture
def pipes(tmp_path: Path) -> tuple[Path, Path]:
    made = tmp_path / "in.pipe", tmp_path / "out.pipe"
    for path in made:
        os.mkfifo(path)
    return made


def beside(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def feeding(path: Path, data: bytes) -> threading.Thread:
    """Write `data` to a named pipe, as far as it is read."""

    def work() -> None:
        with suppress(BrokenPipeError):
            path.write_bytes(data)

    return beside(work)


def ffmpeg(*arguments: str | Path, data: bytes | None = None) -> bytes:
    return subprocess.run(program(*arguments), input=data, capture_output=True, check=True, timeout=HANG).stdout


def program(*arguments: str | Path) -> list[str]:
    return [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)]


def pictures(path: Path) -> list[tuple[int, str, bytes]]:
    """Time in milliseconds, the clock of Matroska, format and samples of every picture."""
    with av.open(str(path)) as container:
        base = container.streams.video[0].time_base
        assert base
        return [(round((f.pts or 0) * base * 1000), f.format.name, samples(f)) for f in container.decode(video=0)]


def samples(frame: av.VideoFrame) -> bytes:
    return b"".join(plane.tobytes() for plane in planes_of(frame, layout_of(frame.format.name)))


def sound(path: Path) -> list[tuple[Any, bytes]]:
    with av.open(str(path)) as container:
        return [(round(p.pts * p.time_base, 3), bytes(p)) for p in container.demux(container.streams.audio) if p.size]


def through(data: bytes, pipes: tuple[Path, Path], **choices: Any) -> tuple[bytes, Report]:
    """What comes out of named pipe to named pipe."""
    writer, got = feeding(pipes[0], data), list[bytes]()
    reader = beside(lambda: got.append(pipes[1].read_bytes()))
    report = upscale(pipes[0], pipes[1], **choices)
    writer.join()
    reader.join()
    return got[0], report


KINDS: dict[str, tuple[dict[str, Any], Sequence[str]]] = {
    "y4m": ({}, ("-f", "yuv4mpegpipe")),
    "y4m 10": ({"codec": "libx265", "pix_fmt": "yuv420p10le"}, ("-f", "yuv4mpegpipe", "-strict", "-1")),
    "y4m 422": ({"codec": "ffv1", "pix_fmt": "yuv422p"}, ("-f", "yuv4mpegpipe")),
    "y4m gray": ({"codec": "ffv1", "pix_fmt": "gray"}, ("-f", "yuv4mpegpipe")),
    "y4m full": ({"codec": "ffv1", "color": {"color_range": 2}}, ("-f", "yuv4mpegpipe")),
    "mkv": ({}, ("-c", "copy", "-f", "matroska")),
    "ts": ({}, ("-c", "copy", "-f", "mpegts")),
    "fragmented mp4": ({}, ("-c", "copy", "-f", "mp4", "-movflags", "frag_keyframe+delay_moov")),
}
"""What ffmpeg writes into the pipe: how the clip is made, and the words for ffmpeg."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_chain_of_programs_equals_the_way_by_files(
    tmp_path: Path, pipes: tuple[Path, Path], child: Child, kind: str
) -> None:
    """ffmpeg … | vidsr upscale - -o - | ffmpeg …"""
    changes, words = KINDS[kind]
    clip = make_clip(tmp_path / "in.mkv", size=SIZE, **changes)
    plain = "-c" not in words
    with subprocess.Popen(program("-i", clip, *words, pipes[0])) as writer:
        out = ("--out-format", "y4m") if plain else ("--codec", "ffv1")
        child.start(["upscale", "-", "-o", "-", "-q", *out], pipes=list(map(str, pipes)))
        piped = tmp_path / ("piped.nut" if plain else "piped.mkv")
        copy = ("-c", "copy", "-copyts", "-avoid_negative_ts", "disabled", piped)
        with subprocess.Popen(program("-i", pipes[1], *copy)) as reader:
            assert (child.end(), writer.wait(HANG), reader.wait(HANG)) == (0, 0, 0)
    assert child.said.read_text() == ""
    source = tmp_path / "source"
    ffmpeg("-i", clip, *words, source)
    child.start(["upscale", str(source), "-o", str(tmp_path / "filed.mkv"), "-q", "--codec", "ffv1"])
    assert child.end() == 0
    assert len(pictures(tmp_path / "filed.mkv")) == 12
    assert pictures(piped) == pictures(tmp_path / "filed.mkv")
    if not plain:
        assert sound(piped) == sound(tmp_path / "filed.mkv") != []


def test_a_film_of_h264_in_y4m_is_the_film_itself(tmp_path: Path, pipes: tuple[Path, Path]) -> None:
    """The siting and range that a Y4M says are those that H.264 means."""
    clip = make_clip(tmp_path / "in.mkv", size=SIZE, audio=None, color={"colorspace": 6, "color_range": 1})
    data = ffmpeg("-i", clip, "-f", "yuv4mpegpipe", "-")
    piped, _ = through(data, pipes, out_format="y4m")
    upscale(clip, tmp_path / "out.y4m")
    assert piped == (tmp_path / "out.y4m").read_bytes()
    assert piped.startswith(b"YUV4MPEG2 W128 H96 F24:1 Ip A1:1 C420mpeg2 XCOLORRANGE=LIMITED\nFRAME\n")


VSPIPE = b"YUV4MPEG2 C420p10 W64 H48 F24000:1001 Ip A0:0 XLENGTH=%d\n"


def vspipe(frames: int, length: int) -> bytes:
    """Y4M as vspipe writes it, of 10 bits."""
    rng = np.random.default_rng(5)
    pictures = (rng.integers(64, 940, FRAME, dtype=np.uint16).tobytes() for _ in range(frames))
    return VSPIPE % length + b"".join(b"FRAME\n" + data for data in pictures)


def test_y4m_of_vspipe(pipes: tuple[Path, Path]) -> None:
    piped, report = through(vspipe(5, 5), pipes, out_format="y4m")
    assert piped.startswith(b"YUV4MPEG2 W128 H96 F24000:1001 Ip A1:1 C420p10 XCOLORRANGE=LIMITED\n")
    assert (report.exit_code, report.frames_out) == (0, 5)
    assert report.verified == ("nothing of the output, which cannot be read again", "the input is as long as it states")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (vspipe(4, 5), "the input holds 4 of the 5 frames its header states"),
        (vspipe(5, 5)[:-7], "the input ends inside a picture"),
        (vspipe(5, 0)[:-7], "the input ends inside a picture"),
        (vspipe(5, 0)[: -FRAME * 2], "the input ends inside a picture"),
    ],
)
def test_a_writer_that_ends_early_is_declared(pipes: tuple[Path, Path], data: bytes, said: str) -> None:
    piped, report = through(data, pipes, out_format="y4m")
    assert (report.exit_code, report.frames_out) == (7, 4)
    assert any(said in loss for loss in report.losses), report.losses
    assert piped.count(b"FRAME\n") == 4


def test_half_a_matroska_is_declared(tmp_path: Path, pipes: tuple[Path, Path]) -> None:
    clip = make_clip(tmp_path / "in.mkv", size=SIZE, frames=48, options={"g": "6"})
    _, report = through(clip.read_bytes()[: clip.stat().st_size * 2 // 3], pipes, out_format="mkv", codec="ffv1")
    assert report.exit_code == 7
    assert 0 < report.frames_out < 48


RAW: dict[str, Any] = {"in_format": "yuv420p", "in_size": "64x48", "in_rate": "24000/1001"}


def test_raw_planes_in_and_out(tmp_path: Path, pipes: tuple[Path, Path]) -> None:
    rng = np.random.default_rng(2)
    frames = [rng.integers(16, 235, (48, 64, 3), dtype=np.uint8) for _ in range(4)]
    data = b"".join(frame.tobytes() for frame in frames)
    piped, report = through(data, pipes, out_format="rgb24", **RAW | {"in_format": "rgb24"})
    doubled = b"".join(frame.repeat(2, 0).repeat(2, 1).tobytes() for frame in frames)
    assert piped == doubled
    assert report.time_base == "1001/24000"
    (tmp_path / "in.rgb").write_bytes(data)
    filed = upscale(tmp_path / "in.rgb", tmp_path / "out.rgb", out_format="rgb24", **RAW | {"in_format": "rgb24"})
    assert (tmp_path / "out.rgb").read_bytes() == doubled
    assert filed.verified[0] == "nothing of the output, which cannot be read again"


def test_deep_gray_goes_through_unchanged(pipes: tuple[Path, Path]) -> None:
    frame = np.random.default_rng(2).integers(4096, 60000, (48, 64), dtype=np.uint16)
    words = RAW | {"in_format": "gray16", "precision": "fp32"}
    piped, _ = through(frame.tobytes() * 2, pipes, out_format="gray16be", **words)
    made = np.frombuffer(piped, ">u2").reshape(2, 96, 128)
    assert np.array_equal(made[0], made[1])
    assert np.abs(made[0].astype(int) - frame.repeat(2, 0).repeat(2, 1)).max() <= 1


def test_a_raw_picture_that_is_cut_is_declared(pipes: tuple[Path, Path]) -> None:
    piped, report = through(bytes(FRAME * 3 - 5), pipes, out_format="gray", **RAW)
    assert (report.exit_code, len(piped)) == (7, 2 * 96 * 128)


def test_the_rate_of_raw_planes_reaches_the_output(pipes: tuple[Path, Path], tmp_path: Path) -> None:
    feeding(pipes[0], bytes(FRAME * 3))
    upscale(pipes[0], tmp_path / "out.mp4", **RAW)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].average_rate == Fraction(24000, 1001)


@pytest.mark.parametrize("container", ["mkv", "nut", "ts", "mp4", "mov"])
def test_containers_through_a_pipe_hold_what_files_hold(
    tmp_path: Path, pipes: tuple[Path, Path], container: str
) -> None:
    clip = make_clip(tmp_path / "in.mkv", size=SIZE, frames=36, audio_offset=0.25, options={"g": "9", "bf": "2"})
    words = {"encoder_option": ("qp=0",)}
    piped, _ = through(clip.read_bytes(), pipes, out_format=container, **words)
    (tmp_path / f"piped.{container}").write_bytes(piped)
    upscale(clip, tmp_path / f"filed.{container}", **words)
    paths = tmp_path / f"piped.{container}", tmp_path / f"filed.{container}"
    first, second = map(pictures, paths)
    assert len(first) == 36
    assert first == second
    assert sound(paths[0]) == sound(paths[1]) != []
    assert abs(starts(paths[0])["audio"] - starts(paths[0])["video"] - Fraction(1, 4)) < Fraction(1, 20)


def starts(path: Path) -> dict[str, Fraction]:
    """Seconds of the earliest packet of each kind of stream."""
    with av.open(str(path)) as container:
        times = [(p.stream.type, p.pts * p.time_base) for p in container.demux() if p.size]
    return {kind: min(time for name, time in times if name == kind) for kind in ("audio", "video")}


def test_everything_a_matroska_carries_comes_through_a_pipe(tmp_path: Path, pipes: tuple[Path, Path]) -> None:
    clip = make_feature_clip(tmp_path / "in.mkv")
    piped, _ = through(clip.read_bytes(), pipes, out_format="mkv", codec="ffv1")
    (tmp_path / "piped.mkv").write_bytes(piped)
    upscale(clip, tmp_path / "filed.mkv", codec="ffv1")
    found, meant = (carried(tmp_path / name) for name in ("piped.mkv", "filed.mkv"))
    assert found == meant
    assert found["kinds"].count("video") == 2  # with the cover


def carried(path: Path) -> dict[str, Any]:
    with av.open(str(path)) as container:
        packets = [(p.stream_index, p.pts, bytes(p)) for p in container.demux() if p.size]
        return {
            "kinds": [stream.type for stream in container.streams],
            "tags": [(stream.language, stream.disposition) for stream in container.streams],
            "chapters": container.chapters(),
            "packets": packets,
        }


def test_what_plain_pictures_cannot_hold_is_told(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", size=SIZE, pts=[0, 40, 80, 300, 340], time_base=Fraction(1, 1000))
    report = upscale(clip, tmp_path / "out.y4m")
    assert any("audio #1 (aac): drop, y4m cannot hold aac" in note for note in report.notes)
    assert any("do not come at a steady rate from 0:00:00.300 on" in note for note in report.notes)
    assert report.verified[0] == "5 frames at their times"


def test_the_shape_of_pixels_is_said(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", size=SIZE, sar=Fraction(16, 11), audio=None)
    upscale(clip, tmp_path / "out.y4m")
    assert b" A16:11 " in (tmp_path / "out.y4m").read_bytes()[:100]


def test_what_cannot_go_together_is_refused(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", size=SIZE)
    for words, match in (
        ({"output": "-", "shards": 4}, "cannot be computed in segments"),
        ({"output": "out.y4m", "codec": "x264"}, "--codec: y4m holds pictures that are not coded"),
        ({"output": "out.y4m", "audio": "aac"}, "y4m cannot hold aac"),
        ({"output": "out.y4m", "crf": 10.0}, "--crf"),
        ({"output": "out.y4m", "pix_fmt": "rgb24"}, "does not take 'rgb24'"),
        ({"output": "a.mkv", "in_format": "rgb24"}, "--in-size is needed"),
    ):
        name = words.pop("output")
        with pytest.raises(UsageError, match=match):
            upscale(clip, name if name == "-" else tmp_path / str(name), **words)
    with pytest.raises(UsageError, match="gives the output no name"):
        upscale("-")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv"]


def test_an_mp4_with_its_index_at_the_end_says_what_would_help(tmp_path: Path, pipes: tuple[Path, Path]) -> None:
    feeding(pipes[0], b"\0" * 4096)
    with pytest.raises(InputError, match="not a video that can be read") as caught:
        upscale(pipes[0], tmp_path / "out.mkv")
    assert "index first or in fragments" in caught.value.hint


def test_a_huge_header_is_refused_before_anything_is_read(tmp_path: Path, pipes: tuple[Path, Path]) -> None:
    feeding(pipes[0], b"YUV4MPEG2 W60000 H60000 F25:1 C420jpeg\nFRAME\n")
    with pytest.raises(InputError, match="60000x60000 exceeds the limit"):
        upscale(pipes[0], tmp_path / "out.mkv")


def test_a_full_disk_behind_a_device(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", size=SIZE)
    for words in ({"out_format": "y4m"}, {"out_format": "mkv"}):
        with pytest.raises(OutputError, match="no space left"):
            upscale(clip, "/dev/full", **words)


def test_a_slow_reader_slows_everything_before_it(tmp_path: Path, pipes: tuple[Path, Path]) -> None:
    """Nothing piles up: while nobody reads, the writer waits."""
    frames, sent, seen = 1500, [0], list[Progress]()
    header = b"YUV4MPEG2 W64 H48 F24:1 C420jpeg\n"

    def write() -> None:
        with pipes[0].open("wb", buffering=0) as file:
            file.write(header)
            for number in range(frames):
                file.write(b"FRAME\n" + bytes([number % 200 + 16]) * FRAME)
                sent[0] += 1

    writer = beside(write)
    running = beside(lambda: upscale(pipes[0], pipes[1], out_format="gray", emit=seen.append))  # type: ignore[arg-type]
    with pipes[1].open("rb") as reader:
        before = -1
        while before != sent[0] or not before:
            before = sent[0]
            time.sleep(0.5)
        assert sent[0] < 700
        assert len(reader.read()) == frames * 96 * 128
    writer.join(HANG)
    running.join(HANG)
    assert sent[0] == frames


def test_stdout_holds_data_and_nothing_else(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    clip = make_clip(tmp_path / "in.mkv", size=SIZE, frames=3)
    said = list[Any]()

    def chatty(event: Any) -> None:
        said.append(event)
        os.write(1, b"a library talks\n")

    upscale(clip, "-", out_format="rgb24", emit=chatty)
    os.write(1, b"end")
    capture = capfdbinary.readouterr()
    assert len(capture.out) == 3 * 128 * 96 * 3 + len(b"end")
    assert capture.out.endswith(b"end")
    assert capture.err.count(b"a library talks") == len(said) > 3


def test_a_dry_run_to_stdout_says_its_plan_on_stderr(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    clip = make_clip(tmp_path / "in.mkv", size=SIZE, frames=3)
    assert main.run(["upscale", str(clip), "-o", "-", "--dry-run", "-q"]) == 0
    capture = capfd.readouterr()
    assert capture.out == ""
    assert "network  repeater" in capture.err


def test_an_empty_stdin_is_3(child: Child, tmp_path: Path) -> None:
    child.start(["upscale", "-", "-o", str(tmp_path / "out.mkv")], pipes=["", ""])
    assert child.end() == 3
    assert "input - is empty (0 bytes)" in child.said.read_text()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_the_shell_gives_as_stdin_is_a_file(child: Child, tmp_path: Path) -> None:
    """An MP4 with its index at the end."""
    clip = make_clip(tmp_path / "in.mp4", size=SIZE)
    child.start(["upscale", "-", "-o", str(tmp_path / "out.mkv"), "-q"], pipes=[str(clip), ""])
    assert child.end() == 0
    assert len(pictures(tmp_path / "out.mkv")) == 12


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("stalled", ["writer before the header", "writer", "reader"])
def test_a_signal_ends_a_run_that_waits(
    tmp_path: Path, pipes: tuple[Path, Path], child: Child, stalled: str, signum: int
) -> None:
    data = b"YUV4MPEG2 W64 H48 F24:1 C420jpeg\n" + (b"FRAME\n" + bytes(range(128)) * (FRAME // 128)) * 400
    ends = [os.open(path, os.O_RDWR) for path in pipes]  # both pipes stay open whatever happens
    os.set_blocking(ends[0], False)
    pid = child.start(
        ["upscale", "-", "-o", "-", "--out-format", "y4m", "-q", "--reuse", "off"], pipes=list(map(str, pipes))
    )
    if stalled == "writer before the header":
        os.write(ends[0], data[:20])
        time.sleep(0.3)
    elif stalled == "writer":
        os.write(ends[0], data[: FRAME * 3])
        assert os.read(ends[1], 10) == data[:10]
    else:
        wait_until_full(ends[0], data)
    os.kill(pid, signum)
    assert child.end() == 128 + signum
    assert "Traceback" not in child.said.read_text()
    for end in ends:
        os.close(end)


def wait_until_full(fd: int, data: bytes) -> None:
    """Write until nobody takes any more for a while."""
    left, last = memoryview(data), time.monotonic()
    while left and time.monotonic() - last < 0.5:
        try:
            left, last = left[os.write(fd, left[:4096]) :], time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)


LEAVING = {
    "y4m": (), "mkv": ("--codec", "ffv1"), "nut": ("--codec", "ffv1"),
    "mp4": ("--encoder-option", "qp=0"), "ts": ("--encoder-option", "qp=0"),
}  # fmt: skip
"""Outputs of noise that are larger than what a pipe holds."""


@pytest.mark.fault
@pytest.mark.parametrize("name", LEAVING)
def test_the_reader_goes_at_any_moment(tmp_path: Path, pipes: tuple[Path, Path], child: Child, name: str) -> None:
    child.start(["upscale", "-", "-o", "-", "-q", "--out-format", name, *LEAVING[name]], pipes=list(map(str, pipes)))
    writer = feeding(pipes[0], vspipe(300, 300))
    with pipes[1].open("rb", buffering=0) as reader:
        reader.read(random.Random(name).randrange(1, 60_000))
    assert child.end() == 141
    writer.join()
    assert child.said.read_text() == ""


@pytest.mark.fault
@pytest.mark.parametrize("seed", range(5))
def test_the_writer_goes_at_any_moment(tmp_path: Path, pipes: tuple[Path, Path], child: Child, seed: int) -> None:
    data = vspipe(48, 48)
    place = random.Random(seed).randrange(len(data))
    child.start(["upscale", "-", "-o", "-", "-q", "--out-format", "gray"], 0.002, pipes=list(map(str, pipes)))
    writer = feeding(pipes[0], data[:place])
    got = len(pipes[1].read_bytes())
    writer.join()
    code = child.end()
    whole = max(0, place - len(VSPIPE % 48)) // (2 * FRAME + len(b"FRAME\n"))
    assert (code, got) == ((7, whole * SIZE[0] * SIZE[1]) if whole else (3, 0))
    assert "Traceback" not in child.said.read_text()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs a shell with process substitution")
def test_process_substitution(tmp_path: Path) -> None:
    """What a shell names /dev/fd/N."""
    clip = make_clip(tmp_path / "in.mkv", size=SIZE, frames=3)
    read, write = os.pipe()
    got = list[bytes]()

    def take() -> None:
        with os.fdopen(read, "rb") as file:
            got.append(file.read())

    reader = beside(take)
    upscale(clip, f"/dev/fd/{write}", out_format="gray")
    os.close(write)
    reader.join()
    assert len(got[0]) == 3 * 128 * 96
