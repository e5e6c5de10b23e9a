"""The Python interface: `upscale` does what `vidsr upscale` does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from . import presets
from .errors import UsageError
from .events import Emit, ignore
from .fs import write_atomically
from .options import Options
from .record import Report


def upscale(
    input: str | PathLike[str],
    output: str | PathLike[str] | None = None,
    *,
    options: Options | None = None,
    emit: Emit = ignore,
    **choices: Any,
) -> Report:
    """Upscale a video file and return what was done.

    `choices` are the fields of `vidsr.Options` by name (`model="animevideov3", scale=2`); give them or `options`.
    `output` is a file, a folder, or None for `<stem>_<model>_x<scale><ext>` beside the input. `emit` is called with
    each event of `vidsr.events`, from the threads of the run.

    Raises the errors of `vidsr.errors`. A run that lost part of its input does not raise: look at `Report.exit_code`
    and `Report.losses`.
    """
    chosen = _chosen(options, choices)
    report = _upscale(Path(input), None if output is None else Path(output), chosen, emit)
    if chosen.report is not None:
        write_atomically(chosen.report, report.to_json().encode())
    return report


def _upscale(input: Path, output: Path | None, options: Options, emit: Emit) -> Report:
    from .jobs.run import upscale, wanted

    if wanted(input, options):
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
) -> dict[Path, Report | Exception]:
    """Upscale many video files, and folders of them, by one set of workers that never wait for each other.

    `output` is a folder, or None for beside each input. What became of each file is given back, under its path: an
    ExistsError stands for one that was done before. A file that fails does not end the others.

    Raises the errors of `vidsr.errors` for what ends the run as a whole.
    """
    from .jobs.batch import pairs
    from .jobs.run import upscale

    chosen = _chosen(options, choices)
    wanted = pairs([Path(item) for item in inputs], None if output is None else Path(output), chosen)
    outcomes = upscale(wanted, chosen, emit)
    done = {input: outcome for (input, _), outcome in zip(wanted, outcomes, strict=True)}
    if chosen.report is not None:
        write_atomically(chosen.report, _account(done).encode())
    return done


def _account(done: dict[Path, Report | Exception]) -> str:
    """One JSON object with a report, or an error, for each file."""
    files = [
        json.loads(outcome.to_json())
        if isinstance(outcome, Report)
        else {"input": str(path), "error": str(outcome), "exit_code": getattr(outcome, "exit_code", 1)}
        for path, outcome in done.items()
    ]
    return json.dumps({"files": files}, indent=2)


def describe(
    input: str | PathLike[str], output: str | PathLike[str] | None, options: Options, emit: Emit = ignore
) -> str:
    """What `upscale` would do, as text, after every check that it makes before its first frame."""
    from .jobs.run import wanted
    from .pipeline import plan_only
    from .prepare import describe as words

    plan = plan_only(Path(input), None if output is None else Path(output), options, emit)
    if not plan.input.is_file():  # what is read from a pipe to plan it would be missing later
        return words(plan)
    from .jobs.outlook import outlook

    return "\n".join([words(plan), *outlook(plan, options, cut=wanted(plan.input, options))])


def _chosen(options: Options | None, choices: dict[str, Any]) -> Options:
    if options is None:
        return presets.apply(choices)
    if choices:
        raise UsageError(f"options= and {', '.join(choices)}= exclude each other", "put the choices into Options")
    return options
