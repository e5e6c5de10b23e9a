"""How near trainer.degrade is to the degradations of the reference, and what they cost.

    python -m benchmarks.oracle_degrade [--check] [--time SAMPLES] [--reference-python PATH]

Runs basicsr 1.4.2 and realesrgan 0.3.0 in an environment of their own (see `benchmarks.reference`) on the cases of
tests/trainer/degrade/cases.py and writes the goldens beside it. With --check it writes nothing: it compares what is
there, and 10,000 draws of either side. With --time both chains degrade pictures of 400x400, and the seconds of one
core that they take are measured. Results go to benchmarks/results/degrade.json; what was not asked for stays there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.trainer.degrade import cases
from tests.trainer.degrade.comparisons import chain, functions
from trainer.degrade.classic import Degrader
from trainer.degrade.draws import Draw, StageDraw, draw_all
from trainer.degrade.kernels import padded
from trainer.degrade.options import Classic, Stage
from trainer.sample import Key

from .common import RESULTS, machine, save, spread, tell
from .reference import make_environment, versions

Array = NDArray[Any]
RESULT = RESULTS / "degrade.json"
SERVER = Path(__file__).with_name("oracle_degrade_server.py")
ENVIRONMENT = Path(tempfile.gettempdir()) / "vidsr-reference"
DRAWS = 10_000
CRITICAL = 1.95
"""Of the two-sample Kolmogorov-Smirnov statistic, times sqrt(1/n + 1/m): two samples of one distribution pass it once
in a thousand times."""
ROUNDS = 3
BATCH = 4


# ----- what the reference is given


def asked() -> dict[str, Any]:
    """Inputs of all goldens, as the server takes them."""
    given: dict[str, Any] = {
        **cases.fields(), "kernels": json.dumps(cases.KERNELS), "chains": json.dumps(list(cases.CHAINS)),
        "picture": cases.pictures(3, 24, 29), "large": cases.pictures(1, 56, 60, 1), "stack": cases.kernels(3),
        "qualities": np.array(cases.QUALITIES, np.float32),
    }  # fmt: skip
    for name, noises in (("gaussian", cases.NOISES), ("poisson", cases.SHOTS)):
        given[f"{name} levels"] = np.array([noise.level for noise in noises], np.float32)
        given[f"{name} gray"] = np.array([noise.gray for noise in noises], np.float32)
    for name, (_, scale) in cases.CHAINS.items():
        gt, _, draws = cases.chain_input(name)
        given[name] = json.dumps({"scale": scale, "gt_size": cases.GT_SIZE, "script": script(draws, scale)})
        given[f"{name} gt"] = gt
        for part, stack in stacks(draws).items():
            given[f"{name} {part}"] = stack
    return given


def stacks(draws: list[Draw]) -> dict[str, Array]:
    """The kernels as the reference's data set gives them: N 21 21, a single 1 where there is none."""
    pulse = np.ones((1, 1))
    columns = {
        "kernel1": [draw.first.kernel for draw in draws],
        "kernel2": [draw.second.kernel for draw in draws],
        "sinc_kernel": [draw.sinc for draw in draws],
    }
    return {
        name: np.stack([padded(pulse if k is None else k, cases.TAPS) for k in column]).astype(np.float32)
        for name, column in columns.items()
    }


def script(draws: list[Draw], scale: int) -> dict[str, list[Any]]:
    """What each of the reference's random functions has to answer, in order, to draw the same."""
    options, shared = cases.chain_options(), draws[0]
    rooms = 96 // scale - cases.GT_SIZE // scale + 1
    stages = [(options.first, [draw.first for draw in draws]), (options.second, [draw.second for draw in draws])]
    uniform: list[float] = []
    for number, (_, same) in enumerate(stages):
        uniform += [0.0 if same[0].kernel is not None else 1.0] if number else []
        uniform += [same[0].factor] if same[0].factor != 1 else []
        uniform += [0.0 if same[0].noise and same[0].noise.kind == "gaussian" else 1.0]
    return {
        "choices": [_direction(same[0].factor) for _, same in stages],
        "choice": [shared.first.mode, shared.second.mode, shared.mode],
        "uniform": [*uniform, 0.0 if shared.jpeg_last else 1.0],
        "rand": [answer for stage, same in stages for answer in _noise_answers(stage, same)],
        "uniform_": [[draw.quality for draw in same] for _, same in stages],
        "randint": [int(part * rooms) for part in shared.crop],
    }


