"""The two ends of a run that are numbered pictures: `stages.sequence` and `stages.files`, opened and put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import OutputError, UsageError, VerificationError
from .events import Notice
from .frames import UpscaledFrame
from .media.animations import read_animation
from .media.claims import read_claims
from .media.files import KINDS
from .media.image_files.header import Metadata, Quality
from .media.images import open_picture
from .media.pam import container_of
from .media.sequences import Sequence, check_whole, find, numbering_of
from .media.timecodes import Clock, read_clock, steady, text_of
from .media.verify import Sent
from .options import Options
from .stages.files import Files
from .stages.moving import Moving
from .stages.sequence import Pictures, codes_of
from .stages.source import Source, animated

if TYPE_CHECKING:
    from .running import Run

_RATE = "such as --in-rate 24 or --in-rate 24000/1001"


def open_sequence(pattern: Path, output: Path | None, options: Options) -> Source:
    """The pictures that `pattern` names as a source, at --in-rate or at the times of the file that lies beside them.

    Raises InputError for gaps and what cannot be read, UsageError where no rate is known.
    """
    if options.in_format or options.in_size:
        raise UsageError(f"input {pattern}: --in-format and --in-size are not for pictures", "leave them out")
    sequence = find(pattern)
    check_whole(sequence, options.allow_loss)
    clock, said = _clock(sequence, options.in_rate)
    keep = output is not None and (output.is_dir() or numbering_of(output) is not None)
    kept: dict[int, Metadata] | None = {} if keep else None
    pictures = Pictures(sequence, clock, options.max_pixels, options.allow_loss, kept)
    container = container_of(codes_of(pictures.first), clock.rate)
    video = container.streams.video[0]
    video.time_base = clock.base
    claims = replace(read_claims(container, video, pattern), ends={video.index: clock.end * clock.base})
    doubts = tuple(Notice(text, "warning") for text in _doubts(pictures))
    numbers = dict(zip(clock.pts, range(sequence.first, sequence.first + sequence.length), strict=True))
    notes = (*said, *doubts)
    return Source(pattern, container, video, claims, feed=pictures.packets, kept=kept, numbers=numbers, notes=notes)


def open_moving(path: Path, options: Options) -> Source:
    """An animated WebP as a source. Raises InputError for one that is damaged or too large."""
    opened, found = open_picture(path, options.max_pixels), read_animation(path)
    assert found is not None
    moving = Moving(opened.data, opened.size, opened.header.channels, len(found.delays))
    container = container_of(moving.first(path), found.rate)
    claims = read_claims(container, container.streams.video[0], path)
    return animated(Source(path, container, container.streams.video[0], claims, feed=moving.packets))


def _clock(sequence: Sequence, rate: str | None) -> tuple[Clock, tuple[Notice, ...]]:
    times = sequence.numbering.times
    if rate is not None:
        return steady(Fraction(rate), sequence.length), ()
    if times.is_file():
        return read_clock(times, sequence.length), (Notice(f"the pictures are shown at the times of {times}"),)
    what = f"input {sequence.pattern}: pictures say nothing of their rate, --in-rate is needed"
    raise UsageError(what, f"{_RATE}; or a file of times, {times.name}, beside them")


def _doubts(pictures: Pictures) -> Iterator[str]:
    if not pictures.sequence.counted:
        yield "the names of the pictures do not count in one number, so that gaps cannot be seen"
    if pictures.first.pixels.dtype.kind == "f":
        yield "linear light becomes codes of 16 bits, what is brighter than white becomes white"
    if pictures.kept is None and pictures.first.metadata.icc:
        yield "the ICC profile of the pictures is not kept, their colours are taken for those of sRGB"


def write_pictures(run: Run, folder: Path, frames: Iterable[UpscaledFrame]) -> tuple[Sent, tuple[dict[str, Any], ...]]:
    """Write the finished `frames` of a run as numbered pictures, and a file of their times; see `ends.write_plain`."""
    plan, target = run.plan, run.plan.target
    numbering = numbering_of(plan.output)
    assert numbering is not None
    given, kind = plan.options.quality, KINDS[plan.container]
    quality = Quality() if given is None else Quality(given, given, given)
    numbers, kept = run.source.numbers, run.source.kept
    if numbers is None or kept is None or plan.options.fps:  # at another rate, no picture is that of a number
        numbers, kept = {}, {}
    check, emit = run.flow.cancel.check, run.tally.emit
    files = Files(folder, numbering, numbers, kind, quality, plan.options.verify, kept, emit, check)

    def work() -> None:
        for _ in run.tally.timed("mux", files.write(frames)):
            run.carried.clear()

    run.flow.run(work, "write")
    text = text_of(plan.target.time_base, [pts + run.shift for pts in files.pts], _end(files, run.shift))
    _write_text(folder / numbering.times.name, numbering.times, text)
    sent = Sent(target.width, target.height, target.time_base, run.tally.pts, Counter(video=1))
    said = {"index": 0, "kind": "video", "codec": kind.name, "size": f"{target.width}x{target.height}"}
    return sent, (said | {"rate": str(target.rate), "language": None, "title": None},)


def _end(files: Files, shift: int) -> int | None:
    return None if files.end is None else files.end + shift


def _write_text(path: Path, shown: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise OutputError(f"output {shown}: {(error.strerror or str(error)).lower()}", "free some space") from error


def verify_pictures(folder: Path, pattern: Path, sent: Sent, check: Callable[[], None]) -> tuple[str, ...]:
    """Hold the names in `folder`, and the times beside them, against what was sent; see `media.verify.verify`."""
    numbering = numbering_of(pattern)
    assert numbering is not None
    numbers = sorted(number for path in folder.iterdir() if (number := numbering.number(path.name)) is not None)
    if numbers != list(range(numbers[0], numbers[0] + len(sent.pts)) if numbers else ()):
        what = f"output {pattern}: {len(numbers)} pictures were written of {len(sent.pts)}"
        raise VerificationError(what, "nothing was replaced; please report this with vidsr doctor's output")
    check()
    clock = read_clock(folder / numbering.times.name, len(sent.pts))
    if [*clock.pts] != [*sent.pts] or clock.base != sent.time_base:
        raise VerificationError(f"output {numbering.times}: its times are not those of the pictures")
    return (f"{len(numbers)} pictures, each read again", f"their times in {numbering.times.name}")
