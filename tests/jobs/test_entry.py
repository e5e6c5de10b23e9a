"""A segment begins where it should, whatever seeks do: its packets and its pictures are those of the whole."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import av
import pytest
from av.packet import Packet

from tests.clips import make_clip, packaged
from vidsr.errors import InputError
from vidsr.events import Event, Notice, ignore
from vidsr.jobs.entry import place
from vidsr.jobs.plan import Key, Scan, cut, scan
from vidsr.stages.decode import pictures
from vidsr.stages.source import Source, open_source, packets

PIXELS = 1 << 27
FRAMES = 60


def x264(**words: str) -> dict[str, str]:
    params = ":".join(f"{name.replace('_', '-')}={value}" for name, value in words.items())
    return {"preset": "ultrafast", "x264-params": f"keyint=12:min-keyint=12:scenecut=0:{params}"}


CLOSED, OPEN = x264(bframes="0"), x264(bframes="3", b_adapt="0", open_gop="1")
BFRAMES = x264(bframes="3", b_adapt="0", b_pyramid="normal")
VFR = [index * 1000 + (index % 3) * 300 + (index > 30) * 4000 for index in range(FRAMES)]
EARLY = [(index - 5) * 1000 for index in range(FRAMES)]
X265 = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=12:min-keyint=12:bframes=3:open-gop=1"}


def clip(name: str, **changes: Any) -> Callable[[Path], Path]:
    words = {"frames": FRAMES, "audio": None} | changes
    return lambda folder: make_clip(folder / name, **words)


def unindexed(folder: Path) -> Path:
    """Matroska as it is written to a pipe: no cues, no lengths."""
    whole = make_clip(folder / "whole.mkv", frames=FRAMES, audio="libopus", options=OPEN)
    path = folder / "unindexed.mkv"
    with path.open("wb") as file, av.open(str(whole)) as old, av.open(_Pipe(file), "w", format="matroska") as new:
        streams = {stream.index: new.add_stream_from_template(stream, opaque=True) for stream in old.streams}
        for packet in old.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
    return path


def misflagged(folder: Path) -> Path:
    """Every packet is flagged as a keyframe, as some muxers do."""
    whole = make_clip(folder / "whole.mkv", frames=FRAMES, audio=None, options=BFRAMES)
    path = folder / "misflagged.mkv"
    with av.open(str(whole)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0], opaque=True)
        for packet in old.demux():
            if packet.size:
                packet.stream, packet.is_keyframe = stream, True
                new.mux(packet)
    return path


def growing(folder: Path) -> Path:
    """A transport stream whose pictures become larger in the middle, on one clock."""
    path = folder / "growing.ts"
    words = {"x264-params": "keyint=12:bframes=0:repeat-headers=1:annexb=1", "preset": "ultrafast"}
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=24, options=words)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        large: Any = av.CodecContext.create("libx264", "w")
        large.width, large.height, large.pix_fmt, large.time_base = 128, 128, "yuv420p", Fraction(1, 24)
        large.options = words
        coded = [packet for index in range(24) for packet in stream.encode(_blank(64, index))] + stream.encode(None)
        more = [packet for index in range(24, 48) for packet in large.encode(_blank(128, index))] + large.encode(None)
        for packet in [*coded, *more]:
            packet.stream = stream
            output.mux(packet)
    return path


def _blank(side: int, pts: int) -> av.VideoFrame:
    frame = av.VideoFrame(side, side, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    frame.pts, frame.time_base = pts, Fraction(1, 24)
    return frame


class _Pipe(io.RawIOBase):
    """A file that can only be written on and on."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return int(self._file.write(bytes(data)))


FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
CLIPS: dict[str, Callable[[Path], Path]] = {
    "closed": clip("closed.mp4", options=CLOSED),
    "sound": clip("sound.mp4", options=CLOSED, audio="aac"),
    "open": clip("open.mp4", options=OPEN),
    "open mkv": clip("open.mkv", options=OPEN, audio="aac"),
    "bframes": clip("bframes.mp4", options=BFRAMES),
    "bframes mkv": clip("bframes.mkv", options=BFRAMES),
    "vfr": clip("vfr.mp4", options=BFRAMES, pts=VFR),
    "vfr mkv": clip("vfr.mkv", options=OPEN, pts=VFR),
    "ts": clip("closed.ts", options=CLOSED, audio="aac"),
    "open ts": clip("open.ts", options=OPEN, audio="aac"),
    "bframes ts": clip("bframes.ts", options=BFRAMES),
    "early nut": clip("early.nut", options=OPEN, pts=EARLY),
    "hevc": clip("hevc.mp4", codec="libx265", options=X265),
    "hevc ts": clip("hevc.ts", codec="libx265", options=X265),
    "mpeg2 ts": clip("mpeg2.ts", codec="mpeg2video", options={"g": "12", "bf": "2"}, time_base=Fraction(1, 24)),
    "mpeg2 ps": clip("mpeg2.mpg", codec="mpeg2video", options={"g": "12", "bf": "2"}, time_base=Fraction(1, 24)),
    "mpeg2 interlaced": clip(
        "tff.mkv", codec="mpeg2video", options={"g": "12"}, time_base=Fraction(1, 24), interlaced=True
    ),
    "vp9": clip("vp9.webm", codec="libvpx-vp9", options={"g": "12", "deadline": "realtime", "cpu-used": "8"}),
    "vp8": clip("vp8.webm", codec="libvpx", options={"g": "12", "deadline": "realtime", "cpu-used": "8"}),
    "av1": clip("av1.mkv", codec="libsvtav1", options={"g": "12", "preset": "13"}),
    "closed avi": clip("closed.avi", options=CLOSED),
    "ffv1": clip("ffv1.mkv", codec="ffv1", options={"g": "1"}),
    "ffv1 groups": clip("ffv1_groups.mkv", codec="ffv1", options={"g": "12"}),
    "fragments": clip("fragments.mp4", options=BFRAMES, container=FRAGMENTS),
    "unindexed": unindexed,
    "misflagged": misflagged,
    "bikes": lambda folder: packaged("bikes.mp4"),
}
WHOLE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "one key": (clip("one.mp4", options={"preset": "ultrafast", "g": "1000"}), "no second keyframe"),
    "two frames": (clip("two.mp4", frames=2), "no second keyframe"),
    "edit list": (clip("early.mp4", options=CLOSED, pts=EARLY), "not to be shown"),
    "avi": (clip("bframes.avi", options=BFRAMES), "when pictures are decoded"),
    "slow mkv": (clip("slow.mkv", options=BFRAMES, rate=Fraction(2)), "timestamps jump"),
    "intra refresh": (clip("refresh.ts", options=x264(bframes="0", intra_refresh="1")), "no second keyframe"),
    "growing": (growing, "coding of its pictures changes"),
    "bigbuckbunny": (lambda folder: packaged("bigbuckbunny.mp4"), "no second keyframe"),
    "carphone": (lambda folder: packaged("carphone_pristine.mp4"), "no second keyframe"),
    "h264 interlaced": (clip("tff.mp4", options=CLOSED, interlaced=True), "interlaced"),
    "mpeg4": (clip("mpeg4.mp4", codec="mpeg4", options={"g": "12"}, time_base=Fraction(1, 24)), "no second keyframe"),
    "gif": (clip("a.gif", codec="gif", pix_fmt="rgb8", time_base=Fraction(1, 100), pts=range(0, 240, 4)), "keyframe"),
    "image": (clip("a.png", codec="png", pix_fmt="rgb24", frames=1), "no second keyframe"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Scan]]:
    """Clips by name, each made and scanned once."""
    known: dict[str, tuple[Path, Scan]] = {}

    def find(name: str) -> tuple[Path, Scan]:
        if name not in known:
            path = CLIPS[name](tmp_path_factory.mktemp("clip"))
            known[name] = path, scan(path, PIXELS)
        return known[name]

    return find


Made = Callable[[str], tuple[Path, Scan]]


def facts(read: Iterator[Packet[Any]]) -> list[tuple[int | None, int | None, bytes]]:
    return [(packet.pts, packet.dts, bytes(packet)) for packet in read]


