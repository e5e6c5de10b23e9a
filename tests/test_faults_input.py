"""Damaged, strange and hostile inputs through the whole pipeline: whole, declared or refused, and never in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from av.packet import Packet

from tests.clips import add_sound, make_clip, make_feature_clip
from tests.fakes import Repeater, describe
from tests.faults import cut, left_behind, one_thread, remux, stray_threads
from vidsr import pipeline
from vidsr.api import upscale
from vidsr.cli import main
from vidsr.errors import InputError
from vidsr.record import Report
from vidsr.stages import source as source_stage

pytestmark = pytest.mark.fault

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("in.mp4", {}),
    "faststart": ("in.mp4", {"container": {"movflags": "faststart"}}),
    "fragmented": ("in.mp4", {"container": {"movflags": "frag_keyframe+delay_moov"}}),
    "mkv": ("in.mkv", {}),
    "ts": ("in.ts", {}),
    "avi": ("in.avi", {"codec": "mpeg4", "audio": "libmp3lame", "time_base": Fraction(1, 24)}),
}
UNSTATED = ("ts", "fragmented")
"""Containers whose headers state no length."""
Change = Callable[[int, "Packet[Any]"], None]


@pytest.fixture(autouse=True)
def repeater(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A network that costs nothing, and after each test nothing left running or lying about."""
    monkeypatch.setattr(pipeline, "load_model", lambda spec, **_: describe(Repeater(1)))
    with one_thread():
        yield
    assert stray_threads() == []
    assert left_behind(tmp_path) == []


def clip_of(folder: Path, kind: str) -> Path:
    name, words = KINDS[kind]
    return make_clip(folder / name, frames=48, **({"options": {"g": "12"}} | words))


def run(source: Path, **choices: Any) -> Report:
    return upscale(source, source.parent / "out.mkv", codec="ffv1", precision="fp32", **choices)


def refused(source: Path, match: str, **choices: Any) -> None:
    """The run ends with exit code 3, and an output of before is as it was."""
    out = source.parent / "out.mkv"
    out.write_bytes(b"old")
    with pytest.raises(InputError, match=match) as caught:
        run(source, overwrite=True, **choices)
    assert caught.value.exit_code == 3
    assert out.read_bytes() == b"old"


def readable_frames(path: Path) -> int:
    """How many pictures a plain reader gets out of a file."""
    count = 0
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            try:
                count += len(packet.decode())
            except av.error.FFmpegError:
                continue
    return count


def adds_up(report: Report) -> bool:
    """The counts of a report, and its times."""
    counted = report.frames_in + report.repeated - report.dropped == report.frames_out == len(report.pts)
    return counted and all(a < b for a, b in zip(report.pts, report.pts[1:], strict=False))


@pytest.mark.parametrize("kind", KINDS)
def test_an_undamaged_clip_declares_nothing(tmp_path: Path, kind: str) -> None:
    report = run(clip_of(tmp_path, kind))
    assert (report.exit_code, report.frames_out, report.losses, report.retimed) == (0, 48, (), 0)
    assert not any("otherwise" in note for note in report.notes)
    assert any("could not be checked" in text for text in report.verified) == (kind in UNSTATED)


