"""Faults of single pictures, found while two films are gone through side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..events import clock
from .align import SAME, Step, difference
from .films import Picture

Kind = Literal["dropped", "doubled", "extra", "black", "range", "matrix", "sound", "damaged", "streams"]
BLACK = 12.0
"""Luma, 0 … 255 above black, under which the whole of a black picture lies."""
LIT = 40.0
"""Luma that the brightest part of its partner has at least."""
MOST = 100
"""Findings of one kind that are kept one by one; the rest is counted."""


@dataclass
class Finding:
    """Something that is wrong with the second film, or that sets the two apart. `time` is in seconds of the first."""

    kind: Kind
    text: str
    time: float | None = None
    count: int = 1
    """Pictures it covers."""
    pair: tuple[int, int] | None = None
    """The numbers of the pictures in both films where it can be seen, if it can."""

    def __str__(self) -> str:
        when = "" if self.time is None else f" at {clock(self.time)}"
        return f"{self.kind}{when}: {self.text}"


@dataclass
class Watch:
    """Looks at every step of two films. `resampled`: their rates differ, so single pictures prove nothing."""

    resampled: bool = False
    found: list[Finding] = field(default_factory=list)
    more: dict[str, int] = field(default_factory=dict)
    """Findings beyond MOST, by kind."""
    _before: tuple[Picture, Picture] | None = None
    """The last pair."""
    _last: tuple[str, Step] | None = None
    """What the last step was, so that a run of faults is one finding."""

    def see(self, step: Step) -> Kind | None:
        """The next step, and what is wrong with it."""
        kind = self._kind(step)
        if kind:
            self._note(kind, step)
        self._last = (kind, step) if kind else None
        if step.first and step.second:
            self._before = (step.first, step.second)
        return kind

    def _kind(self, step: Step) -> Kind | None:
        first, second = step.first, step.second
        if first and second:
            if _is_black(first, second):
                return "black"
            return "doubled" if self._repeats(first, second) else None
        if first:
            return "dropped"
        assert second is not None
        return "doubled" if self._is_again(second, step.after) else "extra"

    def _is_again(self, picture: Picture, after: Picture | None) -> bool:
        """Whether one without partner shows what the second film showed before, as far as its codec lets it."""
        if self._before is None:
            return False
        stayed = difference(self._before[1].thumb, picture.thumb)
        return stayed < SAME or (after is not None and stayed * 2 < difference(self._before[1].thumb, after.thumb))

    def _repeats(self, first: Picture, second: Picture) -> bool:
        """Whether the second film shows its last picture again where the first moves on."""
        if self._before is None or self.resampled:
            return False
        moved = difference(self._before[0].thumb, first.thumb)
        stayed = difference(self._before[1].thumb, second.thumb)
        behind, here = difference(self._before[0].thumb, second.thumb), difference(first.thumb, second.thumb)
        return moved > SAME and stayed * 4 < moved and behind * 2 < here

    def _note(self, kind: Kind, step: Step) -> None:
        shown = step.first or step.second
        assert shown is not None
        if self._last and self._last[0] == kind and self.found and self.found[-1].kind == kind:
            last = self.found[-1]
            last.count += 1
            last.text = _TEXTS[kind](last.count)
            return
        if sum(finding.kind == kind for finding in self.found) >= MOST:
            self.more[kind] = self.more.get(kind, 0) + 1
            return
        pair = (step.first.number, step.second.number) if step.first and step.second else None
        time = shown.time if step.first else shown.time - step.lag
        self.found.append(Finding(kind, _TEXTS[kind](1), time, pair=pair))


def _is_black(first: Picture, second: Picture) -> bool:
    return float(second.thumb.max()) < BLACK and float(first.thumb.max()) > LIT


def _several(count: int) -> str:
    return "1 picture" if count == 1 else f"{count} pictures"


_TEXTS = {
    "dropped": lambda count: f"{_several(count)} missing in the second film",
    "doubled": lambda count: (
        f"{_several(count)} of the second film show what was shown before"
        if count > 1
        else "1 picture of the second film shows what was shown before"
    ),
    "extra": lambda count: f"{_several(count)} of the second film without a partner in the first",
    "black": lambda count: f"{_several(count)} of the second film black where the first is not",
}
