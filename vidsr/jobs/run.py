"""Films through workers: which inputs go this way, and the way itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from ..errors import UsageError
from ..events import Emit, Event, Progress
from ..flow import Cancel
from ..options import Options
from ..record import Report
from ..stages.source import open_source
from .devices import SEGMENT_PIXELS, cuda_count, devices_for
from .film import Film
from .local import STALL, Local
from .messages import Executor
from .supervise import Supervisor

BUILD = 3600.0
"""Seconds that building a TensorRT engine may take."""

LONG = 2
"""An input of more than so many segments' worth of work is cut without being asked for."""


def wanted(input: Path, options: Options) -> bool:
    """Whether `input` is to be computed in segments by workers. Raises UsageError where that is asked for and cannot
    be, InputError when the input cannot be opened.
    """
    asked = (options.shards != "auto" and options.shards > 1) or "," in options.devices or options.cluster is not None
    why = _why_not(input)
    if why and asked and os.path.lexists(input):
        raise UsageError(f"{why}: --shards, --devices and --cluster are not possible", "leave them out")
    if why:
        return False
    return asked or (options.shards == "auto" and _pixels(input, options) > LONG * SEGMENT_PIXELS[_kind(options)])


def _why_not(input: Path) -> str:
    """Why workers cannot compute `input`; empty if they can."""
    if sys.platform == "win32":
        return "worker processes need a system with pipes that can be waited for"
    try:
        whole = input.is_file()
    except OSError:  # no name at all: what opens it tells why
        whole = False
    return "" if whole else f"input {input} is no regular file and can be read only once"


def _kind(options: Options) -> str:
    gpu = any(name.startswith("cuda") for name in (options.device, options.devices))
    return "cuda" if gpu or (options.device == options.devices == "auto" and cuda_count()) else "cpu"


def _pixels(input: Path, options: Options) -> float:
    """Of all frames, as far as the header says how many there are."""
    with closing(open_source(input, options.max_pixels)) as source:
        claims, video = source.claims, source.video
        end = claims.ends.get(claims.video, claims.container_end)
        frames = claims.frames or (end or 0) * (video.average_rate or 0)
        return float(frames) * video.codec_context.width * video.codec_context.height


def upscale(
    pairs: Sequence[tuple[Path, Path | None]], options: Options, emit: Emit, cancel: Cancel | None = None
) -> list[Report | Exception]:
    """Upscale every input to its output; what became of each, in order.

    Raises what ended the run as a whole; with one input also what ended that.
    """
    told = _once(emit)
    films = [Film(input, output, options, told) for input, output in pairs]
    with ExitStack() as stack:
        for film in films:
            stack.push(_let_go(film))
        executor = stack.enter_context(closing(_executor(options)))
        return Supervisor(executor, films, told, cancel or Cancel()).run()


def _let_go(film: Film) -> Callable[..., None]:
    """Called however the run ends: a film that is not finished frees its output and keeps its work."""
    return lambda kind, error, trace: film.failed(error)


def _executor(options: Options) -> Executor:
    # Building an engine is one long call, in which nothing can be seen to move.
    stall = STALL if not options.runtime.startswith("tensorrt") else BUILD
    if options.cluster is not None:
        if (options.device, options.devices) != ("auto", "auto"):
            raise UsageError(
                "--device and --devices are those of this machine, --cluster has its own", "leave them out"
            )
        if options.audio_file is not None:
            raise UsageError("--audio-file with --cluster is not possible: only the input is sent to other machines")
        from .ray import Cluster

        return Cluster(options.cluster, stall=stall)
    return Local(devices_for(options), stall=stall)


def _once(emit: Emit) -> Emit:
    """Tells each event once: every segment says what holds for the whole film, and a second try says it again."""
    said: set[Event] = set()

    def told(event: Event) -> None:
        if isinstance(event, Progress) or event not in said:
            emit(event)
        if not isinstance(event, Progress):
            said.add(event)

    return told
