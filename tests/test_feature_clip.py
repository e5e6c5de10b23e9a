"""A clip with everything a container can carry, through the whole main job: `docs/streams.md` in tests."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from benchmarks.streams import CHOICES, Found, packets, run, table
from tests.clips import CHAPTERS, FEATURE_PTS, make_feature_clip
from tests.fakes import Repeater, describe
from vidsr import pipeline
from vidsr.api import upscale
from vidsr.errors import OutputError
from vidsr.record import Report

Outcome = tuple[Found, dict[str, Found], dict[str, Report], str]

SAME = (
    "pictures", "bit depth", "matrix, primaries, transfer", "range", "mastering display", "light level", "title",
    "chapters", "audio 1", "audio 1, content", "audio 2", "audio 2, content", "cover",
)  # fmt: skip
"""What both containers hold."""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run(tmp_path_factory.mktemp("feature"))


def test_the_clip_has_it_all(outcome: Outcome) -> None:
    source = outcome[0]
    assert source.times == [Fraction(pts, 1000) for pts in FEATURE_PTS]
    assert "none" not in source.facts.values()
    assert source.facts["rotation"] == "90°"
    assert source.facts["shape of pixels"] == "16/11"
    assert source.facts["chapters"].count("…") == len(CHAPTERS)


@pytest.mark.parametrize("name", ["mkv", "mp4"])
def test_what_both_containers_hold_comes_through(outcome: Outcome, name: str) -> None:
    source, outputs, reports, _ = outcome
    found = outputs[name]
    assert found.times == source.times
    assert {key: found.beside(source, key) for key in SAME} == dict.fromkeys(SAME, "the same")
    assert found.facts["size"] == "96x128"
    assert found.facts["shape of pixels"] == "11/16"  # upright, so sides and shape change places
    assert found.facts["rotation"] == "0°"
    assert (reports[name].exit_code, reports[name].losses) == (0, ())


def test_mkv_holds_all_the_rest_untouched(outcome: Outcome) -> None:
    source, outputs, _, _ = outcome
    for key in ("subtitle 1", "subtitle 1, content", "subtitle 2", "subtitle 2, content", "font"):
        assert outputs["mkv"].beside(source, key) == "the same"
    assert packets(outputs["mkv"].path) == packets(source.path)


def test_mp4_holds_the_words_and_says_what_it_does_not(outcome: Outcome) -> None:
    source, outputs, reports, refusal = outcome
    found = outputs["mp4"]
    assert found.beside(source, "subtitle 1, content") == "the same"
    assert found.facts["subtitle 1"].startswith("mov_text, ger")
    assert "forced" in found.facts["subtitle 1"]
    for words in ("Overlapping", "and another"):
        assert words in found.facts["subtitle 2, content"]
    assert found.facts["font"] == "none"
    assert "attachment #5 (file): mp4 cannot hold attached files" in refusal
    assert "--drop attachments" in refusal
    notes = " ".join(reports["mp4"].notes)
    assert "subtitle #4 (ass eng): convert to mov_text, styles and positions are lost" in notes
    assert "attachment #5 (file): drop, mp4 cannot hold attached files" in notes


def test_webm_names_everything_it_cannot_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "load_model", lambda spec, **_: describe(Repeater(2)))
    source = make_feature_clip(tmp_path / "in.mkv")
    with pytest.raises(OutputError) as refused:
        upscale(source, tmp_path / "out.webm")
    for part in ("audio #1 (aac eng)", "attachment #5", "cover #6"):
        assert part in str(refused.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv"]
    report = upscale(source, tmp_path / "out.webm", drop=("incompatible",), encoder_preset="8")
    assert report.exit_code == 0
    assert [stream["kind"] for stream in report.streams] == ["video", "audio", "subtitle", "subtitle"]


def test_the_page_is_fresh(tmp_path: Path) -> None:
    page = Path(__file__).parents[1] / "docs" / "streams.md"
    assert page.read_text(encoding="utf-8") == table(tmp_path), "run python -m benchmarks.streams"
    assert CHOICES["codec"] == "x265"
