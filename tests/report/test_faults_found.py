"""Every planted fault is found, where it is, and nothing is found where there is none."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vidsr.report.compare import compare
from vidsr.report.matching import Match

from ..faults import remux
from . import made
from .made import Planes, pictures, sound, write

COUNT = 30
SECONDS = COUNT / made.RATE
STAMPS = [1000 * number for number in range(COUNT)]
VFR = [0, 1000, 3500, 4000, 6000, 6400] + [8000 + 1300 * number + 200 * (number % 3) for number in range(COUNT - 6)]
LOSSY: dict[str, Any] = {"codec": "libx264", "options": {"crf": "26", "preset": "veryfast"}}
SHOWN = pictures(COUNT)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("films") / "a.mkv", SHOWN, heard=sound(SECONDS))


def held_against(first: Path, folder: Path, shown: list[Planes], **options: Any) -> Match:
    """`shown`, written as `options` say, held against `first`."""
    second = write(folder / "b.mkv", shown, **({"heard": sound(SECONDS)} | options))
    [match] = compare(first, second).matches
    return match


def kinds(match: Match) -> list[str]:
    return [finding.kind for finding in match.findings]


def black() -> Planes:
    return tuple(np.full_like(plane, 128 if place else 16) for place, plane in enumerate(SHOWN[0]))


def releveled(shown: list[Planes], slope: float, offset: float) -> list[Planes]:
    """Luma 16 … 235 on another line, rounded."""
    return [
        (np.clip(np.rint(16 + (luma.astype(float) - 16) * slope + offset), 0, 255).astype(np.uint8), *chroma)
        for luma, *chroma in shown
    ]


def enlarged(shown: list[Planes], factor: int = 2) -> list[Planes]:
    return [
        tuple(cv2.resize(plane, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC) for plane in planes)
        for planes in shown
    ]


def test_nothing_is_found_in_equal_films(original: Path, tmp_path: Path) -> None:
    match = held_against(original, tmp_path, SHOWN)
    assert kinds(match) == []
    assert (match.pairs, match.unpaired) == (COUNT, [0, 0])
    values = match.summary()
    assert {values[f"mse_{plane}"] for plane in "yuv"} == {0}
    assert (values["psnr"], values["ssim"], values["sound_ms"]) == (np.inf, 1, 0)
    assert match.worst() == []


@pytest.mark.parametrize("crf", ["18", "30", "40"])
def test_nothing_is_found_in_a_lossy_copy(original: Path, tmp_path: Path, crf: str) -> None:
    match = held_against(original, tmp_path, SHOWN, codec="libx264", options={"crf": crf})
    assert kinds(match) == []
    assert 25 < match.summary()["psnr"] < 60


@pytest.mark.parametrize("options", [{}, LOSSY], ids=["lossless", "lossy"])
@pytest.mark.parametrize("place", [0, 1, 12, COUNT - 2, COUNT - 1])
def test_a_dropped_picture_is_found(original: Path, tmp_path: Path, place: int, options: dict[str, Any]) -> None:
    """With a gap in its place, and with the rest moved up; all other pictures meet their own."""
    left = SHOWN[:place] + SHOWN[place + 1 :]
    for pts in (STAMPS[:place] + STAMPS[place + 1 :], None):
        match = held_against(original, tmp_path, left, pts=pts, **options)
        [found] = [finding for finding in match.findings if finding.kind != "sound"]
        assert (found.kind, found.count) == ("dropped", 1)
        assert found.time == pytest.approx(place / made.RATE, abs=0.001)
        assert match.unpaired == [1, 0]
        assert match.summary()["psnr_min"] > 30
        if pts is not None:
            assert "sound" not in kinds(match)


@pytest.mark.parametrize("options", [{}, LOSSY], ids=["lossless", "lossy"])
@pytest.mark.parametrize("place", [1, 12, COUNT - 1])
def test_a_doubled_picture_is_found(original: Path, tmp_path: Path, place: int, options: dict[str, Any]) -> None:
    """In place of the next one, and put in before it with the rest moved back."""
    again = [SHOWN[place - 1]]
    for shown, extra in ((SHOWN[:place] + again + SHOWN[place + 1 :], 0), (SHOWN[:place] + again + SHOWN[place:], 1)):
        match = held_against(original, tmp_path, shown, **options)
        [found] = [finding for finding in match.findings if finding.kind != "sound"]
        assert (found.kind, found.count) == ("doubled", 1)
        assert found.time == pytest.approx(place / made.RATE, abs=0.001)
        assert match.unpaired == [0, extra]


def test_several_dropped_pictures_are_one_finding(original: Path, tmp_path: Path) -> None:
    [found, *_] = held_against(original, tmp_path, SHOWN[:8] + SHOWN[13:]).findings
    assert (found.kind, found.count) == ("dropped", 5)


@pytest.mark.parametrize("count", [1, 3])
def test_black_pictures_are_found(original: Path, tmp_path: Path, count: int) -> None:
    match = held_against(original, tmp_path, SHOWN[:9] + [black()] * count + SHOWN[9 + count :])
    [found] = match.findings
    assert (found.kind, found.count, found.pair) == ("black", count, (9, 9))
    assert match.worst(1) in ([9], [10], [11])


def test_a_picture_black_in_both_is_no_fault(tmp_path: Path) -> None:
    shown = [*SHOWN[:9], black(), *SHOWN[10:]]
    match = held_against(write(tmp_path / "a.mkv", shown, heard=sound(SECONDS)), tmp_path, shown)
    assert kinds(match) == []


@pytest.mark.parametrize("shift", [0.04, -0.04])
def test_shifted_sound_is_found(original: Path, tmp_path: Path, shift: float) -> None:
    heard, start = (sound(SECONDS), shift) if shift > 0 else (sound(SECONDS)[round(-shift * made.SOUND_RATE) :], 0.0)
    match = held_against(original, tmp_path, SHOWN, heard=heard, heard_at=start)
    assert kinds(match) == ["sound"]
    assert match.summary()["sound_ms"] == pytest.approx(1000 * shift, abs=1)


def test_sound_that_goes_with_its_pictures_is_no_fault(original: Path, tmp_path: Path) -> None:
    match = held_against(original, tmp_path, SHOWN, pts=[stamp + 240_000 for stamp in STAMPS], heard_at=10.0)
    assert kinds(match) == []
    assert match.summary()["sound_ms"] == 0


@pytest.mark.parametrize("options", [{}, LOSSY], ids=["lossless", "lossy"])
@pytest.mark.parametrize(
    ("slope", "offset", "meant"),
    [(1, 1, (1, 1)), (1, -1, (-1, -1)), (218 / 219, 0, (0, -1)), (255 / 219, -16, (-16, 20))],
    ids=["up", "down", "gain", "full"],
)
def test_levels_that_moved_are_found(
    tmp_path: Path, slope: float, offset: float, meant: tuple[float, float], options: dict[str, Any]
) -> None:
    shown = enlarged(SHOWN[:12], 4)
    first = write(tmp_path / "a.mkv", shown)
    match = held_against(first, tmp_path, releveled(shown, slope, offset), heard=None, **options)
    assert kinds(match) == ["range"]
    dark, bright = (float(word) for word in match.findings[0].text.split() if word[0] in "+-")
    assert (dark, bright) == pytest.approx(meant, abs=1)


def test_a_wrong_range_tag_is_found(original: Path, tmp_path: Path) -> None:
    assert kinds(held_against(original, tmp_path, SHOWN, full=True)) == ["range"]


def test_a_wrong_matrix_tag_is_found(original: Path, tmp_path: Path) -> None:
    match = held_against(original, tmp_path, SHOWN, matrix=6)
    assert kinds(match) == ["matrix"]
    assert "bt709 and read as smpte170m" in match.findings[0].text


def by_601() -> list[Planes]:
    """The pictures converted from BT.709 to BT.601, written out here from the two standards."""
    kr, kb = 0.2126, 0.0722
    made_of = []
    for luma, blue, red in SHOWN:
        y, u, v = (luma - 16.0) / 219, *(
            cv2.resize((plane - 128.0) / 224, (made.WIDTH, made.HEIGHT)) for plane in (blue, red)
        )  # fmt: skip
        r, b = y + 2 * (1 - kr) * v, y + 2 * (1 - kb) * u
        g = (y - kr * r - kb * b) / (1 - kr - kb)
        y = 0.299 * r + 0.587 * g + 0.114 * b
        chroma = [cv2.resize(plane, (made.WIDTH // 2, made.HEIGHT // 2), interpolation=cv2.INTER_AREA)
                  for plane in ((b - y) / 1.772, (r - y) / 1.402)]  # fmt: skip
        codes = [y * 219 + 16, *(plane * 224 + 128 for plane in chroma)]
        made_of.append(tuple(np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in codes))
    return made_of


@pytest.mark.parametrize("options", [{}, LOSSY], ids=["lossless", "lossy"])
def test_a_matrix_mixed_up_in_the_samples_is_found(original: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    match = held_against(original, tmp_path, by_601(), **options)
    assert kinds(match) == ["matrix"]
    assert "smpte170m and read as bt709" in match.findings[0].text


def test_all_faults_of_a_film_are_found(original: Path, tmp_path: Path) -> None:
    shown = [*SHOWN[:5], *SHOWN[6:12], SHOWN[11], *SHOWN[13:20], black(), *SHOWN[21:]]
    pts = [stamp for number, stamp in enumerate(STAMPS) if number != 5]
    match = held_against(original, tmp_path, shown, pts=pts, matrix=6, heard_at=0.04, **LOSSY)
    assert kinds(match) == ["dropped", "doubled", "black", "matrix", "sound"]


def test_another_matrix_that_is_tagged_is_no_fault(original: Path, tmp_path: Path) -> None:
    match = held_against(original, tmp_path, by_601(), matrix=6)
    assert kinds(match) == []
    assert match.summary()["psnr"] > 45


def test_missing_sound_is_found(original: Path, tmp_path: Path) -> None:
    assert kinds(held_against(original, tmp_path, SHOWN, heard=None)) == ["streams"]


@pytest.mark.parametrize("start", [0, 777, 240_000])
def test_variable_rates_are_aligned_to_the_picture(tmp_path: Path, start: int) -> None:
    """Also on the clock of another container, which rounds to milliseconds."""
    first = write(tmp_path / "a.mp4", SHOWN, pts=VFR, codec="libx264", options={"qp": "0"})
    milliseconds = [round((stamp + start) / 24) for stamp in VFR]
    match = held_against(first, tmp_path, SHOWN, pts=milliseconds, base=Fraction(1, 1000), heard=None)
    assert kinds(match) == []
    assert list(match.columns["first"]) == list(match.columns["second"]) == list(range(COUNT))
    assert match.summary()["mse_y"] == 0


def test_a_picture_missing_from_a_variable_rate_is_found(tmp_path: Path) -> None:
    first = write(tmp_path / "a.mkv", SHOWN, pts=VFR)
    match = held_against(first, tmp_path, SHOWN[:4] + SHOWN[5:], pts=VFR[:4] + VFR[5:], heard=None)
    assert [(finding.kind, finding.time) for finding in match.findings] == [("dropped", pytest.approx(0.25, abs=0.001))]
    assert match.summary()["mse_y"] == 0


@pytest.mark.parametrize("factor", [2, 3])
def test_other_sizes_are_compared(original: Path, tmp_path: Path, factor: int) -> None:
    shown = enlarged(SHOWN, factor)
    match = held_against(original, tmp_path, shown[:7] + shown[8:])
    assert [kind for kind in kinds(match) if kind != "sound"] == ["dropped"]
    assert match.summary()["psnr_min"] > 40


@pytest.mark.parametrize("times", [2, 3])
def test_a_multiple_of_the_rate_is_no_fault(original: Path, tmp_path: Path, times: int) -> None:
    shown = [planes for planes in SHOWN for _ in range(times)]
    match = held_against(original, tmp_path, shown, rate=Fraction(times * made.RATE))
    assert kinds(match) == []
    assert match.resampled
    assert list(match.columns["second"]) == [times * number for number in range(COUNT)]
    assert match.summary()["mse_y"] == 0


def test_a_fraction_of_the_rate_pairs_the_nearest(original: Path, tmp_path: Path) -> None:
    match = held_against(original, tmp_path, SHOWN[::2], rate=Fraction(made.RATE, 2))
    assert kinds(match) == []
    numbers = zip(match.columns["first"], match.columns["second"], strict=True)
    assert all(abs(2 * second - first) <= 1 for first, second in numbers)


def test_damage_is_found(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.mkv", SHOWN, codec="libx264", options={"bf": "0"})
    [match] = compare(whole, remux(whole, tmp_path / "b.mkv", "amount=800")).matches
    assert "damaged" in kinds(match)
