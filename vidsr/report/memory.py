"""How much memory a run took at most."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def forget_peak() -> None:
    """Measure from here on. Only Linux can forget; elsewhere the peak is that of the process so far."""
    with suppress(OSError):  # other systems, and containers that forbid it
        _CLEAR.write_text("5", encoding="ascii")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_bytes(device: str) -> int:
    """Bytes taken at most: of the GPU for a CUDA device, else resident; 0 where the system does not tell."""
    if device.startswith("cuda"):
        return int(torch.cuda.max_memory_reserved(torch.device(device)))
    return _status("VmHWM") or _peak_of_process()


def resident_bytes() -> int:
    """Bytes of this process that are in memory now; 0 where the system does not tell."""
    return _status("VmRSS")


def _status(name: str) -> int:
    with suppress(OSError):
        for line in _STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0


def _peak_of_process() -> int:
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
