"""The results of the reference that tests/trainer/test_metrics.py compares the metrics of `vidsr train` with.

    python -m benchmarks.oracle_metrics [--check] [--reference-python PATH]

Runs the metrics of basicsr 1.4.2 in an environment of its own (see `benchmarks.reference`) on the pictures of
tests/trainer/metric_cases.py and writes tests/trainer/goldens/metrics.json; with --check it only compares what is
there. NIQE is also compared by the statistics that BasicSR carries, which this project does not: how far ours is goes
to benchmarks/results/metrics.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.trainer.metric_cases import BORDERS, CHANNELS, GOLDENS, judged, pairs, pristine_pictures
from trainer.metrics import niqe
from trainer.metrics.build import build
from trainer.metrics.options import Niqe, Psnr, Ssim

from .common import RESULTS, machine, save, tell
from .reference import make_environment, versions

SERVER = Path(__file__).with_name("oracle_metrics_server.py")
ENVIRONMENT = Path(tempfile.gettempdir()) / "vidsr-reference"


def reference(python: Path, folder: Path) -> dict[str, float]:
    """What the reference makes of all pictures."""
    pristine = niqe.fit(pristine_pictures())
    given: dict[str, Any] = {"mu": pristine.mean, "cov": pristine.covariance}
    given |= {f"pair {name} {side}": pair[side] for name, pair in pairs().items() for side in (0, 1)}
    given |= {f"picture {name}": picture for name, picture in judged().items()}
    asked, answered = folder / "pictures.npz", folder / "values.json"
    np.savez(asked, **given)
    subprocess.run([python, SERVER, asked, answered], check=True, stdout=subprocess.DEVNULL)
    values: dict[str, float] = json.loads(answered.read_text())
    return values


def ours(python: Path, folder: Path) -> dict[str, float]:
    """What the metrics of this project make of them."""
    values: dict[str, float] = {}
    for name, pair in pairs().items():
        for border in BORDERS:
            for channel in CHANNELS:
                values[f"psnr {name} {border} {channel}"] = build(Psnr(channel=channel, border=border))(*pair)
                values[f"ssim {name} {border} {channel}"] = build(Ssim(channel=channel, border=border))(*pair)
    niqe.save(folder / "ours.npz", niqe.fit(pristine_pictures()))
    [theirs] = python.parent.parent.rglob("basicsr/metrics/niqe_pris_params.npz")
    for label, model in (("niqe", folder / "ours.npz"), ("niqe by the reference's statistics", theirs)):
        metric = build(Niqe(model=model))
        values |= {f"{label} {name}": metric(picture) for name, picture in judged().items()}
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="compare the stored results, write nothing")
    parser.add_argument("--reference-python", type=Path, help="of an environment that has the reference")
    asked = parser.parse_args()
    python = (asked.reference_python or make_environment(ENVIRONMENT)).absolute()
    with tempfile.TemporaryDirectory() as folder:
        made, found = reference(python, Path(folder)), ours(python, Path(folder))
    kept = {name: value for name, value in sorted(made.items()) if "reference" not in name}
    if not asked.check:
        GOLDENS.parent.mkdir(exist_ok=True)
        GOLDENS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    stored = json.loads(GOLDENS.read_text(encoding="utf-8"))
    cases = {name: {"reference": made[name], "apart": abs(found[name] - made[name])} for name in sorted(made)}
    for name, numbers in cases.items():
        tell(f"{name}: {numbers['reference']:.6g}, apart {numbers['apart']:.2g}")
    save(RESULTS / "metrics.json", {"machine": machine(), "reference": versions(python), "cases": cases})
    if stored.keys() != kept.keys() or not np.allclose([*stored.values()], [*kept.values()], rtol=1e-9):
        raise SystemExit("the stored results are not the reference's")


if __name__ == "__main__":
    main()
