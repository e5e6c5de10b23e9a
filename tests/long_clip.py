"""Long clips of tiny pictures, and how much memory a run over one takes.

`python -m tests.long_clip FOLDER FRAMES` is the child process that measures: it prints its peak resident memory in KiB
and the frames it wrote.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from tests.clips import picture

SIDE = 16
DISTINCT = 12
"""Pictures of the clip, over and over: each differs from the one before, so that none is held."""


def make_long_clip(path: Path, frames: int) -> Path:
    """`frames` pictures of 16x16, FFV1, 25 per second. The same dozen packets again and again: quick to make."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25, options={"g": "1"})
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        coded: list[Any] = []
        for index in range(DISTINCT):
            frame = av.VideoFrame.from_ndarray(picture(index, SIDE, SIDE), format="rgb24").reformat(format="yuv420p")
            frame.pts = index
            coded += stream.encode(frame)
        coded = [bytes(packet) for packet in coded + stream.encode(None)]
        assert len(coded) == DISTINCT
        for index in range(frames):
            packet = av.Packet(coded[index % DISTINCT])
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = index
            packet.duration, packet.is_keyframe = 1, True
            output.mux(packet)
    return path


def measure(folder: Path, frames: int, *choices: str) -> dict[str, Any]:
    """What a child process says that upscales a clip of `frames` pictures. `choices` are KEY=VALUE options."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.long_clip", str(folder), str(frames), *choices]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def peak() -> int:
    """Peak resident memory of this process in KiB.

    Not `ru_maxrss`, which Linux hands on to a child: it would be that of the parent where that is larger.
    """
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def main(arguments: Sequence[str]) -> None:
    import torch

    from tests.fakes import Repeater, describe
    from vidsr import pipeline
    from vidsr.api import upscale
    from vidsr.runtime.heap import keep_freed_memory

    keep_freed_memory()  # as the command line does
    torch.set_num_threads(1)
    pipeline.load_model = lambda spec, **_: describe(Repeater(2))  # type: ignore[assignment]
    folder, frames = Path(arguments[0]), int(arguments[1])
    choices: dict[str, Any] = dict(pair.split("=", 1) for pair in arguments[2:])
    source = make_long_clip(folder / f"{frames}.mkv", frames)
    target = folder / f"{frames}_out{choices.pop('to', '.mkv')}"
    report = upscale(source, target, **choices)
    said = {"peak_kib": peak(), "frames": report.frames_out, "reused": report.reused, "seconds": report.wall_seconds}
    print(json.dumps(said | {"stages": report.stages}))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
