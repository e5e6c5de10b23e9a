"""The command `vidsr`: its sub-commands, the options that all of them share, and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import click

from .. import __version__
from ..runtime.heap import keep_freed_memory
from .bench import bench
from .compare import compare
from .demo import demo
from .doctor import doctor
from .export import export
from .messages import say, say_error
from .models import models
from .presets import presets
from .preview import preview
from .probe import probe
from .progress import Talk
from .signals import stoppable
from .train import train
from .upscale import upscale


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, package_name="vidsr-upscaler", prog_name="vidsr")
def root() -> None:
    """Upscale video with networks of the Real-ESRGAN family.

    Data goes to stdout, talk to stderr. Exit codes: 0 whole; 1 a bug in vidsr; 2 usage; 3 input unusable; 4 output
    not writable; 5 weights refused; 6 device failed; 7 finished with declared loss; 9 output busy; 130 and 143
    stopped; 141 the reader of our pipe is gone.
    """


def commands(command: click.Command) -> Iterator[click.Command]:
    """`command` and all below it."""
    yield command
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from commands(command.commands[name])


def _remember(context: click.Context, option: click.Parameter, value: Any) -> None:
    if value:
        setattr(context.find_root().ensure_object(Talk), str(option.name), value)


def _shared() -> list[click.Parameter]:
    """The options that every command has. They may stand before or after the name of the command."""
    same: dict[str, Any] = {"expose_value": False, "callback": _remember}
    kinds = click.Choice(["bar", "lines", "json", "none"])
    return [
        click.Option(["-v", "--verbose"], is_flag=True, help="Say more; show tracebacks.", **same),
        click.Option(["-q", "--quiet"], is_flag=True, help="Say nothing but errors.", **same),
        click.Option(["--progress"], type=kinds, help="Form of progress; a bar on a terminal, else lines.", **same),
    ]  # fmt: skip


for _command in (upscale, bench, compare, demo, doctor, export, models, presets, preview, probe, train):
    root.add_command(_command)
for _command in commands(root):
    _command.params.extend(_shared())


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code. Nothing but SystemExit of a signal leaves this function."""
    talk = Talk()
    try:
        with stoppable():
            _invoke(list(arguments), talk)
            sys.stdout.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        say(error.format_message())
        return 2
    except BrokenPipeError as error:
        # Python flushes stdout once more at exit; what is left has nobody to go to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return say_error(error, verbose=talk.verbose, as_json=talk.kind == "json")
    except (Exception, KeyboardInterrupt) as error:
        return say_error(error, verbose=talk.verbose, as_json=talk.kind == "json")
    return 0


def _invoke(arguments: list[str], talk: Talk) -> None:
    with root.make_context("vidsr", arguments, obj=talk) as context:
        root.invoke(context)


def main() -> NoReturn:
    """Entry point of the program."""
    keep_freed_memory()
    sys.exit(run(sys.argv[1:]))
