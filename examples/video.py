"""A video to a larger one, with a progress display of one's own.

    python examples/video.py input.mkv output.mkv

`vidsr.upscale` takes every option of `vidsr upscale` by name. What is lost on the way is in the report, and in its exit
code; what cannot be done at all is a `vidsr.VidsrError`.
"""
# ruff: noqa: T201

from __future__ import annotations

import sys

import vidsr
from vidsr.events import Event, FellBack, Notice, Progress


def show(event: Event) -> None:
    """Called from the threads of the run, one call after another for each of them."""
    if isinstance(event, Progress):
        print(f"{event.done} of {event.total or 'unknown'} frames, {event.fps:.1f} a second")
    elif isinstance(event, FellBack):
        print(f"{event.used} in place of {event.wanted}: {event.reason}")
    elif isinstance(event, Notice) and event.level != "detail":
        print(event.text)


def main(source: str, target: str) -> int:
    try:
        report = vidsr.upscale(source, target, model="animevideov3", scale=2, overwrite=True, emit=show)
    except vidsr.VidsrError as error:
        print(error, error.hint)
        return error.exit_code
    print(f"{report.frames_out} frames of {report.width}x{report.height} in {report.output}")
    for loss in report.losses:
        print(f"lost: {loss}")
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
