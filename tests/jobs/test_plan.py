"""Cutting: every frame in one segment, every segment decodable, as many as asked for, the same each time."""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import av
import pytest
from av.packet import Packet
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.clips import make_clip
from tests.faults import cut as cut_file
from vidsr.errors import InputError, UsageError
from vidsr.events import Event, Progress
from vidsr.jobs.plan import Key, Scan, ShardPlan, cut, cut_points, scan
from vidsr.media.claims import Claims
from vidsr.media.keyframes import agree, parameters
from vidsr.media.reorder import is_ordered, sets_of, stated_depth
from vidsr.stages.source import Source, open_source, packets

CLAIMS = Claims("", "", 0, 0, {}, None)


def scanned(pts: list[int], keys: list[int], sizes: list[int] | None = None, whole: str = "") -> Scan:
    """A scan of packets with these pts, of which those numbered `keys` are keyframes."""
    sizes = sizes or [10] * len(pts)
    before = [0, *accumulate(sizes)]
    return Scan(
        time_base=Fraction(1, 24000),
        packets=len(pts),
        size=max(1, before[-1]),
        pts=array("q", pts),
        keys=tuple(Key(number, pts[number], None, sizes[number], number) for number in keys),
        bytes_before=array("q", [before[number] for number in keys]),
        width=64,
        height=64,
        rate=None,
        claims=CLAIMS,
        whole=whole,
    )


@st.composite
def films(draw: st.DrawFn) -> Scan:
    """Films as encoders make them: groups of pictures, closed or open, with B-pictures, VFR, from any start."""
    order: list[int] = []  # of display, in order of packets
    keys, shown = [], 0
    for _ in range(draw(st.integers(1, 12))):
        leading = draw(st.integers(0, 3)) if order else 0
        keys.append(len(order))
        order += [shown + leading, *range(shown, shown + leading)]
        shown += leading + 1
        for _ in range(draw(st.integers(0, 4))):
            between = draw(st.integers(0, 3))
            order += [shown + between, *range(shown, shown + between)]
            shown += between + 1
    steps = draw(st.lists(st.integers(1, 5000), min_size=shown, max_size=shown))
    times = list(accumulate(steps, initial=draw(st.integers(-100000, 100000))))
    sizes = draw(st.lists(st.integers(1, 9999), min_size=shown, max_size=shown))
    return scanned([times[rank] for rank in order], keys, sizes)


@st.composite
def chaos(draw: st.DrawFn) -> Scan:
    """Any order of any pts, and keyframes anywhere: nothing that an encoder would make."""
    pts = draw(st.lists(st.integers(-50, 50), min_size=1, max_size=30, unique=True))
    if draw(st.booleans()):
        pts.sort()
        for place in draw(st.lists(st.integers(0, len(pts) - 1), max_size=4)):
            pts.insert(draw(st.integers(0, len(pts) - 1)), pts.pop(place))
    keys = sorted(draw(st.sets(st.integers(0, len(pts) - 1), min_size=1)))
    return scanned(pts, keys)


def parts(scan: Scan, key: Key) -> bool:
    """Whether the input may be cut at `key`, in other words than those of the code."""
    first, rest = scan.pts[: key.number], list(scan.pts[key.number + 1 :])
    while rest and rest[0] < key.pts:
        rest.pop(0)
    return all(pts < key.pts for pts in first) and all(pts > key.pts for pts in rest)


