"""From coded pictures to a container: its streams, the packets in their turn, and the account of what was sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from .ends import Written, finish_animation, sound_of
from .media.animations import muxer_words
from .media.carry import Carrier
from .media.claims import describe_stream
from .media.containers import muxer_options
from .media.libav import writing
from .media.pipes import CHUNK, Writer
from .media.verify import Sent, kinds_of
from .running import Run
from .stages.mux import Muxer

Packets = Callable[[Run, VideoStream], "Iterator[Packet[Any]]"]


def write_muxed(run: Run, file: Path | Writer, packets: Packets) -> Written:
    """Mux the `packets` of the run's video, and all that is carried, into a container; see `pipeline.write`."""
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
