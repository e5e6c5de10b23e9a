"""What a run would come to: segments, and how long they would take. For `--dry-run`."""

from __future__ import annotations

import time

import torch

from ..events import clock, ignore
from ..options import Options
from ..prepare import Plan
from ..runtime.ceilings import synchronize
from ..runtime.choose import make_runtime
from ..runtime.trust import fitted
from .devices import devices_for, segment_frames
from .plan import cut as plan_of
from .plan import scan

SIDE = 256
"""Pixels of the square by which the network is timed: large enough for its speed per pixel to be that of a frame."""


def outlook(plan: Plan, options: Options, *, cut: bool) -> list[str]:
    """Lines for people: the segments of the input, if it is to be `cut`, and how long the network needs at most."""
    found = scan(plan.input, options.max_pixels)
    shards = 1 if not cut else None if options.shards == "auto" else options.shards
    cuts = plan_of(found, shards, segment_frames(plan.engine.device.type, plan.source.width, plan.source.height))
    lengths = [span.frames for span in cuts.spans]
    devices = devices_for(options)
    each = 2 if plan.target.alpha and options.alpha_upsampler == "model" else 1  # alpha is a picture of its own
    seconds = cuts.frames * each * seconds_per_frame(plan) / len(devices)
    longest = f" of {min(lengths)} to {max(lengths)} frames" if len(lengths) > 1 else ""
    why = f", not cut: {cuts.whole}" if cut and cuts.whole else ""
    return [
        f"segments {len(lengths)}{longest}{why}",
        f"estimate {clock(seconds)[:-4]} for {cuts.frames} frames on {', '.join(devices)}, if no frame is like another",
    ]


def seconds_per_frame(plan: Plan) -> float:
    """Of the network alone, computing everything: timed on a square of noise."""
    engine, network = plan.engine, plan.network
    runner = make_runtime(engine.runtime, network, engine.device, engine.precision, ignore)
    side = min(SIDE, plan.source.height, plan.source.width)
    square = fitted(torch.rand(1, 3, side, side), network).to(engine.device)
    for _ in range(2):  # the first one warms up
        begun = time.perf_counter()
        runner(square)
        synchronize(engine.device)
    pixels = square.shape[-1] * square.shape[-2]
    return (time.perf_counter() - begun) * plan.source.width * plan.source.height / pixels
