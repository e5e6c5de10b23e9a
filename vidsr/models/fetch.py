"""Download one file so that its final name holds the whole, checked file or nothing.

Bytes go to `.<name>.part` beside the target, which outlives a cut connection or a killed process and is continued by a
range request (RFC 9110, section 14). Whatever the server says is compared with what arrives.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from ..errors import OutputError, WeightsError
from ..events import Download, Emit, ignore
from ..fs import lock, sync

TRIES = 5
PAUSE = 0.5
"""Seconds before the second try; doubled before each further one."""
TIMEOUT = 30.0
"""Seconds without a byte after which a try has failed."""
CHUNK = 1 << 18
LARGEST = 1 << 30
"""Bytes accepted when the true size is not known."""
PASSING = {408, 425, 429, 500, 502, 503, 504}
"""HTTP statuses that another try may cure."""


class _Interrupted(Exception):
    """This try failed, the next may not."""


@dataclass(frozen=True)
class _Job:
    """What is fetched and what is known of it before."""

    url: str
    target: Path
    size: int | None
    sha256: str | None
    emit: Emit

    @property
    def part(self) -> Path:
        return self.target.with_name(f".{self.target.name}.part")


def official_url(url: str) -> str:
    """`url`, or the file of the same name under `VIDSR_WEIGHTS_URL` when that mirror is set."""
    mirror = os.environ.get("VIDSR_WEIGHTS_URL")
    return f"{mirror.rstrip('/')}/{url.rsplit('/', 1)[-1]}" if mirror else url


def fetch(url: str, target: Path, *, size: int | None, sha256: str | None, emit: Emit = ignore) -> Path:
    """Download `url` (http or https) to `target`, unless another process has just done so; gives `target`.

    `size` is in bytes, `sha256` in hexadecimal; None where unknown. Raises WeightsError when the server has no such
    file, sends something else, or cannot be reached after several tries, and when `target` cannot be written.
    """
    if not url.startswith(("http://", "https://")):
        raise WeightsError(f"download address {url!r} is not allowed, expected http:// or https://")
    job = _Job(url, target, size, sha256, emit)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with lock(target.with_name(f".{target.name}.lock"), wait=True):
            if not (target.is_file() and _fault(job, target) is None):
                _until_done(job)
    except (OSError, OutputError) as error:
        raise WeightsError(f"weights folder {target.parent} cannot be written: {error}", "set VIDSR_HOME") from error
    return target


def _until_done(job: _Job) -> None:
    reason = ""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        try:
            resumed = _receive(job)
        except _Interrupted as error:
            reason = str(error)
            continue
        reason = _fault(job, job.part) or ""
        if not reason:
            return _publish(job)
        job.part.unlink()
        if not resumed:  # what was continued may have been the beginning of another file: then start over
            raise WeightsError(f"download {job.url}: {reason}; deleted", "the server or a proxy sends another file")
    kept = job.part.stat().st_size if job.part.exists() else 0
    raise WeightsError(
        f"download {job.url} failed {TRIES} times: {reason}",
        f"{kept} bytes are kept and the next run continues there; or download it by hand into {job.target.parent}",
    )


def _publish(job: _Job) -> None:
    sync(job.part)
    job.part.replace(job.target)
    sync(job.target.parent)


def _receive(job: _Job) -> bool:
    """One try: continue the part file, or begin it. Gives whether it was continued. Raises _Interrupted."""
    known = job.sha256 is not None  # else two halves of different files could not be told from one file
    have = job.part.stat().st_size if known and job.part.exists() else 0
    if job.size is not None and have >= job.size:
        return True  # complete but for the check, or too long, which the check finds
    request = urllib.request.Request(job.url, headers={"User-Agent": "vidsr", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            return _copy(job, response, have)
    except urllib.error.HTTPError as error:
        error.close()
        _judge(job, error.code)
    except (urllib.error.URLError, http.client.HTTPException, ssl.SSLError, ConnectionError, TimeoutError) as error:
        raise _Interrupted(str(getattr(error, "reason", error)) or type(error).__name__) from error
    return False  # pragma: no cover


def _judge(job: _Job, status: int) -> None:
    """Raise what an HTTP error status means."""
    if status == 416:  # our part is no beginning of the server's file
        job.part.unlink(missing_ok=True)
        raise _Interrupted("the server refused to continue the download")
    if status in PASSING:
        raise _Interrupted(f"the server answered HTTP {status}")
    raise WeightsError(
        f"download {job.url}: the server answered HTTP {status}, expected 200",
        f"download the file by hand into {job.target.parent}, or set VIDSR_WEIGHTS_URL to a mirror",
    )


def _copy(job: _Job, response: http.client.HTTPResponse, have: int) -> bool:
    """Write the body behind the first `have` bytes, or anew if the server did not continue exactly there."""
    if response.headers.get_content_type() == "text/html":
        raise WeightsError(
            f"download {job.url}: the server sent a web page (text/html), expected a weights file",
            "a login page of the network may be in the way; open the address in a browser",
        )
    start, length = _continues_at(response), response.length
    if start not in (0, have):
        job.part.unlink(missing_ok=True)
        raise _Interrupted(f"the server continued at byte {start}, asked for {have}")
    limit = job.size or LARGEST
    total = start + length if length is not None else job.size
    if total is not None and total > limit:
        raise WeightsError(f"download {job.url}: the server announces {total} bytes, expected {limit}")
    done = start
    with job.part.open("ab" if start else "wb") as file:
        while block := response.read(CHUNK):
            done += len(block)
            if done > limit:
                break
            file.write(block)
            job.emit(Download(job.target.name, done, total or 0))
    if done > limit:
        job.part.unlink()
        raise WeightsError(f"download {job.url}: the server sends more than the expected {limit} bytes; deleted")
    if total is not None and done < total:
        raise _Interrupted(f"the connection ended after {done} of {total} bytes")
    return start > 0


def _continues_at(response: http.client.HTTPResponse) -> int:
    """The offset of the first byte of the body; -1 when a partial answer does not say where it belongs."""
    if response.status != 206:
        return 0
    found = re.fullmatch(r"bytes (\d+)-\d+/(?:\d+|\*)", response.headers.get("Content-Range", "").strip())
    return int(found[1]) if found else -1


def _fault(job: _Job, path: Path) -> str | None:
    """What is wrong with a received file, None if nothing can be said against it."""
    size = path.stat().st_size
    if job.size is not None and size != job.size:
        return f"the file has {size} bytes, expected {job.size}"
    with path.open("rb") as file:
        if file.read(64).lstrip().lower().startswith((b"<!doctype", b"<html")):
            return "the file is a web page, expected weights"
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if job.sha256 is not None and digest != job.sha256:
        return f"sha256 differs (expected {job.sha256}, got {digest})"
    return None if size else "the file has 0 bytes"
