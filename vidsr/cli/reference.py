"""`python -m vidsr.cli.reference > docs/cli.md`: the reference of the command line, made from the live help."""

from __future__ import annotations

from collections.abc import Iterator

import click

from .main import root


def reference() -> str:
    """docs/cli.md as it should be."""
    made = "<!-- Made by `python -m vidsr.cli.reference > docs/cli.md`; do not edit. -->"
    context = click.Context(root, info_name="vidsr", **root.context_settings)
    sections = [f"## {path}\n\n```text\n{text}\n```" for path, text in helps(root, context)]
    return "\n\n".join(["# Command line", made, *sections]) + "\n"


def helps(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    """(command path, its help) of `command` and of all below it."""
    # Fixed, or the text would depend on the terminal that it is made in.
    context.terminal_width, context.max_content_width = 110, 110
    yield context.command_path, command.get_help(context).rstrip()
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            below = command.commands[name]
            yield from helps(below, click.Context(below, info_name=name, parent=context))


if __name__ == "__main__":
    click.echo(reference(), nl=False)
