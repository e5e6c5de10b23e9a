"""Pictures of 256 colours, as GIF has them: a palette of its own for every picture, so that none has to wait for
another, and what is between its colours spread by Sierra's error diffusion. FFmpeg's palettegen and paletteuse.
"""

from __future__ import annotations

from fractions import Fraction

import av
from av.filter import Graph

from ..errors import OutputError
from ..events import clock
from .animations import SHORT, ticks

FORMAT = "pal8"


class Palette:
    """Turns pictures of one size and pixel format into ones with a palette."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._last: int | None = None

    def packed(self, picture: av.VideoFrame) -> av.VideoFrame:
        """The same picture with a palette. Raises OutputError for one that follows too fast for a GIF."""
        base = Fraction(picture.time_base or 1)
        now = ticks((picture.pts or 0) * base)
        if self._last is not None and now - self._last < SHORT:
            when = clock(float((picture.pts or 0) * base))
            what = f"output: players show no picture of a GIF for less than 2/100 s, and at {when} two are closer"
            raise OutputError(what, "write .apng, or another container")
        self._last = now
        self._graph = self._graph or _graph(picture, base)
        self._graph.vpush(picture)
        return self._graph.vpull()


def _graph(picture: av.VideoFrame, base: Fraction) -> Graph:
    graph = Graph()
    source = graph.add_buffer(width=picture.width, height=picture.height, format=picture.format, time_base=base)
    rgb, split = graph.add("format", "pix_fmts=bgra"), graph.add("split")
    make = graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
    use, sink = graph.add("paletteuse", "new=1:dither=sierra2_4a"), graph.add("buffersink")
    graph.link_nodes(source, rgb, split, make)
    split.link_to(use, 1, 0)
    make.link_to(use, 0, 1)
    graph.link_nodes(use, sink).configure()
    return graph
