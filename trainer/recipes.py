"""The recipes that come with vidsr: complete configurations in presets/train, to be copied and changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vidsr.errors import ExistsError, UsageError, near_miss
from vidsr.fs import Target, unwritable
from vidsr.presets import folder

from .yaml_text import dump_yaml, override, parse_yaml


def names() -> list[str]:
    """The names of all recipes, sorted."""
    return sorted(path.stem for path in (folder() / "train").glob("*.yaml"))


def text(name: str) -> str:
    """The YAML of recipe `name`. Raises UsageError for an unknown name."""
    if name not in names():
        raise UsageError(f"recipe {name!r} is unknown{near_miss(name, names())}", f"allowed are {', '.join(names())}")
    return (folder() / "train" / f"{name}.yaml").read_text(encoding="utf-8")


def description(name: str) -> str:
    """What recipe `name` is for: the first sentence in its first line."""
    line = text(name).partition("\n")[0].removeprefix("# ")
    return line.partition(". ")[0].removesuffix(".")


def write(name: str, path: Path, overrides: Sequence[str] = ()) -> None:
    """Copy recipe `name` to `path`, with `key.sub=value` laid over it; then all comments but the first are gone.

    Raises UsageError for an unknown name or override, ExistsError when the file is there, OutputError.
    """
    content = text(name)
    if overrides:
        head = [line for line in content.splitlines() if line.startswith("#")]
        content = "\n".join(head) + "\n" + dump_yaml(override(parse_yaml(content), overrides))
    if path.exists():
        raise ExistsError(f"configuration {path} exists", "name another file")
    try:
        with Target(path) as target:
            target.path.write_text(content, encoding="utf-8")
            target.commit()
    except OSError as error:
        raise unwritable(path.parent, error) from error
