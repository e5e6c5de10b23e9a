"""The two ends of a run that are no ordinary files: an input read as the options say, pictures without a container."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
from av.container import OutputContainer

from .errors import UsageError
from .events import Notice, clock
from .frames import UpscaledFrame
from .fs import Target
from .media.animations import ANIMATIONS, end_at, is_animated
from .media.carry import Carrier
from .media.cut import Cut
from .media.files import KINDS
from .media.folder import Folder
from .media.forms import form_of
from .media.libav import allowed_formats, writing
from .media.pipes import Writer, is_stdin, is_stdout, is_stream
from .media.plain import FRAME, Y4M, Packer, header
from .media.sequences import is_sequence, numbering_of
from .media.side import Feed, Sound, open_sound
from .media.verify import Sent
from .numbered import open_moving, open_sequence
from .options import Options
from .stages.plain import Plain
from .stages.source import Source, open_source

if TYPE_CHECKING:
    from .prepare import Plan
    from .running import Run

Written = tuple[Sent, tuple[dict[str, Any], ...]]
"""What was sent to an output, and a description of each of its streams."""
_ANIMATED = {".gif", ".apng", ".png", ".webp"}
LONGER = Fraction(1, 2)
"""Seconds by which the sound of another file may differ from the pictures before it is told."""
RATE = Fraction(25)
"""Pictures a second of a Y4M whose input states no rate."""


def opened(input: Path, output: Path | None, options: Options) -> Source:
    """The input, read as the options say. Raises UsageError where they contradict each other, InputError."""
    if output is None and is_stdin(input):
        raise UsageError("the input is stdin, which gives the output no name", "-o names one; - is stdout")
    if is_sequence(input):
        return open_sequence(input, output, options)
    if input.suffix.lower() == ".webp" and is_animated(input):
        return open_moving(input, options)
    form = form_of(options.in_format, options.in_size, options.in_rate, allowed_formats())
    return open_source(input, options.max_pixels, form=form)


def in_one_piece(input: Path, output: Path | None, options: Options) -> bool:
    """Whether a run can only go from the first picture to the last, by one process.

    Raises UsageError where segments are asked for all the same.
    """
    why = _pieceless(input, output, options) or whole_only(options)
    asked = (options.shards != "auto" and options.shards > 1) or "," in options.devices or options.cluster is not None
    if why and asked:
        raise UsageError(f"{why} cannot be computed in segments", "leave out --shards, --devices and --cluster")
    return bool(why)


def _pieceless(input: Path, output: Path | None, options: Options) -> str:
    """What of the two ends has no segments; empty if both may have."""
    numbered = is_sequence(input) or (output is not None and numbering_of(output) is not None)
    animated = any(path is not None and path.suffix.lower() in _ANIMATED for path in (input, output))
    if numbered or animated:
        return "a run to or from numbered pictures or an animation"
    if is_stdin(input) or is_stdout(output) or (output is not None and is_stream(output)):
        return "a run to or from a pipe"
    plain = output is not None and output.suffix.lower() == ".y4m"
    given = options.in_format or options.in_rate or options.out_format
    return "a run to or from a format that is given by hand" if plain or given else ""


def whole_only(options: Options) -> str:
    """Which of the options segments know nothing of, as the run that they ask for; empty if none is given."""
    if options.start or options.end or options.frames:
        return "an excerpt"
    if options.fps:
        return "a film at another rate"
    return "a film with --face-enhance" if options.face_enhance is not None else ""


@contextmanager
def sound_of(run: Run, output: OutputContainer, piped: bool, cut: Cut | None) -> Iterator[Feed]:
    """--audio-file on its way to `output`."""
    plan = run.plan
    assert plan.sound is not None, "sound was asked for"
    assert plan.options.audio_file is not None, "sound was asked for"
    opened, stream = open_sound(plan.options.audio_file)
    with opened:
        begin = Fraction(run.source.container.start_time or 0, av.time_base)
        sound = Sound(plan.options.audio_file, opened, stream, begin, run.tally.emit)
        carrier = Carrier([plan.sound], opened, output, plan.offset, run.tally.emit, (), piped, cut, tags=False)
        yield Feed(sound.packets(), carrier.take, carrier.finish, cut.begins_in_time if cut else lambda packet: True)
        if cut is None and run.tally.pts:
            _tell_lengths(run, sound)


def _tell_lengths(run: Run, sound: Sound) -> None:
    """Say so where the sound is clearly longer or shorter than the pictures."""
    pts, target = run.tally.pts, run.plan.target
    pictures = (pts[-1] - pts[0]) * target.time_base + (1 / target.rate if target.rate else 0)
    if abs(sound.length - pictures) > LONGER:
        text = f"the sound of {sound.path} lasts {clock(sound.length)}, the pictures {clock(pictures)}"
        run.tally.emit(Notice(text, "warning"))


def target_of(plan: Plan, stdout: Path | None) -> Target | Folder:
    """Where the output is written until it is whole; `stdout` is what stands for it, where that is the output."""
    numbering = numbering_of(plan.output) if plan.container in KINDS else None
    if numbering is not None:
        return Folder(numbering, overwrite=plan.options.overwrite)
    return Target(stdout or plan.output, overwrite=plan.options.overwrite)


def finish_animation(run: Run, file: Path | Writer) -> None:
    """Let the last picture of a GIF or APNG be shown as long as it was; the muxers know of no end."""
    tally, base = run.tally, run.plan.target.time_base
    if run.plan.container in ANIMATIONS and isinstance(file, Path) and tally.last:
        begin = tally.pts[-1] * base
        writing(run.plan.output, lambda: end_at(file, begin, begin + tally.last * base))


def write_plain(run: Run, file: Path | Writer, frames: Iterable[UpscaledFrame]) -> Written:
    """Write the finished `frames` of a run without a container: no times, no packets, nothing carried.

    What was sent, and the one stream it is.
    """
    plan, target, emit = run.plan, run.plan.target, run.tally.emit
    rate = target.rate or RATE
    if not target.rate:
        emit(Notice(f"the input states no frame rate, the output says {rate}", "warning"))
    head, mark = b"", b""
    if plan.container == Y4M:
        head, mark = header(target, rate, run.source.video.codec_context.field_order), FRAME
    packer = Packer(target.layout, plan.pix_fmt, target.width, target.height)
    with ExitStack() as stack:
        put = file.write if isinstance(file, Writer) else stack.enter_context(file.open("wb")).write
        plain = Plain(put, plan.output, packer, rate, target.time_base, emit, head, mark)

        def work() -> None:
            for _ in run.tally.timed("mux", plain.write(frames)):
                run.carried.clear()

        run.flow.run(work, "write")
    sent = Sent(target.width, target.height, 1 / rate, array("q", range(plain.count)), Counter(video=1))
    said = {"index": 0, "kind": "video", "codec": plan.pix_fmt, "size": f"{target.width}x{target.height}"}
    return sent, (said | {"rate": str(rate), "language": None, "title": None},)
