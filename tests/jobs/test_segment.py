"""A segment gives back the packets it was given, or an error: never other ones, never fewer."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import av
import pytest
from av.packet import Packet, PacketSideData, packet_sidedata_type_from_literal
from hypothesis import given
from hypothesis import strategies as st

from tests.clips import picture
from vidsr.errors import OutputError
from vidsr.jobs import disk
from vidsr.jobs.disposable import disposable_packet
from vidsr.jobs.segment import Header, Sealed, SegmentError, SegmentReader, SegmentWriter, intact
from vidsr.media.encoders import ENCODERS, available, formats

BASE = Fraction(1, 24000)
SIZE = 64
HEADER = Header(str(BASE), "libx264", b"\x01parameters\xff", 32, 16)
PTS = (0, 1001, 2002, 3003, 5005, 6006, 7007, 8008, 9009, 10010, 11011, 12013)
"""Of variable rate."""
OPTIONS = {
    "x264": {"bf": "3", "preset": "veryfast", "threads": "1"},
    "x265": {"x265-params": "log-level=none:bframes=3:pools=none:frame-threads=1", "preset": "veryfast"},
    "svt-av1": {"preset": "10", "svtav1-params": "lp=1"},
    "vp9": {"cpu-used": "8", "lag-in-frames": "10", "auto-alt-ref": "1"},
}
SOFTWARE = [name for name in ENCODERS if available(name) and not name.endswith(("nvenc", "qsv", "amf"))]
"""Hardware encoders open only where their hardware is."""
CASES = [(name, form) for name in SOFTWARE for form in ("matroska", "mp4", "mov", "webm") if ENCODERS[name].fits(form)]
CASES.append(("utvideo", "avi"))  # the only container of both


class Nowhere(io.RawIOBase):
    """A file that keeps nothing."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data)


def add_stream(output: av.container.OutputContainer, name: str) -> Any:
    """A stream of `output` for encoder `name`, which is open."""
    encoder = ENCODERS[name]
    options = {**dict(encoder.fixed), **OPTIONS.get(name, {})}
    stream: Any = output.add_stream(encoder.libav, rate=Fraction(24), options=options)
    stream.width = stream.height = SIZE
    stream.pix_fmt = "yuv420p" if "yuv420p" in formats(encoder) else next(iter(formats(encoder)))
    stream.codec_context.time_base = BASE
    stream.codec_context.open()
    return stream


def encoded(name: str, form: str, count: int = 12) -> tuple[Header, list[Packet[Any]]]:
    """Packets of encoder `name`, set up for container `form`, with the header of their segment."""
    os.environ.setdefault("SVT_LOG", "1")
    with av.open(Nowhere(), "w", format=form) as output:
        stream = add_stream(output, name)
        extradata = bytes(stream.codec_context.extradata or b"")
        packets = []
        for index, pts in enumerate(PTS[:count]):
            frame = av.VideoFrame.from_ndarray(picture(4 * index, SIZE, SIZE), format="rgb24")
            frame = frame.reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = pts, BASE
            packets += stream.encode(frame)
        packets += stream.encode(None)
        assert bytes(stream.codec_context.extradata or b"") == extradata, "known only when all is encoded"
    for packet in packets:
        packet.duration = 1001
    return Header(str(BASE), ENCODERS[name].libav, extradata, SIZE, SIZE), packets


def stored(path: Path, header: Header, packets: Iterable[Packet[Any]]) -> Sealed:
    with SegmentWriter(path, header) as writer:
        for packet in packets:
            writer.write(packet)
        return writer.close()


def muxed(path: Path, name: str, form: str, packets: Iterable[Packet[Any]]) -> bytes:
    """The file of container `form` that holds `packets`, its stream set up by an encoder that codes nothing."""
    quiet = {"fflags": "bitexact"}  # Matroska: no random number of the file
    with av.open(str(path), "w", format=form, container_options=quiet) as output:
        stream = add_stream(output, name)
        for packet in packets:
            packet.stream = stream
            output.mux_one(packet)
    return path.read_bytes()


