"""Stretches of a film by seek, each frame proven by its checksum."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import av
import numpy as np

from vidsr.errors import InputError
from vidsr.events import ignore
from vidsr.frames import Plane
from vidsr.media.pixels import layout_of, planes_of
from vidsr.stages.decode import pictures
from vidsr.stages.source import Source, open_source

from .index import KEY, MAX_PIXELS, VideoIndex, checksum, packets_of

Planes = tuple[Plane, ...]

_BACK = (0, 1, 3, 7)
"""How many keyframes before the nearest one a seek begins, try after try; the last resort is the beginning."""


class Film:
    """An open film. Its decoder runs in the calling thread: loader processes share the machine as it is."""

    def __init__(self, path: Path, index: VideoIndex) -> None:
        self.path = path
        self.index = index
        self._source = _opened(path)
        self.seeks = 0
        """Tries so far, for tests and for those who wonder where the time goes."""

    def close(self) -> None:
        self._source.close()

    def stretch(self, first: int, last: int) -> list[Planes]:
        """The planes of frames `first` to `last` inclusive, by their numbers in the index.

        Raises InputError if the film does not decode any more as it did when it was indexed.
        """
        for start in self._entries(first):
            self.seeks += 1
            found = self._from(start, first, last)
            if found is not None:
                return found
        found = self._from_beginning(first, last)
        if found is None:
            at = f"at {self.index.seconds(first):.3f} s"
            what = f"film {self.path} does not decode {at} as it did when it was indexed"
            raise InputError(what, "it was changed meanwhile, or its disk fails")
        return found

    def _entries(self, first: int) -> Iterator[int]:
        """Times to seek to: keyframes at or before frame `first`, the nearest first, then ever further back."""
        frames = self.index.frames
        keys = np.flatnonzero(frames["marks"][: first + 1] & KEY)
        for back in _BACK:
            if back < len(keys):
                yield int(frames["pts"][keys[-1 - back]])

    def _from(self, start: int, first: int, last: int) -> list[Planes] | None:
        """The frames after a seek to `start`; None if not all of them come, or one is another than it was."""
        try:
            self._source.container.seek(start, backward=True, stream=self._source.video)
        except (av.error.FFmpegError, EOFError, ValueError):  # some demuxers cannot seek, others stumble on the way
            return None
        return self._taken(self._source, first, last)

    def _from_beginning(self, first: int, last: int) -> list[Planes] | None:
        """The frames by decoding all before them, in a container that no seek has touched."""
        self.seeks += 1
        with closing(_opened(self.path)) as source:
            return self._taken(source, first, last)

    def _taken(self, source: Source, first: int, last: int) -> list[Planes] | None:
        wanted = self.index.frames[first : last + 1]
        found: list[Planes] = []
        decoded = pictures(packets_of(source, ignore), source.video.codec_context, ignore)
        for picture in decoded:
            pts = picture.pts if picture.pts is not None else picture.dts
            row = wanted[len(found)]
            if pts is None or pts < row["pts"]:
                continue
            if pts > row["pts"] or not self._is_usable(picture):
                return None
            planes = planes_of(picture, self.index.layout)
            if checksum(planes) != row["crc"]:
                return None
            found.append(planes)
            if len(found) == len(wanted):
                return found
        return None

    def _is_usable(self, picture: av.VideoFrame) -> bool:
        """Whether it has the size and format of the others."""
        index = self.index
        return (picture.width, picture.height, layout_of(picture.format.name)) == (
            index.width, index.height, index.layout,
        )  # fmt: skip


def _opened(path: Path) -> Source:
    source = open_source(path, MAX_PIXELS)
    source.video.codec_context.thread_count = 1
    source.video.thread_type = "NONE"
    return source
