"""The reference implementation in an environment and a process of its own: made, started and asked for frames."""

from __future__ import annotations

import json
import subprocess
import venv
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from .common import tell

SERVER = Path(__file__).with_name("reference_server.py")
PACKAGES = ("basicsr==1.4.2", "facexlib==0.3.0", "gfpgan==1.3.8", "realesrgan==0.3.0")
"""Installed without what they ask for: among it are nightly builds that are gone."""
NEEDS = (
    "torchvision", "setuptools<81", "wheel", "cython", "numpy", "opencv-python-headless", "pillow", "pyyaml",
    "requests", "scipy", "scikit-image", "tqdm", "addict", "future", "lmdb", "yapf", "numba", "filterpy",
)  # fmt: skip


class Absent(Exception):
    """The reference cannot be had here; the message says why."""


def make_environment(folder: Path) -> Path:
    """The Python of an environment with the reference in `folder`, made unless it is there. Raises Absent.

    It gets the release of PyTorch that runs here. With CUDA's libraries it takes about 5.4 GB.
    """
    python = folder / "bin" / "python"
    done = folder / "complete"
    if not done.exists():
        tell(f"making the environment of the reference in {folder}")
        venv.create(folder, with_pip=True, clear=True)
        release = torch.__version__.split("+")[0]
        _pip(python, f"torch==={release}", *NEEDS)  # three signs: not another build of the same release
        _pip(python, "--no-deps", "--no-build-isolation", *PACKAGES)
        done.touch()
    return python


def _pip(python: Path, *words: str) -> None:
    done = subprocess.run([python, "-m", "pip", "install", "-q", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise Absent(f"pip could not install the reference: {last}")


class Reference:
    """The reference in a child process, with one network. Use it in a `with` statement. Raises Absent."""

    def __init__(self, python: Path, weights: Path, threads: int, network: dict[str, Any]) -> None:
        try:
            self._child = subprocess.Popen(
                [python, SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        except OSError as error:
            raise Absent(f"{python} cannot be run: {error.strerror}") from error
        self.about = self.ask({"weights": str(weights), "threads": threads, **network})

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        try:
            self._child.stdin.write(json.dumps(question) + "\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            pass  # the reply is missing too, and stderr says why
        line = self._child.stdout.readline()
        if not line:
            said = self._child.stderr.read().strip().splitlines()
            raise Absent(f"the reference ended: {said[-1] if said else 'it said nothing'}")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def __enter__(self) -> Reference:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait(timeout=10)
        for pipe in (self._child.stdout, self._child.stderr):
            assert pipe is not None
            pipe.close()


def versions(python: Path) -> list[str]:
    """What is installed beside the reference, as `pip freeze` says it."""
    done = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, text=True, check=True)
    names = ("torch", "numpy", "opencv", "realesrgan", "basicsr")
    return [line for line in done.stdout.splitlines() if line.startswith(names)]