@pytest.mark.parametrize("share", [0, 0.02, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_input_is_refused_or_declared(tmp_path: Path, kind: str, share: float) -> None:
    short = cut(clip_of(tmp_path, kind), share)
    try:
        report = run(short)
    except InputError:
        assert not (tmp_path / "out.mkv").exists()
        assert share < 0.5 or kind == "plain", "most of the input is there, and was not used"
        return
    assert report.frames_out >= readable_frames(short) > 0
    assert adds_up(report)
    assert readable_frames(tmp_path / "out.mkv") == report.frames_out
    told = report.exit_code == 7 and report.losses
    whole = kind == "avi" and report.frames_out == 48 and share > 0.9  # only the index is cut
    assert told or whole or (kind in UNSTATED and any("could not be checked" in text for text in report.verified))


@pytest.mark.parametrize("kind", ["faststart", "mkv", "avi"])
def test_loss_that_is_allowed_is_still_told(tmp_path: Path, kind: str) -> None:
    report = run(cut(clip_of(tmp_path, kind), 0.6), allow_loss=True)
    assert report.exit_code == 0
    assert report.losses


NO_VIDEO = {
    "empty.mp4": (b"", "is empty"),
    "text.mkv": (b"root:x:0:0:root:/root:/bin/bash\n" * 40, "not a video"),
    "titles.srt": (b"1\n00:00:01,000 --> 00:00:02,000\nHello\n\n", "not a video"),
    "zeros.mp4": (bytes(5000), "not a video"),
    "head.mp4": (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + b"\0\0\0\x08free", "not a video"),
}


@pytest.mark.parametrize("name", NO_VIDEO)
def test_what_is_no_video_is_refused(tmp_path: Path, name: str) -> None:
    data, match = NO_VIDEO[name]
    (tmp_path / name).write_bytes(data)
    refused(tmp_path / name, match)


def test_a_folder_or_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    refused(tmp_path / "folder.mp4", "is a folder")
    refused(tmp_path / "missing.mp4", "does not exist")


@pytest.mark.parametrize("name", ["sound.wav", "sound.m4a", "sound.mka"])
def test_sound_alone_is_no_video(tmp_path: Path, name: str) -> None:
    with av.open(str(tmp_path / name), "w", format={"m4a": "mp4", "mka": "matroska"}.get(name[-3:])) as output:
        packets = add_sound(output, "pcm_s16le" if name.endswith("wav") else "aac", 0, 0.5)()
        output.mux(packets)
    refused(tmp_path / name, "no video stream; streams found: audio")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{other}\n#EXT-X-ENDLIST\n"),
        ("list.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{other}\n#EXT-X-ENDLIST\n"),
        ("list.mkv", "ffconcat version 1.0\nfile {other}\n"),
        ("list.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"),
    ],
)
def test_a_list_of_other_files_is_refused(tmp_path: Path, name: str, text: str) -> None:
    other = make_clip(tmp_path / "other.ts", frames=4)
    (tmp_path / name).write_text(text.format(other=other.name))
    refused(tmp_path / name, "not a video")


@pytest.mark.parametrize("name", ["concat:other.ts|other.ts", "subfile,,start,0,end,0,,:other.ts", "pipe:0", "lavfi:x"])
def test_names_of_protocols_are_names_of_files(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_clip(tmp_path / "other.ts", frames=4)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        upscale(name, "out.mkv")


def test_a_relative_name_with_a_colon_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "clip.mkv", frames=4).rename("a:b.mkv")
    assert upscale("a:b.mkv", "c:d.mkv").frames_out == 4
    assert readable_frames(tmp_path / "c:d.mkv") == 4


@pytest.mark.parametrize("noise", ["amount=20", "amount=60", "amount=200"])
@pytest.mark.parametrize("name", ["in.mkv", "in.mp4", "in.ts"])
def test_noise_in_packets_costs_no_frame_and_is_declared(tmp_path: Path, name: str, noise: str) -> None:
    whole = make_clip(tmp_path / name, frames=48, options={"g": "12"})
    report = run(remux(whole, tmp_path / f"noisy{whole.suffix}", noise))
    assert adds_up(report)
    assert report.exit_code == 7
    assert report.repeated + report.concealed + len(report.losses) > 0
    assert report.frames_out >= 48 - report.dropped - len(report.losses)


def test_a_packet_that_vanishes_from_a_steady_stream_is_noted(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "in.mkv", frames=48, codec="ffv1")
    report = run(remux(whole, tmp_path / "hole.mkv", r"amount=0:drop=eq(n\,20)"))
    assert report.frames_out == 47
    assert any("no picture in an otherwise steady stream" in note for note in report.notes)


def test_a_hole_in_picture_and_sound_is_a_loss(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "in.mkv", frames=48, codec="ffv1", audio="flac")
    with av.open(str(whole)) as old, av.open(str(tmp_path / "hole.mkv"), "w") as new:
        streams = [new.add_stream_from_template(stream, opaque=True) for stream in old.streams]
        for packet in old.demux():
            if packet.size and not 0.9 < float((packet.pts or 0) * packet.time_base) < 1.2:
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
    report = run(tmp_path / "hole.mkv")
    assert report.exit_code == 7
    assert [text for text in report.losses if "neither picture nor sound, the input has a hole" not in text] == []


