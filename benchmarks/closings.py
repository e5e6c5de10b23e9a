"""Runs from pipe to pipe whose reader or writer goes away at a random moment, each outcome checked.

    python -m benchmarks.closings --runs 100

Each run is `vidsr upscale - -o - --out-format FORMAT` in a process of its own, with a network that repeats pixels. Half
of them lose their reader after some bytes, half their writer. What is counted:

    141     the reader went before it had everything
    0       whole: the end that went away had done its part
    7       the writer went after a first whole picture, and the run says that it is not all
    3       the writer went before
    wrong   any other exit code, one that does not fit what was sent, or a picture that was sent whole and did not come
    talk    something other than an error was said on stderr, such as a traceback
    hang    no end within LIMIT seconds
    left    a process that is still there, or a temporary file
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.child import Child

from .common import machine, save

LIMIT = 20.0
WIDTH, HEIGHT, FRAMES = 192, 144, 60
"""So much noise that no output of it fits into a pipe."""
FORMATS = ("y4m", "gray", "mkv", "nut", "ts", "mp4")
HEAD = b"YUV4MPEG2 C420 W%d H%d F24:1 Ip A0:0 XLENGTH=%d\n" % (WIDTH, HEIGHT, FRAMES)
PICTURE = len(b"FRAME\n") + WIDTH * HEIGHT * 3 // 2


def film(seed: int) -> bytes:
    """A film of noise as vspipe writes it, which states its length."""
    rng = random.Random(seed)
    return HEAD + b"".join(b"FRAME\n" + rng.randbytes(PICTURE - 6) for _ in range(FRAMES))


def beside(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def feed(path: Path, data: bytes, seconds: float) -> None:
    """Write `data` in pieces, over some time, as far as it is read."""
    pieces = [data[start : start + 200_000] for start in range(0, len(data), 200_000)] or [b""]
    with suppress(BrokenPipeError), path.open("wb", buffering=0) as file:
        for piece in pieces:
            left = memoryview(piece)
            while left:
                left = left[file.write(left) :]
            time.sleep(seconds / len(pieces))


def take(path: Path, most: int) -> int:
    """Read `most` bytes, or all that come, and go; how many there were."""
    with path.open("rb", buffering=0) as file:
        got = 0
        while got < most and (piece := file.read(min(65536, most - got))):
            got += len(piece)
    return got


def one(child: Child, folder: Path, seed: int) -> list[str]:
    """One run; what is to be counted of it."""
    rng, data = random.Random(seed), film(seed)
    name, loses_reader = FORMATS[seed % len(FORMATS)], rng.random() < 0.5
    pipes = [folder / f"{seed}.{end}" for end in ("in", "out")]
    for path in pipes:
        os.mkfifo(path)
    place = len(data) if loses_reader else rng.randrange(len(data) + 1)
    child.said.write_bytes(b"")
    arguments = ["upscale", "-", "-o", "-", "-q", "--out-format", name]
    child.start(arguments, rng.random() * 0.01, pipes=list(map(str, pipes)))
    feeder = beside(lambda: feed(pipes[0], data[:place], rng.random() * 0.3))
    got, codes = list[int](), list[int]()
    most = rng.randrange(1, 600_000) if loses_reader else 1 << 40
    ends = [beside(lambda: got.append(take(pipes[1], most))), beside(lambda: codes.append(child.end())), feeder]
    for thread in ends:
        thread.join(LIMIT)
    if any(thread.is_alive() for thread in ends):
        child.stop()
        return ["hang"]
    for path in pipes:
        path.unlink()
    return [str(codes[0]), *faults(codes[0], name, place, got[0] < most, got[0], child.said.read_text())]


def faults(code: int, name: str, place: int, had_all: bool, got: int, said: str) -> list[str]:
    """What was not right of a run that ended."""
    whole = max(0, place - len(HEAD)) // PICTURE
    fitting = (0 if whole == FRAMES else 7) if whole else 3
    found = [] if code == fitting or (code == 141 and not had_all) else ["wrong"]
    if name == "gray" and had_all and got != whole * WIDTH * HEIGHT:
        found.append("wrong")
    talk = [line for line in said.splitlines() if not line.startswith(("error: ", "hint: "))]
    return found + (["talk"] if talk else [])


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--runs", type=int, default=100)
    words.add_argument("--seed", type=int, default=0, help="the number of the first run")
    words.add_argument("--out", type=Path, help="write the counts to this file")
    asked = words.parse_args()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        child = Child(folder)
        try:
            for seed in range(asked.seed, asked.seed + asked.runs):
                counts.update(one(child, folder, seed))
            counts["left"] = len({path.name for path in folder.iterdir()} - {child.said.name})
        finally:
            child.close()
    told = json.dumps({"runs": asked.runs, "first seed": asked.seed, **dict(sorted(counts.items()))}, indent=2)
    if asked.out:
        save(asked.out, {"machine": machine(), **json.loads(told)})
    sys.stdout.write(told + "\n")
    return 1 if any(counts[fault] for fault in ("wrong", "talk", "hang", "left")) else 0


if __name__ == "__main__":
    sys.exit(main())
