"""`vidsr probe`: what a file says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ..events import clock
from .messages import table


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def probe(file: Path, as_json: bool) -> None:
    """Show what the header of FILE states.

    Streams, lengths and number of frames; nothing is decoded.
    """
    from ..media.claims import probe as read

    claims = read(file).to_dict()
    click.echo(json.dumps(claims, indent=2) if as_json else _text(claims))


def _text(claims: dict[str, Any]) -> str:
    end = claims["container_end"]
    facts = [
        ("file", claims["path"]),
        ("format", claims["format"]),
        ("length", "not stated" if end is None else clock(end)),
        ("frames", claims["frames"] or "not stated"),
    ]
    rows: list[tuple[str, ...]] = [("stream", "kind", "codec", "ends", "details")]
    rows += [_row(stream, claims["ends"].get(stream["index"])) for stream in claims["streams"]]
    return f"{table(list(facts))}\n\n{table(list(rows))}"


def _row(stream: dict[str, Any], end: float | None) -> tuple[str, ...]:
    details = {key: value for key, value in stream.items() if key not in ("index", "kind", "codec") and value}
    shown = ", ".join(key if value is True else f"{key} {value}" for key, value in details.items())
    return str(stream["index"]), str(stream["kind"]), str(stream["codec"]), clock(end) if end else "", shown
