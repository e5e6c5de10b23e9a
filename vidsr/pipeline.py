"""READ THIS FIRST. One input to one output: the stages of `vidsr.stages`, composed in order.

`finished` is the way of a frame, written as one chain, with the two places where it crosses from one thread to the
next; the third thread is the one that pulls the chain. `vidsr.prepare` settles everything before, `vidsr.flow` holds
the threads, `vidsr.media.verify` looks at the result.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

from av.packet import Packet
from av.video.stream import VideoStream

from .account import report_of, settle, verified
from .ends import Written, opened, target_of, write_plain
from .events import Emit, Progress, Stage
from .excerpt import excerpt_of
from .faces.batches import with_faces
from .faces.wanted import film_of
from .flow import Cancel, Flow
from .frames import Batch, Orientation, UpscaledFrame, Work
from .hardware import accelerate, surfaces_for
from .media.files import KINDS
from .media.hwaccel import on_host
from .media.palette import FORMAT as PALETTE
from .media.palette import Palette
from .media.pipes import is_stdout, streamed
from .media.plain import PLAIN, RAW
from .media.stdout import stdout_apart
from .models.load import load_model
from .muxing import Packets, write_muxed
from .numbered import write_pictures
from .options import Options
from .prepare import Plan, check_call, check_names, make_plan, output_path
from .record import Report, Tally
from .running import Run
from .runtime.device import pick_device
from .runtime.fused import Fused
from .runtime.lanes import computing, make_current
from .runtime.planes import FromRGB, ToRGB
from .runtime.transfer import Downloader, Uploader
from .sizes import own_scale
from .stages.assemble import to_planes
from .stages.batch import group
from .stages.convert import to_rgb
from .stages.decode import Decoder, Expected, first_picture, pictures
from .stages.direct import Direct
from .stages.encode import Encoding
from .stages.infer import clamped
from .stages.reuse import find_held
from .stages.source import Source, packets
from .transparency import Transparency

PROGRESS_EVERY = 0.1
"""Seconds between two Progress events."""


def run(input: Path, output: Path | None, options: Options, emit: Emit, cancel: Cancel | None = None) -> Report:
    """Upscale one file. Nothing has the output's name before it is complete, verified and on disk.

    Raises the errors of `vidsr.errors`; a run that lost part of its input ends normally, with `exit_code` 7.
    """
    tally = Tally(emit)
    with ExitStack() as stack:
        stdout = stack.enter_context(stdout_apart()) if is_stdout(output) else None
        source = stack.enter_context(closing(opened(input, output, options)))
        job = prepared(source, output, options, tally, Flow(cancel))
        plan = job.plan
        tally.emit(Stage("runtime", job.inference.runner.name))  # refused here, where nothing has been written
        with target_of(plan, stdout) as target:
            tally.emit(Stage("upscale", str(plan.output)))
            sent, streams = write(job, target.path)
            checks = verified(job, sent, None if target.direct or plan.container == RAW else target.path)
            if not target.direct:
                tally.emit(Stage("commit", str(plan.output)))
                target.commit()
        settle(job)
        report = report_of(plan, tally, streams, checks)
        tally.emit(Stage("done", str(plan.output)))
    return report


def plan_only(input: Path, output: Path | None, options: Options, emit: Emit) -> Plan:
    """The plan of a run, after every check that `run` makes before its first frame."""
    with closing(opened(input, output, options)) as source:
        return prepared(source, output, options, Tally(emit), Flow()).plan


def prepared(source: Source, output: Path | None, options: Options, tally: Tally, flow: Flow) -> Run:
    """Decode the first picture, load the network, settle the plan. The cheapest checks come first."""
    source.watch(flow.cancel.check)
    provisional = output_path(source.path, output, options, options.scale or 0)
    if output is not None:
        check_names(source.path, provisional, options)
    device = pick_device(options.device)
    tally.emit(Stage("open", str(source.path)))
    accelerate(source, options, device)
    excerpt = excerpt_of(options, source)
    tell = excerpt.heard(tally.emit)
    expected = Expected(source.decoder)
    carried: deque[Packet[Any]] = deque()
    carry = carried.append if excerpt.whole else excerpt.cut.keeping(carried.append)
    read = tally.timed("source", packets(source, carry, tell, expected.owe))
    read = excerpt.entered(read, source, options.max_pixels)
    expected.amid = excerpt.start is not None
    decoded = excerpt.led(pictures(expected.watch(read), source.decoder, tell))
    first, decoded = first_picture(decoded, source.path)
    first, decoded = on_host(first), chain(excerpt.lead, decoded)
    check_call(source, first, provisional, options)
    tally.emit(Stage("weights", options.model))
    load = partial(load_model, options.model, denoise=options.denoise, blend=options.blend, emit=tally.emit)
    network = flow.apart(load, "weights")
    named = output_path(source.path, output, options, options.scale or own_scale(options, network.scale))
    check_names(source.path, named, options)
    shift = excerpt.shift(first.pts or 0)
    plan = make_plan(source, first, shift, named, options, network, device)
    for note in plan.notes:
        tally.emit(note)
    decoder = Decoder(plan.source, options.deinterlace, tell)
    if options.fps is not None:
        shift = 0  # frames come at their final times
    faces = flow.apart(partial(film_of, options, source.path, device, tally.emit, flow.cancel.check), "faces")
    return Run(plan, source, decoded, expected, decoder, carried, shift, tally, flow, excerpt, read, faces=faces)


def compose(run: Run, encoding: Encoding) -> Iterator[Packet[Any]]:
    """The pictures of a run, coded."""
    return run.tally.timed("encode", encoding.packets(finished(run)))


def finished(run: Run) -> Iterator[UpscaledFrame]:
    """The way of a frame. Each `boundary` is where the next thread takes over; `timed` keeps the clocks."""
    plan, timed, boundary = run.plan, run.tally.timed, run.flow.boundary
    if plan.surfaces:
        make_current(plan.surfaces)  # of this thread, which encodes
    decoded = run.excerpt.frames(run.decoder.raw_frames(run.pictures, run.expected), run.read, run.source)
    if run.retimer:
        decoded = run.retimer.frames(decoded)
    raw = boundary(timed("decode", decoded), "decode")
    held = find_held(timed("wait for decode", raw), plan.options.reuse, plan.source.layout)
    frames = computing(_upscaled(run, timed("reuse", _counted(run, held))), plan.engine.device)
    return _told(run, timed("wait for upscale", boundary(frames, "upscale")))


def _upscaled(run: Run, works: Iterable[Work]) -> Iterator[UpscaledFrame]:
    """Pictures through the network, with their transparency beside them where there is some to keep."""
    if not run.plan.target.alpha:
        return _coloured(run, works)
    run.transparency = Transparency(run)
    return run.tally.timed("alpha", run.transparency.beside(works, partial(_coloured, run)))


def _coloured(run: Run, works: Iterable[Work]) -> Iterator[UpscaledFrame]:
    """Colours through the network: planes to planes in one go where the device can do that, else stage by stage."""
    plan, timed = run.plan, run.tally.timed
    source, target, engine = plan.source, plan.target, plan.engine
    given, wanted = source.layout.colours, target.layout.colours
    dither = wanted.depth < given.depth
    to_tensor = ToRGB(given, source.color, device=engine.device)
    from_tensor = FromRGB(wanted, target.color, device=engine.device, dither=dither)

    def stages(works: Iterable[Work]) -> Iterator[UpscaledFrame]:
        singles = timed(
            "convert", to_rgb(works, to_tensor, source.orientation, Uploader(engine.device), plan.sizes.native)
        )
        batches = timed("batch", group(singles, engine.batch))
        upscaled = timed(
            "infer", with_faces(batches, partial(_passed, run), run.faces) if run.faces else _passed(run, batches)
        )
        padded, downloader = (target.width, target.height), Downloader(engine.device, max(2, engine.batch))
        return timed("assemble", to_planes(upscaled, from_tensor, plan.size, padded, downloader, bool(plan.surfaces)))

    fused = run.inference.runner
    if run.faces or not (isinstance(fused, Fused) and _is_plain(plan)):
        return stages(works)
    fused.bind(given, source.color, wanted, target.color, dither=dither)
    fits = fused.cache_bytes(source.height, source.width) <= engine.cache
    depth = wanted.depth if plan.surfaces else None
    run.direct = Direct(fused, to_tensor, engine.reuse and fits, stages, run.inference, run.tally.emit, depth)
    return timed("infer", run.direct.frames(works))


def _passed(run: Run, batches: Iterable[Batch]) -> Iterator[Batch]:
    """The batches through the network, as often as planned."""
    first, *others = run.passes
    passed = first.upscaled(batches)
    for inference in others:
        passed = inference.upscaled(clamped(passed))
    return passed


def first_frame(run: Run) -> UpscaledFrame:
    """The first picture, upscaled: after that, `run.inference` has settled how the network runs here."""
    frames = islice(run.decoder.raw_frames(run.pictures, run.expected), 1)
    works = (Work(frame, held=False) for frame in frames)
    return next(computing(_upscaled(run, works), run.plan.engine.device))


def _is_plain(plan: Plan) -> bool:
    """Whether the network's own result, as it stands, is what the encoder gets."""
    scale, source = plan.network.scale, plan.source
    once = (
        plan.sizes.passes == 1
        and plan.options.face_enhance is None
        and plan.sizes.native == (source.width, source.height)
    )
    same = (plan.target.width, plan.target.height) == plan.size == (source.width * scale, source.height * scale)
    return once and same and not plan.engine.tile and source.orientation == Orientation()


