"""What is written down while training: JSON lines always, TensorBoard where it is installed."""

from __future__ import annotations

import importlib.util
import json
import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from vidsr.errors import OutputError


class Window:
    """Means of what was measured since the last line of the log."""

    def __init__(self) -> None:
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._counts: defaultdict[str, int] = defaultdict(int)

    def add(self, values: Mapping[str, float]) -> None:
        """Take in the figures of one iteration."""
        for name, value in values.items():
            self._sums[name] += value
            self._counts[name] += 1

    def take(self) -> dict[str, float]:
        """The means, which begin anew."""
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        self._sums.clear()
        self._counts.clear()
        return means


class Log:
    """RUN/log.jsonl, and RUN/tensorboard. Lines of iterations after `iteration`, of a run that was killed, are cut
    off: they will be written again."""

    def __init__(self, run: Path, iteration: int) -> None:
        self.path = run / "log.jsonl"
        kept = [line for line in _lines(self.path) if line.get("iteration", 0) <= iteration]
        try:
            self.path.write_text("".join(f"{json.dumps(line)}\n" for line in kept), encoding="utf-8")
            self._file = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self.board = _board(run / "tensorboard", iteration)
        """A SummaryWriter, or None where TensorBoard is not installed."""

    def write(self, kind: str, iteration: int, values: Mapping[str, Any]) -> None:
        """One line of the JSON log, null for what is not finite; numbers also go to TensorBoard as `kind/name`.

        Raises OutputError.
        """
        plain = {name: None if isinstance(value, float) and not math.isfinite(value) else value
                 for name, value in values.items()}  # fmt: skip
        try:
            self._file.write(json.dumps({"kind": kind, "iteration": iteration, **plain}) + "\n")
            self._file.flush()
        except OSError as error:
            raise _unwritable(self.path, error) from error
        if self.board is not None:
            for name, value in plain.items():
                if isinstance(value, int | float):
                    self.board.add_scalar(f"{kind}/{name}", value, iteration)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._file.close()
        if self.board is not None:
            self.board.close()


def read_log(run: Path) -> list[dict[str, Any]]:
    """All lines of the log of a run; one that was cut short by a kill is left out."""
    return _lines(run / "log.jsonl")


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    found = []
    for text in texts:
        try:
            found.append(json.loads(text))
        except ValueError:  # the last line of a killed run
            continue
    return found


def _board(folder: Path, iteration: int) -> Any:
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=iteration + 1 if iteration else None)


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"log {path} cannot be written: {(error.strerror or str(error)).lower()}", "make room, or resume"
    )
