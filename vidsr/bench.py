"""How fast this machine does the main job: what it could do at most, each stage alone, and the whole.

Nothing is measured on copies of the stages: `vidsr.pipeline` runs as it is. For the stages alone its flow has no
threads (`InTurn`): everything before a boundary is done before what follows begins, so that no stage disturbs another.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from .api import upscale
from .events import Emit, Notice, ignore
from .flow import Flow
from .media.sample import make_sample, trim
from .options import Options
from .pipeline import prepared, write
from .record import Report, Tally
from .running import Run
from .runtime import ceilings
from .runtime.ceilings import Ceiling, synchronize
from .runtime.device import pick_device
from .stages.source import open_source

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

SECONDS = 10.0
"""How long the network works for one measurement, about, when no number of frames is given."""
PROBE = 2
"""Frames of a first run, which warms up and finds out how many frames that are."""
MOST = 240
"""Frames of a measurement at most when none are given."""
KEPT = 2 << 30
"""Bytes of finished frames that a measurement of the stages alone may hold, about."""


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What the device does at most: convolutions by number format, and copies of memory in GB/s."""

    convolution: dict[str, Ceiling]
    copy_gb_s: float


@dataclass(frozen=True, slots=True)
class Speed:
    """`frames` were done in `seconds`."""

    frames: int
    seconds: float

    @property
    def fps(self) -> float:
        return self.frames / self.seconds if self.seconds else float("inf")


@dataclass(frozen=True, slots=True)
class Measured:
    """One model at one size. `stages` are alone, in the order of the pipeline; nothing is reused between frames."""

    size: tuple[int, int]
    """(width, height) of the input."""
    model: str
    scale: int
    device: str
    runtime: str
    precision: str
    stages: dict[str, Speed]
    end_to_end: Speed
    """The whole job, from opening the input to the file in its place: loading the weights is part of it."""
    network_tflops: float
    """TFLOP/s of the stage infer, by the multiplications of the network."""
    share_of_peak: float
    """`network_tflops` as part of the measured peak of convolutions in the same number format."""

    @property
    def bound_by(self) -> str:
        """The stage that is slowest alone."""
        return min(self.stages, key=lambda name: self.stages[name].fps)


def measure_ceilings(
    device: str, seconds: float = 0.3, shapes: Iterable[tuple[int, int, int]] = ceilings.SHAPES
) -> Ceilings:
    """The ceilings of the device with this name; `seconds` for each measurement, `shapes` as in `ceilings`."""
    chosen = pick_device(device)
    tried = tuple(shapes)
    peaks = {kind: ceilings.convolution(chosen, kind, tried, seconds) for kind in ceilings.precisions(chosen)}
    return Ceilings(peaks, ceilings.copy_bandwidth(chosen, seconds=seconds))


def measure(
    source: Path | tuple[int, int], options: Options, peaks: Ceilings, frames: int | None = None, emit: Emit = ignore
) -> Measured:
    """Measure the job that `options` describe on the first `frames` of a clip, or on a made clip of (width, height).

    Frames are as many as take some ten seconds when not given. Raises the errors of `vidsr.errors`.
    """
    options = options.model_copy(update={"reuse": "off", "overwrite": True})
    with tempfile.TemporaryDirectory(prefix="vidsr-bench-") as name:
        folder = Path(name)
        job, stages = stages_alone(_clip(source, folder, PROBE), folder, options)
        frames = frames or _enough(job, stages["infer"])
        clip = _clip(source, folder, frames + job.plan.engine.batch)
        emit(Notice(f"measuring each stage alone, {frames} frames"))
        job, stages = stages_alone(clip, folder, options)
        emit(Notice("measuring end to end"))
        whole = end_to_end(clip, folder, options)
    plan, runtime = job.plan, job.inference.runner
    width, height = plan.source.width, plan.source.height
    tflops = plan.network.flops_per_pixel * width * height * stages["infer"].fps / 1e12
    peak = peaks.convolution.get(runtime.precision)
    return Measured(
        size=(width, height),
        model=plan.network.name,
        scale=plan.network.scale,
        device=str(plan.engine.device),
        runtime=runtime.name,
        precision=runtime.precision,
        stages=stages,
        end_to_end=whole,
        network_tflops=tflops,
        share_of_peak=tflops / peak.tflops if peak else 0.0,
    )


def _enough(job: Run, probe: Speed) -> int:
    """How many frames to measure: some seconds of them, as far as memory goes."""
    target = job.plan.target
    sizes = target.layout.plane_sizes(target.width, target.height)
    nbytes = sum(height * width for height, width in sizes) * target.layout.dtype.itemsize
    return max(PROBE, min(MOST, KEPT // nbytes, round(SECONDS * probe.fps)))


def _clip(source: Path | tuple[int, int], folder: Path, frames: int) -> Path:
    target = folder / f"{frames}.mkv"
    return trim(source, target, frames) if isinstance(source, Path) else make_sample(target, *source, frames)


def end_to_end(clip: Path, folder: Path, options: Options) -> Speed:
    """The whole job on `clip`, as `vidsr.api.upscale` does it, with threads and with verification."""
    report = upscale(clip, folder / "out.mkv", options=options)
    assert isinstance(report, Report), "a clip is no picture"
    return Speed(report.frames_out, report.wall_seconds)


def stages_alone(clip: Path, folder: Path, options: Options) -> tuple[Run, dict[str, Speed]]:
    """The whole pipeline on `clip`, one stage at a time; the first batch warms up and is not counted."""
    tally = Synchronized(pick_device(options.device))
    flow = InTurn(tally)
    with closing(open_source(clip, options.max_pixels)) as source:
        job = prepared(source, folder / "alone.mkv", options, tally, flow)
        flow.warm = job.plan.engine.batch
        write(job, folder / "alone.mkv")
    frames = len(tally.pts)
    own = tally.stages(frames)
    return job, {
        name: Speed(frames - (flow.warm if name in flow.warmed else 0), stage["seconds"]) for name, stage in own.items()
    }


class Synchronized(Tally):
    """Clocks that wait for the device after every stage, so that each stage pays for its own work on it."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(ignore)
        self._device = device

    def timed(self, name: str, items: Iterable[T]) -> Iterator[T]:
        return super().timed(name, self._waited(items))

    def _waited(self, items: Iterable[T]) -> Iterator[T]:
        for item in items:
            synchronize(self._device)
            yield item


class InTurn(Flow):
    """A flow without threads: all before a boundary is done, and kept, before what follows it begins.

    The clocks of the stages between two boundaries start anew once `warm` items have come out of them.
    """

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self.warm = 1
        self.warmed: set[str] = set()
        """Names of the stages whose clocks started anew."""
        self._tally = tally
        self._seen: set[str] = set()

    def boundary(self, items: Iterable[T], name: str) -> Iterator[T]:
        block = set(self._tally.clocks) - self._seen
        self._seen |= block
        return self._in_turn(items, block)

    def _in_turn(self, items: Iterable[T], block: set[str]) -> Iterator[T]:
        done = []
        for item in items:
            done.append(item)
            if len(done) == self.warm:
                self._tally.clocks.update(dict.fromkeys(block, 0.0))
                self.warmed |= block
        yield from done
