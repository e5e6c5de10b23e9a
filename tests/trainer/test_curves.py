"""Curves of a run: each figure a panel, each set a line."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import pytest

from trainer.curves import draw, gather, offer
from trainer.log import Log
from vidsr.errors import InputError, UsageError
from vidsr.events import Event


def lines() -> list[dict]:
    return [
        {"kind": "validation", "iteration": 0, "psnr_y": 30.0, "a/psnr_y": 29.0, "b/psnr_y": 31.0},
        {"kind": "gradient", "iteration": 0, "l1": 7.0},
        {"kind": "train", "iteration": 10, "l1": 0.1, "it_s": 2},
        {"kind": "train", "iteration": 20, "l1": None, "it_s": 3, "note": "text", "flag": True},
        {"kind": "validation", "iteration": 20, "psnr_y": 32.0, "a/psnr_y": 33.0, "b/psnr_y": 31.0},
        {"kind": "codecs", "iteration": 20, "coded": 40, "h264_failed": 1},
        {"kind": "end", "iteration": 20, "reason": "finished"},
    ]


def test_figures_are_gathered_by_name_with_a_line_for_each_set() -> None:
    assert gather(lines()) == {
        "psnr_y": {"mean": ([0, 20], [30.0, 32.0]), "a": ([0, 20], [29.0, 33.0]), "b": ([0, 20], [31.0, 31.0])},
        "gradient l1": {"l1": ([0], [7.0])},
        "l1": {"l1": ([10], [0.1])},
        "it_s": {"it_s": ([10, 20], [2, 3])},
        "codecs": {"coded": ([20], [40]), "h264_failed": ([20], [1])},
    }


def logged(run: Path) -> Path:
    run.mkdir()
    with Log(run, 0) as log:
        for line in lines():
            log.write(line.pop("kind"), line.pop("iteration"), line)
    return run


def test_curves_are_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = draw(logged(tmp_path / "run"))
    picture = cv2.imread(str(path))
    assert path == tmp_path / "run" / "curves.png"
    assert picture.shape[1] > picture.shape[0] > 200
    assert (picture != 255).any()


def test_a_run_without_a_log_is_told(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(InputError, match="has no figures to draw"):
        draw(tmp_path)


def test_without_matplotlib_one_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="a picture of curves needs the packages matplotlib"):
        draw(logged(tmp_path / "run"))
    said: list[Event] = []
    assert offer(tmp_path / "run", said.append) is None
    [notice] = said
    assert "curves.png is not drawn: a picture of curves needs" in notice.text
