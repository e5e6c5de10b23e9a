"""Events and errors in words, and the one way by which talk reaches stderr."""

from __future__ import annotations

import json
import os
import sys
import traceback
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ..errors import OutputError, ReaderGoneError, UsageError, VidsrError
from ..events import (
    Concealed,
    Damaged,
    Download,
    Dropped,
    Event,
    FellBack,
    Notice,
    Progress,
    Repeated,
    Retimed,
    Stage,
    clock,
)

_STAGES = {
    "open": "opening {}",
    "weights": "loading {}",
    "runtime": "running it by {}",
    "upscale": "upscaling to {}",
    "verify": "verifying",
    "commit": "moving to {}",
    "done": "wrote {}",
}


class Stderr:
    """stderr that may be closed or may break at any time: talk that nobody hears never ends a run."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError, AttributeError):  # broken, closed, or None when started without fd 2
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()

    def isatty(self) -> bool:
        with suppress(OSError, ValueError, AttributeError):
            return sys.stderr.isatty()
        return False

    def fileno(self) -> int:
        """Raises OSError when there is none."""
        if sys.stderr is None:
            raise OSError("no stderr")
        return sys.stderr.fileno()


def say(text: str) -> None:
    """One line on stderr."""
    stderr = Stderr()
    stderr.write(text + "\n")
    stderr.flush()


def words(event: Event) -> str:
    """One line for people."""
    match event:
        case Stage(name, detail):
            return _STAGES[name].format(detail).rstrip()
        case Progress():
            return _progress(event)
        case Download(name, done, total):
            return f"{name}: {done / 1e6:.1f}{f' of {total / 1e6:.1f}' if total else ''} MB"
        case Notice(text, level):
            return f"warning: {text}" if level == "warning" else text
        case FellBack(wanted, used, reason):
            return f"warning: {used} is used in place of {wanted}: {reason}"
        case _:
            return _loss(event)


def _progress(event: Progress) -> str:
    known = bool(event.total) and event.fps > 0
    left = f", {clock(max(0, (event.total or 0) - event.done) / event.fps)[:-4]} left" if known else ""
    return f"{event.done}{f'/{event.total}' if event.total else ''} frames, {event.fps:.1f} fps{left}"


def _loss(event: Concealed | Repeated | Damaged | Dropped | Retimed) -> str:
    what = {
        Concealed: "damaged picture, shown as the decoder repaired it",
        Repeated: "picture could not be decoded, the one before is shown again",
        Damaged: "input could not be read",
        Dropped: "picture lost",
        Retimed: "timestamp replaced",
    }[type(event)]
    when = f"{clock(event.seconds)}: " if event.seconds is not None else ""
    reason = "" if isinstance(event, Concealed) else f", {event.reason}"
    return f"warning: {when}{what}{reason}"


def event_json(event: Event) -> str:
    """One JSON object on one line: the event's kind in lower case, and its fields."""
    return json.dumps({"event": type(event).__name__.lower()} | asdict(event))


def outcome(error: BaseException) -> tuple[str, str, int]:
    """(message, hint, exit code) of whatever ended a command."""
    if isinstance(error, VidsrError):
        return str(error), error.hint, error.exit_code
    if isinstance(error, click.UsageError):
        where = error.ctx.command_path if error.ctx else "vidsr"
        return _plain(error), f"{where} --help lists what is allowed", 2
    if isinstance(error, click.ClickException):
        return _plain(error), "", error.exit_code
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return "stopped", "", 130
    if isinstance(error, BrokenPipeError):
        return "the reader of our output closed it", "", 141
    said = f"{type(error).__name__}: {error}".rstrip(": ")
    return f"a bug in vidsr: {said}", "run again with -v for the traceback, and report it", 1


def _plain(error: click.ClickException) -> str:
    return error.format_message().rstrip(".")


def say_error(error: BaseException, *, verbose: bool, as_json: bool) -> int:
    """Tell what ended a command, as text or as one JSON line, and return its exit code."""
    message, hint, code = outcome(error)
    if isinstance(error, ReaderGoneError) and not verbose and not as_json:
        return code  # whoever closed our pipe knows it: `vidsr … -o - | head` is no failure
    if verbose:
        say("".join(traceback.format_exception(error)).rstrip())
    if as_json:
        say(json.dumps({"event": "error", "message": message, "hint": hint, "exit_code": code}))
        return code
    for line in message.splitlines():
        say(f"{_red('error:')} {line}")
    if hint:
        say(f"hint: {hint}")
    return code


def _red(text: str) -> str:
    colour = Stderr().isatty() and not os.environ.get("NO_COLOR")
    return click.style(text, fg="red", bold=True) if colour else text


def check_page(page: Path | None) -> None:
    """Refuse what --page cannot be written to, before any work is done for it. Raises UsageError, OutputError."""
    if page is None:
        return
    if page.is_dir() or (page.exists() and page.suffix.lower() not in (".html", ".htm")):
        raise UsageError(f"--page: {page} is there and no page", "name a file that ends in .html")
    if not page.resolve().parent.is_dir():
        raise OutputError(f"--page: folder {page.parent} does not exist", "create it, or name another")


def table(rows: list[tuple[Any, ...]]) -> str:
    """Rows as left-aligned columns, two spaces apart."""
    texts = [[str(cell) for cell in row] for row in rows]
    wide = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, wide)).rstrip() for row in texts)
