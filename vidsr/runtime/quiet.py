"""Keep the talk of compilers and exporters off the terminal: what goes wrong there comes back as an exception."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_TALKERS = ("torch", "torch._dynamo", "torch._inductor", "torch._functorch", "torch.export", "torch.onnx", "onnxscript")
"""Loggers that have a level of their own; the others inherit from these."""


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings, and no log records of PyTorch's compilers, while inside."""
    loggers = [logging.getLogger(name) for name in _TALKERS]
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL + 1)
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)


def first_line(error: Exception) -> str:
    """The first line of an exception's text that says something, or its class."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
