"""What a worker does with a film: prepares it, computes its segments, joins them."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from functools import partial
from importlib.metadata import version
from itertools import chain, islice
from pathlib import Path
from typing import Any

import av
from av.packet import Packet

from ..account import report_of, settle, verified
from ..errors import VerificationError
from ..events import Emit, Event, Progress, Stage
from ..excerpt import Excerpt
from ..flow import Cancel, Flow
from ..hardware import accelerate
from ..media.containers import muxer_options
from ..media.cut import Cut
from ..muxing import add_video
from ..options import Options
from ..pipeline import encoded, first_frame, prepared, write
from ..prepare import Plan, describe
from ..record import Tally
from ..running import Run
from ..runtime.fused import Fused
from ..runtime.interface import Runtime
from ..stages.decode import Decoder, Expected, one_each, pictures
from ..stages.source import Source, open_source, packets
from .devices import segment_frames
from .entry import place
from .join import joined, load
from .messages import Task, event_from_json, event_to_json
from .plan import ShardPlan, Span, cut, scan
from .segment import Header, Sealed, SegmentWriter

ENGINE = ("runtime", "precision", "batch", "tile", "overlap", "ramp")
"""What of an engine decides on the numbers that come out: the same for every segment of a film."""


@dataclass(frozen=True)
class Opened:
    """A film whose plan is settled, and the network that computes it here."""

    spec: dict[str, Any]
    plan: Plan
    shift: int
    runner: Runtime | None
    """None where nothing is computed: a join may be done on a machine that could not."""


class Workshop:
    """What one worker keeps from task to task. `device` is what its tasks run on."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._opened: Opened | None = None

    def do(self, task: Task, say: Emit, cancel: Cancel) -> dict[str, Any]:
        """The result of a task, as JSON values; `say` hears its events. Raises the errors of `vidsr.errors`."""
        work = {"prepare": self.prepare, "segment": self.segment, "join": self.join}[task.kind]
        try:
            return work(task.body, say, cancel)
        except BaseException:
            self._opened = None  # a runtime of a task that failed is not to be trusted
            raise

    def prepare(self, body: dict[str, Any], say: Emit, cancel: Cancel) -> dict[str, Any]:
        """Check everything, settle on the first frame how the network runs, and cut the input into segments."""
        heard: list[Event] = []
        film = self._open(body["film"], _both(say, heard.append), cancel)
        plan = film.plan
        found = {"output": str(plan.output), "facts": facts(film)}
        self._opened = replace(film, spec=film.spec | found)  # as the tasks that follow will say it
        return {
            **found,
            "rate": float(plan.source.rate or 0),
            "described": describe(plan),
            "plan": body.get("plan") or self._cut(body, plan, cancel).to_json(),
            "events": _lasting(heard),
        }

    def segment(self, body: dict[str, Any], say: Emit, cancel: Cancel) -> dict[str, Any]:
        """Compute one segment into the file `path`; it is on the disk when this returns."""
        film = self._open(body["film"], say, cancel)
        span, path = Span.from_json(body["span"]), Path(body["path"])
        heard: list[Event] = []
        lead = Lead(span, film.plan.source.time_base, _both(say, heard.append))
        run, sealed = self._recorded(film, span, path, lead, cancel)
        if lead.spoilt:  # what the segment refers to is damaged: only from the beginning is it decoded as in one piece
            lead.spoilt, span = False, replace(span, entry=None)
            heard.clear()
            run, sealed = self._recorded(film, span, path, lead, cancel)
        tally = run.tally
        return {
            **asdict(sealed),
            "frames": len(tally.pts),
            "reused": tally.reused,
            "computed": tally.computed,
            "kept": tally.kept,
            "runtime": tally.runtime,
            "precision": tally.precision,
            "clocks": tally.clocks,
            "events": _lasting(heard),
        }

    def _recorded(self, film: Opened, span: Span, path: Path, lead: Lead, cancel: Cancel) -> tuple[Run, Sealed]:
        with closing(open_source(film.plan.input, film.plan.options.max_pixels)) as source:
            run = _part(film, source, span, Tally(lead), cancel)
            sealed = record(run, path)
            settle(run)
            _check(run, span)
        return run, sealed

    def join(self, body: dict[str, Any], say: Emit, cancel: Cancel) -> dict[str, Any]:
        """Write the segments and the carried streams to the file `path`, verify it, and account for it all."""
        film = self._open(body["film"], say, cancel, compute=False)
        heard: list[Event] = []
        tally = load(body["segments"], body["events"], _both(say, heard.append), cancel.check)
        with closing(open_source(film.plan.input, film.plan.options.max_pixels)) as source:
            run = _run(film, source, tally, cancel, iter(()))
            known = {event_from_json(event) for event in body["events"]}  # the segments read the same packets
            path, read = Path(body["path"]), packets(source, run.carried.append, _unknown(known, tally.emit))
            sent, streams = write(run, path, partial(joined, segments=body["segments"], read=read))
            checks = verified(run, sent, path)
        report = report_of(film.plan, tally, streams, checks)
        return {"report": asdict(report) | {"pts": list(report.pts)}, "events": _lasting(heard)}

    def _open(self, spec: dict[str, Any], say: Emit, cancel: Cancel, *, compute: bool = True) -> Opened:
        """The film of `spec`: kept from the task before where it is the same one."""
        kept = self._opened
        if kept is None or kept.spec != spec or (compute and kept.runner is None):
            self._opened = kept = None  # gives its memory back
            self._opened = kept = self._planned(spec, say, cancel, compute)
        return kept

    def _planned(self, spec: dict[str, Any], say: Emit, cancel: Cancel, compute: bool) -> Opened:
        options = Options(**spec["options"]).model_copy(update={"device": self.device})
        output = None if spec["output"] is None else Path(spec["output"])
        with closing(open_source(Path(spec["input"]), options.max_pixels)) as source:
            job = prepared(source, output, options, Tally(say), Flow(cancel))
            if spec["facts"] is None:
                job.flow.apart(partial(first_frame, job), "first frame")
                engines = tuple(each.settled for each in job.passes)
            else:
                pairs = zip(job.plan.engines, spec["facts"]["engines"], strict=True)
                engines = tuple(replace(engine, **fixed) for engine, fixed in pairs)
            job.plan = replace(job.plan, engines=engines, settings=_portable(job.plan))  # what makes the runtime
            runner = job.inference.runner if compute else None
            if isinstance(runner, Fused) and spec["facts"] is not None:
                runner.fix(spec["facts"]["kernels"])
            return Opened(spec, job.plan, job.shift, runner)

    def _cut(self, body: dict[str, Any], plan: Plan, cancel: Cancel) -> ShardPlan:
        def heartbeat(event: Event) -> None:
            cancel.check()

        found = scan(plan.input, plan.options.max_pixels, heartbeat)
        frames = segment_frames(plan.engine.device.type, plan.source.width, plan.source.height)
        return cut(found, body["shards"], frames)


