"""Who takes part in `benchmarks.peers`: each does the same frame on the clock, and shows the picture that it makes."""

from __future__ import annotations

import argparse
import copy
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidsr import pipeline
from vidsr.flow import Flow
from vidsr.frames import Batch, RawFrame
from vidsr.models.builtin import builtin
from vidsr.models.load import find, load_model
from vidsr.models.store import packaged_files
from vidsr.options import Options
from vidsr.record import Tally
from vidsr.runtime import ceilings
from vidsr.stages.source import open_source

from .common import Contestant, clocked, tell
from .reference import Absent, Reference, make_environment, versions

LIKE_OURS = "vidsr, model only"
WHOLE = "vidsr, command line, steady"
PLAIN_FP32 = "PyTorch fp32"
REFERENCE = "reference, enhance"
MAPS = ((1, 90, 160), (1, 360, 640))
"""N, H, W of the feature maps on which convolutions are timed, beside the size of the frame."""

Frame = NDArray[np.uint8]
"""H W 3, RGB."""


@dataclass
class Field:
    """Everything that runs on one frame, and the picture that each makes of it (sH sW 3 RGB uint8)."""

    frame: Frame
    flops: int
    contestants: list[Contestant] = field(default_factory=list)
    pictures: dict[str, Frame] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, run: Callable[[], object], picture: Callable[[], Frame] | None = None) -> None:
        """`run` does one frame on the clock; `picture` gives what it makes."""
        self.contestants.append(Contestant(name, clocked(run), self.flops))
        if picture is not None:
            self.pictures[name] = picture()


