"""The alignment and the paste-back of facexlib that tests/faces/test_align.py and test_paste.py compare with.

    python -m benchmarks.oracle_faces_geometry [--reference-python PATH]

Runs facexlib 0.3.0 in an environment of its own (see `benchmarks.reference`) on the landmarks, the picture and the
faces of tests/faces/geometry_cases.py and writes tests/faces/goldens_geometry.npz.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from tests.faces.geometry_cases import GOLDENS, jobs

from .common import tell
from .reference import make_environment

SERVER = Path(__file__).with_name("oracle_faces_geometry_server.py")
ENVIRONMENT = Path(tempfile.gettempdir()) / "vidsr-reference"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference-python", type=Path, help="made in the temporary folder when not given")
    python = parser.parse_args().reference_python or make_environment(ENVIRONMENT)
    with tempfile.TemporaryDirectory() as name:
        given = Path(name) / "jobs.npz"
        np.savez(given, **jobs())
        subprocess.run([python, SERVER, given, GOLDENS], check=True)
    tell(f"{GOLDENS}: {GOLDENS.stat().st_size} bytes")


if __name__ == "__main__":
    main()
