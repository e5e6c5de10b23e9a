"""The measurements of `benchmarks.gpu_suite`: each step yields what it found, item by item, most important first."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from vidsr import pipeline
from vidsr.api import upscale
from vidsr.bench import stages_alone
from vidsr.errors import UsageError
from vidsr.events import ignore
from vidsr.flow import Flow
from vidsr.media.sample import make_sample
from vidsr.models.archs.compact import SRVGGNetCompact
from vidsr.models.archs.rrdb import RRDBNet
from vidsr.models.descriptor import ALL_DTYPES, Descriptor
from vidsr.options import Options
from vidsr.record import Tally
from vidsr.runtime import ceilings
from vidsr.runtime.choose import make_runtime
from vidsr.runtime.eager import Eager
from vidsr.runtime.interface import Runtime
from vidsr.stages.source import open_source

from .simulated import run_without_output
from .timeline import traced

Item = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Setting:
    """What is measured on: a CUDA device at real sizes, or a CPU at tiny ones to prove the script."""

    device: torch.device
    dry: bool

    @property
    def sizes(self) -> dict[str, tuple[int, int]]:
        """(height, width) by name."""
        return {"tiny": (32, 48)} if self.dry else {"1080p": (1080, 1920), "720p": (720, 1280), "480p": (480, 854)}

    @property
    def precisions(self) -> tuple[str, ...]:
        return ("fp32", "bf16") if self.dry else ("fp16", "bf16")

    @property
    def seconds(self) -> float:
        """For one measurement."""
        return 0.001 if self.dry else 0.4

    @property
    def runtimes(self) -> tuple[str, ...]:
        return ("eager", "layered") if self.dry else ("fused", "compiled", "eager", "tensorrt", "onnx:cuda")

    def network(self, name: str) -> Descriptor:
        """One of NETWORKS with random weights; when dry with a layer or a block only."""
        kind, size = name.split("-")
        count = 1 if self.dry else int(size)
        torch.manual_seed(0)
        made: Any = SRVGGNetCompact(64, count, 4) if kind == "SRVGG" else RRDBNet(64, count, 32, 4)
        made.eval().requires_grad_(False)
        return Descriptor(
            name=name, arch=made.title, scale=4, receptive_field=made.receptive_field, multiple_of=made.multiple_of,
            minimum=made.multiple_of, dtypes=ALL_DTYPES, parameters=sum(p.numel() for p in made.parameters()),
            flops_per_pixel=made.flops_per_pixel, sha256=name, licence="none", origin="random", network=made,
        )  # fmt: skip

    def frames(self, batch: int, height: int, width: int) -> Tensor:
        """batch 3 H W on the device: soft shades with some noise."""
        random = torch.Generator().manual_seed(1)
        soft = torch.nn.functional.interpolate(
            torch.rand(batch, 3, 9, 16, generator=random), (height, width), mode="bicubic"
        )
        return (soft + 0.02 * torch.rand(soft.shape, generator=random)).clamp(0, 1).to(self.device)


ENCODERS = (("x264", "ultrafast"), ("svt-av1", "12"), ("hevc-nvenc", "p1"))
"""And the preset of each."""
NETWORKS = ("SRVGG-16", "RRDB-23", "SRVGG-32", "RRDB-6")
FIRST = (("fused", "SRVGG-16"), ("compiled", "RRDB-23"), ("eager", "SRVGG-16"), ("fused", "SRVGG-32"),
         ("compiled", "SRVGG-16"), ("eager", "RRDB-23"))  # fmt: skip
"""Runtimes and networks that are measured before all others: a compilation takes up to a minute."""
SLOW_TO_START = ("compiled", "tensorrt")


def attempt(work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """What `work` finds, or why it did not: a runtime that is missing must not end the suite."""
    try:
        return work(*arguments)
    except UsageError as error:
        return {"absent": str(error)}
    except Exception as error:
        torch.cuda.empty_cache()
        return {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"}


def ceilings_of(setting: Setting) -> Iterator[Item]:
    """Products of matrices, convolutions, copies on the device and between it and the host."""
    device, seconds = setting.device, setting.seconds
    for precision in setting.precisions:
        for size in (64,) if setting.dry else (4096, 8192, 16384):
            found = ceilings.matmul(device, precision, [size], seconds)
            yield f"matmul {precision} {size}", {"tflops": found.tflops}
        shapes = ((1, 32, 48),) if setting.dry else ((1, 1080, 1920), (4, 1080, 1920), (1, 720, 1280))
        conv = ceilings.convolution(device, precision, shapes, seconds)
        yield f"convolution {precision}", {"tflops": conv.tflops, "shape": conv.shape}
    yield "copy on the device", {"gb_s": ceilings.copy_bandwidth(device, 1 << (16 if setting.dry else 30), seconds)}
    yield from _bus(setting)


def _bus(setting: Setting) -> Iterator[Item]:
    """Pinned memory to the device, back, and both at once on two streams."""
    nbytes = 1 << (16 if setting.dry else 28)
    pinned = setting.device.type == "cuda"
    host, back = (torch.empty(nbytes, dtype=torch.uint8, pin_memory=pinned) for _ in range(2))
    there, out = (torch.empty(nbytes, dtype=torch.uint8, device=setting.device) for _ in range(2))
    streams = [torch.cuda.Stream(setting.device) for _ in range(2)] if pinned else []  # type: ignore[no-untyped-call]

    def both() -> None:
        with torch.cuda.stream(streams[0]):
            there.copy_(host, non_blocking=True)
        with torch.cuda.stream(streams[1]):
            back.copy_(out, non_blocking=True)

    ways: dict[str, Callable[[], object]] = {
        "host to device": lambda: there.copy_(host, non_blocking=True),
        "device to host": lambda: back.copy_(out, non_blocking=True),
    }
    if pinned:
        ways["both ways at once"] = both
    for name, work in ways.items():
        seconds = median(ceilings.samples(work, setting.device, setting.seconds))
        yield name, {"gb_s": nbytes * (2 if work is both else 1) / seconds / 1e9}


def correctness(setting: Setting) -> Iterator[Item]:
    """Every runtime against float32 eager on one frame: dB and the largest difference. Those that compile come last."""
    height, width = (32, 48) if setting.dry else (270, 480)
    rgb = setting.frames(1, height, width)
    networks = {name: setting.network(name) for name in NETWORKS}
    exact = {name: Eager(network, setting.device, "fp32")(rgb).clone() for name, network in networks.items()}
    for kind in sorted(setting.runtimes, key=lambda kind: kind in SLOW_TO_START):
        for name, network in networks.items():
            for precision in setting.precisions:
                found = attempt(_error, setting, kind, network, precision, rgb, exact[name])
                yield f"{kind} {precision} {name}", found


def _error(
    setting: Setting, kind: str, network: Descriptor, precision: str, rgb: Tensor, exact: Tensor
) -> dict[str, Any]:
    runtime = make_runtime(kind, network, setting.device, precision, ignore)
    apart = (runtime(rgb).float().clamp(0, 1) - exact.clamp(0, 1)).double()
    error = float(apart.square().mean())
    return {
        "ran": runtime.name,
        "psnr_db": round(-10 * math.log10(error), 2) if error else None,
        "worst": float(apart.abs().max()),
    }


def gpu_tests(setting: Setting) -> Iterator[Item]:
    """The tests that need a GPU."""
    yield "tests marked gpu", attempt(_gpu_tests, setting)


def _gpu_tests(setting: Setting) -> dict[str, Any]:
    """In a process of their own; without a GPU they must not pass by being skipped. Dry they are only collected."""
    where = ["--collect-only"] if setting.dry else []
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", *where, "tests"]
    surroundings = os.environ | ({} if setting.dry else {"VIDSR_REQUIRE_GPU": "1"})
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=surroundings, timeout=100)
    tail = done.stdout.strip().splitlines()[-12:]
    return {"passed": done.returncode in ((0, 5) if setting.dry else (0,)), "exit": done.returncode, "tail": tail}


def runtimes(setting: Setting) -> Iterator[Item]:
    """Every runtime on every network, size and batch, in the first precision; what matters most comes first."""
    pairs = [pair for pair in FIRST if pair[0] in setting.runtimes]
    pairs += [pair for pair in product(setting.runtimes, NETWORKS) if pair not in pairs]
    for kind, name in pairs:
        network = setting.network(name)
        made = attempt(_made, setting, kind, network)
        if "runtime" not in made:
            yield f"{name} {kind}", made
            continue
        for (size, shape), batch in product(setting.sizes.items(), (4, 1)):
            label = f"{name} {kind} {size} x{batch}"
            yield label, attempt(speed, setting, made["runtime"], network, batch, *shape)
        made.clear()
        torch.cuda.empty_cache()


def _made(setting: Setting, kind: str, network: Descriptor) -> dict[str, Any]:
    return {"runtime": make_runtime(kind, network, setting.device, setting.precisions[0], ignore)}


def speed(
    setting: Setting, runtime: Runtime, network: Descriptor, batch: int, height: int, width: int
) -> dict[str, Any]:
    """Frames per second and TFLOP/s of the network alone, and the memory that it takes at most."""
    rgb, on_gpu = setting.frames(batch, height, width), setting.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(setting.device)
    taken = median(ceilings.samples(lambda: runtime(rgb), setting.device, setting.seconds)) / batch
    peak = torch.cuda.max_memory_allocated(setting.device) / 2**30 if on_gpu else None
    return {
        "ran": runtime.name, "precision": runtime.precision, "fps": 1 / taken,
        "tflops": network.flops_per_pixel * height * width / taken / 1e12, "peak_memory_gib": peak,
    }  # fmt: skip


def end_to_end(setting: Setting) -> Iterator[Item]:
    """The whole pipeline with SRVGG-16's released twin: decoders and encoders in turn, and each stage alone."""
    height, width = (48, 64) if setting.dry else (1080, 1920)
    frames = 4 if setting.dry else 96
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = make_sample(folder / "clip.mkv", width, height, frames)
        device = str(setting.device)
        base: dict[str, Any] = {"device": device, "reuse": "off", "overwrite": True, "verify": False}
        decoders = [{}] if setting.dry else [{}, {"hwaccel": "cuda"}]
        for decoder in decoders:
            label = "NVDEC" if decoder else "software decoder"
            yield f"{label}, no encoder", attempt(without_encoder, clip, folder, base | decoder)
            for encoder, preset in ENCODERS[:1] if setting.dry else ENCODERS:
                words = {"codec": encoder, "encoder_preset": preset, "scale": 2}
                yield (
                    f"{label}, {encoder} {preset} at x2",
                    attempt(encoded, clip, folder, base | decoder | words),
                )
        yield "each stage alone", attempt(alone, clip, folder, base)