def test_a_broken_chain_of_fragments_is_a_loss(tmp_path: Path) -> None:
    clip = clip_of(tmp_path, "fragmented")
    data = bytearray(clip.read_bytes())
    third = [place for place in range(len(data)) if data[place : place + 4] == b"moof"][2]
    data[third - 4 : third] = (7).to_bytes(4)  # no box is that short
    clip.write_bytes(data)
    report = run(clip)
    assert report.frames_out < 48
    assert "the chain of fragments breaks off" in report.losses[0]


def test_a_stream_of_avi_that_cannot_be_found_is_a_loss(tmp_path: Path) -> None:
    clip = clip_of(tmp_path, "avi")
    data = clip.read_bytes()
    second = data.index(b"strh", data.index(b"strh") + 4)
    clip.write_bytes(data[:second] + b"junk" + data[second + 4 :])
    assert "1 of the 2 streams its header states can be read" in run(clip).losses[0]


def test_a_first_key_picture_that_is_lost_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def first_is_damaged(number: int, packet: Packet[Any]) -> None:
        if packet.stream.type == "video" and number == 0:
            packet.update(bytes(packet.size))

    changed(monkeypatch, first_is_damaged)
    report = run(clip_of(tmp_path, "mkv"))
    assert report.frames_out < 48
    assert report.exit_code == 7
    assert "there is none before it" in " ".join(report.losses)


def test_pauses_between_subtitles_are_no_holes(tmp_path: Path) -> None:
    report = run(make_feature_clip(tmp_path / "in.mkv"))
    assert (report.exit_code, report.losses) == (0, ())
    assert not any("no sound" in note for note in report.notes)


@pytest.mark.parametrize("name", ["in.mkv", "in.mp4", "in.ts"])
def test_variable_rates_and_sparse_sound_are_no_loss(tmp_path: Path, name: str) -> None:
    pts = [n * 1000 for n in range(200) if n % 7 not in (2, 3) and n not in range(60, 90)]
    report = run(make_clip(tmp_path / name, pts=pts, audio_seconds=1.0))
    assert (report.exit_code, report.losses, report.frames_out) == (0, (), len(pts))


def changed(monkeypatch: pytest.MonkeyPatch, change: Change) -> None:
    """Let `change` alter every packet as the container gives it, with its number within its stream."""
    demux = source_stage._demux

    def altered(*arguments: Any) -> Iterator[Packet[Any]]:
        counts: dict[int, int] = {}
        for packet in demux(*arguments):
            if packet.size:
                number = counts[packet.stream_index] = counts.get(packet.stream_index, -1) + 1
                change(number, packet)
            yield packet

    monkeypatch.setattr(source_stage, "_demux", altered)


def _shift(packet: Packet[Any], seconds: float) -> None:
    ticks = round(Fraction(seconds) / packet.time_base)
    packet.pts = None if packet.pts is None else packet.pts + ticks
    packet.dts = None if packet.dts is None else packet.dts + ticks


def _missing(number: int, packet: Packet[Any]) -> None:
    if packet.stream.type == "video" and number % 3 == 1:
        packet.pts = packet.dts = None


def _all_missing(number: int, packet: Packet[Any]) -> None:
    packet.pts = packet.dts = None


def _equal(number: int, packet: Packet[Any]) -> None:
    if packet.stream.type == "video" and number % 5 == 4:
        _shift(packet, -1 / 24)


def _backward(number: int, packet: Packet[Any]) -> None:
    if packet.stream.type == "video" and number == 20:
        _shift(packet, -0.2)


def _restart(number: int, packet: Packet[Any]) -> None:
    if (packet.pts or 0) * packet.time_base >= 1:
        _shift(packet, -1)


def _days_ahead(number: int, packet: Packet[Any]) -> None:
    if (packet.pts or 0) * packet.time_base >= 1:
        _shift(packet, 12 * 86400)


def _wrapped(number: int, packet: Packet[Any]) -> None:
    if (packet.pts or 0) * packet.time_base >= 1:
        _shift(packet, -(2**33) / 90000)


def _far(number: int, packet: Packet[Any]) -> None:
    if packet.stream.type == "video" and number == 20:
        packet.pts, packet.dts = (packet.pts or 0) + 2**40, (packet.dts or 0) + 2**40


CHANGES = {change.__name__[1:]: change for change in (
    _missing, _all_missing, _equal, _backward, _restart, _days_ahead, _wrapped, _far,
)}  # fmt: skip