def _direction(factor: float) -> str:
    return "keep" if factor == 1 else "up" if factor > 1 else "down"


def _noise_answers(stage: Stage, draws: list[StageDraw]) -> list[list[float]]:
    noises = [draw.noise for draw in draws if draw.noise]
    low, high = stage.noise.sigma if noises[0].kind == "gaussian" else stage.noise.poisson
    return [[(noise.level - low) / (high - low) for noise in noises], [float(not noise.gray) for noise in noises]]


# ----- distributions


def ours(count: int) -> dict[str, Array]:
    """Every choice of `count` samples, under the names that the server gives them."""
    seen: dict[str, list[Any]] = {}

    def note(name: str, value: Any) -> None:
        seen.setdefault(name, []).append(value)

    modes = ["area", "bilinear", "bicubic"]
    for draw in draw_all(Classic(), [Key(0, 0, index) for index in range(count)]):
        for name, stage in (("first", draw.first), ("second", draw.second)):
            assert stage.noise is not None
            note(f"{name} factor", int(100 * stage.factor) / 100 if name == "second" else stage.factor)
            note(f"{name} mode", modes.index(stage.mode))
            note(f"{name} gaussian", stage.noise.kind == "gaussian")
            note(f"{name} {stage.noise.kind} level", stage.noise.level)
            note(f"{name} gray", stage.noise.gray)
            note(f"{name} quality", stage.quality)
        note("final mode", modes.index(draw.mode))
        note("second blurred", draw.second.kernel is not None)
        note("jpeg last", draw.jpeg_last)
        note("crop", tuple(int(part * (100 - 64 + 1)) for part in draw.crop))
        for name, stack in stacks([draw]).items():
            note(name, stack[0])
    return {name: np.asarray(values, np.float32) for name, values in seen.items()}


def features(draws: dict[str, Array]) -> dict[str, Array]:
    """One column of numbers each: kernels by their support, middle, least tap and second moments; crops by side."""
    columns = {name: values for name, values in draws.items() if values.ndim == 1}
    columns |= {"crop down": draws["crop"][:, 0], "crop across": draws["crop"][:, 1]}
    down, across = np.mgrid[-10:11, -10:11]
    for name in ("kernel1", "kernel2", "sinc_kernel"):
        stack = draws[name].astype(np.float64)
        if name == "kernel2":  # the reference draws it always, and uses it where "second blurred" says so
            stack = stack[draws["second blurred"] > 0]
        columns[f"{name} support"] = ((stack != 0).any(1) * (np.abs(across[0]) + 1)).max(1)
        columns[f"{name} middle"], columns[f"{name} least"] = stack[:, 10, 10], stack.min((1, 2))
        for moment, weight in (("down", down**2), ("across", across**2), ("mixed", down * across)):
            columns[f"{name} {moment}"] = (stack * weight).sum((1, 2))
    return columns


def apart(first: Array, second: Array) -> dict[str, float]:
    """The Kolmogorov-Smirnov statistic, the largest distance of the two distribution functions; and its limit.

    Values are compared to four digits, so that the same number from two libraries counts as the same.
    """
    first, second = (np.sort(np.array([float(f"{value:.4g}") for value in side])) for side in (first, second))
    places = np.concatenate([first, second])
    ranks = [np.searchsorted(side, places, side="right") / len(side) for side in (first, second)]
    limit = CRITICAL * (1 / len(first) + 1 / len(second)) ** 0.5
    return {"draws": min(len(first), len(second)), "apart": float(np.abs(ranks[0] - ranks[1]).max()), "limit": limit}


# ----- time


