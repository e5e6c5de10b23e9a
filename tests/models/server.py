"""A local file server that can misbehave in the ways real ones do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CUTS = 2


class Server(ThreadingHTTPServer):
    """`kind` says how it misbehaves; `asked` lists the Range header of every request, None where there was none."""

    daemon_threads = False

    def __init__(self, content: bytes, kind: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.kind = content, kind
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Any

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        tries = len(server.asked)
        getattr(self, f"send_{server.kind}")(server.content, start, tries)

    def answer(self, status: int, body: bytes, length: int | None, **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content_Type": "application/octet-stream", **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def part(self, content: bytes, start: int, end: int | None = None) -> None:
        """What an honest server sends, up to byte `end` of the file."""
        body, total = content[start:end], len(content)
        if start >= total:
            self.answer(416, b"", 0)
        elif start:
            self.answer(206, body, total - start, Content_Range=f"bytes {start}-{total - 1}/{total}")
        else:
            self.answer(200, body, total)

    def send_normal(self, content: bytes, start: int, tries: int) -> None:
        self.part(content, start)

    def send_cuts(self, content: bytes, start: int, tries: int) -> None:
        rest = len(content) - start
        self.part(content, start, start + rest // 2 if tries <= CUTS else None)

    def send_no_range(self, content: bytes, start: int, tries: int) -> None:
        self.answer(200, content if tries > 1 else content[: len(content) // 2], len(content))

    def send_lies(self, content: bytes, start: int, tries: int) -> None:
        """Says 206, but sends another part than was asked for."""
        if not start:
            return self.part(content, 0, len(content) // 2 if tries == 1 else None)
        total = len(content)
        return self.answer(206, content[7:], total - 7, Content_Range=f"bytes 7-{total - 1}/{total}")

    def send_mute(self, content: bytes, start: int, tries: int) -> None:
        """Says 206 without saying which part."""
        if not start:
            return self.part(content, 0, len(content) // 2 if tries == 1 else None)
        return self.answer(206, content[start:], len(content) - start)

    def send_html(self, content: bytes, start: int, tries: int) -> None:
        page = b"<!DOCTYPE html><title>Sign in</title>"
        self.answer(200, page, len(page), Content_Type="text/html; charset=utf-8")

    def send_disguised_html(self, content: bytes, start: int, tries: int) -> None:
        page = b"\n<html><title>Sign in</title>".ljust(len(content))
        self.answer(200, page, len(page))

    def send_wrong(self, content: bytes, start: int, tries: int) -> None:
        self.part(bytes([content[0] ^ 1]) + content[1:], start)

    def send_missing(self, content: bytes, start: int, tries: int) -> None:
        self.answer(404, b"gone", 4)

    def send_busy(self, content: bytes, start: int, tries: int) -> None:
        if tries < 3:
            return self.answer(503, b"", 0)
        return self.part(content, start)

    def send_down(self, content: bytes, start: int, tries: int) -> None:
        self.answer(503, b"", 0)

    def send_no_length(self, content: bytes, start: int, tries: int) -> None:
        self.answer(200, content, None)

    def send_endless(self, content: bytes, start: int, tries: int) -> None:
        self.answer(200, content + bytes(1000), None)

    def send_long(self, content: bytes, start: int, tries: int) -> None:
        self.answer(200, content + b"x", len(content) + 1)

    def send_refuses_range(self, content: bytes, start: int, tries: int) -> None:
        if start:
            return self.answer(416, b"", 0)
        return self.part(content, 0, len(content) // 2 if tries == 1 else None)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@contextmanager
def serving(content: bytes, kind: str = "normal") -> Iterator[Server]:
    """A server of one file under every name, on a free port of this machine."""
    server = Server(content, kind)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
