"""Numbered pictures: which files a pattern names, in which order, and which of them are missing.

A pattern is a file name with one printf number, such as `%05d.png`, or with the wildcards of a shell, such as
`*.png`. A file that really has that name is no pattern.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from ..errors import InputError, UsageError
from .image_formats import FORMATS

_NUMBER = re.compile(r"%(?:0([1-9][0-9]?))?d")
_DIGITS = re.compile(r"([0-9]+)")
_WILD = re.compile(r"[*?\[]")
LISTED = 8
"""Gaps that a message names one by one."""


@dataclass(frozen=True)
class Numbering:
    """The names of numbered files: `prefix`, a number of at least `width` digits, `suffix`."""

    folder: Path
    prefix: str
    width: int
    suffix: str

    def name(self, number: int) -> str:
        return f"{self.prefix}{number:0{self.width}d}{self.suffix}"

    def number(self, name: str) -> int | None:
        """The number of the file `name`; None if it is not one of these."""
        digits = name[len(self.prefix) : len(name) - len(self.suffix)]
        if not _DIGITS.fullmatch(digits) or self.name(int(digits)) != name:
            return None
        return int(digits)

    @property
    def times(self) -> Path:
        """The file that says when each picture is shown."""
        return self.folder / f"{self.prefix}frames.txt"

    def there(self) -> list[Path]:
        """The files of these names that exist, and the file of their times."""
        if not self.folder.is_dir():
            return []
        found = sorted(path for path in self.folder.iterdir() if self.number(path.name) is not None)
        return [*found, *([self.times] if self.times.exists() else [])]


@dataclass(frozen=True)
class Sequence:
    """The pictures of a pattern in order. `places` are those in time, from 0, and leave out what is missing."""

    pattern: Path
    paths: tuple[Path, ...]
    places: tuple[int, ...]
    numbering: Numbering
    """Names like those of the pictures."""
    first: int = 1
    """Number of the first picture."""
    counted: bool = True
    """Whether exactly one number in the names counts, so that a gap can be seen."""

    @property
    def length(self) -> int:
        """Pictures, with those that are missing."""
        return self.places[-1] + 1

    @property
    def missing(self) -> list[int]:
        """The places of pictures that are not there."""
        return sorted(set(range(self.length)) - set(self.places))

    def name(self, place: int) -> str:
        return self.numbering.name(self.first + place)


def numbering_of(path: Path) -> Numbering | None:
    """The numbering that the name `path` asks for, as `out/%05d.png` does; None if it is that of one file.

    Raises UsageError for a name with more than one number.
    """
    found = list(_NUMBER.finditer(path.name))
    if path.suffix.lower() not in FORMATS or not found:
        return None
    if len(found) > 1:
        raise UsageError(f"{path}: a sequence counts in one number, this name has {len(found)}", "such as %05d.png")
    prefix, suffix = path.name[: found[0].start()], path.name[found[0].end() :]
    return Numbering(path.parent, prefix.replace("%%", "%"), int(found[0][1] or 1), suffix.replace("%%", "%"))


def is_sequence(path: Path) -> bool:
    """Whether `path` names numbered pictures, and no file."""
    if path.suffix.lower() not in FORMATS or not (_NUMBER.search(path.name) or _WILD.search(path.name)):
        return False
    try:
        return not path.exists()
    except OSError:
        return False


def find(pattern: Path) -> Sequence:
    """The pictures that `pattern` names. Raises InputError where there are none, or two with the same number, or more
    gaps than pictures.
    """
    numbering = numbering_of(pattern)
    names = _names(pattern, numbering)
    if not names:
        what = f"input {pattern}: there is no such picture in folder {pattern.parent}"
        raise InputError(what, "a pattern is such as frames/%05d.png or 'frames/*.png', in quotes")
    if numbering is None:
        names = sorted(names, key=natural)
        numbering = _counting(pattern.parent, names)
    if numbering is None:
        places = tuple(range(len(names)))
        return Sequence(pattern, _paths(pattern, names), places, _plain(pattern, names), counted=False)
    return _counted(pattern, names, numbering)


def _names(pattern: Path, numbering: Numbering | None) -> list[str]:
    try:
        names = [path.name for path in pattern.parent.iterdir() if path.is_file()]
    except OSError as error:
        raise InputError(f"input {pattern}: {(error.strerror or str(error)).lower()}") from error
    if numbering is not None:
        return [name for name in names if numbering.number(name) is not None]
    return [name for name in names if fnmatchcase(name, pattern.name) and not name.startswith(".")]


def natural(name: str) -> tuple[tuple[str, int, str], ...]:
    """Key that orders names by their numbers, 2 before 10; equal numbers by how they are written."""
    parts = [*_DIGITS.split(name), ""]
    return tuple((text, int(digits or 0), digits) for text, digits in zip(parts[::2], parts[1::2], strict=True))


def _counting(folder: Path, names: list[str]) -> Numbering | None:
    """The numbering of which `names` are, sorted, where they differ in one number only."""
    split = [_DIGITS.split(name) for name in names]
    if any(parts[::2] != split[0][::2] for parts in split):
        return None
    places = range(1, len(split[0]), 2)
    varied = [place for place in places if len({int(parts[place]) for parts in split}) > 1]
    place = varied[0] if len(varied) == 1 else max(places, default=0) if not varied else 0
    if not place:
        return None
    shortest = min((parts[place] for parts in split), key=len)
    prefix, suffix = "".join(split[0][:place]), "".join(split[0][place + 1 :])
    return Numbering(folder, prefix, len(shortest), suffix)


def _plain(pattern: Path, names: list[str]) -> Numbering:
    """Names for pictures whose own do not count."""
    return Numbering(pattern.parent, "", max(5, len(str(len(names)))), Path(names[0]).suffix)


def _counted(pattern: Path, names: Iterable[str], numbering: Numbering) -> Sequence:
    length = slice(len(numbering.prefix), -len(numbering.suffix))
    by_number: dict[int, str] = {}
    for name in names:
        other = by_number.setdefault(int(name[length]), name)
        if other != name:
            raise InputError(f"input {pattern}: {other} and {name} have the same number", "take one of them away")
    numbers = sorted(by_number)
    absent = numbers[-1] - numbers[0] + 1 - len(numbers)
    if absent > len(numbers):
        what = f"{len(numbers)} pictures from number {numbers[0]} to {numbers[-1]}, more are missing than there"
        raise InputError(f"input {pattern}: {what}", "name the pictures of one sequence only")
    places = tuple(number - numbers[0] for number in numbers)
    paths = _paths(pattern, [by_number[number] for number in numbers])
    return Sequence(pattern, paths, places, numbering, numbers[0])


def _paths(pattern: Path, names: Iterable[str]) -> tuple[Path, ...]:
    return tuple(pattern.parent / name for name in names)


def check_whole(sequence: Sequence, allow_loss: bool) -> None:
    """Raises InputError for a sequence with gaps, unless they are allowed."""
    missing = sequence.missing
    if missing and not allow_loss:
        spans = [_span(sequence, span) for span in _spans(missing)]
        shown = ", ".join(spans[:LISTED]) + (f" and {len(spans) - LISTED} more gaps" if len(spans) > LISTED else "")
        what = f"{len(missing)} of {sequence.length} pictures are missing: {shown}"
        raise InputError(f"input {sequence.pattern}: {what}", "--allow-loss shows the picture before in their place")


def _spans(places: list[int]) -> list[tuple[int, int]]:
    """Runs of places that follow each other, each with its first and last."""
    spans: list[tuple[int, int]] = []
    for place in places:
        begun = spans.pop()[0] if spans and spans[-1][1] == place - 1 else place
        spans.append((begun, place))
    return spans


def _span(sequence: Sequence, span: tuple[int, int]) -> str:
    first, last = (sequence.name(place) for place in span)
    return first if span[0] == span[1] else f"{first} to {last}"
