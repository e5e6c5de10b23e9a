"""The results of gfpgan and facexlib that tests/faces/test_nets.py compares the networks for faces with.

    python -m benchmarks.oracle_faces [--check] [--reference-python PATH]

Runs gfpgan 1.3.8 and facexlib 0.3.0 in an environment of their own (see `benchmarks.reference`) on the cases of
tests/faces/net_cases.py and writes samples of the outputs, and the keys and shapes of the whole networks; with --check
it only compares what is there.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from tests.faces.net_cases import OUTPUTS, SHAPES

from .common import tell
from .oracle_compat import ENVIRONMENT
from .reference import make_environment

SERVER = Path(__file__).with_name("oracle_faces_server.py")
CLOSE = 1e-5
"""By how much the reference may differ from itself on another machine, of the standard deviation."""


def changed(made: Path, stored: Path) -> list[str]:
    """Names of outputs that are not as stored."""
    with np.load(made) as new, np.load(stored) as old:
        names = sorted({*new, *old})
        return [
            name
            for name in names
            if name not in new or name not in old or np.abs(new[name] - old[name]).max() > CLOSE * old[name].std()
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="compare the stored results, write nothing")
    parser.add_argument("--reference-python", type=Path, help="of an environment that has the reference")
    asked = parser.parse_args()
    python = asked.reference_python or make_environment(ENVIRONMENT)
    with tempfile.TemporaryDirectory() as folder:
        outputs, shapes = (Path(folder) / path.name for path in (OUTPUTS, SHAPES))
        subprocess.run([python, SERVER, outputs, shapes], check=True, stdout=subprocess.DEVNULL)
        if not asked.check:
            OUTPUTS.write_bytes(outputs.read_bytes())
            SHAPES.write_bytes(shapes.read_bytes())
        wrong = changed(outputs, OUTPUTS) + ([] if shapes.read_bytes() == SHAPES.read_bytes() else [SHAPES.name])
    tell(f"{OUTPUTS.stat().st_size} and {SHAPES.stat().st_size} bytes")
    if wrong:
        raise SystemExit(f"stored results are not the reference's: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
