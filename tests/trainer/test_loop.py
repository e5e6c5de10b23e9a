"""What one iteration does, and when a run ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from tests.trainer import fakes
from tests.trainer.fakes import equal
from trainer import checkpoint, loop, nan
from trainer import run as running
from trainer.log import read_log
from trainer.losses.context import LossContext
from trainer.losses.pixel import L1Loss
from trainer.nets.spectral import SpectralConv2d
from trainer.parts import Run
from vidsr.errors import DeviceError, UsageError
from vidsr.events import Event

fakes.one_thread()
VALIDATION: dict[str, Any] = {"every": 2, "metrics": [{"kind": "psnr", "border": 0}], "strips": 0}


def generator(run: Path, iteration: int | None = None) -> dict[str, Tensor]:
    """The generator's live weights, of the last checkpoint if no iteration is given."""
    path = checkpoint.file_of(run, iteration) if iteration is not None else checkpoint.listed(run)[-1]
    return checkpoint.read(path).weights("net")


def every(folder: Path, iterations: int = 4, run: str = "run", **changes: Any) -> Path:
    """The folder of a finished run with a checkpoint of each iteration; all runs of a test have the same data."""
    words = {"iterations": iterations, "log_every": 1} | changes.pop("loop", {})
    keep = {"every": 1, "keep": 1000}
    fakes.train(fakes.config(folder, loop=words, checkpoint=keep, **changes), folder / run)
    return folder / run


def lines(run: Path, kind: str) -> list[dict[str, Any]]:
    return [line for line in read_log(run) if line["kind"] == kind]


def test_the_loss_falls(tmp_path: Path) -> None:
    words = {"iterations": 40, "batch": 4, "log_every": 1}
    fakes.train(fakes.config(tmp_path, loop=words, optim={"kind": "adam", "lr": 5e-3}), tmp_path / "run")
    losses = [line["l1"] for line in lines(tmp_path / "run", "train")]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_only_the_discriminator_learns_in_its_warm_up(tmp_path: Path) -> None:
    run = every(tmp_path, 5, gan=fakes.GAN | {"warmup": 2, "ramp": 2})
    assert equal(generator(run, 0), generator(run, 2))
    assert not equal(generator(run, 2), generator(run, 3))
    states = [checkpoint.read(checkpoint.file_of(run, it)).state for it in (0, 2)]
    assert not equal(states[0]["discriminator"], states[1]["discriminator"])
    told = lines(run, "train")
    assert [("l1" in line, "d" in line, "g_norm" in line) for line in told[:3]] == [
        (False, True, False), (False, True, False), (True, True, True),
    ]  # fmt: skip
    assert told[3]["gan"] == pytest.approx(2 * told[2]["gan"], rel=0.05)
    assert states[1]["ema"]["updates"] == 1


def test_spectral_norms_are_measured_once_in_every_iteration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learning: list[bool] = []
    forward = SpectralConv2d.forward

    def counted(self: SpectralConv2d, x: Tensor) -> Tensor:
        if self.weight_orig.shape[0] == 16:  # one layer of the discriminator
            learning.append(self.training)
        return forward(self, x)

    monkeypatch.setattr(SpectralConv2d, "forward", counted)
    monkeypatch.setattr(loop, "check", lambda run, batch: None)
    run = every(tmp_path, 2, gan=fakes.GAN, loop={"accumulate": 2})
    assert learning == 2 * [True, False, False, False, False, False]
    before, after = (checkpoint.read(checkpoint.file_of(run, it)).state["discriminator"] for it in (0, 2))
    assert not equal(before["conv3.weight_u"], after["conv3.weight_u"])


def test_the_discriminators_figures_are_logged(tmp_path: Path) -> None:
    last = lines(every(tmp_path, 2, gan=fakes.GAN), "train")[-1]
    assert 0 <= last["d_accuracy"] <= 1
    assert last["d_norm"] > 0
    assert last["g_norm"] > 0
    assert {"it_s", "wait_share", "g_lr", "d_lr", "total"} <= last.keys()
    assert last["total"] == pytest.approx(last["l1"] + last["gan"], rel=1e-5)


