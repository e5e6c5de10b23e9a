"""What the benchmarks count and compare, each on something small whose answer is known."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import clips, common, contestants, peers, reference, reuse
from benchmarks.common import Contestant
from tests.clips import make_clip, packaged
from tests.measure import planes
from vidsr.media.sample import make_sample
from vidsr.models.load import load_model
from vidsr.options import Options
from vidsr.runtime.incremental import Incremental


def test_every_contestant_is_timed_in_every_round_another_one_first() -> None:
    order: list[str] = []

    def contestant(name: str) -> Contestant:
        def seconds() -> float:
            order.append(name)
            return float(len(order))

        return Contestant(name, seconds, 1)

    taken = common.alternate([contestant(name) for name in "abc"], 2, settle=0)
    assert "".join(order) == "abc" + "bca" + "cab"
    assert taken == {"a": [6.0, 8.0], "b": [4.0, 9.0], "c": [5.0, 7.0]}
    assert common.ratios(taken, "a", "b") == {"min": 8 / 9, "median": (6 / 4 + 8 / 9) / 2, "max": 6 / 4}


def test_results_are_json_that_others_can_read(tmp_path: Path) -> None:
    common.save(tmp_path / "deep" / "a.json", {"a": 1.5})
    assert json.loads((tmp_path / "deep" / "a.json").read_text()) == {"a": 1.5}
    with pytest.raises(ValueError, match="not JSON compliant"):
        common.save(tmp_path / "b.json", {"a": float("inf")})


def test_machine_says_what_the_numbers_were_made_on() -> None:
    assert {"commit", "processor", "cores", "threads", "versions", "date"} <= common.machine().keys()


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> contestants.Field:
    """ncnn, PyTorch and vidsr on one small frame."""
    frame = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    made = contestants.Field(frame, 1000)
    clip = make_sample(tmp_path_factory.mktemp("arena") / "clip.mkv", 32, 24, 1)
    with ExitStack() as stack:
        contestants.add_ncnn(made, "animevideov3")
        contestants.add_plain(made, "animevideov3")
        contestants.add_vidsr(made, stack, clip, Options(device="cpu", reuse="off", precision="fp32"))
    return made


def test_all_contestants_compute_the_same(arena: contestants.Field) -> None:
    assert not arena.absent
    names = [item.name for item in arena.contestants]
    assert names == list(arena.pictures)
    assert {"ncnn", "PyTorch fp32", "PyTorch bf16 channels last", "vidsr, model only, fp32"} <= set(names)
    found = peers.differences(arena.pictures)
    assert found["against"] == "PyTorch fp32"
    worst = {name: item["worst_code"] for name, item in found["pictures"].items()}
    assert all(code <= (1 if "bf16" not in name else 12) for name, code in worst.items()), worst
    assert all(picture.shape == (96, 128, 3) for picture in arena.pictures.values())
    assert arena.pictures["PyTorch fp32"].std() > 20


def test_differences_are_seen() -> None:
    black = np.zeros((2, 2, 3), np.uint8)
    other = black.copy()
    other[0, 0, 0] = 51
    found = peers.differences({contestants.REFERENCE: black, "x": other})
    assert found["against"] == contestants.REFERENCE
    assert found["pictures"]["x"] == {"worst_code": 51, "psnr_db": pytest.approx(13.98 + 10.79, abs=0.01)}


def test_summary_takes_the_best_peak_of_each_round_and_ratios_to_model_only() -> None:
    arena = contestants.Field(np.zeros((1, 1, 3), np.uint8), 100)
    names = [f"{contestants.LIKE_OURS}, bf16", "ncnn", *(f"peak {kind} {n}" for kind in ("fp32", "bf16") for n in "ab")]
    arena.contestants = [Contestant(name, lambda: 0.0, 400 if name.startswith("peak") else 100) for name in names]
    taken = dict(zip(names, ([2.0, 1.0], [3.0, 2.0], [4.0, 4.0], [8.0, 2.0], [1.0, 4.0], [2.0, 2.0]), strict=True))
    picture = np.zeros((1, 1, 3), np.uint8)
    arena.pictures = {contestants.PLAIN_FP32: picture}
    found = peers.summary(arena, taken, f"{contestants.LIKE_OURS}, bf16")
    assert found["peak_gflops"]["bf16"] == {"min": 200e-9, "median": 300e-9, "max": 400e-9}
    ours = found["contestants"][found["model_only"]]
    assert ours["share_of_peak"]["bf16"] == {"min": 0.125, "median": 0.3125, "max": 0.5}
    assert ours["share_of_peak"]["fp32"]["max"] == 0.5
    assert found["times_slower_than_model_only"] == {"ncnn": {"min": 1.5, "median": 1.75, "max": 2.0}}


def test_steady_rate_is_between_the_first_and_the_last_report() -> None:
    said = [(0.0, "opening"), (1.0, '{"event": "progress", "done": 2}'), (4.0, '{"event": "progress", "done": 8}')]
    assert contestants._steady([*said, (9.0, '{"event": "stage", "name": "done"}')]) == 0.5
    with pytest.raises(RuntimeError, match="too few frames"):
        contestants._steady(said[:2])


def test_the_reference_is_asked_over_pipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = tmp_path / "server.py"
    server.write_text(
        "import json, sys\n"
        "for line in sys.stdin:\n"
        "    asked = json.loads(line)\n"
        "    if asked.get('do') == 'die': sys.exit('no such network')\n"
        "    print(json.dumps({'seen': sorted(asked)}), flush=True)\n"
    )
    monkeypatch.setattr(reference, "SERVER", server)
    with reference.Reference(Path(sys.executable), tmp_path / "w.pth", 2, {"arch": "compact"}) as child:
        assert child.about == {"seen": ["arch", "threads", "weights"]}
        assert child.ask({"do": "enhance"}) == {"seen": ["do"]}
        with pytest.raises(reference.Absent, match="no such network"):
            child.ask({"do": "die"})
    with pytest.raises(reference.Absent, match="cannot be run"):
        reference.Reference(tmp_path / "none", tmp_path / "w.pth", 2, {})


def test_the_command_of_the_peers_reads() -> None:
    asked = peers.arguments(["--size", "360", "--rounds", "3", "--reference-python", "/usr/bin/python"])
    assert (asked.size, asked.rounds, str(asked.reference_python)) == ("360", 3, "/usr/bin/python")


def test_reached_tiles_are_those_within_k_pixels() -> None:
    changed = np.random.default_rng(3).random((50, 70)) < 0.001
    changed[10, 20] = True
    places: list[list[int]] = np.argwhere(changed).tolist()
    found = reuse.reached(changed, 5)
    for k in range(1, 6):
        wanted = np.zeros((4, 5), bool)
        for row, column in places:
            top, bottom = max(0, row - k) // 16, min(49, row + k) // 16
            left, right = max(0, column - k) // 16, min(69, column + k) // 16
            wanted[top : bottom + 1, left : right + 1] = True
        assert found[k - 1] == pytest.approx(wanted.mean())
    assert reuse.reached(np.zeros((16, 16), bool), 2) == [0.0, 0.0]


def test_ideal_counts_the_first_frame_as_whole_and_a_held_one_as_nothing() -> None:
    frame = torch.zeros(1, 3, 32, 32)
    other = frame.clone()
    other[0, 1, 5, 5] = 1
    assert list(reuse.ideal_shares([frame, frame, other], 2)) == [1.0, 0.0, 0.25]


@pytest.fixture(scope="module")
def moving() -> list[torch.Tensor]:
    """Frames of 64x96 of which a small part changes, one of them held."""
    frame = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    frames = [frame]
    for left in (0, 4, 4, 8):
        frames.append(frame.clone())
        frames[-1][..., 8:12, left : left + 4] = 1
    return frames


def test_reuse_is_compared_frame_by_frame(moving: list[torch.Tensor]) -> None:
    found = reuse.network(load_model("animevideov3"), "fp32", moving)
    assert (found["frames"], found["frames_not_equal"], found["held"]) == (5, 0, 1)
    assert found["ideal_share"] == pytest.approx(np.mean(found["by_frame"]["ideal"]), abs=1e-5)
    assert found["by_frame"]["work"][0] == 1
    assert found["by_frame"]["work"][3] == 0
    assert found["share_of_ideal"] == pytest.approx(found["gain"] / found["ideal_gain"])
    assert found["cache_bytes_per_pixel"] > 0


def test_a_reuse_that_is_not_exact_is_found(moving: list[torch.Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    right = Incremental.update

    def wrong(self: Incremental, rgb: torch.Tensor) -> Any:
        out, boxes = right(self, rgb)
        return out + (1e-6 if self.share < 1 else 0), boxes

    monkeypatch.setattr(Incremental, "update", wrong)
    assert reuse.network(load_model("animevideov3"), "fp32", moving)["frames_not_equal"] > 0


def test_programs_are_compared_by_what_they_wrote(tmp_path: Path) -> None:
    first = make_clip(tmp_path / "a.mkv", frames=4, codec="ffv1", audio=None)
    second = make_clip(tmp_path / "b.mkv", frames=4, codec="ffv1", audio=None, held=[2])
    assert reuse.not_equal(first, first) == 0
    assert reuse.not_equal(first, second) == 1
    with pytest.raises(ValueError, match="shorter"):
        reuse.not_equal(first, make_clip(tmp_path / "c.mkv", frames=3, codec="ffv1", audio=None))


def test_clips_are_resized_without_another_change(tmp_path: Path) -> None:
    source = packaged("carphone_pristine.mp4")
    same = clips.write_clip(source, tmp_path / "a.mkv", 3, 1.0)
    for a, b in zip(planes(same), planes(source), strict=False):
        assert all(map(np.array_equal, a, b))
    assert clips.size_of(clips.write_clip(source, tmp_path / "b.mkv", 2, 0.5)) == (88, 72)
    frames = list(clips.rgb_frames(clips.write_clip(source, tmp_path / "c.mkv", 2, 1.5)))
    assert [tuple(frame.shape) for frame in frames] == [(1, 3, 216, 264)] * 2
    assert clips.find_clip("bikes.mp4", tmp_path) == packaged("bikes.mp4")
