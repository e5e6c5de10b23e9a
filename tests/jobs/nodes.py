"""Ray clusters for tests and measurements: each node is a process tree of its own that can be killed like a machine."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

START = 60.0
"""Seconds in which a node starts."""


class Node:
    """One `ray start --block`. `before` is put before its command, to run it in a namespace, say."""

    def __init__(self, name: str, *arguments: str, env: dict[str, str], before: Sequence[str] = ()) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"ray-{name}-", dir="/tmp"))  # paths of its sockets must be short
        command = [
            *before, sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--block",
            "--disable-usage-stats", "--log-style=record", "--log-color=false",
            "--object-store-memory=100000000", *arguments,
            *([f"--temp-dir={self.folder}"] if "--head" in arguments else []),
        ]  # fmt: skip
        self.said = (self.folder / "said.txt").open("w+b")
        self.process = subprocess.Popen(
            command, env=os.environ | env, stdin=subprocess.DEVNULL, stdout=self.said, stderr=subprocess.STDOUT
        )

    def wait(self) -> None:
        until = time.monotonic() + START
        while b"Ray runtime started" not in (text := (self.folder / "said.txt").read_bytes()):
            assert self.process.poll() is None, text.decode()
            assert time.monotonic() < until, text.decode()
            time.sleep(0.05)

    def kill(self) -> None:
        """What a power cut does: SIGKILL for every process of the node at once."""
        tree = descendants(self.process.pid)
        for pid in tree:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        for pid in [*tree, *descendants(self.process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        self.kill()
        self.said.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def descendants(pid: int) -> list[int]:
    """A process and all that came from it."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents.setdefault(int(stat.read_text().rpartition(")")[2].split()[1]), []).append(int(stat.parent.name))
    found = [pid]
    for item in found:
        found += parents.get(item, [])
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Nodes:
    """A cluster: its head, and nodes that come and go. A context manager."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.address = f"{host}:{free_port()}"
        self.env = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        """What whoever joins the cluster needs in its environment: nobody else of this machine may."""
        self._nodes: list[Node] = []

    def head(self, *arguments: str) -> Node:
        host, port = self.address.split(":")
        at = ["--head", f"--port={port}", f"--node-ip-address={host}", "--include-dashboard=false"]
        return self._kept(Node("head", *at, *arguments, env=self.env))

    def join(self, host: str, *arguments: str, before: Sequence[str] = ()) -> Node:
        node = Node(
            "node", f"--address={self.address}", f"--node-ip-address={host}", *arguments, env=self.env, before=before
        )
        return self._kept(node)

    def _kept(self, node: Node) -> Node:
        self._nodes.append(node)
        node.wait()
        return node

    def __enter__(self) -> Nodes:
        return self

    def __exit__(self, *error: object) -> None:
        for node in reversed(self._nodes):
            node.close()