def test_long_gradients_are_shortened(tmp_path: Path) -> None:
    """Adam does not see the length, but for its eps: with a huge one the step is the gradient."""
    moved = []
    for name, clip in (("free", None), ("short", 1e-3)):
        words = {"optim": {"kind": "adam", "lr": 1.0, "eps": 1e2}, "loop": {"clip": clip}}
        run = every(tmp_path, 1, name, **words)
        first, second = generator(run, 0), generator(run, 1)
        moved.append(sum(float((first[key] - second[key]).square().sum()) for key in first) ** 0.5)
        norm = lines(run, "train")[0]["g_norm"]
        assert moved[-1] == pytest.approx(min(norm, clip or norm) / 1e2, rel=0.02)
    assert moved[1] < moved[0] / 10


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_comes_near_full_precision(tmp_path: Path, precision: str) -> None:
    full = every(tmp_path, 3, "full", gan=fakes.GAN)
    low = every(tmp_path, 3, "low", gan=fakes.GAN, loop={"precision": precision})
    for ours, theirs in zip(lines(low, "train"), lines(full, "train"), strict=True):
        assert ours["l1"] == pytest.approx(theirs["l1"], rel=0.03)
        assert ours["d"] == pytest.approx(theirs["d"], rel=0.03)
    assert all(value.dtype == torch.float32 for value in generator(low).values())
    assert not equal(generator(full), generator(low))
    scaler = fakes.last(low).state["generator_learner"]["scaler"]
    assert bool(scaler) == (precision == "fp16")


def test_losses_see_float32_whatever_the_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.dtype] = []
    terms = loop.terms

    def noted(run: Run, batch: Any, output: Tensor, climb: float) -> dict[str, Tensor]:
        found = terms(run, batch, output, climb)
        seen.extend([output.dtype, *(value.dtype for value in found.values())])
        return found

    monkeypatch.setattr(loop, "terms", noted)
    every(tmp_path, 1, gan=fakes.GAN, loop={"precision": "bf16"})
    assert set(seen) == {torch.float32}


def test_an_overflow_of_fp16_only_lowers_the_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def act(run: Run) -> None:
        if run.state.counters.iteration == 1:
            run.state.generator.scaler.update(2.0**60)

    with fakes.before_each_step(monkeypatch, act):
        run = every(tmp_path, 3, loop={"precision": "fp16"})
    assert equal(generator(run, 1), generator(run, 2))
    scales = [
        checkpoint.read(checkpoint.file_of(run, it)).state["generator_learner"]["scaler"]["scale"] for it in (1, 2)
    ]
    assert scales == [2.0**16, 2.0**59]
    assert not (run / "nan").exists()


def test_channels_last_is_the_same_training(tmp_path: Path) -> None:
    plain = every(tmp_path, 3, "plain", gan=fakes.GAN)
    turned = every(tmp_path, 3, "turned", gan=fakes.GAN, loop={"channels_last": True})
    for key, value in generator(plain).items():
        torch.testing.assert_close(generator(turned)[key], value, rtol=0, atol=2e-5)


def compiler(change: Callable[[Tensor], Tensor]) -> Callable[..., Callable[[Tensor], Tensor]]:
    """A stand-in for torch.compile, whose own needs minutes: what it makes runs the network and then `change`."""
    return lambda net, mode: lambda x: change(net(x))


def test_what_is_compiled_is_compared_and_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", compiler(lambda y: y * (1 + 1e-7)))
    compiled = every(tmp_path, 2, "compiled", loop={"compile": "default"})
    monkeypatch.undo()
    for key, value in generator(every(tmp_path, 2, "plain")).items():
        torch.testing.assert_close(generator(compiled)[key], value, rtol=0, atol=1e-5)


def test_a_compiler_that_makes_another_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", compiler(lambda y: y + 0.01))
    with pytest.raises(DeviceError, match=r"loop\.compile: the compiled network differs from the network by 0\.01"):
        every(tmp_path, 2, loop={"compile": "default"})


class Detached(L1Loss):
    """The fault of three published trainers: a loss that is logged and teaches nothing."""

    def distance(self, output: Tensor, target: Tensor, context: LossContext) -> Tensor:
        return super().distance(output.detach(), target, context)


def test_a_loss_that_teaches_nothing_ends_the_run_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = running.build_loss

    def faulty(options: Any, device: torch.device) -> nn.Module:
        return Detached(options) if options.kind == "huber" else build(options, device)

    monkeypatch.setattr(running, "build_loss", faulty)
    chosen = fakes.config(tmp_path, losses=[{"kind": "l1"}, {"kind": "huber"}])
    with pytest.raises(UsageError, match="loss huber gives 8 of 8 tensors of the generator no gradient") as caught:
        running.start(chosen, tmp_path / "run")
    assert "body.0.weight" in str(caught.value)


