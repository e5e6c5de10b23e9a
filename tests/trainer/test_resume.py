"""A run that was stopped goes on as if it had not been."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainer import fakes
from tests.trainer.fakes import equal
from trainer import checkpoint, loop, reference, rng
from trainer import run as running
from trainer.parts import Run
from vidsr import fs
from vidsr.errors import BusyError, ExistsError, StoppedError, UsageError, WeightsError
from vidsr.events import FellBack, ignore


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run of 4 iterations that a signal stopped after 2."""
    chosen = fakes.config(tmp_path, checkpoint={"every": 1, "keep": 5})
    with fakes.stopped_after(monkeypatch, 2), pytest.raises(StoppedError):
        running.start(chosen, tmp_path / "run")
    return tmp_path / "run"


def test_twenty_iterations_are_ten_and_ten_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a discriminator, its warm-up and ramp, the pair pool, both averages, a schedule and drawing losses."""

    def act(run: Run) -> None:  # numbers drawn while training are part of the state
        run.state.generator.net.body[0].bias.data += (torch.randn(4) + random.random() + np.random.rand()) * 1e-6

    chosen = fakes.config(tmp_path, **fakes.EVERYTHING, loop={"iterations": 20, "accumulate": 2})
    with fakes.before_each_step(monkeypatch, act):
        fakes.train(chosen, tmp_path / "whole")
        with fakes.stopped_after(monkeypatch, 10), pytest.raises(StoppedError) as stopped:
            running.start(chosen, tmp_path / "halves")
        assert stopped.value.exit_code == 143
        assert fakes.last(tmp_path / "halves").iteration == 10
        torch.manual_seed(99)
        running.resume(tmp_path / "halves")
    whole, halves = fakes.last(tmp_path / "whole"), fakes.last(tmp_path / "halves")
    assert whole.iteration == halves.iteration == 20
    assert equal(fakes.comparable(whole), fakes.comparable(halves))
    assert whole.state["swa"]["updates"] == 6
    assert len(whole.state["own"]["pool"]["names"]) == 5


def test_a_state_has_all_that_changes(tmp_path: Path) -> None:
    """Nothing of what a run of one more iteration changes is missing, so that equality above means something."""
    states = []
    for iterations in (9, 10):
        chosen = fakes.config(tmp_path, **fakes.EVERYTHING, loop={"iterations": iterations})
        fakes.train(chosen, tmp_path / str(iterations))
        states.append(fakes.comparable(fakes.last(tmp_path / str(iterations))))
    before, after = states
    same = [name for name in before if equal(before[name], after[name])]
    assert set(same) == {"best", "gained"}


def test_random_numbers_of_every_kind_come_back() -> None:
    rng.seed_all(5)
    state = rng.state_dict()
    drawn = random.random(), np.random.rand(), torch.rand(1).item()
    rng.load_state_dict(state)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == drawn
    with rng.kept():
        torch.rand(3)
    rng.load_state_dict(state)
    with rng.kept():
        assert random.random() == drawn[0]
    assert random.random() == drawn[0]


def test_resuming_what_is_finished_changes_nothing(tmp_path: Path) -> None:
    fakes.train(fakes.config(tmp_path), tmp_path / "run")
    before = fakes.last(tmp_path / "run").path.read_bytes()
    assert running.resume(tmp_path / "run") == "finished"
    assert fakes.last(tmp_path / "run").path.read_bytes() == before


def test_a_run_killed_before_its_first_checkpoint_begins_anew(tmp_path: Path) -> None:
    chosen = fakes.config(tmp_path)
    fakes.train(chosen, tmp_path / "whole")
    (tmp_path / "killed").mkdir()
    chosen.save(tmp_path / "killed" / running.CONFIG)
    running.resume(tmp_path / "killed")
    assert equal(*(fakes.comparable(fakes.last(tmp_path / name)) for name in ("whole", "killed")))


def test_the_checkpoint_before_a_damaged_one_is_used_and_told(stopped: Path) -> None:
    newest = checkpoint.listed(stopped)[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    said = []
    running.resume(stopped, said.append)
    assert [event.wanted for event in said if isinstance(event, FellBack)] == [str(newest)]
    assert fakes.last(stopped).iteration == 4


def test_only_damaged_checkpoints_are_refused(stopped: Path) -> None:
    for path in checkpoint.listed(stopped):
        path.write_bytes(b"nothing of this kind")
    with pytest.raises(WeightsError, match=r"00000000\.safetensors is damaged, or no checkpoint"):
        running.resume(stopped)


def test_the_log_has_every_iteration_once(stopped: Path) -> None:
    log = stopped / "log.jsonl"
    log.write_text(log.read_text() + '{"kind": "train", "iteration": 3, "l1": 9}\n{"kind": "tra')
    running.resume(stopped)
    from trainer.log import read_log

    told = [(line["kind"], line["iteration"]) for line in read_log(stopped)]
    assert told.count(("train", 4)) == 1
    assert ("train", 3) not in told
    assert told[-1] == ("end", 4)


def test_other_data_is_told(stopped: Path) -> None:
    (fakes.pictures(stopped.parent) / "4.png").unlink()
    said = []
    running.resume(stopped, said.append)
    assert any("the data is not what it was" in getattr(event, "text", "") for event in said)


def test_the_weights_it_began_with_are_not_needed_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the network is known from them alone, and the run goes on in another folder."""
    first = fakes.config(tmp_path, gan=fakes.GAN, loop={"iterations": 1})
    fakes.train(first, tmp_path / "first")
    g, d = reference.write(fakes.last(tmp_path / "first"), tmp_path / "start")
    monkeypatch.chdir(tmp_path)
    net = {"kind": "model", "start": f"start/{g.name}"}
    gan = fakes.GAN | {"discriminator": fakes.GAN["discriminator"] | {"weights": f"start/{d.name}"}}
    chosen = fakes.config(tmp_path, net=net, gan=gan)
    with fakes.stopped_after(monkeypatch, 2), pytest.raises(StoppedError):
        running.start(chosen, tmp_path / "second")
    monkeypatch.chdir("/")
    assert "start: " + str(g) in (tmp_path / "second" / running.CONFIG).read_text()
    g.unlink()
    d.unlink()
    assert running.resume(tmp_path / "second") == "finished"
    assert fakes.last(tmp_path / "second").iteration == 4


