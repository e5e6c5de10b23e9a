"""`python -m trainer.config_page > docs/training-config.md`: every key of a configuration, from its JSON schema."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from .config import schema

Schema = dict[str, Any]

HEAD = """# Keys of a training configuration

<!-- Made by `python -m trainer.config_page > docs/training-config.md`; do not edit. -->

A configuration is a YAML file; [training.md](training.md) says how to come by one. What has several forms is told apart
by `kind`. A key without a default has to be given. `vidsr train schema` prints this as a JSON schema, for editors."""


def page() -> str:
    """docs/training-config.md as it should be."""
    whole = schema()
    known: dict[str, Schema] = whole.pop("$defs")
    sections = [_section("Configuration", whole, known)]
    sections += [_section(name, known[name], known) for name in _order(whole, known) if "properties" in known[name]]
    return "\n\n".join([HEAD, *sections]) + "\n"


def _order(start: Schema, known: dict[str, Schema]) -> list[str]:
    """Names of all parts, each after the first one that mentions it."""
    found: list[str] = []
    waiting = list(_mentioned(start))
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found.append(name)
            waiting = [*_mentioned(known[name]), *waiting]
    return found


def _mentioned(part: Any) -> Iterator[str]:
    """Names of the parts that `part` refers to, in its order."""
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"].rpartition("/")[2]
        for key, value in part.items():
            if key != "mapping":
                yield from _mentioned(value)
    elif isinstance(part, list):
        for value in part:
            yield from _mentioned(value)


def _section(name: str, part: Schema, known: dict[str, Schema]) -> str:
    """A heading, what it is for, and its keys."""
    properties = part["properties"]
    kind = properties.get("kind", {}).get("const")
    title = f"## {_title(name)}" + (f" (`kind: {kind}`)" if kind else "")
    rows = [
        f"| `{key}` | {_values(value, known)} | {_default(value)} | {_meaning(value, known)} |"
        for key, value in properties.items()
        if "const" not in value
    ]
    table = ["", "| key | values | default | meaning |", "|---|---|---|---|", *rows] if rows else []
    return "\n".join([title, "", _text(part.get("description", "")), *table])


def _values(value: Schema, known: dict[str, Schema]) -> str:
    """What may stand there."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return (
            f"[{name}](#{_anchor(name, known[name])})" if "properties" in known[name] else _values(known[name], known)
        )
    if "const" in value or "enum" in value:
        return ", ".join(f"`{each}`" for each in value.get("enum", [value.get("const")]))
    for key in ("anyOf", "oneOf"):
        if key in value:
            return " or ".join(dict.fromkeys(_values(each, known) for each in value[key]))
    return _plain(value, known)


def _plain(value: Schema, known: dict[str, Schema]) -> str:
    """Of a value that is no choice."""
    kind: str = value.get("type", "anything")
    if kind == "array":
        inner = value.get("items") or {"anyOf": value.get("prefixItems", [{}])}
        return f"list of {_values(inner, known)}"
    if kind == "object":
        return f"mapping to {_values(value.get('additionalProperties') or {}, known)}"
    words = {"integer": "whole number", "string": "text", "boolean": "true, false", "null": "null"}
    return " ".join([words.get(kind, kind), *_bounds(value)])


def _bounds(value: Schema) -> Iterator[str]:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    for key, sign in signs.items():
        if key in value:
            yield f"{sign} {value[key]:g}"


def _default(value: Schema) -> str:
    """As YAML has it, in one line; what is long stands in the sections of its parts."""
    if "default" not in value:
        return ""
    text = json.dumps(value["default"], ensure_ascii=False)
    return f"`{text}`" if len(text) <= 60 else "see there"


def _meaning(value: Schema, known: dict[str, Schema]) -> str:
    """Its docstring; pydantic leaves it out where it is that of the part itself."""
    part = known.get(value.get("$ref", "").rpartition("/")[2], {})
    return _text(value.get("description") or part.get("description", ""))


def _text(description: str) -> str:
    """A docstring in one line of a table."""
    return " ".join(description.split()).replace("|", "\\|")


def _title(name: str) -> str:
    """Of a part; where two modules have one of the same name, pydantic puts the module before it."""
    module, _, title = name.rpartition("__")
    return f"{title} of {module.rpartition('__')[2].removesuffix('_options')}" if module else name


def _anchor(name: str, part: Schema) -> str:
    """Of the heading, as GitHub makes it."""
    kind = part["properties"].get("kind", {}).get("const")
    return (f"{_title(name)} kind {kind}" if kind else _title(name)).lower().replace(" ", "-")


if __name__ == "__main__":
    sys.stdout.write(page())