@settings(max_examples=150, deadline=None)
@given(st.one_of(films(), chaos()), st.one_of(st.none(), st.integers(1, 12)), st.integers(1, 40))
def test_a_plan_holds_every_frame_once_in_segments_that_can_be_decoded(
    film: Scan, shards: int | None, length: int
) -> None:
    plan = cut(film, shards, length)
    spans = plan.spans
    assert (spans[0].start, spans[-1].end, spans[0].entry, spans[0].first_packet) == (None, None, None, 0)
    assert [span.number for span in spans] == list(range(len(spans)))
    assert sum(span.frames for span in spans) == plan.frames == len(film.pts)
    for span in spans:
        low = float("-inf") if span.start is None else span.start
        high = float("inf") if span.end is None else span.end
        inside = [number for number, pts in enumerate(film.pts) if low <= pts < high]
        assert len(inside) == span.frames > 0
        assert min(inside) >= span.first_packet
    numbers = [key.number for key in film.keys]
    for earlier, later in pairwise(spans):
        assert earlier.end == later.start
        own = film.keys[numbers.index(later.first_packet)]
        assert (own.pts, parts(film, own)) == (later.start, True)
        past = film.keys[: numbers.index(later.first_packet)]
        assert later.entry == (past[-1] if len(past) > 1 else None)
    possible = sum(parts(film, key) for key in film.keys[1:])
    assert bool(plan.whole) == (possible == 0)
    if shards is not None:
        assert len(spans) == min(shards, possible + 1)


@settings(deadline=None)
@given(films(), st.integers(1, 8))
def test_a_plan_survives_json_exactly_and_comes_out_the_same_again(film: Scan, shards: int) -> None:
    plan = cut(film, shards, 1000)
    text = json.dumps(plan.to_json())
    assert ShardPlan.from_json(json.loads(text)) == plan
    assert json.dumps(cut(film, shards, 1000).to_json()) == text


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(2, 9), st.integers(4, 12))
def test_boundaries_lie_at_the_keyframe_nearest_to_equal_segments(length: int, shards: int, spare: int) -> None:
    groups = shards * spare
    film = scanned(list(range(groups * length)), list(range(0, groups * length, length)))
    for span in cut(film, shards, 1).spans[1:]:
        assert span.start is not None
        ideal = Fraction(span.number * groups * length, shards)
        assert abs(span.start - ideal) <= Fraction(length, 2)


def test_without_a_number_of_shards_the_segments_have_about_the_length_asked_for() -> None:
    film = scanned(list(range(1000)), list(range(0, 1000, 10)))
    assert [span.frames for span in cut(film, None, 250).spans] == [250] * 4
    assert [span.frames for span in cut(film, None, 10**6).spans] == [1000]
    assert len(cut(film, None, 1).spans) == 100


def test_a_boundary_prefers_a_keyframe_that_was_not_due() -> None:
    """Keyframes every 50 frames, and 13 frames off the middle one where the scene changes."""
    keys = sorted([*range(0, 400, 50), 213])
    assert [span.start for span in cut(scanned(list(range(400)), keys), 2, 1).spans] == [None, 213]
    counted_anew = [0, 50, 100, 150, 163, 213, 263, 313, 363]
    assert [span.start for span in cut(scanned(list(range(400)), counted_anew), 2, 1).spans] == [None, 163]
    far = sorted([*range(0, 400, 50), 310])
    assert [span.start for span in cut(scanned(list(range(400)), far), 2, 1).spans] == [None, 200]


def test_bytes_weigh_a_little() -> None:
    def boundary(sizes: list[int]) -> int | None:
        return cut(scanned(list(range(100)), list(range(0, 100, 4)), sizes), 2, 1).spans[1].start

    heavy = [1000 if number < 50 else 1 for number in range(100)]
    assert [boundary([10] * 100), boundary(heavy), boundary(heavy[::-1])] == [48, 44, 56]


def test_a_keyframe_that_later_packets_lie_before_is_no_cut_point() -> None:
    film = scanned([0, 1, 4, 2, 3, 5, 8, 9, 7, 10], [0, 2, 6])  # 7 comes after 9, behind the leading pictures of 8
    assert [point.index for point in cut_points(film)] == [1]
    assert [span.frames for span in cut(film, 5, 1).spans] == [4, 6]


def test_what_must_not_be_cut_is_one_segment() -> None:
    plan = cut(scanned(list(range(10)), [0, 5], whole="for a reason"), 4, 1)
    assert (len(plan.spans), plan.whole, plan.spans[0].frames) == (1, "for a reason", 10)
    assert cut(scanned([], [], whole="empty"), 4, 1).spans[0].frames == 0


