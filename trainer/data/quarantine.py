"""Files that cannot be read: told once, left out, and too many of them end the run."""

from __future__ import annotations

from dataclasses import dataclass, field

from vidsr.errors import InputError


@dataclass(frozen=True, slots=True)
class Bad:
    """A file that cannot be used."""

    set: str
    """The set it belongs to."""
    path: str
    why: str
    """A sentence that names it."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Of one set: how many files it has, and the share of them that may be bad."""

    files: int
    share: float
    unit: str = "files"
    """What is counted: of a film that is read all the time, its stretches."""


@dataclass
class Quarantine:
    """The bad files of a run, as far as one process knows them."""

    limits: dict[str, Limit]
    """By the name of the set."""
    bad: dict[str, Bad] = field(default_factory=dict)
    """By path."""
    _fresh: list[Bad] = field(default_factory=list)

    def add(self, bad: Bad) -> bool:
        """Take note of a file; whether it is news. Raises InputError when the set has more bad ones than it may."""
        if bad.path in self.bad:
            return False
        self.bad[bad.path] = bad
        self._fresh.append(bad)
        self._check(bad.set)
        return True

    def taken(self) -> tuple[Bad, ...]:
        """What was added since the last call."""
        fresh, self._fresh = tuple(self._fresh), []
        return fresh

    def _check(self, name: str) -> None:
        limit = self.limits[name]
        found = [bad for bad in self.bad.values() if bad.set == name]
        if len(found) <= limit.share * limit.files:
            return
        what = f"{len(found)} of {limit.files} {limit.unit} of {name} cannot be used, max_bad allows {limit.share:.0%}"
        raise InputError(f"{what}; the first: {found[0].why}", "vidsr train check lists all that is wrong with it")
