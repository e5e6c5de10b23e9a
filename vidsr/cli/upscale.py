"""`vidsr upscale`: the main job. Its options are made from the fields of `vidsr.options.Options`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import presets
from ..errors import UsageError
from ..options import Options, choices, flag_of
from .messages import say
from .progress import current, listening

if TYPE_CHECKING:
    from ..record import Report


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
    return click.Option(
        [flag.names] if switch else [*flag.names.split("/"), name],
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
@click.argument("input", required=False, type=click.Path(path_type=Path))
@click.option("-i", "--input", "input_option", type=click.Path(path_type=Path), help="Input, in place of the argument.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path),
    help="Output file or folder; <stem>_<model>_x<scale> beside the input when not given.",
)  # fmt: skip
def upscale(input: Path | None, input_option: Path | None, output: Path | None, **values: Any) -> None:
    """Upscale the video INPUT.

    The output has its name only once it is complete and verified; the input is never changed.
    """
    chosen = presets.apply(_given(values))
    source = _one_input(input, input_option)
    if chosen.dry_run:
        _describe(source, output, chosen)
        return
    from .. import api

    with listening() as emit:
        report = api.upscale(source, output, options=chosen, emit=emit)
    tell(report)
    click.get_current_context().exit(report.exit_code)


def _one_input(argument: Path | None, option: Path | None) -> Path:
    if argument is not None and option is not None:
        raise UsageError(f"the input is given twice, as {argument} and as {option}", "leave out -i or the argument")
    chosen = argument or option
    if chosen is None:
        raise UsageError("no input is given", "vidsr upscale INPUT [-o OUTPUT]")
    return chosen


def _describe(input: Path, output: Path | None, options: Options) -> None:
    from .. import api

    with listening() as emit:
        text = api.describe(input, output, options, emit)
    click.echo(text)


def tell(report: Report) -> None:
    """The account of a finished run, on stderr."""
    talk = current()
    if talk.kind == "json":
        say('{"event": "report", "report": ' + report.to_json().replace("\n", " ") + "}")
    elif not talk.quiet:
        for line in summary(report):
            say(line)
    elif report.exit_code:
        say(f"error: {report.output} is finished with loss: {report.losses[0]}")


def summary(report: Report) -> list[str]:
    """Some lines: what was made, how fast, what was checked, and what was lost."""
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
