"""What is open for one run: made by `pipeline.prepared`, used up on the way of its frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from typing import Any

import av
from av.packet import Packet

from .excerpt import Excerpt
from .faces.film import Film
from .flow import Flow
from .prepare import Plan
from .record import Tally
from .runtime.choose import make_runtime
from .runtime.interface import Runtime
from .stages.decode import Decoder, Expected
from .stages.direct import Direct
from .stages.infer import Inference
from .stages.retime import Retimer
from .stages.source import Source
from .stages.tile import tiles
from .transparency import Transparency


@dataclass
class Run:
    """What is open for one run, and what was counted so far."""

    plan: Plan
    source: Source
    pictures: Iterator[av.VideoFrame]
    expected: Expected
    decoder: Decoder
    carried: deque[Packet[Any]]
    shift: int
    """Added to every pts of a finished picture, in units of the output's time base."""
    tally: Tally
    flow: Flow
    excerpt: Excerpt
    """What is wanted of the pictures."""
    read: Iterator[Packet[Any]]
    """The packets of the video, as `pictures` takes them."""
    runner: Runtime | None = None
    """A runtime that was made, and trusted, for another part of the same film."""
    direct: Direct | None = None
    transparency: Transparency | None = None
    faces: Film | None = None
    """What restores faces, where that is asked for."""

    @cached_property
    def retimer(self) -> Retimer | None:
        """What puts the frames at a constant rate, where that is asked for."""
        plan = self.plan
        if plan.options.fps is None:
            return None
        base = plan.source.time_base
        return Retimer(Fraction(plan.options.fps), plan.origin, base, plan.origin * base + plan.offset)

    @cached_property
    def inference(self) -> Inference:
        """Made when it is first asked for: that may take as long as building an engine for the device does."""
        engine, network, tell, check = self.plan.engine, self.plan.network, self.tally.emit, self.flow.cancel.check
        make = partial(make_runtime, engine.runtime, network, engine.device, engine.precision, tell, check)
        runner = self.runner or self.flow.apart(make, "runtime")
        return Inference(network, engine, runner, tiles, tell, check, trusted=self.runner is not None)

    @cached_property
    def passes(self) -> list[Inference]:
        """Every pass through the network, all by one runtime."""
        network, tell, check = self.plan.network, self.tally.emit, self.flow.cancel.check
        runner = self.inference.runner
        known = self.runner is not None
        engines = self.plan.engines[1:]
        later = [Inference(network, engine, runner, tiles, tell, check, trusted=known) for engine in engines]
        return [self.inference, *later]