def facts(packets: Iterable[Packet[Any]]) -> list[Any]:
    """All that can be read from packets, but for their place and statistics of the encoder."""
    return [
        (
            bytes(packet), packet.pts, packet.dts, packet.duration, packet.time_base, packet.is_keyframe,
            packet.is_corrupt, packet.is_disposable, packet.is_discard, packet.is_trusted, packet.opaque,
            [(side.data_type, bytes(side)) for side in packet.iter_sidedata() if side.data_type != "quality_stats"],
        )
        for packet in packets
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "form"), CASES)
def test_what_is_muxed_from_a_segment_is_what_is_muxed_from_the_encoder(tmp_path: Path, name: str, form: str) -> None:
    header, packets = encoded(name, form)
    assert len(packets) == len(PTS)
    sealed = stored(tmp_path / "seg", header, packets)
    reader = SegmentReader(tmp_path / "seg")
    assert reader.header == header
    assert facts(reader) == facts(packets)
    assert list(reader.stamps()) == [(packet.pts, packet.dts) for packet in packets]
    assert (sealed.packets, sealed.first_pts, sealed.last_pts) == (len(PTS), PTS[0], PTS[-1])
    assert (sealed.first_dts, sealed.last_dts) == (packets[0].dts, packets[-1].dts)
    again = muxed(tmp_path / "again", name, form, reader)
    assert again == muxed(tmp_path / "straight", name, form, packets)
    with av.open(str(tmp_path / "again")) as container:
        rounding = container.streams.video[0].time_base / 2
        times = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    assert len(times) == len(PTS)
    assert all(abs(time - pts * BASE) <= rounding for time, pts in zip(times, PTS, strict=True))


@pytest.mark.parametrize("name", SOFTWARE)
def test_what_encoders_put_on_their_packets_is_known(name: str) -> None:
    """If one begins to use more, this says so before the writer refuses it at the user's."""
    form = next(form for form in ("matroska", "mov", "avi", "nut") if ENCODERS[name].fits(form))
    _, packets = encoded(name, form)
    sides = Counter(side.data_type for packet in packets for side in packet.iter_sidedata())
    assert set(sides) <= {"quality_stats"}
    assert all(packet.time_base == BASE and packet.size and packet.pts is not None for packet in packets)
    assert not any(packet.is_discard or packet.is_trusted or packet.opaque is not None for packet in packets)
    assert any(packet.is_disposable for packet in packets) == (name in ("x265", "svt-av1"))
    if name in ("x264", "x265"):
        assert [packet.pts for packet in packets] != sorted(packet.pts for packet in packets), "no B-frames"


def test_the_mark_is_what_an_mp4_tells_of_disposable_pictures(tmp_path: Path) -> None:
    """The equality above would not see its loss if muxers made nothing of it."""
    _, packets = encoded("x265", "mp4")
    unmarked = [plain(bytes(packet), packet.pts, packet.dts, packet.duration, packet.is_keyframe) for packet in packets]
    assert b"sdtp" in muxed(tmp_path / "marked", "x265", "mp4", packets)
    assert b"sdtp" not in muxed(tmp_path / "unmarked", "x265", "mp4", unmarked)


def plain(
    data: bytes, pts: int | None = 0, dts: int | None = 0, duration: int | None = 1, key: bool = True
) -> Packet[Any]:
    packet: Packet[Any] = Packet(len(data))
    packet.update(data)
    packet.pts, packet.dts, packet.duration, packet.time_base, packet.is_keyframe = pts, dts, duration, BASE, key
    return packet


def with_side(packet: Packet[Any], name: Any, data: bytes) -> Packet[Any]:
    make: Any = PacketSideData
    side = make(packet_sidedata_type_from_literal(name), len(data))
    side.update(data)
    packet.set_sidedata(side)
    return packet


STAMPS = st.integers(-(2**63) + 1, 2**63 - 1)


