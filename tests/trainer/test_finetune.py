"""The parts of benchmarks/finetune.py that decide what is compared."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.finetune import HELD, Part, beaten, configuration, read_clip, write_clip
from tests.clips import make_clip


def test_parts_of_films_are_parsed() -> None:
    assert Part.parsed("a.mkv") == Part(Path("a.mkv"), 0, None)
    assert Part.parsed("a.mkv@1.5-4") == Part(Path("a.mkv"), 1.5, 4)
    assert Part.parsed("a.mkv@2") == Part.parsed("a.mkv@2-") == Part(Path("a.mkv"), 2, None)


def test_what_is_held_out_is_not_trained_on(tmp_path: Path) -> None:
    film = make_clip(tmp_path / "a.mkv", frames=72, audio=None)
    asked = Namespace(
        train=[Part(film, 0, 1.5)], held_out=[Part(film, 1.5)], lpips=None, seed=1, scale=4, start="animevideov3",
        gt_size=96, lr=1e-4, iterations=100, batch=4, device="cpu", licence="unknown",
    )  # fmt: skip
    config = configuration(asked)
    assert config.validation is not None
    [data], sets = config.data, config.validation.sets
    assert [(item.start, item.frames) for item in sets] == [(1.5, HELD), (2.0, HELD), (2.5, HELD)]
    assert data.end == 1.5
    assert config.degrade.kind == "video"


def test_a_network_beats_another_in_pixels_and_in_features() -> None:
    before = {"psnr_y": 30.0, "lpips": 0.3}
    assert beaten(before, {"psnr_y": 30.1, "lpips": 0.2})
    assert not beaten(before, {"psnr_y": 30.1, "lpips": 0.4})
    assert not beaten(before, {"psnr_y": 30.0, "lpips": 0.2})
    assert beaten({"psnr_y": 30.0}, {"psnr_y": 30.1})


@pytest.mark.parametrize("size", [(16, 32), (17, 31)])
def test_clips_for_the_command_are_without_loss(size: tuple[int, int], tmp_path: Path) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (3, *size, 3)).astype(np.uint8)
    write_clip(tmp_path / "a.mkv", frames)
    assert np.array_equal(read_clip(tmp_path / "a.mkv"), frames)
