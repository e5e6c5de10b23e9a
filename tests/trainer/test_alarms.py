"""What is told while a run goes on: stalemates of the discriminator, and codecs that fail."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.trainer import fakes
from trainer import alarms
from trainer.alarms import Balance, codecs
from trainer.degrade import codec as coding
from trainer.log import read_log
from trainer.losses.gan import build
from trainer.losses.options import LSGAN, GanOptions, Hinge, Relativistic, Vanilla
from vidsr.events import Notice

fakes.one_thread()


@pytest.mark.parametrize(
    ("options", "guess"),
    [(Vanilla(), 2 * math.log(2)), (LSGAN(), 0.5), (Hinge(), 2.0), (Relativistic(), math.log(2))],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_a_guess_has_a_loss(options: GanOptions, guess: float) -> None:
    assert build(options).guess == pytest.approx(guess)


def told(values: list[float], guess: float = 1.386) -> list[str]:
    balance = Balance(guess)
    return [text for value in values if (text := balance.seen(value))]


def test_a_discriminator_that_guesses_is_told_once() -> None:
    assert not told([1.386] * (alarms.LONG - 1))
    [text] = told([1.386] * 3 * alarms.LONG)
    assert text.startswith("the discriminator only guesses")
    assert text.endswith("for 1000 iterations: d is 1.39")


def test_a_discriminator_that_is_always_right_is_told() -> None:
    [text] = told([1e-4, 2e-4] * alarms.LONG)
    assert text.startswith("the discriminator is always right")


def test_one_that_learns_is_left_alone() -> None:
    assert not told([0.7, 0.9] * 2 * alarms.LONG)
    once = [1.386] * (alarms.LONG - 1)
    assert not told([*once, 60.0, *once])
    assert told([math.nan, *once, math.inf, 1.386])


def test_a_run_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarms, "LONG", 2)
    monkeypatch.setattr(alarms, "NEAR", 10.0)  # any loss is one of a guess
    said = fakes.train(fakes.config(tmp_path, gan=fakes.GAN), tmp_path / "run")
    assert ["only guesses" in event.text for event in said if isinstance(event, Notice)].count(True) == 1


def test_failures_of_codecs_are_counted_by_name() -> None:
    assert codecs(Counter({"codec: h264": 7})) is None
    tally = Counter({"codec: h264": 7, "codec: hevc failed": 3, "codec: av1 failed": 1, "codec: not coded": 1})
    assert codecs(tally) == "encoders failed 4 times (av1 1, hevc 3); clips left as they were: 1"
    assert codecs(Counter({"codec: not coded": 2})) == "no encoder is there; clips left as they were: 2"


@pytest.mark.parametrize("workers", [0, 1])
def test_codecs_of_all_workers_stand_in_the_log(tmp_path: Path, workers: int) -> None:
    chain = [{"kind": "shrink"}, {"kind": "codec", "probability": 1, "by_bit_rate": 0} | fakes.ONLY_MPEG2]
    chosen = fakes.config(
        tmp_path, degrade={"kind": "video", "steps": chain}, loop={"workers": workers, "log_every": 2}
    )
    said = fakes.train(chosen, tmp_path / "run")
    lines = [line for line in read_log(tmp_path / "run") if line["kind"] == "codecs"]
    assert [(line["iteration"], line["coded"], line["not_coded"]) for line in lines] == [(2, 4, 0), (4, 4, 0)]
    assert not [event for event in said if isinstance(event, Notice) and "encoders failed" in event.text]


def test_a_codec_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise coding.CodingError("no")

    monkeypatch.setattr(coding, "recode", refuse)
    codec = {"kind": "codec", "probability": 1, "attempts": 2, "by_bit_rate": 0} | fakes.ONLY_MPEG2
    chosen = fakes.config(
        tmp_path, degrade={"kind": "video", "steps": [{"kind": "shrink"}, codec]}, loop={"iterations": 2}
    )
    said = [event.text for event in fakes.train(chosen, tmp_path / "run") if isinstance(event, Notice)]
    assert "degrade: encoders failed 8 times (mpeg2 8); clips left as they were: 4" in said
    [line] = [line for line in read_log(tmp_path / "run") if line["kind"] == "codecs"]
    assert (line["coded"], line["not_coded"], line["mpeg2_failed"]) == (0, 4, 8)
