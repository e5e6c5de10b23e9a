"""What pydantic has against a configuration, in one sentence each, with the near miss."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from vidsr.errors import near_miss


def told(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One line for each mistake, in the order of the file; a value that fits no member of a union is told once."""
    lines: dict[str, list[Any]] = {}
    for item in error.errors():
        if item["type"] == "too_short" and item["ctx"]["actual_length"] < len(item["input"]):
            continue  # only because its items are at fault, which is told already
        lines.setdefault(_place(item["loc"], model), []).append(item)
    return [line for place, items in lines.items() for line in _sentences(place, items, model)]


def _sentences(place: str, items: list[Any], model: type[BaseModel]) -> list[str]:
    first = items[0]
    if first["type"] == "value_error":  # our own rules, several in one
        own = [str(item["ctx"]["error"]).split("\n") for item in items]
        return [f"{place}: {line}" if place else line for group in own for line in group]
    if first["type"] == "extra_forbidden":
        known = fields_at(first["loc"][:-1], model)
        return [f"{place} is unknown{near_miss(str(first['loc'][-1]), known) or _listed(known)}"]
    if first["type"] == "missing":
        return [f"{place} is missing"]
    if first["type"] == "union_tag_not_found":
        return [f"{place}.kind is missing{_listed(_tags(first, model))}"]
    if first["type"] == "union_tag_invalid":
        tags, seen = _tags(first, model), str(first["ctx"]["tag"])
        return [f"{place}.kind: {seen!r} is unknown{near_miss(seen, tags)}{_listed(tags)}"]
    reasons = " or ".join(dict.fromkeys(map(_reason, items)))
    choices = [
        part.strip("' ") for part in str(first.get("ctx", {}).get("expected", "")).replace(" or ", ",").split(",")
    ]
    return [f"{place}: {_shown(first['input'])} is not allowed, it {reasons}{near_miss(str(first['input']), choices)}"]


def _listed(names: Sequence[str]) -> str:
    return f"; allowed are {', '.join(names)}"


def _tags(item: Any, model: type[BaseModel]) -> list[str]:
    return [
        part.strip(" '") for part in str(item.get("ctx", {}).get("expected_tags", "")).split(",") if part
    ] or sorted(tag for kind in _classes_at(item["loc"], model) for tag in kinds(kind))


def _reason(item: Any) -> str:
    text = re.sub("^(Input|String|Tuple|Dictionary) ", "", str(item["msg"]).split(", unable")[0])
    return text.replace("a valid integer", "a whole number").replace("a valid number", "a number")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _place(loc: Sequence[int | str], model: type[BaseModel]) -> str:
    """`losses.0.weight` for a location; the names of union members that pydantic puts in are left out."""
    parts = [str(part) for index, part in enumerate(loc) if not _is_member(part, loc[:index], model)]
    return ".".join(parts)


def _is_member(part: int | str, loc: Sequence[int | str], model: type[BaseModel]) -> bool:
    """Whether `part` names a member of a union, by its `kind`, its class or a plain type, and no field."""
    classes = _classes_at(loc, model)
    if isinstance(part, int) or any(part in kind.model_fields for kind in classes):
        return False
    return any(part in kinds(kind) or part == kind.__name__ for kind in classes) or not classes


def fields_at(loc: Sequence[int | str], model: type[BaseModel]) -> list[str]:
    """Names that are allowed at a location."""
    return list(dict.fromkeys(name for kind in _classes_at(loc, model) for name in kind.model_fields))


def kinds(kind: type[BaseModel]) -> list[str]:
    """The values of `kind` that choose this class in a union."""
    return (
        [str(value) for value in get_args(kind.model_fields["kind"].annotation)] if "kind" in kind.model_fields else []
    )


def _classes_at(loc: Sequence[int | str], model: type[BaseModel]) -> list[type[BaseModel]]:
    classes: list[type[BaseModel]] = [model]
    for part in loc:
        chosen = [kind for kind in classes if part in kinds(kind) or part == kind.__name__]
        if isinstance(part, int) or (chosen and not all(part in kind.model_fields for kind in classes)):
            classes = chosen or classes
            continue
        classes = [
            inner for kind in classes if part in kind.model_fields
            for inner in _models(kind.model_fields[str(part)].annotation)
        ]  # fmt: skip
    return classes


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """All classes of options in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
