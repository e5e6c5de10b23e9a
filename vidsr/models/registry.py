"""The weights known by name, as an explicit object: nothing registers itself by being imported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ..errors import UsageError, near_miss

Sha256 = Field(pattern="^[0-9a-f]{64}$")

Kind = Literal["generator", "discriminator", "face-restorer", "face-detector", "face-parser"]
"""What a network is for; a generator enlarges pictures."""


class Packaged(BaseModel):
    """A network inside a data package, as a pair of ncnn files; paths are relative to where packages are installed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    distribution: str
    param: str
    param_sha256: str = Sha256
    bin: str
    bin_sha256: str = Sha256


class Weights(BaseModel):
    """One set of weights: what it is for, and where it can be had.

    `bytes` and `sha256` are of the file at `url`, or of the one at `embedded`, a path inside vidsr; then `url` tells
    where that comes from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    aliases: tuple[str, ...] = ()
    kind: Kind = "generator"
    architecture: str
    scale: int = Field(ge=1, le=8)
    purpose: str
    licence: str
    non_commercial: bool = False
    """Whether the licence forbids commercial use, of any part."""
    url: str = Field(pattern="^https://")
    bytes: int | None = Field(None, gt=0)
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    partner: str | None = None
    package: Packaged | None = None
    embedded: str | None = None

    @property
    def file_name(self) -> str:
        """Name of the official file, or of the embedded one."""
        return (self.embedded or self.url).rsplit("/", 1)[-1]


class Registry:
    """Weights by name and by alias; letter case does not matter."""

    def __init__(self, items: Iterable[Weights] = ()) -> None:
        self._items: dict[str, Weights] = {}
        self._names: dict[str, str] = {}
        for item in items:
            self.add(item)

    def add(self, item: Weights) -> None:
        """Add one. Raises ValueError when any of its names is taken; nothing is changed then."""
        names = [name.casefold() for name in (item.name, *item.aliases)]
        taken = [name for name in names if name in self._names or names.count(name) > 1]
        if taken:
            raise ValueError(f"{item.name}: the name {taken[0]!r} is taken by {self._names.get(taken[0], item.name)}")
        self._items[item.name] = item
        self._names |= dict.fromkeys(names, item.name)

    def find(self, name: str) -> Weights | None:
        """The weights of this name or alias, None when there are none."""
        key = self._names.get(name.casefold())
        return None if key is None else self._items[key]

    def get(self, name: str) -> Weights:
        """The weights of this name or alias. Raises UsageError that names the nearest one."""
        found = self.find(name)
        if found is None:
            known = [item.name for item in self] + [alias for item in self for alias in item.aliases]
            raise UsageError(
                f"model {name!r} is unknown{near_miss(name, known)}",
                "vidsr models list shows the names; a path of a weights file is allowed too",
            )
        return found

    def by_file(self, file_name: str) -> Weights | None:
        """The weights whose official file has this name."""
        return next((item for item in self if item.file_name == file_name), None)

    def __iter__(self) -> Iterator[Weights]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)
