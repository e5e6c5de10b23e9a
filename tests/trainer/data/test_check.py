"""`vidsr train check` on data: each fault is found, and good data has none; the sheet shows what it should."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from trainer.data.build import build, check_options
from trainer.data.check import Finding, alignment, check
from trainer.data.options import DataOptions, PairedData, PictureData, VideoData
from trainer.data.pictures import read_pixels
from trainer.data.sheet import GAP, write_sheet
from trainer.degrade.options import Classic, DegradeOptions, Paired
from trainer.degrade.video_options import VideoChain
from trainer.sample import Key
from vidsr.errors import UsageError

from .sets import film, pairs, picture, pictures, scene, write


def found(option: DataOptions, scale: int = 2) -> dict[tuple[str, str], Finding]:
    return {(finding.what, Path(finding.path).name): finding for finding in check([option], scale)}


def test_good_pictures_have_no_findings(tmp_path: Path) -> None:
    assert not found(PictureData(roots=(pictures(tmp_path, 7),), gt_size=32))


def test_each_fault_of_a_picture_is_found(tmp_path: Path) -> None:
    folder = pictures(tmp_path, 3)
    write(folder / "alpha.png", np.dstack([picture(5), picture(5)[..., 0]]))
    write(folder / "deep.png", picture(6).astype(np.uint16) * 256)
    write(folder / "small.png", picture(7, 20, 30))
    (folder / "torn.png").write_bytes((folder / "0000.png").read_bytes()[:300])
    write(folder / "zcopy.png", picture(1))
    write(folder / "zscaled.png", cv2.resize(picture(0), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))  # type: ignore[call-overload]
    seen = found(PictureData(roots=(folder,), gt_size=32))
    assert set(seen) == {
        ("alpha", "alpha.png"), ("16 bit", "deep.png"), ("too small", "small.png"), ("unreadable", "torn.png"),
        ("duplicate", "zcopy.png"), ("duplicate", "zscaled.png"),
    }  # fmt: skip
    assert seen["unreadable", "torn.png"].level == "error"
    assert "has the same pixels as" in seen["duplicate", "zcopy.png"].text
    assert "looks the same as" in seen["duplicate", "zscaled.png"].text


def test_each_fault_of_a_pair_is_found(tmp_path: Path) -> None:
    gt, lq = pairs(tmp_path, 6)
    assert not found(PairedData(gt=gt, lq=lq, gt_size=16))
    write(lq / "0001.png", picture(1, 20, 32))
    small = read_pixels(lq / "0002.png")
    write(lq / "0002.png", np.roll(small, (0, 3), (0, 1)))
    write(lq / "0003.png", cv2.resize(picture(8), (32, 24), interpolation=cv2.INTER_AREA).astype(np.uint8))
    (lq / "0004.png").write_bytes(b"nothing")
    seen = {(finding.what, finding.level) for finding in check([PairedData(gt=gt, lq=lq, gt_size=16)], 2)}
    assert seen == {
        ("pair size", "error"), ("pair shifted", "warning"), ("pair differs", "error"), ("unreadable", "error"),
    }  # fmt: skip


@pytest.mark.parametrize(("right", "down"), [(0, 0), (2, 0), (0, -3), (-1, 2)])
def test_shifts_are_measured(right: int, down: int) -> None:
    gt = picture(4, 128, 160)
    lq = cv2.resize(gt, (80, 64), interpolation=cv2.INTER_AREA).astype(np.uint8)
    alike, shift = alignment(gt, np.roll(lq, (down, right), (0, 1)))
    assert shift == pytest.approx((right, down), abs=0.3)
    assert alike > 0.9


def test_films_are_told_with_their_scenes_and_faults(tmp_path: Path) -> None:
    good = film(tmp_path / "good.mkv", [*scene(0, 12), *scene(3, 12)])
    (tmp_path / "torn.mkv").write_bytes(good.read_bytes()[:200])
    film(tmp_path / "blank.mkv", [np.full((64, 96, 3), 9, np.uint8)] * 4)
    seen = found(VideoData(paths=(tmp_path,), gt_size=32))
    assert set(seen) == {("film", "good.mkv"), ("unreadable", "torn.mkv"), ("no clips", "blank.mkv")}
    assert "24 frames in 2 scenes" in seen["film", "good.mkv"].text


PICTURES = PictureData(roots=(Path("a"),), gt_size=64)
PAIRS = PairedData(gt=Path("a"), lq=Path("b"), gt_size=64)


@pytest.mark.parametrize(
    ("options", "degrade", "words"),
    [
        ([], Classic(), "there is none"),
        ([PICTURES], Paired(), r"data\[0\] of kind pictures has no small pictures"),
        ([PICTURES, PAIRS], Classic(), r"data\[1\] has small pictures of its own"),
        ([PICTURES.model_copy(update={"gt_size": 66})], Classic(), "66 is not a multiple of the scale 4"),
        ([PICTURES, VideoData(paths=(Path("a"),), frames=3, gt_size=64)], Classic(), r"differ in frames, \[1, 3\]"),
        ([PICTURES, VideoData(paths=(Path("a"),))], Classic(), r"differ in gt_size, \[64, 256\]"),
        ([PICTURES.model_copy(update={"window": 32})], VideoChain(style="mild"), "window: 32 is too small"),
    ],
)
def test_contradictions_are_refused_before_any_file_is_touched(
    options: list[DataOptions], degrade: DegradeOptions, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        check_options(options, degrade, 4)


def test_the_sheet_shows_small_beside_large(tmp_path: Path) -> None:
    gt, lq = pairs(tmp_path, 4)
    source = build([PairedData(gt=gt, lq=lq, gt_size=16)], Paired(), 2)
    names = write_sheet(source, tmp_path / "sheet.png", count=3, seed=1)
    sheet = read_pixels(tmp_path / "sheet.png")
    assert len(names) == 3
    assert sheet.shape == (3 * 16 + 2 * GAP, 2 * 16 + GAP, 3)
    first = source.get(Key(1, 0, 0))
    assert first.lq is not None
    assert np.array_equal(sheet[:16, 16 + GAP :], first.gt[0].permute(1, 2, 0).numpy())
    assert np.array_equal(sheet[:16:2, :16:2], first.lq[0].permute(1, 2, 0).numpy())


def test_the_sheet_of_the_classic_degradation_goes_through_it(tmp_path: Path) -> None:
    def degrade(gt: torch.Tensor, keys: object) -> tuple[torch.Tensor, torch.Tensor, None]:
        return gt[..., :16:2, :16:2], gt[..., :16, :16], None

    source = build([PictureData(roots=(pictures(tmp_path / "set", 3),), gt_size=16, crop_pad=32)], Classic(), 2)
    write_sheet(source, tmp_path / "sheet.png", count=2, seed=1, degrade=degrade)
    assert read_pixels(tmp_path / "sheet.png").shape == (2 * 16 + GAP, 2 * 16 + GAP, 3)