def placed(path: Path, entry: Key | None, emit: Any = ignore) -> list[tuple[int | None, int | None, bytes]]:
    with closing(open_source(path, PIXELS)) as source:
        return facts(place(source, entry, emit))


def undisturbed(path: Path) -> list[tuple[int | None, int | None, bytes]]:
    with closing(open_source(path, PIXELS)) as source:
        return facts(packets(source, lambda packet: None, ignore))


@pytest.mark.parametrize("name", CLIPS)
def test_from_every_keyframe_on_the_packets_are_those_of_the_whole(name: str, made: Made) -> None:
    path, found = made(name)
    assert found.whole == ""
    whole = undisturbed(path)
    assert len(whole) == found.packets + 1
    assert whole[-1][2] == b""
    for key in [None, *found.keys][:: max(1, len(found.keys) // 12)]:
        assert placed(path, key) == whole[key.number if key else 0 :]


def shown(source: Source, read: Iterator[Packet[Any]], start: int | None, end: int | None) -> Iterator[Any]:
    """The pictures of a segment: pts and a hash of their pixels."""
    for picture in pictures(read, source.video.codec_context, ignore):
        assert picture.pts is not None
        if end is not None and picture.pts >= end:
            return
        if start is None or picture.pts >= start:
            yield picture.pts, sha256(picture.to_ndarray().tobytes()).hexdigest()


@pytest.mark.parametrize("name", CLIPS)
def test_segments_decoded_each_for_itself_are_the_film(name: str, made: Made) -> None:
    path, found = made(name)
    with closing(open_source(path, PIXELS)) as source:
        whole = list(shown(source, packets(source, lambda packet: None, ignore), None, None))
    assert len(whole) == found.packets
    for shards in (1, 2, 3, 5, 8):
        film, plan = [], cut(found, shards, 1)
        assert len(plan.spans) == min(shards, len(found.keys))
        for span in plan.spans:
            with closing(open_source(path, PIXELS)) as source:
                part = list(shown(source, place(source, span.entry, ignore), span.start, span.end))
            assert len(part) == span.frames
            film += part
        assert film == whole


def test_a_stream_that_begins_between_two_keyframes_is_cut_as_well(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "a.ts", frames=FRAMES, audio=None, options=OPEN)
    path = tmp_path / "headless.ts"
    data = whole.read_bytes()
    path.write_bytes(data[: 3 * 188] + data[12 * 188 :])  # the tables, and then the middle of the first group
    found = scan(path, PIXELS)
    assert found.keys[0].number > 0
    with closing(open_source(path, PIXELS)) as source:
        film = list(shown(source, packets(source, lambda packet: None, ignore), None, None))
    assert 0 < len(film) < found.packets
    parts, plan = [], cut(found, 4, 1)
    assert len(plan.spans) == 4
    for span in plan.spans:
        with closing(open_source(path, PIXELS)) as source:
            parts += shown(source, place(source, span.entry, ignore), span.start, span.end)
    assert parts == film


@pytest.mark.parametrize("name", WHOLE)
def test_what_cannot_be_cut_with_certainty_is_one_segment(name: str, tmp_path: Path) -> None:
    make, why = WHOLE[name]
    path = make(tmp_path)
    found = scan(path, PIXELS)
    assert why in found.whole
    plan = cut(found, 8, 1)
    assert [span.entry for span in plan.spans] == [None]
    assert placed(path, None) == undisturbed(path)


class Proxy:
    """A container whose seeks do as they like."""

    def __init__(self, container: Any, seek: Callable[[Any, int, Any], None]) -> None:
        self._container, self._seek, self.targets = container, seek, list[int]()

    def seek(self, target: int, *, backward: bool, stream: Any) -> None:
        self.targets.append(target)
        self._seek(self._container, target, stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)


def _refused(container: Any, target: int, stream: Any) -> None:
    raise av.error.PermissionError(1, "Operation not permitted")


def _late(container: Any, target: int, stream: Any) -> None:
    container.seek(target + 12 * 1024, stream=stream)


def _at_the_end(container: Any, target: int, stream: Any) -> None:
    container.seek(1 << 40, stream=stream)


def _nowhere(container: Any, target: int, stream: Any) -> None:
    """It says that it sought, and did not."""


@pytest.mark.parametrize("seek", [_refused, _late, _at_the_end, _nowhere])
@pytest.mark.parametrize("name", ["open", "open mkv", "open ts"])
def test_seeks_that_fail_or_lie_cost_time_and_nothing_else(name: str, seek: Any, made: Made) -> None:
    path, found = made(name)
    whole = undisturbed(path)
    for key in found.keys[1:]:
        with closing(open_source(path, PIXELS)) as source:
            proxy: Any = Proxy(source.container, seek)
            source.container = proxy
            assert facts(place(source, key, ignore)) == whole[key.number :]
            assert proxy.targets[0] <= key.pts
            assert proxy.targets == sorted(proxy.targets, reverse=True)


def test_a_seek_that_lands_late_is_followed_by_one_from_further_back(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the file is not read from its beginning."""
    path, found = made("closed")
    monkeypatch.setattr("vidsr.jobs.entry.open_input", None)

    def late(container: Any, target: int, stream: Any) -> None:
        container.seek(target + round(Fraction(3, 4) / stream.time_base), stream=stream)

    with closing(open_source(path, PIXELS)) as source:
        proxy: Any = Proxy(source.container, late)
        source.container = proxy
        place(source, found.keys[3], ignore)
    second = round(1 / found.time_base)
    assert proxy.targets == [found.keys[3].pts, found.keys[3].pts - second]


def test_a_detour_is_told_to_those_who_ask(made: Made) -> None:
    path, found = made("open")
    events: list[Event] = []
    with closing(open_source(path, PIXELS)) as source:
        source.container = Proxy(source.container, _refused)  # type: ignore[assignment]
        place(source, found.keys[2], events.append)
    assert events
    assert all(isinstance(event, Notice) and event.level == "detail" for event in events)


CHANGES = [{"crc": 1}, {"size": 1}, {"pts": 7}, {"dts": 10**9}, {"pts": 1 << 40}]
LOST = [{"number": 5}, {"number": 10**6}]
"""Only a reading from the beginning counts packets; one that is found by its bytes is right at any place."""


@pytest.mark.parametrize(
    ("change", "seek"),
    [(change, seek) for change in CHANGES for seek in (None, _refused)] + [(n, _refused) for n in LOST],
)
def test_an_entry_that_is_not_in_the_file_is_an_error(change: dict[str, int], seek: Any, made: Made) -> None:
    path, found = made("open mkv")
    with closing(open_source(path, PIXELS)) as source:
        if seek:
            source.container = Proxy(source.container, seek)  # type: ignore[assignment]
        with pytest.raises(InputError, match="does not read as it did"):
            place(source, replace(found.keys[2], **change), ignore)


def test_a_file_that_was_replaced_is_noticed(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=FRAMES, options=CLOSED, audio=None)
    found = scan(path, PIXELS)
    make_clip(path, frames=FRAMES, options=CLOSED | {"crf": "40"}, audio=None)
    with closing(open_source(path, PIXELS)) as source, pytest.raises(InputError, match="does not read as it did"):
        place(source, found.keys[3], ignore)


class Failing(Proxy):
    """A container that cannot be read beyond some packets."""

    def demux(self, *streams: Any) -> Iterator[Packet[Any]]:
        yield from islice(self._container.demux(*streams), 20)
        raise av.error.OSError(5, "Input/output error")


def test_a_disk_that_fails_behind_the_entry_is_no_end(made: Made) -> None:
    path, found = made("closed")
    with closing(open_source(path, PIXELS)) as source:
        source.container = Failing(source.container, lambda container, at, to: container.seek(at, stream=to))  # type: ignore[assignment]
        read = place(source, found.keys[1], ignore)
        with pytest.raises(InputError, match="input/output error"):
            list(read)


def test_a_source_that_was_read_before_cannot_be_placed(made: Made) -> None:
    path, found = made("closed")
    with closing(open_source(path, PIXELS)) as source:
        next(packets(source, lambda packet: None, ignore))
        with pytest.raises(AssertionError):
            place(source, found.keys[1], ignore)