@pytest.mark.parametrize(("shards", "frames"), [(0, 10), (-1, 10), (None, 0)])
def test_numbers_below_one_are_refused(shards: int | None, frames: int) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        cut(scanned([0, 1], [0, 1]), shards, frames)


@pytest.mark.parametrize("fault", [{}, {"spans": [{}]}, {"spans": [], "surprise": 1}, {"spans": [{"entry": None}]}])
def test_what_is_no_plan_is_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="plan"):
        ShardPlan.from_json(fault)


@settings(deadline=None)
@given(st.lists(st.integers(), unique=True, max_size=30), st.integers(0, 30))
def test_is_ordered_is_what_a_decoder_with_that_depth_shows(pts: list[int], depth: int) -> None:
    deepest = max((sum(earlier > stamp for earlier in pts[:place]) for place, stamp in enumerate(pts)), default=0)
    assert is_ordered(pts, depth) == (depth >= deepest)


X264 = [
    ("yuv420p", {"bf": "0"}, 0),
    ("yuv420p", {"bf": "2", "x264-params": "b-pyramid=none"}, 1),
    ("yuv420p", {"bf": "3", "x264-params": "b-pyramid=normal"}, 2),
    ("yuv444p10le", {"bf": "3", "x264-params": "b-pyramid=normal:cqm=jvt"}, 2),
    (
        "yuv420p",
        {"bf": "3", "x264-params": "b-pyramid=strict:nal-hrd=vbr:vbv-maxrate=500:vbv-bufsize=500:crop-rect=2,2,2,2"},
        2,
    ),
    ("yuv420p", {"bf": "1", "x264-params": "sar=123/7:overscan=show:videoformat=pal:colorprim=bt709:chromaloc=2"}, 1),
]


@pytest.mark.parametrize("ending", ["mp4", "ts"])
@pytest.mark.parametrize(("pix_fmt", "options", "depth"), X264)
def test_the_depth_that_x264_states_is_read(
    pix_fmt: str, options: dict[str, str], depth: int, ending: str, tmp_path: Path
) -> None:
    options = {"preset": "ultrafast", **options}
    path = make_clip(tmp_path / f"a.{ending}", pix_fmt=pix_fmt, options=options, audio=None, sar=Fraction(64, 45))
    with av.open(str(path)) as container:
        sets = sets_of(bytes(container.streams.video[0].codec_context.extradata or b""))
    assert [stated_depth(unit) for unit in sets] == [depth]
    for length in range(len(sets[0])):
        assert stated_depth(sets[0][:length]) in (None, depth)


def test_a_depth_that_is_not_true_is_not_trusted(tmp_path: Path) -> None:
    """A stream of x264 whose set states less than is true."""
    options = {"preset": "ultrafast", "bf": "3", "g": "12", "x264-params": "b-pyramid=normal:b-adapt=0:scenecut=0"}
    path = make_clip(tmp_path / "a.mp4", frames=48, options=options, audio=None)
    assert scan(path, 1 << 27).whole == ""
    with av.open(str(path)) as container:
        [unit] = sets_of(bytes(container.streams.video[0].codec_context.extradata or b""))
    bits = "".join(f"{byte:08b}" for byte in unit)
    end = bits.rindex("1")  # the stop bit; before it max_num_reorder_frames 2 and max_dec_frame_buffering 4
    assert bits[:end].endswith("011" + "00101")
    changed = int((bits[: end - 8] + "010" + "00101" + "1").ljust(len(bits), "0"), 2).to_bytes(len(unit))
    assert stated_depth(changed) == 1
    liar = tmp_path / "liar.mp4"
    liar.write_bytes(path.read_bytes().replace(unit, changed))
    assert "not stated in truth" in scan(liar, 1 << 27).whole


