"""The verifier, verified: it objects to every defect that is put into a file, and to nothing else."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest

from tests.clips import make_clip
from vidsr.errors import VerificationError
from vidsr.media.verify import Sent, verify

if TYPE_CHECKING:
    from av.packet import Packet

pytestmark = pytest.mark.fault

FRAMES = 24
FORMATS = {"mkv": "matroska", "mp4": "mp4"}


def keep(packets: list[Packet[bytes]]) -> list[Packet[bytes]]:
    return packets


def without(number: int, kind: str) -> Callable[[list[Packet[bytes]]], list[Packet[bytes]]]:
    """Leaves out packet `number` of the streams of a kind; with -1 all of them but the first."""

    def change(packets: list[Packet[bytes]]) -> list[Packet[bytes]]:
        own = [packet for packet in packets if packet.stream.type == kind]
        return [packet for packet in packets if packet not in (own[1:] if number < 0 else own[number : number + 1])]

    return change


def shifted(seconds: Fraction, kind: str, first: int = 0) -> Callable[[list[Packet[bytes]]], list[Packet[bytes]]]:
    """Moves the packets of a kind, from number `first` on."""

    def change(packets: list[Packet[bytes]]) -> list[Packet[bytes]]:
        for packet in [packet for packet in packets if packet.stream.type == kind][first:]:
            ticks = round(seconds / packet.time_base)
            packet.pts, packet.dts = (packet.pts or 0) + ticks, (packet.dts or 0) + ticks
        return packets

    return change


def rewrite(source: Path, target: Path, change: Callable[[list[Packet[bytes]]], list[Packet[bytes]]]) -> Path:
    """A copy of `source` with a changed list of packets."""
    with av.open(str(source)) as old, av.open(str(target), "w", container_options={"avoid_negative_ts": "0"}) as new:
        streams = [new.add_stream_from_template(stream, opaque=True) for stream in old.streams]
        for packet in change([packet for packet in old.demux() if packet.size]):
            packet.stream = streams[packet.stream.index]
            new.mux(packet)
    return target


def sent_of(path: Path) -> Sent:
    """What a file holds, as if it had been sent to it."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        packets = [packet for packet in container.demux() if packet.size]
    base = Fraction(video.time_base or 0)
    pts = array("q", sorted(packet.pts or 0 for packet in packets if packet.stream_index == 0))
    sound = [packet for packet in packets if packet.stream_index == 1]
    first = {1: min((packet.pts or 0) * packet.time_base for packet in sound)}
    return Sent(64, 64, base, pts, Counter(video=1, audio=1), Counter({1: len(sound)}), first)


@pytest.fixture(params=FORMATS)
def good(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Sent]:
    """A file of one picture stream without reordering and one sound stream, and what was sent to it."""
    whole = make_clip(tmp_path / f"whole.{request.param}", frames=FRAMES, audio="ac3", options={"g": "6"})
    path = rewrite(whole, tmp_path / f"good.{request.param}", keep)
    return path, sent_of(path)


def check(path: Path, sent: Sent) -> tuple[str, ...]:
    return verify(path, sent, lambda: None)


def test_a_good_file_passes(good: tuple[Path, Sent]) -> None:
    path, sent = good
    assert any(f"{FRAMES} frames at their times" in said for said in check(path, sent))


TWENTIETH = Fraction(1, 20)
DEFECTS = {
    "frame missing": (without(10, "video"), "frames"),
    "last frame missing": (without(FRAMES - 1, "video"), "frames"),
    "frame moved": (shifted(Fraction(1, 48), "video", FRAMES - 1), "time of frame"),
    "frames moved from the middle on": (shifted(TWENTIETH, "video", 12), "time of frame"),
    "sound 50 ms late": (shifted(TWENTIETH, "audio"), "(49|50) ms off the picture"),
    "sound packet missing": (without(10, "audio"), "carried packets"),
    "sound ends at once": (without(-1, "audio"), "carried packets"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_each_defect_is_objected_to(good: tuple[Path, Sent], name: str) -> None:
    path, sent = good
    change, match = DEFECTS[name]
    with pytest.raises(VerificationError, match=match):
        check(rewrite(path, path.with_stem("bad"), change), sent)


def test_a_frame_too_many_is_objected_to(good: tuple[Path, Sent]) -> None:
    path, sent = good
    with pytest.raises(VerificationError, match="frames 24, sent 23"):
        check(path, replace(sent, pts=sent.pts[:-1]))


@pytest.mark.parametrize(("width", "height"), [(66, 64), (64, 62)])
def test_another_size_is_objected_to(good: tuple[Path, Sent], width: int, height: int) -> None:
    path, sent = good
    with pytest.raises(VerificationError, match="size"):
        check(path, replace(sent, width=width, height=height))


@pytest.mark.parametrize("kinds", [{"video": 1}, {"video": 1, "audio": 2}, {"video": 1, "audio": 1, "subtitle": 1}])
def test_streams_that_differ_are_objected_to(good: tuple[Path, Sent], kinds: dict[str, int]) -> None:
    path, sent = good
    with pytest.raises(VerificationError, match="streams"):
        check(path, replace(sent, kinds=Counter(kinds)))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9])
def test_a_file_cut_short_is_objected_to(good: tuple[Path, Sent], share: float) -> None:
    path, sent = good
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(VerificationError):
        check(path, sent)


def test_pictures_that_cannot_be_decoded_are_objected_to(good: tuple[Path, Sent]) -> None:
    path, sent = good
    with av.open(str(path)) as container:
        payloads = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    data = path.read_bytes()
    for payload in payloads:
        data = data.replace(payload, bytes(len(payload)))
    path.write_bytes(data)
    with pytest.raises(VerificationError):
        check(path, sent)
