"""Validation: what is measured is what `vidsr upscale` makes, the same every time, and told in tables and strips."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from tests.trainer.metric_cases import drawing
from tests.trainer.small_runs import SCALE, configuration, film, network
from trainer import validation_sets
from trainer.metrics.build import build
from trainer.metrics.options import Psnr
from trainer.strips import BAR, GAP, enlarged, window
from trainer.validate import Validator, means, read_table
from trainer.validation_sets import items
from vidsr.errors import InputError, UsageError

PIXELS = {"metrics": [{"kind": "psnr"}, {"kind": "ssim"}], "strips": 1}


def save(path: Path, picture: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture[..., ::-1])
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Any]:
    """A set of two pairs, whose small pictures are every second pixel of the large ones."""
    for seed, name in enumerate(("a", "b")):
        gt = drawing(40, 56, seed)
        save(tmp_path / "gt" / f"{name}.png", gt)
        save(tmp_path / "lq" / f"{name}.png", gt[::SCALE, ::SCALE])
    return {"kind": "pictures", "name": "stills", "gt": str(tmp_path / "gt"), "lq": str(tmp_path / "lq")}


def validator(folder: Path, sets: list[dict[str, Any]], **words: Any) -> Validator:
    config = configuration(folder, validation={"sets": sets, **PIXELS, **words})
    return Validator(config, "cpu")


def test_figures_are_those_of_the_network_run_by_itself(tmp_path: Path, pictures: dict[str, Any]) -> None:
    net, seen = network(), []
    figures = validator(tmp_path, [pictures]).run(net, 0, tmp_path / "run")
    for name in ("a", "b"):
        lq, gt = (cv2.imread(str(tmp_path / side / f"{name}.png"))[..., ::-1] for side in ("lq", "gt"))
        with torch.no_grad():
            made = net(torch.from_numpy(lq.copy()).permute(2, 0, 1)[None] / 255)
        output = made.clamp(0, 1).mul(255).round().byte()[0].permute(1, 2, 0).numpy()
        seen.append(build(Psnr(), SCALE)(output, gt))
    assert figures["stills/psnr_y"] == pytest.approx(np.mean(seen), abs=1e-6)
    assert figures["psnr_y"] == figures["stills/psnr_y"]
    assert figures.keys() == {"psnr_y", "ssim_y", "stills/psnr_y", "stills/ssim_y"}


def test_the_network_in_training_is_left_as_it_was(tmp_path: Path, pictures: dict[str, Any]) -> None:
    net = network().train()
    before = copy.deepcopy(net.state_dict())
    random = torch.get_rng_state()
    validator(tmp_path, [pictures]).run(net, 0, tmp_path / "run")
    assert net.training
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())


def test_a_wrapped_network_and_one_without_slopes_are_measured_as_they_are(
    tmp_path: Path, pictures: dict[str, Any]
) -> None:
    judge = validator(tmp_path, [pictures])
    leaky = network(activation="leakyrelu")
    plain = network(activation="relu")
    plain.load_state_dict(leaky.state_dict())
    values = [judge.run(net, 0, tmp_path / "run")["psnr_y"] for net in (leaky, torch.nn.DataParallel(leaky), plain)]
    assert values[0] == values[1] != values[2]


def test_videos_are_measured_from_frame_to_frame(tmp_path: Path) -> None:
    path = film(tmp_path)
    video = {"kind": "video", "name": "film", "gt": str(path), "frames": 4, "start": 0.125}
    figures = validator(tmp_path, [video], metrics=[{"kind": "warping-error"}, {"kind": "tof"}, {"kind": "flicker"}])
    found = figures.run(network(), 0, tmp_path / "run")
    assert found.keys() >= {"warping_error", "tof", "flicker"}
    assert all(math.isfinite(value) and value >= 0 for value in found.values())
    config = configuration(tmp_path, validation={"sets": [video]})
    [item] = items(config.validation.sets[0], config)
    assert item.gt is not None
    assert item.gt.shape == (4, 48, 64, 3)
    assert item.lq.shape == (4, 24, 32, 3)
    assert item.gt[0, 24 + 2, 6:18].min() > 200  # the square of picture 3
    assert item.gt[0, 24 + 2, 5].max() < 200


@pytest.mark.parametrize("kind", ["video", "classic"])
def test_input_is_degraded_the_same_way_every_time(tmp_path: Path, kind: str) -> None:
    noise = {"kind": "video", "steps": [{"kind": "shrink"}, {"kind": "noise", "probability": 1, "sigma": [9, 9]}]}
    degrade = noise if kind == "video" else {"kind": "classic", "gt_size": 32}
    video = {"kind": "video", "name": "film", "gt": str(film(tmp_path)), "frames": 2}
    found = []
    for seed in (3, 3, 4):
        config = configuration(
            tmp_path, seed=seed, degrade=degrade, validation={"sets": [video, video | {"name": "b"}]}
        )
        found.append([item for options in config.validation.sets for item in items(options, config)])
    first, again, other = found
    for item in first:
        assert item.gt is not None
        assert item.gt.shape[1:3] == tuple(SCALE * side for side in item.lq.shape[1:3])
        assert item.gt.shape[0] == item.lq.shape[0] == 2
    assert all(np.array_equal(one.lq, two.lq) for one, two in zip(first, again, strict=True))
    assert not np.array_equal(first[0].lq, other[0].lq)
    assert not np.array_equal(first[0].lq, first[1].lq)  # each set has draws of its own


def test_a_long_clip_is_degraded_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = {"kind": "video", "name": "film", "gt": str(film(tmp_path)), "frames": 5}
    still = {"probability": 0}
    stage = {"noise": still}  # what is drawn anew in each frame
    degrade = {"kind": "classic", "gt_size": 32, "first": stage, "second": stage}
    config = configuration(tmp_path, degrade=degrade, validation={"sets": [video]})
    found = []
    for together in (2, 5):
        monkeypatch.setattr(validation_sets, "AT_ONCE", together)
        found += items(config.validation.sets[0], config)
    assert len(found[0].lq) == len(found[0].gt) == 5
    assert np.array_equal(found[0].lq, found[1].lq)
    assert np.array_equal(found[0].gt, found[1].gt)


def test_without_a_ground_truth_what_needs_none_is_measured(tmp_path: Path) -> None:
    video = {"kind": "video", "name": "film", "lq": str(film(tmp_path)), "frames": 2}
    judge = validator(tmp_path, [video], metrics=[{"kind": "psnr"}, {"kind": "warping-error"}])
    assert judge.run(network(), 0, tmp_path / "run").keys() == {"warping_error", "film/warping_error"}


def test_a_table_has_a_line_for_each_item_and_those_of_a_killed_run_are_replaced(
    tmp_path: Path, pictures: dict[str, Any]
) -> None:
    judge, run = validator(tmp_path, [pictures]), tmp_path / "run"
    for iteration in (0, 10, 20, 10):
        judge.run(network(iteration), iteration, run)
    rows = read_table(run / "validation" / "table.jsonl")
    assert [(row["iteration"], row["item"]) for row in rows] == [(0, "a"), (0, "b"), (10, "a"), (10, "b")]
    assert {row["set"] for row in rows} == {"stills"}
    assert rows[0].keys() == {"iteration", "set", "item", "psnr_y", "ssim_y"}


def test_infinite_figures_are_null_in_the_table(tmp_path: Path) -> None:
    flat = np.full((32, 32, 3), 90, np.uint8)
    save(tmp_path / "gt.png", flat)
    save(tmp_path / "lq.png", flat[::2, ::2])
    net = network()
    torch.nn.init.zeros_(net.body[-1].weight)
    torch.nn.init.zeros_(net.body[-1].bias)
    pair = {"kind": "pictures", "name": "flat", "gt": str(tmp_path / "gt.png"), "lq": str(tmp_path / "lq.png")}
    assert validator(tmp_path, [pair]).run(net, 0, tmp_path / "run")["psnr_y"] == math.inf
    table = tmp_path / "run" / "validation" / "table.jsonl"
    [row] = [json.loads(line, parse_constant=pytest.fail) for line in table.read_text().splitlines()]
    assert row["psnr_y"] is None


def test_strips_show_input_before_after_and_truth(tmp_path: Path, pictures: dict[str, Any]) -> None:
    judge, run = validator(tmp_path, [pictures]), tmp_path / "run"
    judge.run(network(1), 0, run)
    judge.run(network(2), 500, run)
    names = sorted(path.name for path in (run / "validation" / "strips").iterdir())
    assert names == ["stills-a-00000000.png", "stills-a-00000500.png"]
    first, second = (cv2.imread(str(run / "validation" / "strips" / name))[..., ::-1] for name in names)
    assert first.shape == (BAR + 40, 4 * 56 + 3 * GAP, 3)
    part = lambda picture, place: picture[BAR:, place * (56 + GAP) :][:, :56]  # noqa: E731
    gt = drawing(40, 56, 0)
    assert np.array_equal(part(second, 3), gt)
    assert np.array_equal(part(second, 0), enlarged(gt[::SCALE, ::SCALE], SCALE))
    assert np.array_equal(part(second, 1), part(first, 2))  # what the first validation made
    assert np.array_equal(part(first, 1), part(first, 2))
    assert not np.array_equal(part(second, 2), part(first, 2))


def test_strips_show_the_place_with_most_detail() -> None:
    picture = np.full((600, 700, 3), 50, np.uint8)
    picture[200:560, 300:660] = drawing(360, 360, 1)
    top, left, height, width = window(picture, 4)
    assert (height, width) == (384, 384)
    assert top % 4 == left % 4 == 0
    assert max(top - 200, left - 300) <= 0 <= min(top + height - 560, left + width - 660)


def test_strips_go_to_tensorboard(tmp_path: Path, pictures: dict[str, Any]) -> None:
    class Board:
        seen: list[Any] = []  # noqa: RUF012

        def add_image(self, *words: Any, **named: Any) -> None:
            self.seen.append((words[0], words[1].shape, words[2], named))

    board = Board()
    validator(tmp_path, [pictures]).run(network(), 7, tmp_path / "run", board)
    assert board.seen == [("stills/a", (BAR + 40, 4 * 56 + 3 * GAP, 3), 7, {"dataformats": "HWC"})]


def test_means_are_over_items_and_then_over_sets() -> None:
    rows = [
        {"iteration": 1, "set": "a", "item": "1", "tof": 1.0},
        {"iteration": 1, "set": "a", "item": "2", "tof": 3.0, "psnr_y": 30.0},
        {"iteration": 1, "set": "b", "item": "1", "tof": 8.0},
    ]
    assert means(rows) == {"tof": 5.0, "a/tof": 2.0, "b/tof": 8.0, "psnr_y": 30.0, "a/psnr_y": 30.0}


def test_sets_that_cannot_be_used_are_told(tmp_path: Path, pictures: dict[str, Any]) -> None:
    save(tmp_path / "gt" / "c.png", drawing(40, 56, 7))
    with pytest.raises(InputError, match=r"stills: c is not in both"):
        validator(tmp_path, [pictures]).run(network(), 0, tmp_path / "run")
    save(tmp_path / "lq" / "c.png", drawing(21, 28, 7))
    with pytest.raises(InputError, match=r"stills, c: gt has 56x40 pixels and lq 28x21, scale is 2"):
        validator(tmp_path, [pictures]).run(network(), 0, tmp_path / "run")
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="no pictures in"):
        validator(tmp_path, [{**pictures, "gt": None, "lq": str(tmp_path / "none")}]).run(network(), 0, tmp_path)
    video = {"kind": "video", "name": "film", "gt": str(film(tmp_path)), "start": 9}
    with pytest.raises(InputError, match="ends before 9 s"):
        validator(tmp_path, [video]).run(network(), 0, tmp_path / "run")


def test_a_run_that_degrades_nothing_cannot_make_input(tmp_path: Path, pictures: dict[str, Any]) -> None:
    paired = {"kind": "paired", "gt": pictures["gt"], "lq": pictures["lq"], "gt_size": 32}
    config = configuration(
        tmp_path, data=[paired], degrade={"kind": "none"}, validation={"sets": [{**pictures, "lq": None}], **PIXELS}
    )
    with pytest.raises(UsageError, match="lq is missing"):
        Validator(config, "cpu").run(network(), 0, tmp_path / "run")
