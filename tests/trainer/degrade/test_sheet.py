from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.trainer.degrade import cases
from trainer.degrade.classic import Degrader
from trainer.degrade.options import Classic
from trainer.degrade.panels import PARAMETERS, classic_panels
from trainer.degrade.sheet import Panel, save_sheet, sheet
from trainer.sample import Key
from vidsr.errors import OutputError


def flat(height: int, width: int, red: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.tile(np.array([red, 10, 20], np.uint8), (height, width, 1))


def test_panels_lie_in_rows_and_show_both_pictures() -> None:
    panels = [Panel("one", flat(32, 32, 200), flat(32, 32, 90), {"level": 0.12345})] * 3
    drawn = sheet(panels, columns=2, side=64)
    single = sheet(panels[:1], columns=1, side=64)
    assert drawn.shape == (2 * single.shape[0], 2 * single.shape[1], 3)
    assert np.array_equal(drawn[: single.shape[0], : single.shape[1]], single)
    for red in (200, 90):
        assert ((single == (red, 10, 20)).all(-1)).sum() == 64 * 64


def test_small_pictures_are_enlarged_and_large_ones_cropped_to_their_middle() -> None:
    large = flat(100, 80, 1)
    large[30:70, 20:60, 0] = 250
    drawn = sheet([Panel("x", flat(8, 10, 99), large)], columns=1, side=40)
    assert (drawn[..., 0] == 250).sum() >= 40 * 40
    assert ((drawn == (99, 10, 20)).all(-1)).sum() == 32 * 40


def test_a_title_and_parameters_are_written() -> None:
    plain, told = (sheet([Panel("", flat(8, 8, 5), flat(8, 8, 5), words)], side=128) for words in ({}, {"sigma": 3.0}))
    assert not np.array_equal(plain, told)


def test_the_sheet_is_a_png_and_a_bad_place_is_told(tmp_path: Path) -> None:
    panels = [Panel("one", flat(16, 16, 255), flat(16, 16, 128))]
    save_sheet(tmp_path / "s.png", panels, columns=1, side=32)
    read = cv2.cvtColor(cv2.imread(str(tmp_path / "s.png")), cv2.COLOR_BGR2RGB)
    assert np.array_equal(read, sheet(panels, columns=1, side=32))
    with pytest.raises(OutputError):
        save_sheet(tmp_path / "absent" / "s.png", panels)


def test_the_panels_of_the_chain_end_with_what_the_degrader_makes() -> None:
    picture = (cases.pictures(1, 64, 64)[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    options, seen = Classic(gt_size=64), set()
    for index in range(8):
        panels = classic_panels(options, 4, picture, Key(1, 0, index))
        lq, _ = Degrader(options, 4).degrade(torch.from_numpy(picture).permute(2, 0, 1)[None] / 255, [Key(1, 0, index)])
        assert np.array_equal(panels[-1].after, (lq[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy())
        assert panels[0].title == "sharpen"
        assert all(panel.parameters for panel in panels)
        seen |= {panel.title for panel in panels}
    assert seen == {"sharpen", *PARAMETERS}