@st.composite
def any_packet(draw: st.DrawFn) -> Packet[Any]:
    data = draw(st.binary(min_size=1, max_size=300))
    packet = disposable_packet(data) if draw(st.booleans()) else plain(data)
    packet.pts, packet.dts = draw(STAMPS), draw(st.none() | STAMPS)
    packet.duration, packet.time_base = draw(st.none() | st.integers(0, 2**62)), BASE
    packet.is_keyframe, packet.is_corrupt = draw(st.booleans()), draw(st.booleans())
    names = st.sampled_from(["new_extradata", "a53_cc", "prft", "dynamic_hdr10_plus", "3d_reference_displays"])
    for name, side in draw(st.dictionaries(names, st.binary(min_size=1, max_size=50), max_size=3)).items():
        with_side(packet, name, side)
    return packet


@given(packets=st.lists(any_packet(), max_size=5), extradata=st.binary(max_size=50))
def test_any_packets_come_back(
    tmp_path_factory: pytest.TempPathFactory, packets: list[Packet[Any]], extradata: bytes
) -> None:
    path = tmp_path_factory.mktemp("segment") / "seg"
    header = Header(str(BASE), "libx264", extradata, 2, 2)
    sealed = stored(path, header, packets)
    reader = SegmentReader(path)
    assert reader.header == header
    assert facts(reader) == facts(packets) == facts(reader)
    pts = [packet.pts for packet in packets]
    assert (sealed.first_pts, sealed.last_pts) == ((min(pts), max(pts)) if pts else (None, None))


def test_size_and_hash_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "seg"
    sealed = stored(path, HEADER, [plain(b"abc"), plain(b"d", 1, 1)])
    assert sealed.size == path.stat().st_size
    assert sealed.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert intact(path, sealed.size, sealed.sha256)
    assert not intact(path, sealed.size + 1, sealed.sha256)
    again = stored(tmp_path / "again", HEADER, [plain(b"abc"), plain(b"d", 1, 1)])
    assert again == sealed


def test_intact_notices_any_change(tmp_path: Path) -> None:
    path = tmp_path / "seg"
    sealed = stored(path, HEADER, [plain(b"abc")])
    data = path.read_bytes()
    for changed in [data[:-1], data + b"\0", b"", *(flipped(data, place, 1) for place in range(len(data)))]:
        path.write_bytes(changed)
        assert not intact(path, sealed.size, sealed.sha256)
    path.unlink()
    assert not intact(path, sealed.size, sealed.sha256)
    assert not intact(tmp_path, sealed.size, sealed.sha256)


def with_time_base(packet: Packet[Any], base: Fraction) -> Packet[Any]:
    packet.time_base = base
    return packet


def with_opaque(packet: Packet[Any]) -> Packet[Any]:
    packet.opaque = object()
    return packet


@pytest.mark.parametrize(
    ("why", "make"),
    [
        ("no pts", lambda: plain(b"a", pts=None)),
        ("no data", lambda: plain(b"")),
        ("foreign time base", lambda: with_time_base(plain(b"a"), Fraction(1, 1000))),
        ("foreign time base", lambda: with_time_base(plain(b"a"), Fraction(0))),
        ("opaque object", lambda: with_opaque(plain(b"a"))),
    ],
)
def test_what_could_not_be_given_back_is_refused(tmp_path: Path, why: str, make: Any) -> None:
    with SegmentWriter(tmp_path / "seg", HEADER) as writer, pytest.raises(OutputError, match=f"libx264.*{why}"):
        writer.write(make())
    assert not list(tmp_path.iterdir())


def sample(folder: Path) -> Path:
    """A small segment with every kind of record."""
    late = disposable_packet(b"thrown away")
    late.pts, late.dts, late.duration, late.time_base = 7, None, 3, BASE
    late.is_keyframe = False
    packets = [plain(b"first"), with_side(plain(b"x" * 20, 2, 1, None, False), "new_extradata", b"side"), late]
    stored(folder / "seg", HEADER, packets)
    return folder / "seg"


def flipped(data: bytes, place: int, mask: int) -> bytes:
    return data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :]


