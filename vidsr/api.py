"""The Python interface: `upscale` does what `vidsr upscale` does."""

from __future__ import annotations

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
    from .pipeline import run

    chosen = _chosen(options, choices)
    report = run(Path(input), None if output is None else Path(output), chosen, emit)
    if chosen.report is not None:
        write_atomically(chosen.report, report.to_json().encode())
    return report


def describe(
    input: str | PathLike[str], output: str | PathLike[str] | None, options: Options, emit: Emit = ignore
) -> str:
    """What `upscale` would do, as text, after every check that it makes before its first frame."""
    from .pipeline import plan_only
    from .prepare import describe as words

    return words(plan_only(Path(input), None if output is None else Path(output), options, emit))


def _chosen(options: Options | None, choices: dict[str, Any]) -> Options:
    if options is None:
        return presets.apply(choices)
    if choices:
        raise UsageError(f"options= and {', '.join(choices)}= exclude each other", "put the choices into Options")
    return options