def test_the_scan_of_a_clip_is_that_of_its_packets(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=250, options={"preset": "ultrafast", "g": "12", "bf": "0"})
    events: list[Event] = []
    found = scan(path, 1 << 27, events.append)
    assert (found.packets, len(found.pts), found.whole) == (250, 250, "")
    assert (found.width, found.height, found.rate) == (64, 64, 24)
    assert [key.number for key in found.keys] == list(range(0, 250, 12))
    assert found.bytes_before[0] == 0 < found.bytes_before[1] < found.size
    assert [event.done for event in events if isinstance(event, Progress)] == [100, 200]
    assert len(events) == 2


def _untimed(packets: list[Packet[Any]]) -> None:
    packets[7].pts = None


def _doubled(packets: list[Packet[Any]]) -> None:
    packets[7].pts = packets[6].pts


def _backward(packets: list[Packet[Any]]) -> None:
    packets[7].dts = 0


def _shuffled(packets: list[Packet[Any]]) -> None:
    packets[12:36] = [*packets[24:36], *packets[12:24]]
    for packet in packets:
        packet.dts = None


class _Recoded:
    """A packet that brings new extradata, as MP4 does where its description of the pictures changes."""

    def __init__(self, packet: Packet[Any]) -> None:
        self._packet = packet

    def has_sidedata(self, kind: str) -> bool:
        return kind == "new_extradata"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._packet, name)


def _recoded(packets: list[Any]) -> None:
    packets[7] = _Recoded(packets[7])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_recoded, "at video packet 7 the coding of its pictures changes"),
        (_untimed, "video packet 7 has no timestamp"),
        (_doubled, "two of its video packets have the same timestamp"),
        (_backward, "time steps back at video packet 7"),
        (_shuffled, "not shown in their order"),
    ],
)
def test_what_is_not_in_order_is_not_cut(
    change: Callable[[list[Packet[Any]]], None], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=48, options={"preset": "ultrafast", "g": "12"}, audio=None)

    def changed(source: Source, carry: Any, emit: Any) -> list[Packet[Any]]:
        read = list(packets(source, carry, emit))
        change(read)
        return read

    monkeypatch.setattr("vidsr.scan.packets", changed)
    found = scan(path, 1 << 27)
    assert why in found.whole
    assert cut(found, 4, 1).spans[0].frames == found.packets == 48


def test_a_file_whose_skeleton_is_damaged_is_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=48, options={"preset": "ultrafast", "g": "12"}, audio=None)

    def contradictory(path: Path, max_pixels: int) -> Source:
        source = open_source(path, max_pixels)
        source.claims = replace(source.claims, fault="box lies")
        return source

    monkeypatch.setattr("vidsr.scan.open_source", contradictory)
    assert scan(path, 1 << 27).whole == "the input is damaged: box lies"


def test_a_scan_is_refused_as_a_run_is(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        scan(tmp_path / "none.mp4", 1 << 27)
    with pytest.raises(InputError, match="pixels"):
        scan(make_clip(tmp_path / "a.mp4"), 100)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="no plain file"):
        scan(tmp_path / "pipe", 1 << 27)