def facts(film: Opened) -> dict[str, Any]:
    """What else than options decides on the result: it must be the same for all segments, also after a resume."""
    plan = film.plan
    return {
        "engines": [{name: getattr(engine, name) for name in ENGINE} for engine in plan.engines],
        "kernels": film.runner.chosen() if isinstance(film.runner, Fused) else {},
        "device": plan.engine.device.type,
        "weights": plan.network.sha256,
        "encoder": [plan.encoder.libav, plan.pix_fmt, plan.settings],
        "size": [plan.target.width, plan.target.height],
        "container": plan.container,
        "versions": {name: version(name) for name in ("vidsr-upscaler", "torch", "av")},
    }


def record(run: Run, path: Path) -> Sealed:
    """Compute the run's frames into a segment file. Raises OutputError."""
    with av.open(
        _Nowhere(), "w", format=run.plan.container, container_options=muxer_options(run.plan.container)
    ) as unwritten:
        video = add_video(unwritten, run)

        def work() -> Sealed:
            made = encoded(run, video)
            first = list(islice(made, 1))  # by now the encoder is open; none where not one picture could be decoded
            context = video.codec_context
            base = first[0].time_base if first else run.plan.target.time_base
            size = context.width, context.height
            header = Header(str(base), context.codec.name, bytes(context.extradata or b""), *size)
            with SegmentWriter(path, header) as writer:
                for packet in run.tally.timed("mux", chain(first, made)):
                    writer.write(packet)
                return writer.close()

        return run.flow.run(work, "write")


