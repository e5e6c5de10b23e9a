"""Two processes under torchrun, with gloo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer import fakes, ranks
from tests.trainer.fakes import equal
from trainer import checkpoint
from trainer.distributed import World, choose_device, from_environment
from vidsr.errors import DeviceError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all scenarios, which one call of torchrun has played."""
    folder = tmp_path_factory.mktemp("ranks")
    fakes.pictures(folder)
    words = ["--standalone", "--nproc-per-node", "2", "-m", "tests.trainer.ranks", str(folder), *ranks.SCENARIOS]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *words],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def seen(folder: Path, scenario: str) -> list[dict[str, Any]]:
    """What both processes saw."""
    return [json.loads((folder / scenario / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.slow
def test_two_processes_are_one_with_twice_the_batch(played: Path, tmp_path: Path) -> None:
    assert [told["reason"] for told in seen(played, "equal_halves")] == ["finished", "finished"]
    two = fakes.last(played / "equal_halves" / "run")
    fakes.train(fakes.config(played, **ranks.GAN, loop={"iterations": 3, "batch": 8}), tmp_path / "one")
    one = fakes.last(tmp_path / "one")
    for name in ("generator", "discriminator"):
        for key, value in one.state[name].items():
            torch.testing.assert_close(two.state[name][key], value, rtol=0, atol=2e-6)
    assert two.state["position"] == one.state["position"]


@pytest.mark.slow
def test_every_process_keeps_its_own_part(played: Path) -> None:
    run = played / "equal_halves" / "run"
    last = fakes.last(run)
    other = checkpoint.read(checkpoint.file_of(run, last.iteration, rank=1))
    assert set(other.state) == {"own"}
    assert not equal(other.state["own"]["rng"]["torch"], last.state["own"]["rng"]["torch"])
    assert [path.stem for path in checkpoint.listed(run)] == ["00000000", "00000003"]


@pytest.mark.slow
def test_what_is_not_finite_on_one_is_skipped_by_both(played: Path) -> None:
    run = played / "nan_in_one" / "run"
    assert [told["reason"] for told in seen(played, "nan_in_one")] == ["finished", "finished"]
    last = fakes.last(run)
    assert last.iteration == 6
    assert all(torch.isfinite(value).all() for value in last.state["generator"].values())
    assert last.state["ema"]["updates"] == 1 + 6 - 3
    dumps = sorted(path.name for path in (run / "nan").glob("*.safetensors"))
    assert dumps == [f"{it:08}.rank{rank}.safetensors" for it in (2, 3, 4) for rank in (0, 1)]


@pytest.mark.slow
def test_a_signal_to_one_stops_both_after_the_same_iteration(played: Path) -> None:
    told = seen(played, "signal_in_one")
    assert [one["code"] for one in told] == [143, 143]
    run = played / "signal_in_one" / "run"
    assert fakes.last(run).iteration == 3
    assert checkpoint.read(checkpoint.file_of(run, 3, rank=1)).iteration == 3


def test_the_place_among_processes_comes_from_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    assert from_environment() == World()
    for name, value in (("RANK", "5"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert from_environment() == World(5, 8, 1)
    assert not from_environment().first


def test_an_absent_device_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"loop\.device: cuda:77 is absent, there are \d+ CUDA devices"):
        choose_device("cuda:77", World())
