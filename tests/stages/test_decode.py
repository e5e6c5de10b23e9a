"""Packets to pictures: everything arrives, or is told."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.packet import Packet

from tests.clips import make_clip
from tests.faults import FailingDecoder, remux
from vidsr.errors import InputError
from vidsr.events import Concealed, Damaged, Dropped, Event, Notice, Repeated, Retimed
from vidsr.frames import RawFrame
from vidsr.media.traits import traits_of
from vidsr.stages import decode
from vidsr.stages.decode import Decoder, Expected, first_picture, pictures
from vidsr.stages.source import open_source, packets

MPEG2: dict[str, Any] = {"time_base": Fraction(1, 24), "audio": None}


class Decoded:
    """A whole clip through source and decode."""

    def __init__(self, path: Path, deinterlace: Any = "auto", fail: Iterable[int] = (), drop_pts: bool = False) -> None:
        self.events: list[Event] = []
        self.carried: deque[Packet] = deque()
        source = open_source(path, 1 << 27)
        context: Any = source.video.codec_context
        expected = Expected(context)
        read = packets(source, self.carried.append, self.events.append)
        watched = expected.watch(map(_without_pts, read) if drop_pts else read)
        failing: Any = FailingDecoder(context, fail)
        first, rest = first_picture(pictures(watched, failing, self.events.append), path)
        self.traits = traits_of(first, source.video)
        decoder = Decoder(self.traits, deinterlace, self.events.append)
        self.frames: list[RawFrame] = list(decoder.raw_frames(rest, expected))
        self.frames_in = decoder.frames_in
        source.close()

    @property
    def pts(self) -> list[int]:
        return [frame.pts for frame in self.frames]

    def count(self, kind: type) -> int:
        return sum(isinstance(event, kind) for event in self.events)


def _without_pts(packet: Packet) -> Packet:
    packet.pts = packet.dts = None
    return packet


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.mov", "a.nut"])
def test_a_whole_clip_gives_every_frame_and_every_other_packet(tmp_path: Path, name: str) -> None:
    path = make_clip(tmp_path / name, frames=30)
    clip = Decoded(path)
    assert len(clip.frames) == clip.frames_in == 30
    assert clip.events == []
    with av.open(str(path)) as container:
        assert len(clip.carried) == sum(1 for packet in container.demux(audio=0) if packet.size)


def test_variable_times_are_kept_exactly(tmp_path: Path) -> None:
    pts = [0, 1001, 2500, 2501, 9000, 48000]
    clip = Decoded(make_clip(tmp_path / "a.mp4", pts=pts, time_base=Fraction(1, 24000), audio=None))
    assert [Fraction(stamp) * clip.traits.time_base for stamp in clip.pts] == [Fraction(n, 24000) for n in pts]


def test_negative_times_lose_nothing(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.nut", pts=[n * 1000 for n in range(-5, 19)], audio=None)
    assert len(Decoded(path).frames) == 24


@pytest.mark.parametrize("fail", [[5], [0, 1], [3, 9, 10], range(20, 30)])
def test_a_packet_that_fails_is_bridged_by_the_picture_before(tmp_path: Path, fail: Iterable[int]) -> None:
    path = make_clip(tmp_path / "a.mkv", frames=30, options={"g": "1", "preset": "ultrafast"})
    clip = Decoded(path, fail=fail)
    whole = Decoded(path)
    lost_at_start = sum(1 for n in fail if n in (0, 1))
    assert clip.pts == whole.pts[lost_at_start:]
    assert clip.count(Repeated) == len(list(fail)) - lost_at_start
    assert clip.frames_in + clip.count(Repeated) == len(clip.frames)
    assert clip.count(Notice) == len(list(fail)) - lost_at_start
    assert (clip.count(Damaged) > 0) == (lost_at_start > 0)


def test_endless_damage_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_FAILURES", 8)
    clip = Decoded(make_clip(tmp_path / "a.mkv", frames=60, options={"g": "1"}), fail=range(20, 10**6))
    assert clip.count(Damaged) == 1
    assert clip.frames_in == 20


def test_nothing_decodable_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no frame of .* could be decoded"):
        Decoded(make_clip(tmp_path / "a.mkv"), fail=range(100))


def test_dropped_packets_are_noticed_by_what_the_decoder_says_or_by_the_gap(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "a.mkv", frames=48, audio=None)
    damaged = remux(whole, tmp_path / "b.mkv", "amount=60")
    clip = Decoded(damaged)
    assert clip.count(Concealed) + clip.count(Repeated) + clip.count(Notice) > 0
    assert clip.frames_in + clip.count(Repeated) - clip.count(Dropped) == len(clip.frames)
    assert all(a < b for a, b in pairwise(clip.pts))


def test_missing_times_are_filled_and_told(tmp_path: Path) -> None:
    clip = Decoded(make_clip(tmp_path / "a.mkv", frames=12, audio=None), drop_pts=True)
    assert len(clip.frames) == 12
    assert clip.count(Retimed) == 12
    assert all(a < b for a, b in pairwise(clip.pts))


def test_interlaced_frames_are_deinterlaced_on_their_own_times(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mkv", frames=12, codec="mpeg2video", interlaced=True, **MPEG2)
    clip, kept = Decoded(path), Decoded(path, deinterlace="off")
    assert clip.traits.interlaced
    assert clip.pts == kept.pts
    assert len(clip.frames) == 12
    assert not np.array_equal(clip.frames[5].planes[0], kept.frames[5].planes[0])


def test_progressive_frames_pass_the_deinterlacer_untouched(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mkv", audio=None)
    for frame, kept in zip(Decoded(path).frames, Decoded(path, deinterlace="off").frames, strict=True):
        assert all(map(np.array_equal, frame.planes, kept.planes))


def test_a_change_of_size_is_scaled_to_the_first_and_told(tmp_path: Path) -> None:
    first = make_clip(tmp_path / "1.ts", frames=10, codec="mpeg2video", **MPEG2)
    second = make_clip(tmp_path / "2.ts", frames=10, codec="mpeg2video", size=(96, 48), **MPEG2)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    clip = Decoded(joined)
    assert {frame.planes[0].shape for frame in clip.frames} == {(64, 64)}
    assert "the size changes to 96x48" in " ".join(event.text for event in clip.events if isinstance(event, Notice))
    assert all(a < b for a, b in pairwise(clip.pts))
    assert len(clip.frames) == 20


def test_a_picture_over_the_limit_is_not_decoded(tmp_path: Path) -> None:
    """Nor when the header does not say its size, and only the decoder sees it."""
    path = make_clip(tmp_path / "a.mkv", audio=None)
    with pytest.raises(InputError, match="exceeds the limit"):
        open_source(path, 32 * 32)
    source = open_source(path, 64 * 64)
    source.video.codec_context.options = {"max_pixels": str(32 * 32)}
    said: list[Event] = []
    read = packets(source, lambda packet: None, said.append)
    with pytest.raises(InputError, match="could be decoded"):
        first_picture(pictures(read, source.video.codec_context, said.append), path)
    source.close()