def assert_refused(path: Path, good: list[Any]) -> None:
    """The segment raises, and what it gave before that is what it was given."""
    given: list[Packet[Any]] = []

    def read() -> None:
        for packet in SegmentReader(path):
            given.append(packet)  # one by one: what came before the error stays

    with pytest.raises(SegmentError, match="cannot be used"):
        read()
    with pytest.raises(SegmentError, match="cannot be used"):
        list(SegmentReader(path).stamps())
    assert facts(given) == good[: len(given)]


@pytest.mark.fault
@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_an_altered_byte_anywhere_is_an_error(tmp_path: Path, mask: int) -> None:
    path = sample(tmp_path)
    data, good = path.read_bytes(), facts(SegmentReader(path))
    for place in range(len(data)):
        path.write_bytes(flipped(data, place, mask))
        assert_refused(path, good)


@pytest.mark.fault
def test_a_segment_cut_anywhere_is_an_error(tmp_path: Path) -> None:
    path = sample(tmp_path)
    data, good = path.read_bytes(), facts(SegmentReader(path))
    for size in range(len(data)):
        path.write_bytes(data[:size])
        assert_refused(path, good)


@pytest.mark.fault
@pytest.mark.parametrize("tail", [b"\0", b"\0" * 12, b"\0" * 1000, b"vidsr segment 1\n"])
def test_anything_after_the_end_is_an_error(tmp_path: Path, tail: bytes) -> None:
    path = sample(tmp_path)
    data, good = path.read_bytes(), facts(SegmentReader(path))
    for added in (tail, data, data[16:]):
        path.write_bytes(data + added)
        assert_refused(path, good)


@pytest.mark.fault
def test_records_lost_doubled_or_swapped_are_an_error(tmp_path: Path) -> None:
    path = sample(tmp_path)
    data, good = path.read_bytes(), facts(SegmentReader(path))
    ends = [16, *record_ends(data)]
    assert ends[-1] == len(data)
    records = [data[a:b] for a, b in pairwise(ends)]
    assert len(records) == 5
    for lost in range(5):
        path.write_bytes(data[:16] + b"".join(records[:lost] + records[lost + 1 :]))
        assert_refused(path, good)
    for first, second in combinations(range(5), 2):
        swapped = list(records)
        swapped[first], swapped[second] = swapped[second], swapped[first]
        path.write_bytes(data[:16] + b"".join(swapped))
        assert_refused(path, good)
    for doubled in range(5):
        path.write_bytes(data[:16] + b"".join(records[: doubled + 1] + records[doubled:]))
        assert_refused(path, good)


def record_ends(data: bytes) -> Iterator[int]:
    """Where the records end, by the lengths in them."""
    place = 16
    while place < len(data):
        text, payload = (int.from_bytes(data[place + k : place + k + 4], "little") for k in (0, 4))
        place += 16 + text + payload
        yield place


@pytest.mark.fault
def test_no_memory_is_taken_for_a_length_that_is_not_there(tmp_path: Path) -> None:
    """Also with a CRC that is right: a length may not be greater than the file."""
    path = sample(tmp_path)
    data = path.read_bytes()
    lengths = (10).to_bytes(4, "little") + (0xFFFFFFF0).to_bytes(4, "little")
    path.write_bytes(data[:16] + lengths + zlib.crc32(lengths).to_bytes(4, "little") + data[28:])
    with pytest.raises(SegmentError, match="cut short"):
        SegmentReader(path)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_bytes(b"")])
def test_what_is_no_segment_is_an_error(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "seg")
    with pytest.raises(SegmentError, match="seg cannot be used"):
        SegmentReader(tmp_path / "seg")


def test_a_segment_appears_only_when_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "seg"
    with SegmentWriter(path, HEADER) as writer:
        writer.write(plain(b"a"))
        assert not path.exists()
        sealed = writer.close()
        assert path.exists()
        assert writer.close() is sealed
    assert list(tmp_path.iterdir()) == [path]