def without_encoder(clip: Path, folder: Path, choices: dict[str, Any]) -> dict[str, Any]:
    """Everything but encoding: finished planes in host memory are thrown away.

    `fps` is that of the last three quarters of the frames: kernels are chosen and graphs recorded before.
    """
    options = Options(**choices)
    with closing(open_source(clip, options.max_pixels)) as source:
        job = pipeline.prepared(source, folder / "none.mkv", options, Tally(ignore), Flow())
        finished = run_without_output(job)
    skipped = len(finished) // 4
    steady = (len(finished) - skipped) / (finished[-1] - finished[skipped - 1])
    return {"frames": len(finished), "fps": steady, "fps_with_start": len(finished) / finished[-1]}


def encoded(clip: Path, folder: Path, choices: dict[str, Any]) -> dict[str, Any]:
    report = upscale(clip, folder / "out.mkv", **choices)
    return {"frames": report.frames_out, "fps": report.fps, "bound_by": report.bound_by, "stages": report.stages}


def alone(clip: Path, folder: Path, choices: dict[str, Any]) -> dict[str, Any]:
    job, stages = stages_alone(clip, folder, Options(**choices))
    return {
        "ran": job.inference.runner.name,
        "precision": job.inference.runner.precision,
        "fps": {k: v.fps for k, v in stages.items() if v.seconds},
    }


def overlap(setting: Setting) -> Iterator[Item]:
    """When the stages and the streams of the device work, out of a profile of one run without an encoder."""
    height, width = (48, 64) if setting.dry else (1080, 1920)
    options = Options(device=str(setting.device), reuse="off", overwrite=True, verify=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = make_sample(folder / "clip.mkv", width, height, 4 if setting.dry else 32)
        yield "timeline", traced(clip, folder, options, lambda job, _: run_without_output(job))
