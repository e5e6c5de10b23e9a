"""9 and 10 for numbered pictures: planes to files, each read back before the next is written."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OutputError
from ..events import Emit, Notice
from ..frames import UpscaledFrame
from ..media.image_files.header import Metadata, Quality
from ..media.image_formats import Format
from ..media.images import Encoded, Picture, check_written, encoded
from ..media.sequences import Numbering


@dataclass
class Files:
    """Writes pictures into `folder`. The first has the number that `numbers` has for its pts, or 1.

    `kept` is the metadata of pictures by their pts, where there is some. `check` is called after each, and may raise.
    """

    folder: Path
    numbering: Numbering
    numbers: dict[int, int]
    kind: Format
    quality: Quality
    verify: bool
    kept: dict[int, Metadata]
    emit: Emit
    check: Callable[[], None]
    pts: array[int] = field(default_factory=lambda: array("q"))
    """Of the pictures that were written."""
    end: int | None = None
    """Where the last one ends, in units of the pts, if that is known."""
    _told: set[str] = field(default_factory=set)

    def write(self, frames: Iterable[UpscaledFrame]) -> Iterator[UpscaledFrame]:
        """Write everything; each picture is yielded once it is written. Raises OutputError, VerificationError."""
        shown, sent = None, None
        for frame in frames:
            planes: Any = frame.planes
            metadata = self._metadata(frame.pts)
            if sent is None or shown is None or frame.planes is not shown.planes or metadata != sent.metadata:
                sent = self._encoded(planes, metadata)
            shown = frame
            self.pts.append(frame.pts)
            self._write(sent)
            self.end = frame.pts + frame.duration if frame.duration else None
            self.check()
            yield frame

    def _metadata(self, pts: int) -> Metadata:
        for earlier in [known for known in list(self.kept) if known < pts]:
            del self.kept[earlier]
        return self.kept.pop(pts, Metadata())

    def _encoded(self, planes: Any, metadata: Metadata) -> Encoded:
        pixels = planes[0] if len(planes) == 1 else np.stack(planes, axis=-1)
        sent = encoded(Picture(np.ascontiguousarray(pixels), metadata, self.kind), self.kind, self.quality)
        for note in set(sent.notes) - self._told:
            self._told.add(note)
            self.emit(Notice(note, "warning"))
        return sent

    def _write(self, sent: Encoded) -> None:
        path = self.folder / self.numbering.name(self.numbers.get(self.pts[0], 1) + len(self.pts) - 1)
        try:
            path.write_bytes(sent.data)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise OutputError(f"output {self.numbering.folder / path.name}: {why}", "free some space") from error
        if self.verify:
            check_written(path, sent)
