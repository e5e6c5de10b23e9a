"""The YAML files that ship with vidsr: sets of options, and the list of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .errors import UsageError, near_miss
from .options import Options, parse

_SIZES = frozenset({"scale", "size", "height"})
_ENCODER_WORDS = frozenset({"crf", "encoder_preset", "encoder_option", "pix_fmt"})


def folder() -> Path:
    """The folder of the presets: inside the package when installed, at the root of the repository in a checkout."""
    installed = Path(__file__).with_name("_presets")
    return installed if installed.is_dir() else Path(__file__).parent.parent / "presets"


def names() -> list[str]:
    """The names of all presets, sorted."""
    return sorted(path.stem for path in (folder() / "upscale").glob("*.yaml"))


def load(name: str) -> dict[str, Any]:
    """Fields of Options that preset `name` sets. Raises UsageError for an unknown name or a preset that is at fault."""
    return _read(name)["options"]  # type: ignore[no-any-return]


def description(name: str) -> str:
    """One sentence: what preset `name` is for. Raises UsageError for an unknown name."""
    return str(_read(name)["description"])


def apply(values: dict[str, Any]) -> Options:
    """Options from values given by hand over those of the preset they name, over the defaults; None is not given.

    Raises one UsageError that names every fault.
    """
    given = {name: value for name, value in values.items() if value is not None}
    base = load(str(given["preset"])) if "preset" in given else {}
    return parse({name: value for name, value in base.items() if name not in _replaced(given)} | given)


def _replaced(given: dict[str, Any]) -> frozenset[str]:
    """Fields of a preset that lose their sense by what was given: a size by another, encoder words by another codec."""
    sizes = _SIZES if _SIZES & given.keys() else frozenset[str]()
    return sizes | (_ENCODER_WORDS if "codec" in given else frozenset[str]())


def _read(name: str) -> dict[str, Any]:
    if name not in names():
        listed = ", ".join(names())
        raise UsageError(f"--preset: {name!r} is unknown{near_miss(name, names())}", f"allowed are {listed}")
    import yaml  # here: `vidsr --help` needs no preset

    content = yaml.safe_load((folder() / "upscale" / f"{name}.yaml").read_text(encoding="utf-8"))
    if not isinstance(content, dict) or content.keys() != {"description", "options"}:
        raise UsageError(f"preset {name}: the file must hold a description and options, and nothing else")
    try:
        parse(content["options"])
    except UsageError as error:
        raise UsageError(f"preset {name}: {error}") from error
    return content