def _counted(run: Run, works: Iterable[Work]) -> Iterator[Work]:
    for work in works:
        run.tally.reused += work.held
        yield work


def _told(run: Run, frames: Iterable[UpscaledFrame]) -> Iterator[UpscaledFrame]:
    """The frames, each noted as sent to the encoder, and progress told now and then."""
    tally, target, total = run.tally, run.plan.target, run.excerpt.total(run.source.claims, run.plan.target.rate)
    begun, told = time.monotonic(), 0.0
    for frame in frames:
        tally.pts.append(frame.pts + run.shift)
        tally.last = frame.duration
        yield frame
        now = time.monotonic()
        if now - told >= PROGRESS_EVERY:
            told, done = now, len(tally.pts)
            seconds = float(frame.pts * target.time_base)
            tally.emit(Progress(done, total, seconds, done / max(now - begun, 1e-6), tally.reused))


def encoded(run: Run, video: VideoStream) -> Iterator[Packet[Any]]:
    """Every picture of the run through the encoder of `video`."""
    plan, target = run.plan, run.plan.target
    surfaces = surfaces_for(video, plan.surfaces, target.layout.depth)
    size = target.width, target.height
    palette = Palette() if plan.pix_fmt == PALETTE else None
    return compose(run, Encoding(video, plan.pix_fmt, target.layout, *size, target.color, run.shift, surfaces, palette))


def write(run: Run, path: Path, packets: Packets = encoded) -> Written:
    """Run the whole chain into the file or stream at `path`; what was sent there, and the streams it holds.

    `packets` gives those of the video, in the order of decoding.
    """
    with streamed(path, run.flow.cancel.check) as pipe:
        if run.plan.container in PLAIN:
            return write_plain(run, pipe or path, finished(run))
        if run.plan.container in KINDS:
            return write_pictures(run, path, finished(run))
        return write_muxed(run, pipe or path, packets)
