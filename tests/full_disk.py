"""Runs under a limit on the size of files, the nearest thing to a full disk: `python -m tests.full_disk IN OUT STEP`.

The limit rises by STEP bytes until the run succeeds; one JSON line for each. A limit cannot be set in the process of
the tests, which writes files of its own.
"""

from __future__ import annotations

import hashlib
import json
import resource
import signal
import sys
from pathlib import Path

import torch

from tests.fakes import Repeater, describe
from tests.faults import left_behind, stray_threads
from vidsr import pipeline
from vidsr.api import upscale
from vidsr.errors import VidsrError


def attempt(source: Path, output: Path, limit: int) -> dict[str, object]:
    """One run with files of at most `limit` bytes."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    told: dict[str, object] = {"limit": limit, "code": 0, "said": ""}
    try:
        upscale(source, output, overwrite=True, codec="ffv1", precision="fp32")
    except VidsrError as error:
        told |= {"code": error.exit_code, "said": str(error)}
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    digest = hashlib.sha256(output.read_bytes()).hexdigest() if output.exists() else ""
    return told | {"output": digest, "left": left_behind(output.parent) + stray_threads()}


def main() -> None:
    source, output, step = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    torch.set_num_threads(1)
    pipeline.load_model = lambda spec, **_: describe(Repeater(1))  # type: ignore[attr-defined]
    for number in range(10_000):
        told = attempt(source, output, number * step)
        sys.stdout.write(json.dumps(told) + "\n")
        if told["code"] == 0:
            return


if __name__ == "__main__":
    main()