def test_a_writer_that_is_left_without_close_leaves_nothing(tmp_path: Path) -> None:
    with SegmentWriter(tmp_path / "seg", HEADER) as writer:
        writer.write(plain(b"a"))
    assert not list(tmp_path.iterdir())

    def fail() -> None:
        with SegmentWriter(tmp_path / "seg", HEADER) as writer:
            writer.write(plain(b"a"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not list(tmp_path.iterdir())


def test_the_file_is_on_the_disk_before_it_has_its_name_and_the_name_before_close_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, order = tmp_path / "seg", []
    fsync, replace, sync = os.fsync, Path.replace, disk.sync

    def synced(handle: int) -> None:
        fsync(handle)
        order.append(("fsync", os.fstat(handle).st_size, path.exists()))

    def renamed(self: Path, target: Path) -> Path:
        order.append(("rename", self.stat().st_size, path.exists()))
        return replace(self, target)

    def folder_synced(folder: Path) -> None:
        order.append(("folder", folder, path.exists()))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fsync)
            sync(folder)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    monkeypatch.setattr(disk, "sync", folder_synced)
    size = stored(path, HEADER, [plain(b"a")]).size
    assert order == [("fsync", size, False), ("rename", size, False), ("folder", tmp_path, True)]


@pytest.mark.fault
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    """/dev/full takes what is buffered and refuses it as a full disk does."""
    for count in (1, 100):
        disk.part_of(tmp_path / "seg").symlink_to("/dev/full")
        packets = [plain(b"x" * 1000, pts, pts) for pts in range(count)]
        with pytest.raises(OutputError, match=f"work folder {tmp_path}: no space left") as told:
            stored(tmp_path / "seg", HEADER, packets)
        assert told.value.exit_code == 4
        assert "--work-dir" in told.value.hint
        assert not list(tmp_path.iterdir())


@pytest.mark.fault
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_fails_when_it_is_synced_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match=f"work folder {tmp_path}: "):
        stored(tmp_path / "seg", HEADER, [plain(b"a")])
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=f"work folder {tmp_path / 'none'}: no such file"):
        stored(tmp_path / "none" / "seg", HEADER, [])


def attempts(folder: Path) -> None:
    """Writes a segment under a limit on its size that rises byte by byte; run in a process of its own."""
    import resource  # not there on Windows

    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    whole = stored(folder / "whole", HEADER, [plain(b"abc"), plain(b"d", 1, 1)])
    for limit in range(whole.size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        with pytest.raises(OutputError, match=f"work folder {folder}: a file would be larger than allowed"):
            stored(folder / "seg", HEADER, [plain(b"abc"), plain(b"d", 1, 1)])
        assert [path.name for path in folder.iterdir()] == ["whole"]
    resource.setrlimit(resource.RLIMIT_FSIZE, (whole.size, hard))
    assert stored(folder / "seg", HEADER, [plain(b"abc"), plain(b"d", 1, 1)]) == whole


@pytest.mark.fault
def test_a_limit_on_the_size_of_files_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    code = "import sys, pathlib; from tests.jobs.test_segment import attempts; attempts(pathlib.Path(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_segment_left_by_a_killed_writer_is_written_anew(tmp_path: Path) -> None:
    disk.part_of(tmp_path / "seg").write_bytes(b"half" * 1000)
    (tmp_path / "seg").write_bytes(b"finished, but in no journal")
    sealed = stored(tmp_path / "seg", HEADER, [plain(b"a")])
    assert intact(tmp_path / "seg", sealed.size, sealed.sha256)
    assert [path.name for path in tmp_path.iterdir()] == ["seg"]


@pytest.mark.parametrize("size", [1, 7, 8, 100_000])
def test_a_disposable_packet_holds_its_bytes(size: int) -> None:
    data = os.urandom(size)
    packet = disposable_packet(data)
    assert packet.is_disposable
    assert bytes(packet) == data
    assert not list(packet.iter_sidedata())


def test_the_header_is_plain_json(tmp_path: Path) -> None:
    data = sample(tmp_path).read_bytes()
    size = int.from_bytes(data[16:20], "little")
    header = json.loads(data[28 : 28 + size])
    assert header == {
        "time_base": "1/24000",
        "codec": "libx264",
        "extradata": "AXBhcmFtZXRlcnP/",
        "width": 32,
        "height": 16,
    }
