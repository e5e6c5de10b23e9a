"""The offset of sound, by samples that are known."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vidsr.report import sound as heard
from vidsr.report.sound import RATE, lateness, offsets

from .made import picture, sound, write


@pytest.mark.parametrize("late", [0, 1, 320, -320, 8000, -8000])
def test_lateness_is_exact_to_the_sample(late: int) -> None:
    noise = np.random.default_rng(2).normal(0, 0.2, 10 * RATE).astype(np.float32)
    first, second = noise[max(0, late) :], noise[max(0, -late) :]
    found, alike = lateness(first, second)
    assert found == late / RATE
    assert alike > 0.8


def test_sounds_that_are_not_alike_have_no_offset(tmp_path: Path) -> None:
    one = write(tmp_path / "a.mkv", [picture(0)], heard=sound(2))
    two = write(tmp_path / "b.mkv", [picture(0)], heard=sound(2)[::-1].copy())
    assert list(offsets(one, two, (Fraction(0), Fraction(0)))) == []


def test_silence_has_no_offset(tmp_path: Path) -> None:
    paths = [write(tmp_path / name, [picture(0)], heard=np.zeros(48_000, np.float32)) for name in ("a.mkv", "b.mkv")]
    assert list(offsets(paths[0], paths[1], (Fraction(0), Fraction(0)))) == []


@pytest.mark.parametrize("late", [0.0, 0.04, -0.1])
def test_sound_coded_anew_has_its_offset(tmp_path: Path, late: float) -> None:
    """By a codec that begins before its first sample, in containers with clocks of their own."""
    one = write(tmp_path / "a.mkv", [picture(0)], heard=sound(3))
    two = write(tmp_path / "b.mp4", [picture(0)], codec="libx264", heard=sound(3), heard_at=0.2 + late, heard_as="aac")
    [found] = offsets(one, two, (Fraction(0), Fraction(1, 5)))
    assert found.late == pytest.approx(late, abs=0.002)


def test_every_block_has_an_offset_and_a_drift_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heard, "BLOCK", 2)
    whole = sound(8)
    gap = np.zeros(2400, np.float32)  # 50 ms more in the middle
    one = write(tmp_path / "a.mkv", [picture(0)], heard=whole)
    two = write(tmp_path / "b.mkv", [picture(0)], heard=np.concatenate([whole[: 4 * 48_000], gap, whole[4 * 48_000 :]]))
    found = list(offsets(one, two, (Fraction(0), Fraction(0))))
    assert [offset.time for offset in found][:4] == [1, 3, 5, 7]
    assert [offset.late for offset in found][:4] == pytest.approx([0, 0, 0.05, 0.05], abs=0.001)


def test_a_film_without_sound_has_no_offset(tmp_path: Path) -> None:
    one, two = write(tmp_path / "a.mkv", [picture(0)], heard=sound(1)), write(tmp_path / "b.mkv", [picture(0)])
    assert list(offsets(one, two, (Fraction(0), Fraction(0)))) == []
