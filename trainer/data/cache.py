"""Decoded frames and pictures in memory, within a budget of bytes; what was used longest ago goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class ByteCache(Generic[V]):
    """A cache of one process. It never holds more than `limit` bytes; what is larger by itself is not kept."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        """Bytes."""
        self.hits = self.misses = 0
        self._kept: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], V], size: Callable[[V], int]) -> V:
        """The value of `key`, made by `make` if it is not here; `size` tells its bytes."""
        if key in self._kept:
            self.hits += 1
            self._kept.move_to_end(key)
            return self._kept[key][0]
        self.misses += 1
        value = make()
        self._keep(key, value, size(value))
        return value

    def _keep(self, key: Hashable, value: V, size: int) -> None:
        if size > self.limit:
            return
        while self.held + size > self.limit:
            _, (_, freed) = self._kept.popitem(last=False)
            self.held -= freed
        self._kept[key] = value, size
        self.held += size