def _portable(plan: Plan) -> dict[str, str]:
    """The encoder's options. x265 writes into its headers on what machine it ran, and headers must be equal."""
    if plan.encoder.libav != "libx265":
        return plan.settings
    words = plan.settings.get("x265-params", "")
    return plan.settings | {"x265-params": f"{words}:info=0".lstrip(":")}


class _Nowhere(io.RawIOBase):
    """Where a container lies that is never written: encoders are set up by the container they are meant for."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data)


def _part(film: Opened, source: Source, span: Span, tally: Tally, cancel: Cancel) -> Run:
    """The run that computes `span` of the film."""
    accelerate(source, film.plan.options, film.plan.engine.device)
    read = tally.timed("source", _watched(place(source, span.entry, tally.emit), cancel))
    run = _run(film, source, tally, cancel, read)
    run.excerpt.start, run.excerpt.end, run.expected.amid = span.start, span.end, span.entry is not None
    return run


def _watched(read: Iterator[Packet[Any]], cancel: Cancel) -> Iterator[Packet[Any]]:
    """The packets; each shows that the work moves, also where many are decoded before the segment begins."""
    for packet in read:
        cancel.check()
        yield packet


def _run(film: Opened, source: Source, tally: Tally, cancel: Cancel, read: Iterator[Packet[Any]]) -> Run:
    """A run of the film on the packets `read` of its video."""
    plan, context = film.plan, source.decoder
    expected = Expected(context)
    shown = pictures(expected.watch(read), context, tally.emit)
    decoder = Decoder(plan.source, plan.options.deinterlace, tally.emit)
    whole, flow = Excerpt(Cut(Fraction(0)), plan.source.time_base), Flow(cancel)
    return Run(plan, source, shown, expected, decoder, deque(), film.shift, tally, flow, whole, iter(()), film.runner)


def _check(run: Run, span: Span) -> None:
    """Every packet of the segment's range became a frame, or its loss was declared.

    An input that is not cut may be in any state; then the claims of its header are what it is held against.
    """
    if span.start is None and span.end is None:
        return
    lost = run.tally.losses or (run.expected.skipped and not run.expected.amid)
    if one_each(run.source.video.codec_context) and not lost and len(run.tally.pts) != span.frames:
        raise VerificationError(
            f"segment {span.number} of {run.plan.input} holds {len(run.tally.pts)} frames, "
            f"and {span.frames} packets lie in its range",
            "the input was changed while it was read, or please report this; --shards 1 does not cut it",
        )


class Lead:
    """Tells only events of the segment's own time: what lies before it is decoded, not kept, and told by another.

    Damage before it makes it `spoilt`: pictures of the segment may refer to what a decoder that came from the beginning
    would have put in its place.
    """

    def __init__(self, span: Span, base: Fraction, emit: Emit) -> None:
        self._start = float("-inf") if span.start is None else float(span.start * base)
        self._end = float("inf") if span.end is None else float(span.end * base)
        self._emit = emit
        self.spoilt = False

    def __call__(self, event: Event) -> None:
        seconds = getattr(event, "seconds", None)
        if isinstance(event, Progress) or seconds is None or self._start <= seconds < self._end:
            self._emit(event)
        elif seconds < self._start:
            self.spoilt = True


def _both(*listeners: Callable[[Event], None]) -> Emit:
    def told(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return told


def _unknown(known: set[Event], emit: Emit) -> Emit:
    def told(event: Event) -> None:
        if event not in known:
            emit(event)

    return told


def _lasting(events: list[Event]) -> list[dict[str, Any]]:
    """The events that belong to the account of the film."""
    return [event_to_json(event) for event in events if not isinstance(event, Progress | Stage)]
