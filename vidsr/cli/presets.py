"""`vidsr presets`: the named sets of options."""

from __future__ import annotations

import json

import click

from .. import presets as shipped
from .messages import table


@click.group()
def presets() -> None:
    """List and show named sets of options."""


@presets.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_presets(as_json: bool) -> None:
    """List all presets."""
    rows = [(name, shipped.description(name)) for name in shipped.names()]
    click.echo(json.dumps(dict(rows), indent=2) if as_json else table(list(rows)))


@presets.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(name: str, as_json: bool) -> None:
    """Show what preset NAME sets."""
    import yaml

    content = {"description": shipped.description(name), "options": shipped.load(name)}
    text = json.dumps(content, indent=2) if as_json else yaml.safe_dump(content, sort_keys=False, width=120)
    click.echo(text.rstrip())
