"""Telling frames: what is seen of them, and that each part of a film gives one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from tests.clips import packaged
from vidsr.errors import InputError
from vidsr.report.choose import LEAST, Look, changed_share, choose, nearest, spans, survey
from vidsr.scan import scan

SIZE = (160, 96)


def look(number: int, **values: Any) -> Look:
    return Look(number, number / 10, **{"sharp": 1.0, "detail": 1.0, "light": 128.0, "contrast": 50.0, **values})


def scene(seed: int, light: int = 128, blur: float = 2.0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    noise = np.random.default_rng(seed).normal(0, 60, (SIZE[1], SIZE[0] + 200, 3))
    return np.clip(cv2.GaussianBlur(noise, (0, 0), blur) * blur * 1.5 + light, 0, 255).astype(np.uint8)


def film(path: Path, parts: list[tuple[Any, int, int]], gop: int = 12) -> Path:
    """Scenes, each a wide picture, a number of frames and the pixels by which the view moves from one to the next."""
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("libx264", rate=25, options={"crf": "12", "g": str(gop), "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for wide, count, step in parts:
            for number in range(count):
                view = np.ascontiguousarray(wide[:, number * step : number * step + SIZE[0]])
                output.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
        output.mux(stream.encode(None))
    return path


def test_every_frame_of_a_short_film_is_looked_at(tmp_path: Path) -> None:
    found = survey(film(tmp_path / "a.mkv", [(scene(0), 30, 1)]), 1 << 27)
    assert found.whole
    assert [round(look.seconds * 25) for look in found.looks] == list(range(30))
    assert found.looks[0].moved is None
    assert found.cuts == 0


def test_times_count_from_where_the_input_begins() -> None:
    path = packaged("carphone_pristine.mp4")
    found = survey(path, 1 << 27)
    with av.open(str(path)) as container:
        origin = (container.start_time or 0) / av.time_base
        seconds = [
            float(frame.pts * frame.time_base) - origin for frame in container.decode(video=0) if frame.pts is not None
        ]
    assert [look.seconds for look in found.looks] == pytest.approx(seconds, abs=1e-6)


def test_reasons_are_found_where_they_were_put(tmp_path: Path) -> None:
    parts = [(scene(1), 20, 0), (scene(2, light=35), 20, 0), (scene(3, light=190), 20, 9), (scene(4), 20, 0)]
    found = survey(film(tmp_path / "a.mkv", parts), 1 << 27)
    chosen = {why: round(look.seconds * 25) for look, why in choose(found.looks, 4)}
    assert chosen["right after a scene cut"] in (20, 40, 60)
    assert 20 <= chosen["dark"] < 40
    assert 40 < chosen["fast"] < 60 or chosen["right after a scene cut"] == 40
    assert found.cuts == pytest.approx(3 / 79)


def test_a_held_picture_changes_no_tile(tmp_path: Path) -> None:
    plane = np.zeros((70, 100), np.uint8)
    other = plane.copy()
    other[69, 99] = 1
    assert changed_share(plane, plane) == 0
    assert changed_share(plane, other) == pytest.approx(1 / (3 * 4))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_every_part_of_the_film_gives_one(count: int) -> None:
    rng = np.random.default_rng(count)
    looks = [look(n, sharp=rng.random() * 900, detail=rng.random() * 20, moved=rng.random() * 10) for n in range(400)]
    chosen = choose(looks, count)
    assert len(chosen) == count
    parts = [min(count - 1, int(one.seconds / (looks[-1].seconds / count))) for one, _ in chosen]
    assert parts == list(range(count))
    assert len({why for _, why in chosen}) == min(count, 3)  # none is dark, cut or a face


def test_flat_frames_are_passed_over_unless_there_is_nothing_else() -> None:
    looks = [look(n, contrast=0.5, light=2.0, sharp=0.0, detail=0.0) for n in range(9)] + [look(9)]
    assert [one.pts for one, _ in choose(looks, 1)] == [9]
    assert len(choose(looks[:9], 2)) == 2


def test_a_face_is_a_reason() -> None:
    looks = [look(n, face=0.2 if n == 7 else 0.0) for n in range(20)]
    assert (looks[7], "a face") in choose(looks, 3)


def test_the_one_who_looks_for_faces_is_asked(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", [(scene(0), 3, 1)])
    assert [one.face for one in survey(path, 1 << 27, face=lambda gray: gray.shape[1] / 1000).looks] == [0.16] * 3


def test_a_long_film_is_looked_at_in_stretches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidsr.report.choose.MOST_PIXELS", 1)
    monkeypatch.setattr("vidsr.report.choose.STRETCH", 8)
    path = film(tmp_path / "a.mkv", [(scene(0), 240, 0)])
    wanted = spans(scan(path, 1 << 27))
    assert len(wanted) == LEAST // 8
    found = survey(path, 1 << 27)
    assert not found.whole
    assert len(found.looks) >= 6 * len(wanted)
    assert found.looks[-1].seconds > 8
    with av.open(str(path)) as container:
        every = {frame.pts for frame in container.decode(video=0)}
    assert {one.pts for one in found.looks} <= every


def test_the_nearest_look() -> None:
    looks = [look(n) for n in range(10)]
    assert nearest(looks, 0.31) == looks[4]
    assert nearest(looks, 0.0) == looks[0]
    assert nearest(looks, 5.0) is None


def test_what_holds_no_film_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").write_bytes(b"nothing")
    with pytest.raises(InputError):
        survey(tmp_path / "a.mkv", 1 << 27)
