"""The results of the reference that tests/trainer/{losses,nets} compare the losses and discriminators with.

    python -m benchmarks.oracle_losses [--check] [--reference-python PATH]

Runs basicsr 1.4.2 and realesrgan 0.3.0 in an environment of their own (see `benchmarks.reference`), and beside it the
packages of PACKAGES, on the cases of tests/trainer/losses/cases.py, with random weights. Writes goldens.npz of both
folders; with --check it only compares what is there. How far ours are from the reference in each case, relative to the
largest value, goes to benchmarks/results/losses.json.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.trainer.losses.cases import DISCRIMINATOR_GOLDENS, DISCRIMINATORS, GAN, GOLDENS, LOSSES, RELEASED
from tests.trainer.losses.ours import discriminator_results, distance, gan_results, layout, loss_results

from .common import RESULTS, machine, save, tell
from .reference import Absent, make_environment, versions

SERVER = Path(__file__).with_name("oracle_losses_server.py")
ENVIRONMENT = Path(tempfile.gettempdir()) / "vidsr-reference"
PACKAGES = (
    "lpips==0.1.4", "stlpips-pytorch==0.0.2", "dists-pytorch==0.1", "pytorch-msssim==1.0.0",
    "focal-frequency-loss==0.3.0",
)  # fmt: skip
"""Of the losses' own authors, or in wide use; without what they ask for, which is there or not used."""


def packages(folder: Path) -> Path:
    """`folder` with PACKAGES in it. Raises Absent."""
    words = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), *PACKAGES]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Absent(f"pip: {(done.stderr.strip() or 'no reason given').splitlines()[-1]}")
    return folder


def reference(python: Path, folder: Path) -> dict[str, Any]:
    """The reference's results, by `loss/CASE/PART`, `gan SCALES/CASE/PART`, `net/CASE/PART` and `layout/CASE/names`."""
    results = folder / "results.npz"
    paths = (Path(__file__).parent.parent, packages(folder / "packages"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    subprocess.run([python, SERVER, results], check=True, env=environment)
    with np.load(results) as loaded:
        return dict(loaded)


def ours(folder: Path) -> dict[str, Any]:
    """The same of this package, and `single` of each loss: its value in float32."""
    found: dict[str, Any] = {}
    for name in LOSSES:
        found |= {f"loss/{name}/{key}": value for key, value in loss_results(name, folder).items()}
    for scales in (1, 3):
        for name in GAN:
            found |= {f"gan {scales}/{name}/{key}": value for key, value in gan_results(name, scales).items()}
    for name in DISCRIMINATORS:
        found |= {f"net/{name}/{key}": value for key, value in discriminator_results(name).items()}
    return found


def compare(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Distances by case and part."""
    cases: dict[str, dict[str, float]] = {}
    for name, value in expected.items():
        case, _, part = name.rpartition("/")
        if not case.startswith("layout"):
            cases.setdefault(case, {})[part] = distance(found[name], value)
        if f"{case}/single" in found:
            cases[case]["single"] = distance(found[f"{case}/single"], expected[f"{case}/value"])
    return cases


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="compare the stored results, write nothing")
    parser.add_argument("--reference-python", type=Path, help="of an environment that has the reference")
    asked = parser.parse_args()
    python = asked.reference_python or make_environment(ENVIRONMENT)
    with tempfile.TemporaryDirectory() as folder:
        made = reference(python, Path(folder))
        cases = compare(ours(Path(folder)), made)
    of_nets = {name: value for name, value in made.items() if name.startswith(("net/", "layout/"))}
    changed = []
    for path, part in (
        (DISCRIMINATOR_GOLDENS, of_nets),
        (GOLDENS, {k: v for k, v in made.items() if k not in of_nets}),
    ):
        if not asked.check:
            np.savez_compressed(path, **part)  # type: ignore[arg-type]
        with np.load(path) as loaded:
            stored = dict(loaded)
        changed += [name for name in part if name not in stored or not same(part[name], stored[name])]
        changed += sorted(stored.keys() - part.keys())
    layouts = {name: layout(options) == list(made[f"layout/{name}/names"]) for name, options in RELEASED.items()}
    for name, numbers in cases.items():
        tell(f"{name}: {numbers}")
    tell(f"names and shapes of released files are equal: {layouts}")
    results = {"machine": machine(), "reference": versions(python), "packages": PACKAGES, "cases": cases}
    save(RESULTS / "losses.json", {**results, "layouts": layouts})
    if changed:
        raise SystemExit(f"stored results are not the reference's: {', '.join(changed)}")


def same(first: Any, second: Any) -> bool:
    """But for the last digits, which differ between machines."""
    if first.dtype.kind == "U":
        return bool(np.array_equal(first, second))
    return first.shape == second.shape and distance(first, second) < 1e-6


if __name__ == "__main__":
    main()