def test_a_changed_configuration_is_refused(stopped: Path) -> None:
    path = stopped / running.CONFIG
    path.write_text(path.read_text().replace("features: 4", "features: 5"))
    with pytest.raises(WeightsError, match="does not fit the configuration of the run"):
        running.resume(stopped)


def test_run_refuses_a_folder_with_something_in_it(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("ten years of work")
    with pytest.raises(ExistsError, match=r"run folder .*run is not empty: it holds thesis\.txt"):
        running.start(fakes.config(tmp_path), tmp_path / "run")
    assert (tmp_path / "run" / "thesis.txt").read_text() == "ten years of work"
    assert list((tmp_path / "run").iterdir()) == [tmp_path / "run" / "thesis.txt"]


def test_resume_refuses_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no run: config\.yaml is missing"):
        running.resume(tmp_path)


@pytest.mark.parametrize("how", ["start", "resume"])
def test_a_folder_that_another_run_holds_is_refused(stopped: Path, how: str) -> None:
    with fs.lock(stopped / f".{stopped.name}.lock"), pytest.raises(BusyError, match=r"another vidsr \(pid .*\)"):
        running.resume(stopped, ignore) if how == "resume" else running.start(fakes.config(stopped.parent), stopped)


def test_a_second_stop_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.stopping import listening

    codes: list[int] = []
    monkeypatch.setattr("os._exit", codes.append)
    with listening() as stop:
        stop._take(15, None)
        assert not codes
        stop._take(2, None)
    assert codes == [130]
    assert loop.train  # the loop itself is stopped in the tests above
