"""Which small picture belongs to which large one."""

from __future__ import annotations

from pathlib import Path

from vidsr.errors import InputError

from .folders import PICTURES, files_under


def matched(gt: Path, lq: Path, lq_suffix: str = "") -> list[tuple[Path, Path]]:
    """Pairs of the same name below both folders, whatever their endings; in the order of the large ones.

    Raises InputError, naming the first, when a large picture has no partner, or two in a folder have the same name.
    """
    large, small = _named(gt), _named(lq)
    alone = [path for name, path in large.items() if name + lq_suffix not in small]
    if alone:
        what = f"{len(alone)} of {len(large)} pictures in {gt} have no partner in {lq}"
        hint = "lq_suffix says what the names of the small ones end in, such as x4"
        raise InputError(f"{what}, the first is {alone[0].name}", hint)
    return [(path, small[name + lq_suffix]) for name, path in large.items()]


def _named(folder: Path) -> dict[str, Path]:
    """Pictures by their names below `folder`, without endings."""
    named: dict[str, Path] = {}
    for path in files_under(folder, PICTURES):
        first = named.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
        if first is not path:
            raise InputError(f"pictures {first} and {path} differ in nothing but their endings; pairs go by names")
    return named
