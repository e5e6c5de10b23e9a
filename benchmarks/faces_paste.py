"""What alignment and paste-back cost for one face of a frame of 1920 x 1080, beside facexlib's, in one run.

    python -m benchmarks.faces_paste [--reference-python PATH] [--size PIXELS] [--scale N] [--rounds N]

facexlib 0.3.0 runs in an environment of its own (see `benchmarks.reference`); both have one thread, the same landmarks,
the same restored face and the same classes of its pixels. Neither detector nor restorer nor ParseNet are in the times;
what becomes of ParseNet's classes is. Rounds alternate; medians of
processor time are told. Writes benchmarks/results/faces_paste.json.
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

from tests.faces import drawn
from tests.faces.geometry_cases import codes, jobs
from vidsr.faces.align import crop, similarity
from vidsr.faces.masks import SHOWN, softened
from vidsr.faces.paste import matched, paste

from .common import RESULTS, machine, save
from .oracle_faces_geometry import ENVIRONMENT
from .reference import make_environment

SERVER = Path(__file__).with_name("faces_paste_server.py")
HEIGHT, WIDTH = 1080, 1920


def seconds_of(work: Any) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


class Ours:
    """A face aligned, given its mask and colours, and put into the frame that is `scale` times larger."""

    def __init__(self, given: dict[str, Any], scale: int) -> None:
        self._rgb = torch.from_numpy(np.ascontiguousarray(given["picture"][..., ::-1].transpose(2, 0, 1))).float() / 255
        self._frame = torch.nn.functional.interpolate(self._rgb[None], scale_factor=scale, mode="bilinear")[0]
        face = given["restored"][0][..., ::-1].transpose(2, 0, 1)
        self._face = torch.from_numpy(np.ascontiguousarray(face)).float()[None] / 255
        self._classes, self._scale, self._points = (
            torch.from_numpy(given["classes"])[None].long(),
            scale,
            given["points"],
        )
        self._shown = torch.zeros(19)
        self._shown[list(SHOWN)] = 1

    def align(self) -> None:
        self._matrix = similarity(self._points)
        self._crop = crop(self._rgb, self._matrix)[None]

    def paste(self) -> None:
        masks = softened(self._shown[self._classes])
        face = matched(self._face, self._crop, masks)[0]
        paste(self._frame, face, self._matrix, masks[0], self._scale)


def measured(python: Path, given: dict[str, Any], size: float, scale: int, rounds: int) -> dict[str, Any]:
    """Median seconds per face, of both, and how many times less ours takes."""
    torch.set_num_threads(1)
    given = {**given, "points": drawn.landmarks(900, 500, size, 10)}
    ours, times = Ours(given, scale), {"align": list[float](), "paste": list[float]()}
    theirs: dict[str, list[float]] = {"align": [], "paste": []}
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "given.npz"
        np.savez(path, **given)
        child = subprocess.Popen(
            [python, SERVER, path, str(scale)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert child.stdin is not None
        assert child.stdout is not None
        for number in range(rounds + 1):
            found = {"align": seconds_of(ours.align), "paste": seconds_of(ours.paste)}
            child.stdin.write("go\n")
            child.stdin.flush()
            other = json.loads(child.stdout.readline())
            for step in times if number else ():  # the first round is a warm-up
                times[step].append(found[step])
                theirs[step].append(other[step])
        child.kill()  # it has nothing left to do, and may take long to end by itself
        child.wait()
    result: dict[str, Any] = {"size": size, "scale": scale, "rounds": rounds}
    for step in times:
        result[step] = {"ours": float(np.median(times[step])), "facexlib": float(np.median(theirs[step]))}
    total = {who: result["align"][who] + result["paste"][who] for who in ("ours", "facexlib")}
    return {**result, "total": total, "times_less": total["facexlib"] / total["ours"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference-python", type=Path, help="made in the temporary folder when not given")
    parser.add_argument(
        "--size", type=float, nargs="+", default=[200.0, 400.0], help="sides of the aligned square, in pixels"
    )
    parser.add_argument("--scale", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    python = asked.reference_python or make_environment(ENVIRONMENT)
    given = {**jobs(), "picture": codes(drawn.picture(HEIGHT, WIDTH))[..., ::-1].copy()}
    cases = [measured(python, given, size, scale, asked.rounds) for scale in asked.scale for size in asked.size]
    found = {"frame": [WIDTH, HEIGHT], "threads": 1, "cases": cases, "machine": machine()}
    save(RESULTS / "faces_paste.json", found)
    print(json.dumps(found, indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