def our_seconds(samples: int) -> float:
    """Of one core per sample: draws and chain, in batches of 4."""
    torch.set_num_threads(1)
    degrader, gt = Degrader(Classic(), 4), _noise_pictures()
    degrader(gt, [Key(9, 0, index) for index in range(BATCH)])
    begun = time.process_time()
    for number in range(samples // BATCH):
        degrader(gt, [Key(1, number, index) for index in range(BATCH)])
    return (time.process_time() - begun) / (samples // BATCH * BATCH)


def _noise_pictures() -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).random((BATCH, 3, 400, 400), np.float32))


# ----- all together


def serve(python: Path, *words: object) -> str:
    done = subprocess.run([python, SERVER, *map(str, words)], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def loaded(path: Path) -> dict[str, Array]:
    with np.load(path) as file:
        return dict(file)


def goldens(python: Path, folder: Path) -> dict[str, Array]:
    np.savez(folder / "given.npz", **asked())
    serve(python, "goldens", folder / "given.npz", folder / "made.npz")
    return loaded(folder / "made.npz")


def distributions(python: Path, folder: Path) -> dict[str, dict[str, float]]:
    serve(python, "draws", DRAWS, folder / "draws.npz")
    theirs, mine = features(loaded(folder / "draws.npz")), features(ours(DRAWS))
    if theirs.keys() != mine.keys():
        raise SystemExit(f"not drawn by both: {', '.join(sorted(theirs.keys() ^ mine.keys()))}")
    return {name: apart(theirs[name], mine[name]) for name in sorted(theirs)}


def timed(python: Path, folder: Path, samples: int) -> dict[str, Any]:
    taken: dict[str, list[float]] = {"reference": [], "ours": []}
    for number in range(ROUNDS):
        for side in sorted(taken, reverse=bool(number % 2)):
            work = our_seconds(samples) if side == "ours" else float(serve(python, "time", samples, folder / "data"))
            taken[side].append(work)
            tell(f"round {number + 1}/{ROUNDS}  {side:<10} {work:.3f} s per sample")
    return {"samples": samples, **{side: spread(seconds) for side, seconds in taken.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="compare what is stored and 10,000 draws; store nothing")
    parser.add_argument("--time", type=int, metavar="SAMPLES", help="measure both chains on so many samples")
    parser.add_argument("--reference-python", type=Path, help="of an environment that has the reference")
    chosen = parser.parse_args()
    python = chosen.reference_python or make_environment(ENVIRONMENT)
    results: dict[str, Any] = {"machine": machine(), "reference": versions(python)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if chosen.time:
            results["seconds"] = timed(python, folder, chosen.time)
        made = goldens(python, folder)
        if chosen.check:
            results["draws"] = distributions(python, folder)
    faults = settle(made, store=not chosen.check)
    results["functions"], results["chains"] = functions(made), {name: chain(made, name) for name in cases.CHAINS}
    for part in ("functions", "chains", "draws"):
        for item, value in results.get(part, {}).items():
            tell(f"{part:<10} {item:<28} {value}")
    drawn = results.get("draws", {}).items()
    faults += [f"{name} is drawn otherwise" for name, value in drawn if value["apart"] > value["limit"]]
    before = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    save(RESULT, before | results)
    if faults:
        raise SystemExit("; ".join(faults))


def settle(made: dict[str, Array], *, store: bool) -> list[str]:
    """Write the goldens, or tell which of those stored are not the reference's."""
    kept: dict[Path, dict[str, Array]] = {}
    for name, values in made.items():
        kept.setdefault(cases.file_of(name), {})[name] = values
    if store:
        cases.GOLDENS.mkdir(exist_ok=True)
        for path, arrays in kept.items():
            np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
        return []
    stored = {path: loaded(path) for path in kept}
    return [
        f"{path.name} does not hold the reference's {name}"
        for path, arrays in kept.items()
        for name, values in arrays.items()
        if name not in stored[path] or not np.array_equal(stored[path][name], values)
    ]


if __name__ == "__main__":
    main()
