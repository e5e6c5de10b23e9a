"""A film read once, and stretches of it by seek: always the very frames that decoding from the beginning gives."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import av
import pytest

from tests.faults import remux
from trainer.data.film import Film
from trainer.data.index import DAMAGED, INTERLACED, KEY, VideoIndex, identity, index_of, read_index
from vidsr.errors import InputError
from vidsr.events import Event, Notice
from vidsr.media.pixels import planes_of

from ...clips import make_clip
from .sets import film, scene

OPEN = {"preset": "veryfast", "crf": "30", "g": "8", "bf": "3", "x264-params": "open-gop=1:scenecut=0"}
VFR = [0, 1, 2, 5, 6, 8, 9, 10, 14, 15, 16, 17, 18, 19, 22, 23, 24, 25, 26, 30, 31, 32, 33, 34, 35, 36, 37, 38, 40, 41]
FILMS = {
    "open GOP, B-frames, VFR": ("a.mkv", "libx264", OPEN, VFR),
    "closed GOP in MP4": ("a.mp4", "libx264", {"preset": "veryfast", "g": "7", "bf": "2"}, None),
    "MPEG-2 in a transport stream": ("a.ts", "mpeg2video", {"g": "9", "bf": "2"}, None),
    "one keyframe": ("a.mkv", "libx264", {"preset": "ultrafast", "g": "1000", "x264-params": "scenecut=0"}, None),
    "intra refresh": ("a.mkv", "libx264", {"preset": "ultrafast", "g": "10", "intra-refresh": "1"}, None),
}


@pytest.fixture(params=FILMS.values(), ids=FILMS.keys())
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    name, codec, options, pts = request.param
    return film(tmp_path / name, scene(1, 30), codec=codec, options=options, pts=pts)


def decoded(path: Path, index: VideoIndex) -> list[tuple[int, bytes]]:
    """Times and samples of all frames, by a plain reading from the beginning."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [(frame.pts, b"".join(plane.tobytes() for plane in planes_of(frame, index.layout))) for frame in frames]


def test_every_stretch_is_exact(path: Path) -> None:
    index = read_index(path)
    whole = decoded(path, index)
    assert index.frames["pts"].tolist() == [pts for pts, _ in whole]
    assert len(whole) == 30
    with closing(Film(path, index)) as opened:
        for first in (17, 3, 29, 0, 11, 8, 24, 16):
            last = min(first + 4, 29)
            found = [b"".join(plane.tobytes() for plane in planes) for planes in opened.stretch(first, last)]
            assert found == [samples for _, samples in whole[first : last + 1]], first


def test_a_keyframe_near_by_is_entered_at_the_first_try(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", scene(1, 30), options={"g": "5", "preset": "ultrafast"})
    with closing(Film(path, read_index(path))) as opened:
        opened.stretch(22, 24)
        assert opened.seeks == 1


def test_false_keyframes_are_seen_through(tmp_path: Path) -> None:
    """The index names keyframes where there are none: seeks lead elsewhere or to frames that look wrong."""
    path = film(tmp_path / "a.mkv", scene(1, 30), options=OPEN)
    index = read_index(path)
    index.frames["marks"] |= KEY
    whole = decoded(path, index)
    with closing(Film(path, index)) as opened:
        for first in range(26, 0, -5):
            found = opened.stretch(first, first)[0]
            assert b"".join(plane.tobytes() for plane in found) == whole[first][1]


def test_a_film_that_was_changed_is_told(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", scene(1, 12))
    index = read_index(path)
    film(path, scene(2, 12))
    with closing(Film(path, index)) as opened, pytest.raises(InputError, match=r"a\.mkv does not decode at 0\.167 s"):
        opened.stretch(4, 6)


def test_damage_is_marked_up_to_the_next_keyframe(tmp_path: Path) -> None:
    options = {"g": "10", "preset": "veryfast", "bf": "3", "x264-params": "scenecut=0"}
    path = film(tmp_path / "a.mkv", scene(1, 60), options=options)
    broken = remux(path, tmp_path / "b.mkv", "amount=eq(n\\,33)*20")
    index, before = read_index(broken), read_index(path)
    sound = index.frames["marks"] & DAMAGED == 0
    assert not sound[30:40].all()
    assert sound[:12].all()
    assert sound[40:].all()
    crcs = dict(zip(before.frames["pts"].tolist(), before.frames["crc"].tolist(), strict=True))
    for row in index.frames[sound]:
        assert crcs[int(row["pts"])] == int(row["crc"]), "what is not marked is as it was"


def test_interlaced_frames_are_marked(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mkv", interlaced=True, audio=None)
    index = read_index(path)
    assert index.count(INTERLACED) == len(index.frames) > 0


def test_the_index_is_made_once_and_found_again_under_any_name(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", scene(1, 12))
    first, said = index_of(path), []

    def hear(event: Event) -> None:
        said.append(event)

    moved = path.rename(tmp_path / "other.mkv")
    second = index_of(moved, hear)
    assert not said
    assert first.frames.tobytes() == second.frames.tobytes()
    assert (first.layout, first.color, first.time_base) == (second.layout, second.color, second.time_base)
    film(moved, scene(2, 12))
    assert index_of(moved, hear).frames.tobytes() != first.frames.tobytes()
    assert any(isinstance(event, Notice) for event in said)


def test_identity_follows_every_part(tmp_path: Path) -> None:
    path = tmp_path / "a"
    data = bytearray(5_000_000)
    path.write_bytes(data)
    before = identity(path)
    data[-1] = 1
    path.write_bytes(data)
    assert identity(path) != before
    path.write_bytes(b"")
    assert identity(path) not in ("", before)


def test_what_is_no_film_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    path.write_bytes(b"no film at all" * 100)
    with pytest.raises(InputError, match=r"a\.mkv is not a video"):
        index_of(path)
    with pytest.raises(InputError, match=r"no\.mkv cannot be read"):
        index_of(tmp_path / "no.mkv")
