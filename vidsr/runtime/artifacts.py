"""What takes long to make and is kept on disk between runs: exported models and built engines.

A file is the SHA-256 of its content and the content. Its name is a hash of everything that the content depends on, so
a change of any of it makes another file; old ones may be deleted at will.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from ..errors import BusyError, OutputError, VidsrError
from ..events import Emit, Notice, ignore
from ..fs import lock, unwritable, write_atomically
from ..models.store import cache_folder
from .interface import Check
from .quiet import first_line

T = TypeVar("T")

WAIT = 0.2
"""Seconds between two looks at a lock that another process holds."""


@dataclass(frozen=True)
class Artifact(Generic[T]):
    """Something to make once. `open` turns its bytes into what is used.

    It raises an error of vidsr when that cannot be done here, and anything else when the bytes are to blame.
    """

    kind: str
    """Start of the file's name."""
    what: str
    """Named in messages, such as `TensorRT engine of animevideov3 for 1280x720`."""
    facts: Mapping[str, object]
    """All that the bytes depend on: weights, sizes, number format, device, versions."""
    build: Callable[[], bytes]
    open: Callable[[bytes], T]

    @property
    def path(self) -> Path:
        said = json.dumps(dict(self.facts), sort_keys=True, default=str).encode()
        return folder() / f"{self.kind}-{hashlib.sha256(said).hexdigest()[:40]}"


def folder() -> Path:
    """Where artifacts are kept: beside the weights, in `$VIDSR_HOME` or the platform's cache folder."""
    return cache_folder().parent / "runtimes"


def obtain(artifact: Artifact[T], emit: Emit, check: Check) -> T:
    """The artifact from its file, or built and kept. Two processes do not build the same one; `check` is called while
    this one waits for another.

    A damaged file is made again, which is told; so is that one cannot be kept, and how long a build took. Raises what
    `build` raises, and what `open` raises for bytes just built.
    """
    found, data = _kept(artifact, emit), b""
    if found is not None:
        return found
    try:
        with _alone(artifact.path, check):
            found = _kept(artifact, ignore)  # another process may have made it meanwhile
            if found is not None:
                return found
            data = _built(artifact, emit)
            write_atomically(artifact.path, hashlib.sha256(data).digest() + data)
    except OutputError as error:
        emit(Notice(f"{artifact.what} is not kept: {error}", "warning"))
        data = data or _built(artifact, emit)
    return artifact.open(data)


def _kept(artifact: Artifact[T], emit: Emit) -> T | None:
    """What the file holds, None when there is none or it is damaged."""
    try:
        content = artifact.path.read_bytes()
    except OSError:
        return None
    digest, data = content[:32], content[32:]
    try:
        if hashlib.sha256(data).digest() != digest:
            raise ValueError("its checksum is wrong")
        return artifact.open(data)
    except VidsrError:
        raise
    except Exception as error:  # libraries raise whatever they like
        emit(Notice(f"{artifact.path} is made again, {first_line(error)}", "warning"))
        return None


def _built(artifact: Artifact[T], emit: Emit) -> bytes:
    emit(Notice(f"making {artifact.what}; this is done once"))
    begun = time.monotonic()
    data = artifact.build()
    emit(Notice(f"made {artifact.what} in {time.monotonic() - begun:.1f} s, {len(data) / 1e6:.1f} MB"))
    return data


@contextmanager
def _alone(path: Path, check: Check) -> Iterator[None]:
    """Hold the right to build `path`. Raises OutputError when its folder cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path.parent, error) from error
    with ExitStack() as held:
        while True:
            check()
            try:
                held.enter_context(lock(path.with_name(f".{path.name}.build.lock")))
                break
            except BusyError:
                time.sleep(WAIT)
        yield
