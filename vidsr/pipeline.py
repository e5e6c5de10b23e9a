"""READ THIS FIRST. One input to one output: the stages of `vidsr.stages`, composed in order.

`finished` is the way of a frame, written as one chain, with the two places where it crosses from one thread to the
next; the third thread is the one that pulls the chain. `vidsr.prepare` settles everything before, `vidsr.flow` holds
the threads, `vidsr.media.verify` looks at the result.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from .account import report_of, settle, verified
from .ends import Written, finish_animation, opened, sound_of, target_of, write_plain
from .events import Emit, Progress, Stage
from .excerpt import Excerpt, excerpt_of
from .flow import Cancel, Flow
from .frames import Batch, Orientation, UpscaledFrame, Work
from .hardware import accelerate, surfaces_for
from .media.animations import muxer_words
from .media.carry import Carrier
from .media.claims import describe_stream
from .media.containers import muxer_options
from .media.files import KINDS
from .media.hwaccel import on_host
from .media.libav import writing
from .media.palette import FORMAT as PALETTE
from .media.palette import Palette
from .media.pipes import CHUNK, Writer, is_stdout, streamed
from .media.plain import PLAIN, RAW
from .media.stdout import stdout_apart
from .media.verify import Sent, kinds_of
from .models.load import load_model
from .numbered import write_pictures
from .options import Options
from .prepare import Plan, check_call, check_names, make_plan, output_path
from .record import Report, Tally
from .runtime.choose import make_runtime
from .runtime.device import pick_device
from .runtime.fused import Fused
from .runtime.interface import Runtime
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
from .stages.infer import Inference, clamped
from .stages.mux import Muxer
from .stages.retime import Retimer
from .stages.reuse import find_held
from .stages.source import Source, packets
from .stages.tile import tiles
from .transparency import Transparency

Packets = Callable[["Run", VideoStream], "Iterator[Packet[Any]]"]

PROGRESS_EVERY = 0.1
"""Seconds between two Progress events."""


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
    return Run(plan, source, decoded, expected, decoder, carried, shift, tally, flow, excerpt, read)


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
        upscaled = timed("infer", _passed(run, batches))
        padded, downloader = (target.width, target.height), Downloader(engine.device, max(2, engine.batch))
        return timed("assemble", to_planes(upscaled, from_tensor, plan.size, padded, downloader, bool(plan.surfaces)))

    fused = run.inference.runner
    if not (isinstance(fused, Fused) and _is_plain(plan)):
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
    once = plan.sizes.passes == 1 and plan.sizes.native == (source.width, source.height)
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
            tally.emit(Progress(done, total, seconds, done / max(now - begun, 1e-6)))


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
        return _write(run, pipe or path, packets)


def _write(run: Run, file: Path | Writer, packets: Packets) -> Written:
    plan, piped = run.plan, isinstance(file, Writer)
    how = muxer_options(plan.container, streamed=piped) | muxer_words(plan.container, run.source.animation)
    name: Any = file if piped else str(file)
    output = writing(plan.output, lambda: av.open(name, "w", plan.container, container_options=how, buffer_size=CHUNK))
    stack = ExitStack()
    try:
        video = add_video(output, run)
        base, given = plan.target.time_base, run.source.container
        cut = None if run.excerpt.whole else run.excerpt.cut
        carrier = Carrier(plan.streams, given, output, plan.offset, run.tally.emit, run.carried, piped, cut)
        feeds = [stack.enter_context(sound_of(run, output, piped, cut))] if plan.sound else []
        muxer = Muxer(output, plan.output, carrier.take, carrier.finish, run.tally.emit, feeds, run.carried)

        def work() -> None:
            deque(run.tally.timed("mux", muxer.write(packets(run, video))), maxlen=0)

        run.flow.run(work, "write")
        streams = tuple(describe_stream(stream) for stream in output.streams)
        kinds = kinds_of(output)
        muxer.close()
        finish_animation(run, file)
    except BaseException:
        with suppress(Exception):  # the file is thrown away; the first cause is the one to tell
            output.close()
        raise
    finally:
        stack.close()
    target, counted = plan.target, (run.tally.pts, kinds, muxer.counts, muxer.first)
    sent = Sent(target.width, target.height, base, *counted, alpha=target.alpha)
    return sent, streams


def add_video(output: OutputContainer, run: Run) -> VideoStream:
    """The output's video stream: our encoder with the source's clock, shape, tags and names."""
    plan, target = run.plan, run.plan.target
    stream = output.add_stream(plan.encoder.libav, rate=target.rate, options=plan.settings)
    assert isinstance(stream, VideoStream)
    context = stream.codec_context
    context.width, context.height, context.pix_fmt = target.width, target.height, plan.pix_fmt
    context.time_base = stream.time_base = target.time_base
    context.sample_aspect_ratio = target.sample_aspect
    context.thread_count = 0  # as many as the machine has
    context.colorspace, context.color_range = target.color.matrix, 2 if target.color.full_range else 1
    context.color_primaries, context.color_trc = target.color.primaries, target.color.transfer
    if plan.encoder.codec == "hevc" and plan.container in ("mp4", "mov"):
        context.codec_tag = "hvc1"  # QuickTime and Apple's players take no other
    if target.interlaced:
        context.field_order = run.source.video.codec_context.field_order
    stream.disposition = run.source.video.disposition
    stream.metadata.update(plan.metadata)
    return stream
