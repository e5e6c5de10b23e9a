"""Every form of export of the packaged networks, how exact it is, and the table of it in docs/models.md.

    python -m benchmarks.exports               all networks and forms; results/exports.json, then the page
    python -m benchmarks.exports MODEL …       these networks only; the results of others stay
    python -m benchmarks.exports --page        the page only, from the results

Each file is written, run by the program that its form is for, and loaded by vidsr again, on the picture of
`vidsr.models.convert`.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vidsr.models.convert import SUFFIXES, compare, export_model
from vidsr.models.load import load_model

from .common import RESULTS, tell
from .performance import MARKS, Row, markdown

MODELS = ("animevideov3", "x4plus-anime")
PAGE = Path(__file__).parent.parent / "docs" / "models.md"
FILE = RESULTS / "exports.json"


def measured(name: str) -> list[dict[str, Any]]:
    """One row for each form and precision of a network."""
    return [_row(name, form, half) for form in SUFFIXES for half in (False, True)]


def _row(name: str, form: Any, half: bool) -> dict[str, Any]:
    network = load_model(name)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / f"net{SUFFIXES[form]}"
        done = export_model(network, form, target, half=half)
        again, worst = compare(network, load_model(str(target)).network)
    tell(f"{name} {form} {done.precision}: {done.decibels:.1f} dB, again {again:.1f} dB")
    return {
        "model": name, "form": form, "precision": done.precision, "bytes": done.bytes, "checked_by": done.checked_by,
        "decibels": _finite(done.decibels), "worst": done.worst, "again": _finite(again), "again_worst": worst,
    }  # fmt: skip


def _finite(decibels: float) -> float | None:
    return None if decibels == math.inf else round(decibels, 1)


def table(found: dict[str, Any]) -> str:
    """The rows, and what they were made with."""

    def rows() -> Iterator[Row]:
        for row in found["rows"]:
            apart = _decibels(row["decibels"])
            size = f"{row['bytes'] / 1e6:.1f}"
            file = f"{row['model']}, {row['form']}, {row['precision']}"
            yield file, size, row["checked_by"], apart, f"{row['worst']:.1g}", _decibels(row["again"])

    head = ("", "MB", "run by", "dB to the network", "worst value", "dB when vidsr loads it again")
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return f"{versions}.\n\n{markdown(head, rows())}\n"


def _decibels(value: float | None) -> str:
    return "equal" if value is None else f"{value:.1f}"


def results() -> dict[str, Any]:
    """What was measured last."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def filled(page: str) -> str:
    """The page with the table of the results."""
    return MARKS.sub(lambda mark: f"{mark[1]}{table(results())}{mark[3]}", page)


def main(arguments: list[str]) -> None:
    if "--page" not in arguments:
        from importlib.metadata import version

        before = results()["rows"] if FILE.exists() else []
        chosen = arguments or list(MODELS)
        rows = [row for row in before if row["model"] not in chosen]
        rows += [row for name in chosen for row in measured(name)]
        rows.sort(key=lambda row: MODELS.index(row["model"]))
        packages = ("torch", "onnx", "onnxscript", "onnxruntime", "ncnn", "safetensors")
        FILE.write_text(
            json.dumps({"versions": {name: version(name) for name in packages}, "rows": rows}, indent=1) + "\n"
        )
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
