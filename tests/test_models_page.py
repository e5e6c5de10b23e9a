"""docs/models.md: its table is that of the results, and its counts are those of the tests."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks import exports
from tests.models import hostile
from tests.models.test_graph import BAD
from vidsr.models.convert import SUFFIXES


def test_the_table_is_that_of_the_results() -> None:
    page = exports.PAGE.read_text(encoding="utf-8")
    assert page == exports.filled(page), "run: python -m benchmarks.exports --page"
    for model in exports.MODELS:
        for form in SUFFIXES:
            assert f"| {model}, {form}, fp32 |" in page
            assert f"| {model}, {form}, fp16 |" in page


def test_every_export_was_good_enough() -> None:
    rows = exports.results()["rows"]
    assert len(rows) == 8 * len(exports.MODELS)
    for row in rows:
        for decibels in (row["decibels"], row["again"]):
            assert decibels is None or decibels >= 60, row


def test_the_counts_of_what_is_refused_are_those_of_the_tests(tmp_path: Path) -> None:
    page = exports.PAGE.read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| ([^|]+) \| (\d+) \|", page, re.MULTILINE))
    counts = {
        "pickles that run code": len(hostile.pickles(tmp_path)),
        "TorchScript": len(hostile.programs()),
        "bombs": len(hostile.bombs()),
        "no networks": len(hostile.strange()),
        "ONNX graphs": len(BAD),
    }
    assert {name: int(told[name]) for name in counts} == counts
