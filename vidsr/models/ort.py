"""onnxruntime, loaded when it is first needed, and kept quiet."""

from __future__ import annotations

import os
from typing import Any

ERRORS_ONLY = 3
"""onnxruntime's severity: 0 verbose, 1 info, 2 warning, 3 error."""


SILENT = 4
"""Fatal errors only."""


def library() -> Any:
    """The library, which from 1.31 on reports its use to its makers unless told not to before it is loaded."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    onnxruntime.set_default_logger_severity(ERRORS_ONLY)
    return onnxruntime
