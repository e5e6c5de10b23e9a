"""Streaming video upscaler. `vidsr.upscale` does what the command `vidsr upscale` does.

Names are loaded on first use, so that `import vidsr` is quick and needs neither torch nor av.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import upscale, upscale_all
    from .errors import (
        BusyError,
        DeviceError,
        ExistsError,
        InputError,
        OutputError,
        ReaderGoneError,
        StoppedError,
        UsageError,
        VerificationError,
        VidsrError,
        WeightsError,
    )
    from .options import Options
    from .record import Report
    from .upscaler import Upscaler

__version__ = "0.1.0"

__all__ = [
    "BusyError",
    "DeviceError",
    "ExistsError",
    "InputError",
    "Options",
    "OutputError",
    "ReaderGoneError",
    "Report",
    "StoppedError",
    "Upscaler",
    "UsageError",
    "VerificationError",
    "VidsrError",
    "WeightsError",
    "__version__",
    "upscale",
    "upscale_all",
]

_HOMES = {"upscale": "api", "upscale_all": "api", "Options": "options", "Report": "record", "Upscaler": "upscaler"}
"""Modules of the names that are not errors."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'vidsr' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES.get(name, 'errors')}", __name__), name)
    globals()[name] = value  # the next access does not come here
    return value


def __dir__() -> list[str]:
    return __all__
