"""The results of the reference that tests/test_compat.py compares vidsr.compat with.

    python -m benchmarks.oracle_compat [--check] [--reference-python PATH]

Runs realesrgan 0.3.0 with basicsr 1.4.2 in an environment of its own (see `benchmarks.reference`) on the cases of
tests/compat_cases.py and writes tests/goldens_compat/reference.npz; with --check it only compares what is there. How
far vidsr.compat is from the reference in each case goes to benchmarks/results/compat.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.compat_cases import CASES, CONVOLUTIONS, FAULTY, FEATURES, GOLDENS, GROWTH, LARGE, REAL, Case, weights
from tests.compat_cases import save as save_weights
from vidsr.compat import RealESRGANer
from vidsr.events import ignore
from vidsr.models.load import load_model

from .common import RESULTS, machine, save, tell
from .reference import make_environment, versions

ALL = {**CASES, **FAULTY, **LARGE}
SERVER = Path(__file__).with_name("oracle_compat_server.py")
ENVIRONMENT = Path(tempfile.gettempdir()) / "vidsr-reference"


def files(case: Case, folder: Path) -> list[Path]:
    """The weights of a case, as checkpoints."""
    states = (load_model(name).network.state_dict() if name in REAL else weights(name) for name in case.networks)
    pairs = zip(case.networks, states, strict=True)
    return [save_weights(state, folder / f"{name}_{case.key}_.pth", case.key) for name, state in pairs]


def job(name: str, case: Case, folder: Path) -> dict[str, Any]:
    """A case as the other process is asked for it."""
    picture = folder / f"{len(list(folder.glob('*.npy')))}.npy"
    np.save(picture, case.picture)
    kind = case.networks[0].removeprefix("other-")[:-1]
    small = (kind, case.scale, FEATURES, CONVOLUTIONS if kind == "compact" else 1)
    arch, scale, features, depth = REAL.get(case.networks[0], small)
    return {
        "name": name, "arch": arch, "scale": scale, "features": features, "depth": depth,
        "growth": 32 if case.networks[0] in REAL else GROWTH, "picture": str(picture),
        "weights": [str(path) for path in files(case, folder)], "options": case.options, "call": case.call,
    }  # fmt: skip


def reference(python: Path, folder: Path) -> dict[str, Any]:
    """The reference's results and modes."""
    jobs, results = folder / "jobs.json", folder / "results.npz"
    jobs.write_text(json.dumps([job(name, case, folder) for name, case in ALL.items()]))
    subprocess.run([python, SERVER, jobs, results], check=True, stdout=subprocess.DEVNULL)
    with np.load(results) as loaded:
        return dict(loaded)


def ours(case: Case, folder: Path) -> np.ndarray[Any, Any]:
    paths = files(case, folder)
    asked = {"device": "cpu", "emit": ignore, **case.options}
    upsampler = RealESRGANer(case.scale, paths if len(paths) > 1 else paths[0], **asked)
    return upsampler.enhance(case.picture, **case.call)[0]


def distance(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> dict[str, Any]:
    """The largest difference in codes, and what part of all samples is equal; the types where they differ."""
    if first.dtype != second.dtype:
        return {"types": [str(first.dtype), str(second.dtype)]}
    apart = np.abs(first.astype(int) - second.astype(int))
    bits = 8 * first.dtype.itemsize
    return {"bits": bits, "samples": apart.size, "apart": int(apart.max()), "equal": float((apart == 0).mean())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="compare the stored results, write nothing")
    parser.add_argument("--reference-python", type=Path, help="of an environment that has the reference")
    asked = parser.parse_args()
    python = asked.reference_python or make_environment(ENVIRONMENT)
    with tempfile.TemporaryDirectory() as folder:
        made = reference(python, Path(folder))
        kept = {name: made[name] for name in made if name.removeprefix("mode ") not in LARGE}
        if not asked.check:
            GOLDENS.parent.mkdir(exist_ok=True)
            np.savez_compressed(GOLDENS, **kept)
        with np.load(GOLDENS) as loaded:
            stored = dict(loaded)
        changed = [name for name in kept if name not in stored or not np.array_equal(kept[name], stored[name])]
        cases = {name: distance(ours(case, Path(folder)), made[name]) for name, case in ALL.items()}
    for name, numbers in cases.items():
        tell(f"{name}: {numbers}")
    save(RESULTS / "compat.json", {"machine": machine(), "reference": versions(python), "cases": cases})
    if changed or stored.keys() - kept.keys():
        raise SystemExit(f"stored results are not the reference's: {', '.join(changed) or 'some are of no case'}")


if __name__ == "__main__":
    main()