def test_a_loss_that_may_rest_is_not_taken_for_a_dead_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LDL is zero where the averaged network is worse than the network itself, all over."""
    from trainer.losses.ldl import LDLLoss

    monkeypatch.setattr(LDLLoss, "distance", lambda self, output, target, context: (output * 0).sum())
    every(tmp_path, 1, losses=[{"kind": "l1"}, {"kind": "ldl"}])
    [norms] = lines(tmp_path / "run", "gradient")
    assert norms["ldl"] == 0
    assert norms["l1"] > 0
    monkeypatch.setattr(LDLLoss, "may_rest", False)
    with pytest.raises(UsageError, match="loss ldl gives 8 of 8 tensors of the generator no gradient"):
        every(tmp_path, 1, "other", losses=[{"kind": "l1"}, {"kind": "ldl"}])


def test_an_adversarial_loss_that_teaches_nothing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.adversary import Adversary

    teach = Adversary.teach

    def faulty(self: Adversary, output: Tensor, real: Tensor) -> Tensor:
        with torch.inference_mode():
            return teach(self, output, real)

    monkeypatch.setattr(Adversary, "teach", faulty)
    with pytest.raises(UsageError, match="loss gan gives 8 of 8 tensors of the generator no gradient"):
        every(tmp_path, 1, gan=fakes.GAN)


def test_a_network_that_stops_learning_after_validation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    validate = loop.validate

    def freezing(run: Run) -> None:
        validate(run)
        if run.state.counters.iteration == 2:
            assert run.unchecked, "a validation is followed by a check"
            run.state.generator.net.body[0].weight.requires_grad_(False)

    monkeypatch.setattr(loop, "validate", freezing)
    sets = [{"kind": "pictures", "name": "p", "gt": str(fakes.pictures(tmp_path)), "limit": 1}]
    with pytest.raises((UsageError, RuntimeError), match=r"no gradient: body\.0\.weight|does not require grad"):
        every(tmp_path, 4, validation=VALIDATION | {"sets": sets})
    assert len(lines(tmp_path / "run", "gradient")) == 1


def test_the_check_disturbs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = every(tmp_path, 3, "checked", gan=fakes.GAN)
    monkeypatch.setattr(loop, "check", lambda run, batch: None)
    unchecked = every(tmp_path, 3, "unchecked", gan=fakes.GAN)
    states = [fakes.comparable(fakes.last(run)) for run in (checked, unchecked)]
    assert equal(*states)


def poison(*iterations: int) -> Callable[[Run], None]:
    """Makes the batches of some iterations not finite."""

    def act(run: Run) -> None:
        take = type(run.feed).take
        bad = run.state.counters.iteration + 1 in iterations

        def poisoned() -> Any:
            batch = take(run.feed)
            if bad:
                batch.gt[0, 0, 0, 3, 4] = float("nan")
            return batch

        run.feed.take = poisoned  # type: ignore[method-assign]

    return act


def test_an_iteration_that_is_not_finite_is_skipped_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fakes.before_each_step(monkeypatch, poison(2)):
        run = every(tmp_path, 4, gan=fakes.GAN)
    states = [checkpoint.read(checkpoint.file_of(run, it)).state for it in (1, 2, 3)]
    for name in ("generator", "generator_learner", "discriminator_learner", "ema"):
        assert equal(states[0][name], states[1][name]), name
        assert not equal(states[1][name], states[2][name]), name
    assert [state["counters"]["skipped"] for state in states] == [0, 1, 0]
    kept = safetensors.torch.load_file(run / "nan" / "00000002.rank0.safetensors")
    assert set(kept) == {"gt.0", "lq.0"}
    assert int(kept["gt.0"].isnan().sum()) == 1


def test_too_many_in_a_row_end_the_run_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Event] = []
    chosen = fakes.config(tmp_path, loop={"iterations": 20, "nan": {"limit": 2}})
    with fakes.before_each_step(monkeypatch, poison(*range(5, 20))), pytest.raises(DeviceError) as caught:
        running.start(chosen, tmp_path / "run", said.append)
    told = "3 iterations in a row, up to 7, gave numbers that are not finite, allowed are 2"
    assert str(caught.value).startswith(told)
    assert "the samples themselves are not: " in str(caught.value)
    assert ".png" in str(caught.value)
    assert sum("is skipped" in getattr(event, "text", "") for event in said) == 3
    assert caught.value.exit_code == 6


def test_dumps_are_few_and_can_be_turned_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nan, "MOST_DUMPS", 2)
    with fakes.before_each_step(monkeypatch, poison(1, 2, 3, 4)):
        run = every(tmp_path, 5, "few")
        silent = every(tmp_path, 5, "none", loop={"nan": {"dump": False}})
    assert len(list((run / "nan").iterdir())) == 2
    assert not (silent / "nan").exists()


def test_the_wall_clock_ends_a_call_and_resuming_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = fakes.config(tmp_path, loop={"iterations": 6, "hours": 1.0})

    def late(run: Run) -> None:
        if run.state.counters.iteration == 2:
            run.started = time.monotonic() - 3601

    with fakes.before_each_step(monkeypatch, late):
        assert running.start(chosen, tmp_path / "run") == "hours"
    assert fakes.last(tmp_path / "run").iteration == 3
    assert running.resume(tmp_path / "run") == "finished"
    assert fakes.last(tmp_path / "run").iteration == 6


class Scripted:
    """A validator that finds what it was told to."""

    def __init__(self, values: list[float]) -> None:
        self.values = values

    def run(self, net: nn.Module, iteration: int, folder: Path, board: Any = None) -> dict[str, float]:
        assert not net.training
        torch.rand(1)  # what a validation draws must not matter
        return {"psnr_y": self.values[iteration // 2]}


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[float]], None]:
    def install(values: list[float]) -> None:
        monkeypatch.setattr(running, "Validator", lambda *_: Scripted(values))

    return install


def validated(folder: Path, stop: dict[str, Any] | None, **checkpoint_words: Any) -> Path:
    """A run with a validation every two iterations, of 20 at most."""
    sets = [{"kind": "pictures", "name": "p", "gt": str(fakes.pictures(folder))}]
    wanted = VALIDATION | {"sets": sets, "early_stop": stop}
    words = {"every": 1000, "keep": 1} | checkpoint_words
    fakes.train(fakes.config(folder, validation=wanted, loop={"iterations": 20}, checkpoint=words), folder / "run")
    return folder / "run"


def test_a_run_ends_when_its_metric_no_longer_gains(tmp_path: Path, scripted: Callable[[list[float]], None]) -> None:
    scripted([20, 22, 24, 23, 23.9, 24.05, 30, 30, 30, 30, 30])
    run = validated(tmp_path, {"metric": "psnr_y", "patience": 3, "least_gain": 0.1})
    assert read_log(run)[-1] == {"kind": "end", "iteration": 10, "reason": "early_stop"}


def test_the_best_checkpoint_is_kept_and_picked(tmp_path: Path, scripted: Callable[[list[float]], None]) -> None:
    scripted([20, 22, 27, 23, 24, 24, 24, 24, 26, 24, 24])
    run = validated(tmp_path, None)
    assert [int(path.stem) for path in checkpoint.listed(run)] == [4, 20]
    best = checkpoint.pick(run, "best")
    assert (best.iteration, best.best) == (4, 4)
    assert checkpoint.pick(run, "last").iteration == 20
    assert checkpoint.pick(run, "last").state["best"]["value"] == 27


def test_a_figure_that_is_not_there_or_nan_is_no_gain(tmp_path: Path, scripted: Callable[[list[float]], None]) -> None:
    scripted([20, float("nan"), 21, float("nan"), float("nan"), 22, 0, 0, 0, 0, 0])
    run = validated(tmp_path, {"metric": "psnr_y", "patience": 2})
    assert read_log(run)[-1]["iteration"] == 8
    assert [line["psnr_y"] for line in lines(run, "validation")] == [20, None, 21, None, None]
    assert checkpoint.pick(run).iteration == 4


def test_validation_changes_nothing_in_the_training(tmp_path: Path, scripted: Callable[[list[float]], None]) -> None:
    scripted([20.0] * 11)
    run = validated(tmp_path, None)
    plain = tmp_path / "plain"
    fakes.train(fakes.config(tmp_path, loop={"iterations": 20}), plain)
    first, second = fakes.last(run).state, fakes.last(plain).state
    assert equal(first["generator"], second["generator"])
    assert equal(first["own"]["rng"], second["own"]["rng"])
