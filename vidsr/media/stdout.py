"""stdout as the output: nothing but data reaches its reader."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import OutputError, UsageError
from ..fs import DESCRIPTORS


@contextmanager
def stdout_apart() -> Iterator[Path]:
    """The name of what stdout was; inside, descriptor 1 leads to stderr, whoever writes there.

    So nothing but data reaches the reader, whatever a library prints. Raises UsageError when stdout is a terminal,
    OutputError when it is closed.
    """
    try:
        if os.isatty(1):
            what = "the output is stdout, and that is a terminal"
            raise UsageError(what, "redirect it to a file or into a program, or name a file with -o")
        kept = os.dup(1)
    except OSError as error:
        raise OutputError("the output is stdout, and that is closed", "name a file with -o") from error
    _redirect(2)
    try:
        yield DESCRIPTORS / str(kept)
    finally:
        _redirect(kept)
        os.close(kept)


def _redirect(fd: int) -> None:
    """Let descriptor 1 lead where `fd` does, behind all that was printed."""
    with suppress(OSError, ValueError, AttributeError):  # closed, or none at all
        sys.stdout.flush()
    try:
        os.dup2(fd, 1)
    except OSError:  # there is no stderr
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
