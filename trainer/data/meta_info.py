"""Lists of pictures as the scripts of BasicSR and Real-ESRGAN write them.

Of pictures each line begins with a path relative to the root, as `0001_s001.png (480,480,3)` or alone. Of pairs it is
`gt, lq`. Names with blanks are taken whole where such a file exists.
"""

from __future__ import annotations

from pathlib import Path

from vidsr.errors import InputError


def listed(meta_info: Path, root: Path) -> list[Path]:
    """The pictures of a list. Raises InputError if it cannot be read, is empty, or names a file that does not exist."""
    paths = [_path(line, root) for line in _lines(meta_info)]
    _check(paths, meta_info)
    return paths


def listed_pairs(meta_info: Path, gt: Path, lq: Path) -> list[tuple[Path, Path]]:
    """The pairs of a list, large and small. Raises InputError as `listed`, and for a line that is no pair."""
    pairs = []
    for number, line in enumerate(_lines(meta_info), 1):
        large, comma, small = line.partition(", ")
        if not comma:
            raise InputError(f"list {meta_info}, line {number}: {line!r} is no pair, a pair is `gt, lq`")
        pairs.append((_path(large, gt), _path(small, lq)))
    _check([path for pair in pairs for path in pair], meta_info)
    return pairs


def _lines(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"list {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    kept = [line for line in lines if line]
    if not kept:
        raise InputError(f"list {path} is empty")
    return kept


def _path(line: str, root: Path) -> Path:
    line = line.strip()
    whole = root / line
    return whole if " " not in line or whole.exists() else root / line.split(" ")[0]


def _check(paths: list[Path], meta_info: Path) -> None:
    missing = [path for path in paths if not path.is_file()]
    if missing:
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(f"list {meta_info} names {missing[0]}{more}, which does not exist")
