"""`vidsr upscale`: the main job. Its options are made from the fields of `vidsr.options.Options`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import presets
from ..errors import ExistsError, UsageError
from ..options import Options, choices, flag_of
from ..record import Report
from .messages import outcome as outcome_of
from .messages import say, say_error
from .progress import current, listening

if TYPE_CHECKING:
    from ..api import Outcome
    from ..pictures import PictureReport


class GroupedCommand(click.Command):
    """A command whose help lists options under the groups that their Flags name."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                known = param.name in Options.model_fields
                group = flag_of(str(param.name)).group if known else "Files and talk"
                groups.setdefault(group, []).append(record)
        for group, records in groups.items():
            with formatter.section(group):
                formatter.write_dl(records)


def option_of(name: str) -> click.Option:
    """The command-line option of one field of Options. Values stay text: `options.parse` tells all faults together."""
    flag, field = flag_of(name), Options.model_fields[name]
    switch = "--no-" in flag.names
    alone: dict[str, Any] = {"flag_value": flag.alone} if flag.alone else {}
    return click.Option(
        [flag.names] if switch else [*flag.names.split("/"), name],
        **alone,
        is_flag=field.annotation is bool,
        multiple=isinstance(field.default, tuple),
        default=None,
        metavar=flag.metavar or None,
        help=_help(name),
    )


def _help(name: str) -> str:
    """The field's docstring, its allowed words where the docstring leaves them out, and its default."""
    field = Options.model_fields[name]
    text = " ".join((field.description or "").split())
    missing = [word for word in choices(name) if word not in text and word not in flag_of(name).metavar]
    allowed = f" Allowed: {', '.join(choices(name))}." if missing else ""
    shown = field.default is not None and field.default != () and field.annotation is not bool
    return f"{text}{allowed}{f' [default: {field.default}]' if shown else ''}"


def _with_options(command: click.Command) -> click.Command:
    command.params.extend(option_of(name) for name in Options.model_fields)
    return command


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """What was given by hand: options that may be repeated are empty, all others None, when they were not."""
    return {name: value for name, value in values.items() if value is not None and value != ()}


@_with_options
@click.command(cls=GroupedCommand)
@click.argument("inputs", nargs=-1, metavar="INPUT...", type=click.Path(path_type=Path))
@click.option("-i", "--input", "input_option", type=click.Path(path_type=Path), help="Input, in place of the argument.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path),
    help="Output file or folder, or - for stdout; <stem>_<model>_x<scale> beside the input when not given.",
)  # fmt: skip
def upscale(inputs: tuple[Path, ...], input_option: Path | None, output: Path | None, **values: Any) -> None:
    """Upscale the video or picture INPUT, or several of them, or all of a folder; - is stdin. A pattern in quotes, such
    as 'frames/%05d.png' or 'frames/*.png', is numbered pictures, as input and as output.

    The output has its name only once it is complete and verified; the input is never changed. Of several inputs those
    whose outputs exist are passed over.
    """
    chosen = presets.apply(_given(values))
    sources = _inputs(inputs, input_option)
    from .. import api

    if len(sources) > 1 or sources[0].is_dir():
        if chosen.dry_run:
            _describe_all(sources, output, chosen)
            return
        with listening() as emit:
            outcomes = api.upscale_all(sources, output, options=chosen, emit=emit)
        click.get_current_context().exit(tell_all(outcomes))
    if chosen.dry_run:
        _describe(sources[0], output, chosen)
        return
    with listening() as emit:
        report = api.upscale(sources[0], output, options=chosen, emit=emit)
    tell(report)
    click.get_current_context().exit(report.exit_code)


def _inputs(arguments: tuple[Path, ...], option: Path | None) -> tuple[Path, ...]:
    if arguments and option is not None:
        raise UsageError(f"the input is given twice, as {arguments[0]} and as {option}", "leave out -i or the argument")
    chosen = arguments or ((option,) if option else ())
    if not chosen:
        raise UsageError("no input is given", "vidsr upscale INPUT [-o OUTPUT]")
    if len(chosen) > 1 and Path("-") in chosen:
        raise UsageError("- is stdin, and can only be the only input")
    return chosen


def _describe(input: Path, output: Path | None, options: Options) -> None:
    from .. import api

    with listening() as emit:
        text = api.describe(input, output, options, emit)
    click.echo(text, err=output == Path("-"))  # where the video would go, nothing else does


def _describe_all(sources: tuple[Path, ...], output: Path | None, options: Options) -> None:
    from ..jobs.batch import pairs

    for number, (source, target) in enumerate(pairs(sources, output, options, make=False)):
        click.echo("\n" * bool(number), nl=False)
        _describe(source, target, options)


def tell_all(outcomes: dict[Path, Outcome]) -> int:
    """What became of each file, on stderr, and the exit code of them all: that of the first that failed."""
    codes, counts = [0], {"done": 0, "done before": 0, "failed": 0}
    for path, outcome in outcomes.items():
        if isinstance(outcome, ExistsError):
            counts["done before"] += 1
        elif isinstance(outcome, Exception):
            counts["failed"] += 1
            codes.append(_tell_failed(path, outcome))
        else:
            counts["done"] += 1
            tell(outcome)
            codes.append(outcome.exit_code)
    if not current().quiet and current().kind != "json":
        say(f"{len(outcomes)} files: {', '.join(f'{count} {what}' for what, count in counts.items() if count)}")
    return next(filter(None, codes), 0)


def _tell_failed(path: Path, error: Exception) -> int:
    if current().kind == "json":
        message, hint, code = outcome_of(error)
        told = {"event": "error", "input": str(path), "message": message, "hint": hint, "exit_code": code}
        say(json.dumps(told))
        return code
    say(f"{path}:")
    return say_error(error, verbose=current().verbose, as_json=False)


def tell(report: Report | PictureReport) -> None:
    """The account of a finished run, on stderr."""
    talk = current()
    if talk.kind == "json":
        say('{"event": "report", "report": ' + report.to_json().replace("\n", " ") + "}")
    elif not talk.quiet:
        for line in summary(report):
            say(line)
    elif isinstance(report, Report) and report.exit_code:
        say(f"error: {report.output} is finished with loss: {report.losses[0]}")


def summary(report: Report | PictureReport) -> list[str]:
    """Some lines: what was made, how fast, what was checked, and what was lost."""
    if not isinstance(report, Report):
        width, height = report.size
        return [f"{report.output}: {width}x{height}, {report.kind}, {report.seconds:.1f} s", *report.notes]
    reused = f" for {report.work_share:.0%} of the work" if report.work_share < 1 else ""
    lines = [
        f"{report.output}: {report.width}x{report.height}, {report.frames_out} frames{reused}, "
        f"{report.wall_seconds:.1f} s, {report.fps:.2f} fps (bound by {report.bound_by})",
    ]
    if report.verified:
        lines.append(f"verified: {', '.join(report.verified)}")
    lost = {"repeated": report.repeated, "concealed": report.concealed, "dropped": report.dropped}
    counted = ", ".join(f"{count} {name}" for name, count in lost.items() if count)
    if report.losses:
        lines.append(f"loss: {counted or 'declared'}; {report.losses[-1]}")
    return lines
