"""A worker's view of files that lie on the machine of the command line, when it does not share them.

Every path of a task that is not shared is put below one folder of the worker's machine, with all its folders. To leave
that folder's name out of whatever comes back is then all it takes to tell of the files at home. The input is there as
a placeholder whose blocks are fetched when they are read (`vidsr.media.distant`).
"""

from __future__ import annotations

import json
import os
import shutil
import socketserver
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from ..errors import BusyError, InputError
from ..fs import lock
from ..media.distant import BLOCK, DOOR, HEAD
from .journal import Identity, identify
from .messages import Task

Fetch = Callable[[str, int], bytes]
"""The block with a number of a file at home. Raises InputError where the file cannot be used any more."""


@dataclass(frozen=True)
class Home:
    """What tells whether a worker sees the files of a task as the machine of the command line does."""

    inputs: Mapping[str, Identity]
    """Files that the task reads."""
    probes: Mapping[str, str]
    """Of each folder in which it writes, the name of a file that lies there."""


class Mirror:
    """The folder of one worker, removed by `close`; what workers left that were killed is removed first."""

    def __init__(self, fetch: Fetch, root: Path | None = None) -> None:
        base = root or Path(tempfile.gettempdir()) / f"vidsr-{os.getuid()}"
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        _tidy(base)
        self._held, self._fetch = ExitStack(), fetch
        self.root = base.resolve() / uuid4().hex[:12]
        self._held.enter_context(lock(_lock_of(self.root)))
        self.root.mkdir()
        self._held.callback(shutil.rmtree, self.root, ignore_errors=True)
        os.environ[DOOR] = str(self.root / "door")
        self._serve(lambda path, number: fetch(self.home(path), number))

    def _serve(self, fetch: Fetch) -> None:
        server = socketserver.ThreadingUnixStreamServer(os.environ[DOOR], _answers(fetch))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="vidsr-ranges", daemon=True)
        thread.start()
        for end in (thread.join, server.server_close, server.shutdown):  # from the last to the first
            self._held.callback(end)

    def close(self) -> None:
        """Fetch nothing any more and remove the folder."""
        os.environ.pop(DOOR, None)
        self._held.close()

    def home(self, text: str) -> str:
        """`text`, a path or a message in JSON, as it is said on the machine of the command line."""
        return text.replace(str(self.root), "")

    def far(self, path: str) -> Path:
        """Where a file that is not shared lies here; `path` is absolute."""
        return Path(f"{self.root}{path}")

    def translate(self, task: Task, home: Home) -> tuple[Task, str | None]:
        """The task with paths of this machine, and which file it writes that is to be sent home, if any."""
        body = dict(task.body)
        if "film" in body:
            body["film"] = self._film(body["film"], home)
        path = body.get("path")
        if path is None or _shared_folder(path, home):
            return replace(task, body=body), None
        body["path"] = str(self._place(path))
        return replace(task, body=body), path

    def _film(self, film: dict[str, Any], home: Home) -> dict[str, Any]:
        options = {**film["options"], "report": None}  # it is written, and was checked, at home
        options |= {"report_page": None} if "report_page" in options else {}
        model = options["model"]
        if model in home.inputs and not _shared_input(model, home):
            options["model"] = str(self._copy(model, home.inputs[model]))
        shared = _shared_input(film["input"], home)
        input, output = film["input"], film["output"]
        if not shared:
            input = str(self._placeholder(input, home.inputs[input]))
        if output is not None and not (shared and Path(output).resolve().parent.is_dir()):
            output = str(self._place(output))
        return film | {"input": input, "output": output, "options": options}

    def _place(self, path: str) -> Path:
        here = self.far(path)
        here.parent.mkdir(parents=True, exist_ok=True)
        return here

    def _placeholder(self, path: str, identity: Identity) -> Path:
        here = self._place(path)
        if not here.exists():
            with here.open("wb") as file:
                file.truncate(identity.size)
            os.utime(here, ns=(identity.mtime_ns, identity.mtime_ns))
        return here

    def _copy(self, path: str, identity: Identity) -> Path:
        """All of a file at home: weights, which are small."""
        here = self._place(path)
        if not here.exists():
            blocks = range(-(-identity.size // BLOCK))
            here.write_bytes(b"".join(self._fetch(path, number) for number in blocks))
        return here


def absolute(task: Task) -> Task:
    """The task with paths that mean the same in every folder; links in them stay."""
    body = dict(task.body)
    if "film" in body:
        film, options = dict(body["film"]), dict(body["film"]["options"])
        film["input"] = str(Path(film["input"]).absolute())
        if film["output"] is not None:
            film["output"] = str(Path(film["output"]).absolute())
        if Path(options["model"]).is_file():
            options["model"] = str(Path(options["model"]).absolute())
        body["film"] = film | {"options": options}
    if "path" in body:
        body["path"] = str(Path(body["path"]).absolute())
    return replace(task, body=body)


def home_of(task: Task, probes: Mapping[str, str]) -> Home:
    """What workers are to know of the files of `task`. Raises InputError."""
    film = task.body.get("film")
    if film is None:
        return Home({}, probes)
    model = film["options"]["model"]
    read = [film["input"], *([model] if Path(model).is_file() else [])]
    return Home({path: identify(Path(path)) for path in read}, probes)


def _shared_input(path: str, home: Home) -> bool:
    """The same file is under the same name here. Its time is left out: not every network share tells it exactly."""
    with suppress(InputError):
        return replace(identify(Path(path)), mtime_ns=0) == replace(home.inputs[path], mtime_ns=0)
    return False


def _shared_folder(path: str, home: Home) -> bool:
    folder = Path(path).parent
    return (folder / home.probes[str(folder)]).exists()


def _answers(fetch: Fetch) -> type[socketserver.StreamRequestHandler]:
    class Answers(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            """Answer until the reader is gone. Where a block cannot be had, hang up: the reader gives up its task."""
            for line in self.rfile:
                sign = b"+"
                try:
                    data = fetch(*json.loads(line))
                except InputError as error:
                    sign, data = b"-", str(error).encode()
                except Exception:  # whatever Ray says of a machine that is gone
                    return
                self.wfile.write(HEAD.pack(sign, len(data)) + data)

    return Answers


def _lock_of(root: Path) -> Path:
    return root.with_name(f".{root.name}.lock")


def _tidy(base: Path) -> None:
    """Remove the folders whose workers are gone."""
    for left in base.iterdir():
        if left.is_dir():
            with suppress(BusyError), lock(_lock_of(left)):
                shutil.rmtree(left, ignore_errors=True)
