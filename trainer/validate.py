"""How good a network is by now: its pictures, made as `vidsr upscale` makes them, measured and shown.

RUN/validation/table.jsonl                       a line for each item of each validation
RUN/validation/strips/SET-ITEM-00005000.png      input, first validation, this one, ground truth
RUN/validation/first/SET-ITEM-00000000.png       what the first validation made, to compare with
"""

from __future__ import annotations

import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vidsr.errors import InputError, OutputError
from vidsr.events import Emit, ignore
from vidsr.fs import unwritable, write_atomically
from vidsr.upscaler import Upscaler

from .config import Config
from .metrics.build import build
from .metrics.options import Validation
from .portable import save
from .strips import enlarged, file_name, read_png, strip, window, write_png
from .validation_sets import Frames, Item, items

Row = dict[str, Any]


class Validator:
    """Measures networks by the sets and metrics of a run.

    The network is written to a file and read again by `vidsr.Upscaler`: what is measured is what users will get, with
    its exact tiles, and the network in training is not touched. Raises InputError or WeightsError for files that a
    metric needs and that cannot be used.
    """

    def __init__(self, config: Config, device: torch.device | str, emit: Emit = ignore) -> None:
        self._config, self._device, self._emit = config, torch.device(device), emit
        self._options = config.validation or Validation()
        self._metrics = [build(options, config.scale, self._device) for options in self._options.metrics]

    def run(self, net: nn.Module, iteration: int, folder: Path, board: Any = None) -> dict[str, float]:
        """The figures of `net`: SET/METRIC, the mean over the items of a set, and METRIC, the mean over the sets.

        What could not be measured, such as motion in a still, is left out. Tables and strips go to `folder`, the run's;
        strips also to `board`, a SummaryWriter. PSNR is infinite when the output is the ground truth.

        Raises InputError for a set that cannot be used, OutputError when the folder cannot be written.
        """
        rows: list[Row] = []
        upscaler = self._upscaler(net)
        for options in self._options.sets:
            for number, item in enumerate(items(options, self._config, self._emit)):
                output = np.stack(list(upscaler.upscale_frames(iter(item.lq))))
                rows.append({"iteration": iteration, "set": item.set, "item": item.name} | self.measure(output, item))
                if number < self._options.strips:
                    _show(item, output, iteration, folder / "validation", board)
        _append(folder / "validation" / "table.jsonl", rows, iteration)
        return means(rows)

    def measure(self, output: Frames, item: Item) -> dict[str, float]:
        """All metrics that an item allows, by name."""
        possible = [
            metric
            for metric in self._metrics
            if not (metric.needs_gt and item.gt is None) and not (metric.temporal and len(output) < 2)
        ]
        try:
            values = {metric.name: metric(output, item.gt) for metric in possible}
        except InputError as error:
            raise InputError(f"validation set {item.set}, {item.name}: {error}", error.hint) from error
        return {name: value for name, value in values.items() if not math.isnan(value)}

    def _upscaler(self, net: nn.Module) -> Upscaler:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "candidate.safetensors"
            save(net, path)
            return Upscaler(str(path), device=str(self._device), precision=self._options.precision)


def means(rows: Iterable[Row]) -> dict[str, float]:
    """SET/METRIC over the items of each set, and METRIC over the sets."""
    sets: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        for name, value in _figures(row).items():
            sets[name][row["set"]].append(value)
    found: dict[str, float] = {}
    for name, by_set in sets.items():
        each = {f"{one}/{name}": float(np.mean(values)) for one, values in by_set.items()}
        found |= {name: float(np.mean(list(each.values())))} | each
    return found


def _figures(row: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name not in ("iteration", "set", "item")}


def _append(path: Path, rows: list[Row], iteration: int) -> None:
    """Lines of this iteration and later ones, of a run that was killed, are replaced. An infinite figure is null."""
    kept = [row for row in read_table(path) if row["iteration"] < iteration]
    text = "".join(f"{json.dumps({key: _finite(row[key]) for key in row})}\n" for row in [*kept, *rows])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
    except OSError as error:
        raise unwritable(path.parent, error) from error


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and math.isinf(value) else value


def read_table(path: Path) -> list[Row]:
    """The lines of a table; an infinite figure is None. Raises OutputError when it was damaged."""
    if not path.is_file():
        return []
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise OutputError(
            f"table {path} cannot be read: {error}", "delete it; the next validation begins anew"
        ) from error


def _show(item: Item, output: Frames, iteration: int, folder: Path, board: Any) -> None:
    """The strip of the middle frame, where the picture has the most detail."""
    middle, scale = len(output) // 2, output.shape[1] // item.lq.shape[1]
    judged = output[middle] if item.gt is None else item.gt[middle]
    top, left, height, width = window(judged, scale)
    now = output[middle, top : top + height, left : left + width]
    name = file_name(f"{item.set}-{item.name}")
    first, before = _first(folder / "first", name, iteration, now)
    given = enlarged(item.lq[middle], scale)[top : top + height, left : left + width]
    parts = [("input", given), (f"iteration {first}", before), (f"iteration {iteration}", now)]
    if item.gt is not None:
        parts.append(("ground truth", item.gt[middle, top : top + height, left : left + width]))
    shown = strip(parts)
    write_png(folder / "strips" / f"{name}-{iteration:08}.png", shown)
    if board is not None:
        board.add_image(f"{item.set}/{item.name}", shown, iteration, dataformats="HWC")


def _first(folder: Path, name: str, iteration: int, now: Frames) -> tuple[int, Frames]:
    """The iteration of the first validation of an item, and what it made; this one where there was none before."""
    for path in sorted(folder.glob(f"{name}-????????.png")):
        seen = int(path.stem[-8:])
        if seen < iteration:
            return seen, read_png(path)
    write_png(folder / f"{name}-{iteration:08}.png", now)
    return iteration, now
