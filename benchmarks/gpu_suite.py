"""Everything about a CUDA machine in one call of under ten minutes.

    python -m benchmarks.gpu_suite [--seconds N] [--only STEP ...] [--result FILE]
    python -m benchmarks.gpu_suite --dry                       on a CPU, tiny shapes: proves the script

Ceilings, correctness, the stages' overlap, end to end, every runtime on every network, kernels one by one, and
incremental inference by the share that changes. Each step has a share of the time; what did not fit is named as
skipped. The result is written after every item (benchmarks/results/gpu_suite.json), a short table is printed last.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .common import RESULTS, machine, save, tell

SECONDS = 480.0
"""For all steps: the limit is ten minutes, and the last item, which may take 100 seconds, may run over."""


@dataclass(frozen=True)
class Step:
    """`work` yields items; `share` is the part of the whole time after which no further item is begun."""

    name: str
    work: Callable[[Any], Iterator[tuple[str, dict[str, Any]]]]
    share: float


def steps() -> list[Step]:
    """In the order in which they run. Imported here: Triton has to be told of its interpreter before."""
    from . import gpu_kernels, gpu_steps

    return [
        Step("ceilings", gpu_steps.ceilings_of, 0.07),
        Step("end to end", gpu_steps.end_to_end, 0.22),
        Step("runtimes", gpu_steps.runtimes, 0.27),
        Step("kernels", gpu_kernels.kernels, 0.12),
        Step("incremental", gpu_kernels.incremental, 0.08),
        Step("overlap", gpu_steps.overlap, 0.04),
        Step("correctness", gpu_steps.correctness, 0.12),
        Step("tests", gpu_steps.gpu_tests, 0.08),
    ]


class Budget:
    """What is left of the time. Time that a step does not need goes to those after it."""

    def __init__(self, seconds: float) -> None:
        self.begun, self.seconds, self.granted = time.monotonic(), seconds, 0.0

    @property
    def spent(self) -> float:
        return time.monotonic() - self.begun

    def grant(self, share: float) -> None:
        """Allow the next step to begin items until its share and those before it are spent."""
        self.granted += share * self.seconds

    @property
    def over(self) -> bool:
        return self.spent >= self.granted


def run(chosen: list[Step], setting: Any, budget: Budget, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """The items of every step by name. `keep` gets all that is known after every item."""
    results: dict[str, Any] = {}
    for step in chosen:
        found: dict[str, Any] = {}
        results[step.name] = {"items": found}
        budget.grant(step.share)
        try:
            for name, item in step.work(setting):
                found[name] = item
                tell(f"{budget.spent:6.1f} s  {step.name}: {name}  {_short(item)}")
                keep(results)
                if budget.over:
                    results[step.name]["skipped"] = f"what comes after {name!r}: the time for this step is spent"
                    break
        except Exception as error:  # told and kept: the other steps are worth having
            results[step.name]["error"] = f"{type(error).__name__}: {error}"
            tell(f"        {step.name} failed: {results[step.name]['error']}")
        results[step.name]["ended_at_seconds"] = round(budget.spent, 1)
        keep(results)
    return results


def _short(item: dict[str, Any]) -> str:
    """The numbers of an item on one line."""
    shown = [f"{key} {value:.4g}" for key, value in item.items() if isinstance(value, int | float)]
    return ", ".join([item[word] for word in ("error", "absent") if word in item] or shown)


def table(results: dict[str, Any]) -> str:
    """The best rates, what failed and what was skipped."""
    lines = []
    for name, step in results.items():
        rated = {key: item for key, item in step["items"].items() if "tflops" in item or "fps" in item}
        best = sorted(rated, key=lambda key: _rate(rated[key]), reverse=True)[:6]
        lines.append(f"{name}: {len(step['items'])} items, {_failed(step)} failed")
        lines += [f"  {key:<44} {_short(rated[key])}" for key in best]
        lines += [f"  {word}: {step[word]}" for word in ("skipped", "error") if word in step]
    return "\n".join(lines)


def _rate(item: dict[str, Any]) -> float:
    rate = item.get("tflops", item.get("fps"))
    return float(rate) if isinstance(rate, int | float) else 0.0


def _failed(step: dict[str, Any]) -> int:
    return sum("error" in item for item in step["items"].values())


def main(words: list[str] | None = None) -> int:
    asked = arguments(words)
    if asked.dry:
        os.environ.setdefault("TRITON_INTERPRET", "1")
    import torch

    from .gpu_steps import Setting

    if not asked.dry and not torch.cuda.is_available():
        tell("no CUDA device; --dry proves the script on a CPU")
        return 6
    setting = Setting(torch.device("cpu" if asked.dry else "cuda"), asked.dry)
    chosen = [step for step in steps() if not asked.only or step.name in asked.only]
    about = {"machine": machine(), "dry": asked.dry, "seconds": asked.seconds}
    folder = Path(tempfile.gettempdir()) if asked.dry else RESULTS
    target = asked.result or folder / "gpu_suite.json"
    results = run(chosen, setting, Budget(asked.seconds), lambda found: save(target, about | {"steps": found}))
    sys.stdout.write(table(results) + "\n")
    return 0


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--dry", action="store_true")
    parser.add_argument("--only", action="append", metavar="STEP")
    parser.add_argument("--result", type=Path, help="JSON; a dry run leaves benchmarks/results alone")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
