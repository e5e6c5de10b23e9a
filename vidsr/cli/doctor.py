"""`vidsr doctor`: what this machine can do."""

from __future__ import annotations

import json
import os
import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import __version__
from .messages import check_page, table

if TYPE_CHECKING:
    from ..report.model import Page

_LIBRARIES = ("torch", "av", "numpy", "opencv-python-headless", "pydantic", "safetensors")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--page", type=click.Path(path_type=Path), metavar="FILE.html", help="Write a page to this file too.")
def doctor(as_json: bool, page: Path | None) -> None:
    """Show what this machine can do.

    Devices and their number formats, encoders and whether they work, weights and where they lie, free space.
    """
    check_page(page)
    facts: dict[str, Any] = {
        "versions": _versions(),
        "devices": _devices(),
        "encoders": _encoders(),
        "hardware_devices_in_this_FFmpeg": _hardware_decoding(),
        "weights": _weights(),
        "cache": _cache(),
    }
    if page is not None:
        from ..report.page import write_page

        write_page(page, page_of(facts))
    click.echo(json.dumps(facts, indent=2) if as_json else "\n\n".join(map(_section, facts.items())))


def page_of(facts: dict[str, Any]) -> Page:
    """The same as a page: what the machine is as facts, all lists as tables."""
    from ..report.model import Page, Table

    pairs = {name: found for name, found in facts.items() if isinstance(found, dict)}
    summary = [
        (f"{name} {what}" if name == "cache" else what, _shown(value))
        for name, found in pairs.items()
        for what, value in found.items()
    ]
    tables = [
        Table(_titled(name), list(rows[0]), [list(map(_shown, row.values())) for row in rows])
        for name, rows in facts.items()
        if isinstance(rows, list) and rows
    ]
    return Page("What this machine can do", summary, tables=tables)


def _titled(name: str) -> str:
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def _section(item: tuple[str, Any]) -> str:
    title, facts = item
    rows = facts.items() if isinstance(facts, dict) else [tuple(row.values()) for row in facts]
    body = table([tuple(map(_shown, row)) for row in rows]) if rows else "none"
    return f"{title.replace('_', ' ')}\n" + "\n".join(f"  {line}" for line in body.splitlines())


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _versions() -> dict[str, str]:
    import av

    system = f"{platform.system()} {platform.machine()}"
    libraries = {name: version(name) for name in _LIBRARIES}
    avcodec = ".".join(map(str, av.library_versions["libavcodec"]))
    return (
        {"vidsr": __version__, "python": platform.python_version(), "system": system}
        | libraries
        | {"libavcodec": avcodec}
    )


def _devices() -> list[dict[str, Any]]:
    """Each device with its memory and what --precision auto would use on it."""
    import torch

    threads = f"{torch.get_num_threads()} threads, {os.cpu_count()} processors"
    found = [_device("cpu", f"{platform.processor() or platform.machine()}, {threads}")]
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        about = f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB, compute capability {facts.major}.{facts.minor}"
        found.append(_device(f"cuda:{index}", about))
    if torch.backends.mps.is_available():
        found.append(_device("mps", "Apple GPU"))
    return found


def _device(name: str, about: str) -> dict[str, Any]:
    import torch

    from ..runtime.device import has_fast_bf16, pick_precision

    device = torch.device(name)
    chosen = pick_precision("auto", device, frozenset({"fp32", "fp16", "bf16"}))
    fast = "bf16 in hardware" if has_fast_bf16(device) else "no bf16 in hardware"
    return {"name": name, "about": about, "bf16": fast, "auto": f"auto is {chosen}"}


def _encoders() -> list[dict[str, Any]]:
    """Every encoder vidsr knows, and whether a tiny picture could really be encoded with it here."""
    from ..media.encoders import ENCODERS, available

    return [
        {"name": name, "state": encode_once(name) if available(name) else "not in this build of FFmpeg"}
        for name in ENCODERS
    ]


def encode_once(name: str) -> str:
    """`works`, or why encoder `name` could not encode one grey picture of 320x192."""
    import av

    from ..media.encoder_options import check_opens
    from ..media.encoders import ENCODERS, formats

    encoder = ENCODERS[name]
    taken = formats(encoder)
    pix_fmt = next((item for item in ("yuv420p", "nv12", *taken) if item in taken), None)
    if pix_fmt is None:
        return "takes no picture from memory"
    try:
        words = dict(encoder.fixed) | ({"x265-params": "log-level=none"} if name == "x265" else {})
        os.environ.setdefault("SVT_LOG", "1")  # errors only: it talks to stderr past FFmpeg's log, as x265 does
        check_opens(encoder, pix_fmt, 320, 192, words)
        return "works" if _packets(av.VideoFrame(320, 192, pix_fmt), encoder.libav, words) else "gave no packet"
    except Exception as error:  # whatever a driver does, the doctor goes on to the next
        return f"does not work: {str(error).splitlines()[0]}"


def _packets(frame: Any, libav: str, words: dict[str, str]) -> list[Any]:
    from fractions import Fraction

    from av import CodecContext

    context: Any = CodecContext.create(libav, "w")
    context.width, context.height, context.pix_fmt = frame.width, frame.height, frame.format.name
    context.time_base, context.options = Fraction(1, 24), words
    for plane in frame.planes:
        plane.update(b"\x80" * plane.buffer_size)
    frame.pts = 0
    return [*context.encode(frame), *context.encode(None)]


def _hardware_decoding() -> list[dict[str, str]]:
    from av.codec.hwaccel import hwdevices_available

    return [
        {"name": name, "decoding": decode_once() if name == "cuda" else "not used to decode"}
        for name in hwdevices_available()
    ]


def decode_once() -> str:
    """`works`, or why NVDEC could not decode one grey picture of 320x192 on the first GPU."""
    import av
    import torch
    from av import CodecContext

    from ..media.hwaccel import check_driver, decoder_settings, is_on_device
    from ..runtime.lanes import make_current

    if not torch.cuda.is_available():
        return "does not work: no NVIDIA GPU that PyTorch can use"
    try:
        make_current(torch.device("cuda", 0))
        check_driver()
        decoder: Any = CodecContext.create("h264", "r", hwaccel=decoder_settings(0))
        coded = _packets(av.VideoFrame(320, 192, "yuv420p"), "libx264", {})
        frames = [frame for packet in [*coded, None] for frame in decoder.decode(packet)]
        return "works" if any(map(is_on_device, frames)) else "does not work: FFmpeg decoded in software"
    except Exception as error:  # whatever a driver does, the doctor goes on
        return f"does not work: {str(error).splitlines()[0]}"


def _weights() -> list[dict[str, str]]:
    from ..models import store
    from ..models.builtin import builtin

    rows = []
    for item in builtin():
        path = store.locate(item)
        rows.append({"name": item.name, "where": str(path) if path else "not here; downloaded when used"})
    return rows


def _cache() -> dict[str, str]:
    from ..models.store import cache_folder

    folder = cache_folder()
    there: Path = next(path for path in (folder, *folder.parents) if path.exists())
    return {"folder": str(folder), "free": f"{shutil.disk_usage(there).free / 1e9:.1f} GB"}