@pytest.mark.parametrize("kind", ["plain", "mkv", "ts"])
@pytest.mark.parametrize("name", CHANGES)
def test_bad_times_are_told_and_no_frame_is_lost_in_silence(
    tmp_path: Path, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(monkeypatch, CHANGES[name])
    report = run(clip_of(tmp_path, kind))
    assert adds_up(report)
    assert report.frames_out + report.dropped == 48
    assert report.retimed + report.dropped > 0
    assert readable_frames(tmp_path / "out.mkv") == report.frames_out
    assert report.seconds < 60, "a gap of days was kept"


@pytest.mark.parametrize("name", ["restart", "days_ahead", "wrapped"])
def test_after_a_jump_sound_stays_with_picture(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changed(monkeypatch, CHANGES[name])
    run(clip_of(tmp_path, "ts"))
    with av.open(str(tmp_path / "out.mkv")) as container:
        ends = [0.0, 0.0]
        for packet in container.demux():
            if packet.pts is not None and packet.size:
                ends[packet.stream_index] = max(ends[packet.stream_index], float(packet.pts * packet.time_base))
    assert abs(ends[0] - ends[1]) < 0.1


@pytest.mark.parametrize("second", [{"size": (96, 48)}, {"pix_fmt": "yuv422p"}, {"pix_fmt": "yuv420p10le"}, {}])
def test_joined_streams_become_one(tmp_path: Path, second: dict[str, Any]) -> None:
    first = make_clip(tmp_path / "1.ts", frames=24)
    other = make_clip(tmp_path / "2.ts", frames=24, **second)
    (tmp_path / "in.ts").write_bytes(first.read_bytes() + other.read_bytes())
    report = run(tmp_path / "in.ts")
    assert adds_up(report)
    assert report.frames_out == 48
    assert report.retimed > 0
    assert any("size changes" in note for note in report.notes) == ("size" in second)
    assert any("pixel format changes" in note for note in report.notes) == ("pix_fmt" in second)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (17, 1), (65, 63)])
def test_any_size_and_a_single_frame(tmp_path: Path, size: tuple[int, int]) -> None:
    report = run(make_clip(tmp_path / "in.mkv", size=size, codec="ffv1", frames=1, audio=None))
    assert (report.exit_code, report.frames_out, report.width, report.height) == (0, 1, *size)


def test_packets_of_which_none_is_a_picture_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make_clip(tmp_path / "in.mkv")
    refused(remux(whole, tmp_path / "noise.mkv", "amount=1"), "no frame of .* could be decoded")
    refused(remux(whole, tmp_path / "none.mkv", "amount=0:drop=1"), "no ")


def test_a_picture_larger_than_allowed_is_refused(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=2)
    refused(clip, "could be decoded|exceeds the limit", max_pixels=64 * 64 - 1)
    refused(clip, "exceeds the limit of 5000 pixels", max_pixels=5000, scale=2)


def test_a_header_that_claims_a_huge_picture_takes_no_memory(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.mkv"
    with av.open(str(bomb), "w") as output:
        stream = output.add_stream("ffv1", rate=1)
        stream.width, stream.height, stream.pix_fmt = 8192, 4097, "gray"  # 33 million pixels, some kilobytes
        frame = av.VideoFrame(8192, 4097, "gray")
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        output.mux(stream.encode(frame) + stream.encode(None))
    assert bomb.stat().st_size < 1 << 20
    refused(bomb, "could be decoded|exceeds the limit", max_pixels=1 << 25)


@pytest.mark.parametrize(("name", "code"), [("empty.mp4", 3), ("missing.mp4", 3), ("short.mkv", 7), ("whole.mkv", 0)])
def test_exit_codes_of_inputs(tmp_path: Path, name: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    make_clip(tmp_path / "whole.mkv")
    cut(tmp_path / "whole.mkv", 0.7).rename(tmp_path / "short.mkv")
    assert main.run(["upscale", str(tmp_path / name), "-o", str(tmp_path / "out.mkv")]) == code
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert ("error:" in said) == (code == 3)
    assert left_behind(tmp_path) == []


def test_an_avi_that_ends_in_empty_chunks_is_whole(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.avi", codec="mjpeg", pix_fmt="yuvj420p", audio="pcm_s16le")
    report = run(clip)
    assert (report.exit_code, report.frames_out) == (0, 12)
