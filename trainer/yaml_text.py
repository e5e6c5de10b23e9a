"""YAML as people expect it: `on`, `no` and `1e-4` mean what they say, and no key stands there twice.

PyYAML follows YAML 1.1, in which `on: usm` has the key True and `1e-4` is a text. Here plain scalars are those of
the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from vidsr.errors import UsageError
from vidsr.fs import unwritable, write_atomically


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  # as the base has it

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{name!r} stands there twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes by YAML 1.1 rules too, so that any program reads back what was meant."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
     list("-+0123456789.")),
):  # fmt: skip
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def _number(loader: _Loader, node: yaml.ScalarNode) -> float:
    text = str(loader.construct_scalar(node)).lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


def _whole(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    return int(text, 0 if text[:2] in ("0x", "0o") else 10)


_Loader.add_constructor("tag:yaml.org,2002:float", _number)
_Loader.add_constructor("tag:yaml.org,2002:int", _whole)


def parse_yaml(text: str) -> Any:
    """The value of a YAML text. Raises yaml.YAMLError."""
    return yaml.load(text, _Loader)  # derived from SafeLoader


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises UsageError, with line and column."""
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"configuration {path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise UsageError(f"configuration {path} is no YAML: {_line(error)}") from error
    if not isinstance(content, dict):
        raise UsageError(f"configuration {path} holds a {type(content).__name__}, expected names with values")
    return content


def dump_yaml(values: dict[str, Any]) -> str:
    """Plain values as YAML, keys in their order."""
    text: str = yaml.dump(values, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
    return text


def write_yaml(path: Path, values: dict[str, Any]) -> None:
    """Replace `path` by the YAML of plain values. Raises OutputError."""
    try:
        write_atomically(path, dump_yaml(values).encode())
    except OSError as error:
        raise unwritable(path.parent, error) from error


def override(values: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A copy of `values` with `key.sub=value` laid over it; places in lists are numbers, values are YAML.

    Raises one UsageError for all that have not this form or lead nowhere.
    """
    faults: list[str] = []
    for text in overrides:
        path, equals, value = text.partition("=")
        try:
            if not equals or not all(path.split(".")):
                raise ValueError("expected key=value or key.sub=value")
            values = _with(values, path.split("."), parse_yaml(value))
        except (ValueError, yaml.YAMLError) as error:
            faults.append(f"{text}: {_line(error)}")
    if faults:
        raise UsageError("\n".join(faults))
    return values


def _with(values: Any, keys: list[str], value: Any) -> Any:
    """A copy of `values` in which the place `keys` holds `value`."""
    if not keys:
        return value
    if isinstance(values, list):
        if not keys[0].isdigit() or int(keys[0]) >= len(values):
            raise ValueError(f"{keys[0]!r} is no place in a list of {len(values)}, allowed are 0 to {len(values) - 1}")
        place = int(keys[0])
        return [*values[:place], _with(values[place], keys[1:], value), *values[place + 1 :]]
    inner = values if isinstance(values, dict) else {}
    return {**inner, keys[0]: _with(inner.get(keys[0]), keys[1:], value)}


def _line(error: Exception) -> str:
    """What is wrong, and where in the file, on one line."""
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return where + str(getattr(error, "problem", None) or error).split("\n")[0]
