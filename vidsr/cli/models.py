"""`vidsr models`: which networks there are, where their weights lie, and how to get more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import WeightsError
from ..models import store
from ..models.cards import read_card
from .progress import listening

if TYPE_CHECKING:
    from ..models.registry import Registry, Weights


def builtin() -> Registry:
    """The built-in networks. Imported at the first use: `vidsr --help` needs none of them."""
    from ..models.builtin import builtin as known

    return known()


@click.group()
def models() -> None:
    """List networks, and get, import, find or delete their weights."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_models(as_json: bool) -> None:
    """List all networks that have a name, and where their weights would come from."""
    rows = [_facts(item) for item in builtin()] + [_imported(name) for name in _own_names()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    wide = max(len(row["name"]) for row in rows)
    for row in rows:
        limits = "; not for commercial use" if row.get("non_commercial") else ""
        click.echo(f"{row['name']:<{wide}}  x{row['scale'] or '?'}  {row['weights']:<10}  {row['purpose']}{limits}")


def _own_names() -> list[str]:
    return [name for name in store.imported_names() if builtin().find(name) is None]


def _facts(item: Weights) -> dict[str, Any]:
    """What is known of a built-in network without opening its weights."""
    path = store.locate(item)
    facts = item.model_dump(mode="json", exclude={"package"})
    return {**facts, "weights": _where(path), "path": path and str(path)}


def _where(path: Path | None) -> str:
    if path is None:
        return "download"
    return "cached" if path.parent == store.cache_folder() else "in package"


def _imported(name: str) -> dict[str, Any]:
    """What the card of imported weights says."""
    path = store.imported_file(name)
    card = path and read_card(path)
    said = {"name": name, "scale": card.scale or None, "purpose": card.purpose or "imported"} if card else None
    known = said or {"name": name, "scale": None, "purpose": "imported"}
    more = {"architecture": card.architecture, "licence": card.licence, "url": card.url} if card else {}
    return {**known, **more, "weights": "cached", "path": path and str(path)}


@models.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(name: str, as_json: bool) -> None:
    """Show all that is known of NAME, a network or a weights file. Downloads nothing."""
    item = builtin().find(name)
    facts = _facts(item) if item else _imported(name) if name in _own_names() else {}
    named = item or builtin().by_file(Path(name).name)
    if named is not None and named.kind.startswith("face-"):
        facts |= _loaded_face(name, named) if item is None or facts["path"] else {}
    elif item is None or (facts["path"] and item.kind == "generator"):
        facts |= _loaded(name)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    for key, value in facts.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        click.echo(f"{key.replace('_', ' '):<16} {'unknown' if shown is None else shown}")


def _loaded(name: str) -> dict[str, Any]:
    """What only the weights themselves tell."""
    from ..models.load import load_model

    with listening() as emit:
        network = load_model(name, emit=emit)
    return {
        "name": network.name,
        "architecture": network.arch,
        "scale": network.scale,
        "licence": network.licence,
        "parameters": network.parameters,
        "receptive_field": network.receptive_field,
        "multiple_of": network.multiple_of,
        "flops_per_pixel": network.flops_per_pixel,
        "precisions": sorted(network.dtypes),
        "origin": network.origin,
        "origin_sha256": network.sha256,
    }


def _loaded_face(name: str, item: Weights) -> dict[str, Any]:
    """What the weights of a network for faces tell; YuNet's are for OpenCV alone to read."""
    from ..faces.weights import find_face, network_of

    with listening() as emit:
        found = find_face(name, item.kind, emit)
    facts = {"name": found.name, "licence": found.licence, "origin": found.origin, "origin_sha256": found.sha256}
    if found.graph:
        return facts
    made = network_of(found, item.kind)
    parameters = sum(tensor.numel() for tensor in made.network.parameters())
    return {**facts, "architecture": made.title, "parameters": parameters}


@models.command()
@click.argument("name")
def download(name: str) -> None:
    """Fetch the official weights of NAME into the cache and print their path."""
    from ..models.load import download as fetch_official

    with listening() as emit:
        path = fetch_official(builtin().get(name), emit=emit)
    click.echo(path)


@models.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="Name to use with --model; the file's own when not given.")
@click.option("--purpose", default="", help="What the network is for, as models list shows it.")
@click.option("--licence", default="", help="Licence of the weights, as their maker names it.")
@click.option("--url", default="", help="Where the weights come from.")
@click.option(
    "--activation", type=click.Choice(["relu", "leakyrelu"]),
    help="Of an SRVGGNetCompact whose weights do not tell; relu is taken when not given.",
)  # fmt: skip
def import_weights(file: Path, **said: Any) -> None:
    """Keep the weights in FILE under a name and print the path of the copy.

    FILE is a .pth, .safetensors, .pt2 or .onnx file, or one of a pair of ncnn files.
    """
    from ..models.importing import import_file

    with listening() as emit:
        path = import_file(file, emit=emit, **said)
    click.echo(path)


@models.command("remove")
@click.argument("name")
def remove_weights(name: str) -> None:
    """Delete what the cache keeps of NAME and print the paths. Built-in networks come back when they are needed."""
    from ..models.importing import remove

    for path in remove(name):
        click.echo(path)


@models.command()
@click.argument("name", required=False)
def path(name: str | None) -> None:
    """Print where weights are kept, or the file that NAME uses."""
    click.echo(store.cache_folder() if name is None else _path_of(name))


def _path_of(name: str) -> Path:
    imported = store.imported_file(name) if name in _own_names() else None
    if imported is not None:
        return imported
    found = store.locate(builtin().get(name))
    if found is None:
        raise WeightsError(f"weights of {name} are not on this machine", f"vidsr models download {name} fetches them")
    return found
