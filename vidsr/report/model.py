"""What a page shows, as plain values: nothing here knows HTML.

A `Page` is what `vidsr.report.page` writes, whoever filled it: a preview, a comparison, the account of a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..frames import Box

Picture = NDArray[np.uint8]
"""H W 3, uint8, 0 … 255, RGB, gamma-coded as screens show it."""


@dataclass(frozen=True)
class Shot:
    """One moment, in several versions that lie on each other: the slider and the blinking go between two of them.

    All `layers` are of one size; the first one is the reference, such as the bicubic picture or the input. One layer
    alone is shown as a picture. `crops` are parts worth a closer look, in pixels of the layers.
    """

    name: str
    time: float | None
    """Seconds from the start of the input; None where the picture is of no particular time."""
    layers: Mapping[str, Picture]
    crops: Sequence[Box] = ()
    note: str = ""
    """A sentence about it, such as why it was chosen."""

    def __post_init__(self) -> None:
        sizes = {layer.shape for layer in self.layers.values()}
        if len(sizes) != 1 or any(layer.dtype != np.uint8 for layer in self.layers.values()):
            raise ValueError(f"layers of {self.name!r} must be uint8 and of one size, they are of {sorted(sizes)}")


@dataclass(frozen=True)
class Clip:
    """Short videos of one stretch that play side by side in step: name of the version → the bytes of a file."""

    name: str
    versions: Mapping[str, bytes]
    mime: str
    """What the browser is told of them, such as `video/mp4`."""
    width: int
    height: int


@dataclass(frozen=True)
class Plot:
    """Lines over a common x. A value that is not finite leaves a gap in its line."""

    name: str
    x: Sequence[float]
    series: Mapping[str, Sequence[float]]
    x_label: str = "seconds"
    y_label: str = ""
    kind: str = "line"
    """`line`, or `bars`: horizontal bars from 0, one per x, which then is a position in `labels`."""
    labels: Sequence[str] = ()


@dataclass(frozen=True)
class Table:
    """Rows of text under a head. Cells that are numbers as text are aligned like numbers by the page."""

    name: str
    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    first: bool = False
    """Whether it is what the page is about, and stands before the pictures."""


@dataclass(frozen=True)
class Page:
    """Everything on one page, in the order in which it is shown."""

    title: str
    summary: Sequence[tuple[str, str]]
    """Facts, as pairs of what and how much."""
    comparisons: Sequence[Shot] = ()
    plots: Sequence[Plot] = ()
    tables: Sequence[Table] = ()
    clips: Sequence[Clip] = ()
    notes: Sequence[str] = field(default_factory=tuple)
    """Sentences under the facts: what was not done, what to know."""
