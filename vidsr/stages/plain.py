"""9 and 10 for outputs without a container: planes to the file or pipe, one picture after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..events import Emit, Notice, clock
from ..frames import UpscaledFrame
from ..media.libav import writing
from ..media.plain import Packer


@dataclass
class Plain:
    """Writes pictures at a steady `rate`, in frames per second; `time_base` is that of their pts, in seconds.

    `header` comes first, `mark` before each picture. `path` is the name that errors tell.
    """

    put: Callable[[bytes | memoryview], Any]
    path: Path
    packer: Packer
    rate: Fraction
    time_base: Fraction
    emit: Emit
    header: bytes = b""
    mark: bytes = b""
    count: int = 0
    """Pictures written."""
    _first: int | None = None
    _told: bool = False

    def write(self, frames: Iterable[UpscaledFrame]) -> Iterator[UpscaledFrame]:
        """Write everything; each picture is yielded once it is written. Raises OutputError, ReaderGoneError."""
        self._write(self.header)
        for frame in frames:
            self._tell_pace(frame.pts)
            self._write(self.mark)
            planes: Any = frame.planes  # of host memory: only NVENC reads them on the device
            self._write(self.packer.packed(planes))
            self.count += 1
            yield frame

    def _write(self, data: bytes | memoryview) -> None:
        if data:
            writing(self.path, lambda: self.put(data))

    def _tell_pace(self, pts: int) -> None:
        """Say once that a picture is not where it will be shown: half a picture off is not the rounding of a clock."""
        self._first = pts if self._first is None else self._first
        off = (pts - self._first) * self.time_base - self.count / self.rate
        if abs(off) > Fraction(1, 2) / self.rate and not self._told:
            self._told = True
            when = clock(float(pts * self.time_base))
            what = f"pictures do not come at a steady rate from {when} on; the output holds no times"
            self.emit(Notice(f"{what} and shows {float(self.rate):g} of them a second", "warning"))
