"""The Python interface: `upscale` does what `vidsr upscale` does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from . import presets
from .errors import StoppedError, UsageError, VidsrError
from .events import Emit, ignore
from .fs import write_atomically
from .options import Options
from .record import Report

if TYPE_CHECKING:
    from .pictures import PictureReport

Outcome: TypeAlias = "Report | PictureReport | Exception"
"""What became of a file: the account of it, or the error that ended it."""
Pairs = list[tuple[Path, Path | None]]


def upscale(
    input: str | PathLike[str],
    output: str | PathLike[str] | None = None,
    *,
    options: Options | None = None,
    emit: Emit = ignore,
    **choices: Any,
) -> Report | PictureReport:
    """Upscale a video or picture file and return what was done.

    `choices` are the fields of `vidsr.Options` by name (`model="animevideov3", scale=2`); give them or `options`.
    `output` is a file, a folder, or None for `<stem>_<model>_x<scale><ext>` beside the input. The name `-` is stdin or
    stdout; while stdout takes the video, what else the process prints there goes to stderr. `emit` is called with each
    event of `vidsr.events`, from the threads of the run.

    Raises the errors of `vidsr.errors`. A run that lost part of its input does not raise: look at `Report.exit_code`
    and `Report.losses`.
    """
    chosen = _chosen(options, choices)
    make = _picture if _is_picture(Path(input), chosen) else _film
    make = make if chosen.report_page is None else _with_page
    report = make(Path(input), None if output is None else Path(output), chosen, emit)
    if chosen.report is not None:
        write_atomically(chosen.report, report.to_json().encode())
    return report


def _is_picture(input: Path, options: Options, alone: bool = True) -> bool:
    from .media.animations import is_animated
    from .media.image_formats import FORMATS
    from .media.sequences import is_sequence

    if input.suffix.lower() not in FORMATS or options.in_format or options.in_rate or is_sequence(input):
        return False
    kinds = (".png", ".webp") if alone else (".png",)  # FFmpeg, by which workers read, knows no such WebP
    return input.suffix.lower() not in kinds or not is_animated(input)


def _with_page(input: Path, output: Path | None, options: Options, emit: Emit) -> Report:
    """A film, and then the page about its run."""
    from .report.run_page import Recorder, write_run_page

    assert options.report_page is not None
    if _is_picture(input, options):
        raise UsageError(f"--report-page: {input} is a picture", "the page is about the run of a video")
    heard = Recorder(emit)
    report = _film(input, output, options, heard.hear)
    write_run_page(options.report_page, report, options, heard)
    return report


def _picture(input: Path, output: Path | None, options: Options, emit: Emit) -> PictureReport:
    from .pictures import upscale_picture

    return upscale_picture(input, output, options, emit)


def _film(input: Path, output: Path | None, options: Options, emit: Emit) -> Report:
    from .ends import in_one_piece
    from .jobs.run import upscale, wanted

    if not in_one_piece(input, output, options) and wanted(input, options):
        [report] = upscale([(input, output)], options, emit)
        assert isinstance(report, Report), "what ended the only film is raised"
        return report
    from .pipeline import run

    if options.devices != "auto":
        options = options.model_copy(update={"device": options.devices})
    return run(input, output, options, emit)


def upscale_all(
    inputs: Sequence[str | PathLike[str]],
    output: str | PathLike[str] | None = None,
    *,
    options: Options | None = None,
    emit: Emit = ignore,
    **choices: Any,
) -> dict[Path, Outcome]:
    """Upscale many video and picture files, and folders of them.

    Videos share one set of workers that never wait for each other; pictures come first, by one network.

    `output` is a folder, or None for beside each input. What became of each file is given back, under its path: an
    ExistsError stands for one that was done before. A file that fails does not end the others.

    Raises the errors of `vidsr.errors` for what ends the run as a whole.
    """
    from .jobs.batch import pairs
    from .media.sequences import is_sequence

    chosen = _chosen(options, choices)
    if chosen.in_format or chosen.in_rate or chosen.out_format:
        what = "--in-format, --in-rate and --out-format are for one input"
        raise UsageError(what, "leave them out, or name one input; a sequence is a pattern in quotes: 'frames/*.png'")
    if patterns := [str(item) for item in inputs if is_sequence(Path(item))]:
        raise UsageError(f"input {patterns[0]}: a sequence can only be the only input", "name one input")
    if chosen.report_page is not None:
        raise UsageError("--report-page is for one input", "leave it out, or name one input")
    wanted = pairs([Path(item) for item in inputs], None if output is None else Path(output), chosen)
    pictures = [pair for pair in wanted if _is_picture(pair[0], chosen, alone=False)]
    films = [pair for pair in wanted if pair not in pictures]
    found = {**_pictures(pictures, chosen, emit), **_films(films, chosen, emit)}
    done = {input: found[input] for input, _ in wanted}
    if chosen.report is not None:
        write_atomically(chosen.report, _account(done).encode())
    return done


def _pictures(pairs: Pairs, options: Options, emit: Emit) -> dict[Path, Outcome]:
    if not pairs:
        return {}
    from .pictures import upscale_pictures

    return dict(zip((input for input, _ in pairs), upscale_pictures(pairs, options, emit), strict=True))


def _films(pairs: Pairs, options: Options, emit: Emit) -> dict[Path, Outcome]:
    if not pairs:
        return {}
    from .ends import whole_only
    from .jobs.run import upscale

    if whole_only(options):
        return {input: _outcome(input, output, options, emit) for input, output in pairs}
    try:
        outcomes = upscale(pairs, options, emit)
    except VidsrError as error:  # of the only film, unless the run was stopped
        if len(pairs) > 1 or isinstance(error, StoppedError):
            raise
        outcomes = [error]
    return dict(zip((input for input, _ in pairs), outcomes, strict=True))


def _outcome(input: Path, output: Path | None, options: Options, emit: Emit) -> Outcome:
    """What becomes of one film of many. Raises StoppedError."""
    try:
        return _film(input, output, options, emit)
    except StoppedError:
        raise
    except VidsrError as error:
        return error


def _account(done: dict[Path, Outcome]) -> str:
    """One JSON object with a report, or an error, for each file."""
    files = [
        {"input": str(path), "error": str(outcome), "exit_code": getattr(outcome, "exit_code", 1)}
        if isinstance(outcome, Exception)
        else json.loads(outcome.to_json())
        for path, outcome in done.items()
    ]
    return json.dumps({"files": files}, indent=2)


def describe(
    input: str | PathLike[str], output: str | PathLike[str] | None, options: Options, emit: Emit = ignore
) -> str:
    """What `upscale` would do, as text, after every check that it makes before its first frame."""
    if _is_picture(Path(input), options):
        from .pictures import describe as described

        return described(Path(input), None if output is None else Path(output), options, emit)
    from .ends import in_one_piece, whole_only
    from .jobs.run import wanted
    from .pipeline import plan_only
    from .prepare import describe as words

    plan = plan_only(Path(input), None if output is None else Path(output), options, emit)
    if not plan.input.is_file():  # what is read from a pipe to plan it would be missing later
        return words(plan)
    if whole_only(options):
        return "\n".join([words(plan), "estimate none: only whole films are estimated, without --face-enhance"])
    from .jobs.outlook import outlook

    cut = not in_one_piece(plan.input, plan.output, options) and wanted(plan.input, options)
    return "\n".join([words(plan), *outlook(plan, options, cut=cut)])


def _chosen(options: Options | None, choices: dict[str, Any]) -> Options:
    if options is None:
        return presets.apply(choices)
    if choices:
        raise UsageError(f"options= and {', '.join(choices)}= exclude each other", "put the choices into Options")
    return options
