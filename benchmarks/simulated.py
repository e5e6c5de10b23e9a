"""The ends of the pipeline without pixels: stages that hand over shared planes, and a device that only takes time.

What is left real is what the pipeline does besides: generators, clocks, queues and threads, batches, reuse, timestamps.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np
import torch
from av.packet import Packet
from torch import Tensor

from vidsr import pipeline
from vidsr.frames import Batch, PixelLayout, Plane, RawFrame
from vidsr.running import Run
from vidsr.stages.encode import Encoding
from vidsr.stages.mux import Muxer


def shared_planes(layout: PixelLayout, width: int, height: int, value: int) -> tuple[Plane, ...]:
    """Planes that all frames share; those of another `value` differ from them in every sample."""
    return tuple(np.full(size, value, layout.dtype) for size in layout.plane_sizes(width, height))


class SharedDecoder:
    """Stands for `Decoder`: `frames` pictures that take turns in showing two pictures."""

    def __init__(self, frames: int, pictures: tuple[tuple[Plane, ...], tuple[Plane, ...]], step: int) -> None:
        self.frames_in = 0
        self._frames, self._pictures, self._step = frames, pictures, step

    def raw_frames(self, pictures: Iterable[Any], expected: Any) -> Iterator[RawFrame]:
        for number in range(self._frames):
            self.frames_in += 1
            yield RawFrame(self._pictures[number % 2], number * self._step, self._step)


class SharedToRGB:
    """Stands for `ToRGB`: one pixel in place of the picture, so that even joining a batch costs no pixel work."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self._rgb = torch.zeros(1, 3, 1, 1)

    def __call__(self, planes: tuple[Tensor, ...]) -> Tensor:
        return self._rgb


@dataclass
class SimulatedDevice:
    """Stands for `Inference.upscaled`: every batch takes `seconds`, in which the processor is free."""

    seconds: float
    height: int
    width: int

    def upscaled(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Pictures of the final size, of which only one pixel lies in memory."""
        for batch in batches:
            if batch.rgb is not None:
                if self.seconds:
                    time.sleep(self.seconds)
                batch = replace(batch, rgb=torch.zeros(1).expand(len(batch.rgb), 3, self.height, self.width))
            yield batch


class SharedFromRGB:
    """Stands for `FromRGB`: always the same planes."""

    def __init__(self, planes: tuple[Plane, ...]) -> None:
        self._planes = tuple(torch.from_numpy(plane).unsqueeze(0) for plane in planes)

    def __call__(self, rgb: Tensor) -> tuple[Tensor, ...]:
        return self._planes


class NoStream:
    """Stands for the stream of an encoder: a small packet for every frame."""

    def __init__(self, time_base: Any) -> None:
        self.codec_context = mock.Mock(time_base=time_base)

    def encode(self, frame: Any) -> list[Packet[Any]]:
        if frame is None:
            return []
        packet: Any = Packet(8)
        packet.pts = packet.dts = frame.pts
        packet.time_base = self.codec_context.time_base
        return [packet]


class NoEncoding(Encoding):
    """`Encoding` without an encoder: planes are looked at by their sizes only and are not copied."""

    def _av_frame(self, frame: Any) -> Any:
        sizes = tuple(plane.shape for plane in frame.planes)
        assert sizes == self.layout.plane_sizes(self.width, self.height)
        self._durations[frame.pts] = frame.duration
        return frame


def no_encoding(job: Run) -> NoEncoding:
    plan = job.plan
    stream: Any = NoStream(plan.target.time_base)
    target = plan.target
    return NoEncoding(stream, plan.pix_fmt, target.layout, target.width, target.height, target.color)


def no_muxer(job: Run) -> Muxer:
    """`Muxer` into nothing."""
    output: Any = mock.Mock(mux_one=lambda packet: None)
    return Muxer(output, job.plan.output, lambda packet: [packet], lambda: [], job.tally.emit)


def run_without_output(job: Run) -> list[float]:
    """Everything but encoding and writing; seconds from the start at which each frame was finished."""
    chain = job.tally.timed("mux", no_muxer(job).write(pipeline.compose(job, no_encoding(job))))
    begun, finished = time.perf_counter(), []

    def drain() -> None:
        for _ in chain:
            finished.append(time.perf_counter() - begun)

    job.flow.run(drain, "write")
    return finished


def run_without_pixels(job: Run, frames: int, device_seconds: float) -> list[float]:
    """Everything but pixels: `frames` of the job's size; seconds from the start at which each was finished."""
    source, target = job.plan.source, job.plan.target
    pictures = tuple(shared_planes(source.layout, source.width, source.height, value) for value in (16, 235))
    job.decoder = SharedDecoder(frames, pictures, 1)  # type: ignore[assignment, arg-type]
    made = SharedFromRGB(shared_planes(target.layout, target.width, target.height, 128))
    device = SimulatedDevice(device_seconds, target.height, target.width)
    with (
        mock.patch.object(pipeline, "ToRGB", SharedToRGB),
        mock.patch.object(pipeline, "FromRGB", return_value=made),
        mock.patch.object(job.inference, "upscaled", device.upscaled),
    ):
        return run_without_output(job)