def to_tensor(frame: Frame) -> Tensor:
    """1 3 H W float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(frame.transpose(2, 0, 1)[None], np.float32) / 255)


def to_frame(rgb: Any) -> Frame:
    """3 sH sW (or 1 3 sH sW) floats to sH sW 3, rounded as the reference does."""
    array = np.asarray(rgb, np.float32).reshape(3, *rgb.shape[-2:])
    return (np.clip(array, 0, 1).transpose(1, 2, 0) * 255).round().astype(np.uint8)


def add_reference(arena: Field, stack: ExitStack, asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """RealESRGANer and its network alone, in their own process; says what keeps them away if they are."""
    try:
        python = asked.reference_python or make_environment(asked.reference_folder)
        found = find(asked.model)
        network = load_model(asked.model)
        torch.save({"params": found.state}, folder / "weights.pth")
        np.save(folder / "frame.npy", np.ascontiguousarray(arena.frame[..., ::-1]))
        child = Reference(python, folder / "weights.pth", torch.get_num_threads(), _shape_of(network.network))
    except Absent as error:
        tell(f"without the reference: {error}")
        arena.absent["reference"] = str(error)
        return {}
    stack.enter_context(child)
    picture = folder / "reference.npy"
    frame = str(folder / "frame.npy")
    child.ask({"do": "save", "frame": frame, "to": str(picture)})
    for name, what in ((REFERENCE, "enhance"), ("reference, network alone", "network")):
        seconds: Callable[[], float] = lambda what=what: child.ask({"do": what, "frame": frame})["seconds"]  # type: ignore[misc]  # noqa: E731
        arena.contestants.append(Contestant(name, seconds, arena.flops))
    arena.pictures[REFERENCE] = np.load(picture)[..., ::-1]
    return {**child.about, "packages": versions(Path(python))}


def _shape_of(network: Any) -> dict[str, Any]:
    """The words by which the reference builds the same network."""
    if hasattr(network, "convolutions"):
        return {"arch": "compact", "convolutions": network.convolutions, "scale": network.scale}
    return {"arch": "rrdb", "blocks": network.blocks, "scale": network.scale}


def add_ncnn(arena: Field, model: str) -> None:
    """ncnn on the CPU with the packaged files: as it is by default, and with 16-bit floats where it may use them."""
    item = builtin().get(model)
    files = packaged_files(item.package)
    if files is None:
        arena.absent["ncnn"] = f"no packaged files of {model}"
        return
    try:
        import ncnn
    except ImportError as error:
        arena.absent["ncnn"] = str(error)
        return
    picture = np.ascontiguousarray(to_tensor(arena.frame)[0].numpy())
    flags = {"ncnn": {}, "ncnn bf16": {"use_bf16_storage": True}, "ncnn fp32": dict.fromkeys(
        ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"), False)}  # fmt: skip
    for name, choices in flags.items():
        net = ncnn.Net()
        net.opt.num_threads = torch.get_num_threads()
        for flag, value in choices.items():
            setattr(net.opt, flag, value)
        net.load_param(str(files[0]))
        net.load_model(str(files[1]))

        mat = ncnn.Mat(picture).clone()  # a Mat does not keep its array alive

        def run(net: Any = net, mat: Any = mat) -> Any:
            extractor = net.create_extractor()
            extractor.input("data", mat)
            return extractor.extract("output")[1]

        arena.add(name, run, lambda run=run: to_frame(np.array(run())))  # type: ignore[misc]


def add_plain(arena: Field, model: str) -> None:
    """The network as a module of PyTorch, called as it is, every layer in one number format."""
    network, rgb = load_model(model).network, to_tensor(arena.frame)
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        for suffix, form in (("", torch.contiguous_format), (" channels last", torch.channels_last)):
            module: Any = copy.deepcopy(network).to(dtype)
            module = module.to(memory_format=form)
            picture = rgb.contiguous(memory_format=form)

            def run(module: Any = module, picture: Tensor = picture) -> Tensor:
                with torch.inference_mode():
                    result: Tensor = module(picture)
                return result

            arena.add(f"PyTorch {name}{suffix}", run, lambda run=run: to_frame(run().float()))  # type: ignore[misc]


def add_vidsr(arena: Field, stack: ExitStack, clip: Path, options: Options, name: str = LIKE_OURS) -> None:
    """The network as `vidsr upscale` runs it: the runtime, precision and tiles of the plan, through `Inference`."""
    source = stack.enter_context(closing(open_source(clip, options.max_pixels)))
    job = pipeline.prepared(source, clip.with_suffix(".out.mkv"), options, Tally(lambda event: None), Flow())
    rgb, inference = to_tensor(arena.frame).to(job.plan.engine.device), job.inference
    batch = Batch((RawFrame((), 0),), (0,), rgb)

    def run() -> Tensor:
        done = next(inference.upscaled(iter([batch])))
        assert done.rgb is not None
        return done.rgb

    arena.add(f"{name}, {inference.runner.precision}", run, lambda: to_frame(run().float().cpu()))


@dataclass
class CommandLine:
    """`vidsr upscale` on a clip as a child process. `runs` keeps the three ways to count its seconds per frame."""

    clip: Path
    frames: int
    words: tuple[str, ...]
    runs: list[dict[str, float]] = field(default_factory=list)

    def seconds(self) -> float:
        """Seconds per frame between the first and the last frame that is written; loading is not in it."""
        out, report = self.clip.with_suffix(".cli.mkv"), self.clip.with_suffix(".json")
        command = [sys.executable, "-m", "vidsr", "--progress", "json", "upscale", str(self.clip), "-o", str(out)]
        begun = time.perf_counter()
        with subprocess.Popen(
            [*command, "-y", "--report", str(report), *self.words], stderr=subprocess.PIPE, text=True
        ) as child:
            assert child.stderr is not None
            said = [(time.perf_counter(), line) for line in child.stderr]
        if child.returncode:
            raise RuntimeError(f"vidsr upscale ended with {child.returncode}: {said[-1][1] if said else ''}")
        wall = time.perf_counter() - begun
        told = json.loads(report.read_text(encoding="utf-8"))
        steady = _steady(said)
        self.runs.append(
            {
                "steady": steady,
                "run": told["wall_seconds"] / told["frames_out"],
                "process": wall / told["frames_out"],
                "infer_share_of_run": told["stages"]["infer"]["seconds"] / told["wall_seconds"],
            }
        )
        return steady


def _steady(said: list[tuple[float, str]]) -> float:
    """Seconds per frame from the first to the last report of progress."""
    marks = [(when, json.loads(line)) for when, line in said if line.startswith("{")]
    marks = [(when, event["done"]) for when, event in marks if event["event"] == "progress"]
    if len(marks) < 2:
        raise RuntimeError("too few frames for a steady rate; use more --frames")
    return float((marks[-1][0] - marks[0][0]) / (marks[-1][1] - marks[0][1]))


def add_peaks(arena: Field) -> None:
    """The convolution that most of the work consists of, on maps of the frame's own size and of two others."""
    device = torch.device("cpu")
    height, width = arena.frame.shape[:2]
    for precision in ceilings.precisions(device):
        for shape in dict.fromkeys(((1, height, width), *MAPS)):
            work = ceilings.convolution_work(device, precision, shape)
            flops = ceilings.convolution_flops(shape)
            calls = math.ceil(1e10 / flops)  # long enough for the clock

            def run(work: Callable[[], object] = work, calls: int = calls) -> None:
                with torch.inference_mode():
                    for _ in range(calls):
                        work()

            name = f"peak {precision} {'x'.join(map(str, shape))}"
            arena.contestants.append(Contestant(name, clocked(run), flops * calls))