def test_a_cut_transport_stream_and_joined_ones_are_not_cut(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.ts", frames=60, audio=None, options={"preset": "ultrafast", "g": "12"})
    assert scan(path, 1 << 27).whole == ""
    joined = tmp_path / "joined.ts"
    joined.write_bytes(path.read_bytes() * 2)
    assert scan(joined, 1 << 27).whole
    damaged = tmp_path / "damaged.ts"
    data = path.read_bytes()
    damaged.write_bytes(data[: 188 * 30] + data[188 * 31 :])
    assert "damaged" in scan(damaged, 1 << 27).whole
    short = scan(cut_file(path, 0.5), 1 << 27)
    assert short.packets < 60  # what is left may be cut, or its last packet is damaged


NAL = b"\0\0\1"
SPS, PPS, IDR = b"\x67abc", b"\x68d", b"\x65\x88\x80"
RECOVERY, SOON = b"\x06\x06\x01\xc4\x80", b"\x06\x06\x02\x04\x84\x80"
I_SLICE, P_SLICE = b"\x41\x88\x80", b"\x41\x9a\x80"


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ([SPS, PPS, IDR], (SPS, PPS)),
        ([IDR], ()),
        ([RECOVERY, I_SLICE], ()),
        ([RECOVERY, I_SLICE, P_SLICE], None),
        ([SOON, I_SLICE], None),
        ([RECOVERY, P_SLICE], None),
        ([I_SLICE], None),
        ([SPS, PPS], None),
        ([b"\x41"], None),
        ([], None),
    ],
)
def test_h264_is_entered_where_nothing_before_is_needed(units: list[bytes], expected: tuple[bytes, ...] | None) -> None:
    record = b"\1\x64\0\x0a\xff\xe1"
    assert parameters("h264", b"".join(NAL + unit for unit in units), b"") == expected
    assert parameters("h264", b"".join(len(unit).to_bytes(4) + unit for unit in units), record) == expected
    if units:
        assert parameters("h264", b"\0\0\0\xff" + units[0], record) is None


@pytest.mark.parametrize(
    ("codec", "data", "expected"),
    [
        ("hevc", NAL + b"\x40\1v" + NAL + b"\x42\1s" + NAL + b"\x2a\1i", (b"\x40\1v", b"\x42\1s")),
        ("hevc", NAL + b"\x02\1i", None),
        ("hevc", b"", None),
        ("mpeg2video", b"\0\0\1\xb3\x04\0\x40\x13xxxx\0\0\1\0\0\x0f", (b"\x04\0\x40\x13",)),
        ("mpeg2video", b"\0\0\1\xb3\x04\0\x40\x13xxxx\0\0\1\0\0\x17", None),
        ("mpeg2video", b"\0\0\1\0\0\x0f", None),
        ("vp8", b"\x10\0\0\x9d\1\x2a", ()),
        ("vp8", b"\x11\0\0\x9d\1\x2a", None),
        ("vp9", b"\x82\x49\x83\x42\0", ()),
        ("vp9", b"\x86\0\0\0\0", None),
        ("av1", b"\x12\0\x0a\x02hd\x32\x01\x10", (b"hd",)),
        ("av1", b"\x12\0\x0a\x02hd\x32\x01\x00", None),
        ("av1", b"\x12\0\x32\x01\x10", None),
        ("ffv1", b"x", ()),
        ("gif", b"x", None),
        ("png", b"x", None),
    ],
)
def test_other_codecs_are_entered_by_their_own_bytes(
    codec: str, data: bytes, expected: tuple[bytes, ...] | None
) -> None:
    assert parameters(codec, data, b"") == expected


@settings(deadline=None)
@given(
    st.sampled_from(["h264", "hevc", "mpeg1video", "mpeg2video", "vp8", "vp9", "av1", "ffv1", "none"]),
    st.lists(
        st.sampled_from([b"\0\0\1", b"\xb3", b"\0", b"\x65", b"\x06\x06", b"\xff", b"\x0a\x02"]) | st.binary(max_size=9)
    ),
    st.sampled_from([b"", b"\1", b"\1" + b"\xff" * 30, b"\1" + bytes(30)]),
)
def test_any_bytes_are_looked_at_without_an_error(codec: str, pieces: list[bytes], extradata: bytes) -> None:
    found = parameters(codec, b"".join(pieces), extradata)
    assert found is None or (isinstance(found, tuple) and codec != "none")


def test_parameters_that_change_are_seen() -> None:
    assert agree(set(), b"")
    assert agree({()}, b"")
    assert agree({(SPS, PPS)}, b"")
    assert agree({(), (SPS, PPS)}, b"xx" + SPS + PPS)
    assert not agree({(), (SPS, PPS)}, b"xx" + SPS)
    assert not agree({(SPS,), (PPS,)}, SPS + PPS)
