"""Interlaced frames to progressive ones, with FFmpeg's bwdif filter (Bob Weaver, after the BBC's w3fdif)."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Literal

import av
from av.filter import Graph


class Deinterlacer:
    """One frame in, one frame out, later: the filter looks one frame ahead.

    With `auto` frames pass untouched until the first one that is marked as interlaced, and from there on through the
    filter, which leaves progressive ones alone. `on` filters every frame. The frame before the first interlaced one is
    its past, whatever came before that: so it does not matter where the film was entered.
    """

    def __init__(self, mode: Literal["auto", "on"], time_base: Fraction) -> None:
        self._mode = mode
        self._time_base = time_base
        self._graph: Graph | None = None
        self._shape: tuple[int, int, str] | None = None
        self._past: av.VideoFrame | None = None
        """The frame that passed untouched last."""
        self._unwanted = 0
        """Frames that the filter holds, and that were given out already."""

    def push(self, frame: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """The frames that are ready once `frame` was given."""
        if self._graph is None and self._mode == "auto" and not frame.interlaced_frame:
            self._past = frame
            yield frame
            return
        shape = (frame.width, frame.height, frame.format.name)
        if shape != self._shape:
            yield from self.finish()
            self._open(frame)
            self._shape = shape
            self._remember(frame)
        assert self._graph is not None
        self._graph.vpush(frame)
        yield from self._drain()

    def _remember(self, frame: av.VideoFrame) -> None:
        """Bring the filter, which is new, to where it would be had it seen all frames: it knows the one that passed
        before, and it treats the first interlaced one that it sees in a way of its own, so it sees one before that.
        """
        past, self._past = self._past, None
        if past is not None and (past.width, past.height, past.format.name) == self._shape:
            assert self._graph is not None
            self._graph.vpush(frame)
            self._graph.vpush(past)
            self._unwanted = 2

    def finish(self) -> Iterator[av.VideoFrame]:
        """The frames that the filter still holds."""
        if self._graph is not None:
            self._graph.vpush(None)
            yield from self._drain()
            self._graph = self._shape = None

    def _open(self, frame: av.VideoFrame) -> None:
        graph = Graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=self._time_base
        )
        which = "interlaced" if self._mode == "auto" else "all"
        bwdif = graph.add("bwdif", f"mode=send_frame:parity=auto:deint={which}")
        graph.link_nodes(source, bwdif, graph.add("buffersink")).configure()
        self._graph = graph

    def _drain(self) -> Iterator[av.VideoFrame]:
        assert self._graph is not None
        while True:
            try:
                frame = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            if self._unwanted:
                self._unwanted -= 1
            else:
                yield self._on_our_clock(frame)

    def _on_our_clock(self, frame: av.VideoFrame) -> av.VideoFrame:
        """bwdif counts in half units, for the fields it could give."""
        ratio = Fraction(frame.time_base or self._time_base) / self._time_base
        if frame.pts is not None:
            frame.pts = round(frame.pts * ratio)
        frame.duration = round(frame.duration * ratio)
        frame.time_base = self._time_base
        return frame
