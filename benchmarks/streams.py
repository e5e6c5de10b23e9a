"""What comes through, stream by stream: a made MKV with everything, upscaled to mkv and to mp4, read back and compared.

    python -m benchmarks.streams [FILE]        writes the table to FILE (docs/streams.md), `-` for the screen

Every line of the table is measured on the files of this run; nothing is written by hand but the names of the rows.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import av
from av.stream import AttachmentStream

from tests.clips import make_feature_clip
from tests.fakes import Repeater, describe
from vidsr import pipeline
from vidsr.api import upscale
from vidsr.errors import OutputError
from vidsr.media.libav import is_cover
from vidsr.media.subtitles import text_of
from vidsr.record import Report

CHOICES: dict[str, Any] = {"codec": "x265", "encoder_preset": "ultrafast"}
LAYERS = {1: "default", 64: "forced"}
"""Dispositions that are shown."""

PAGE = """\
# What comes through

A made MKV with everything vidsr must carry, upscaled twice and encoded with x265, to mkv and to mp4. Both files were
read back; each line says what was found, and sound, pictures, font and HDR data are compared byte by byte. Made by
`python -m benchmarks.streams`, checked by `tests/test_feature_clip.py`.

{rows}

The picture is turned upright, so its sides and the shape of its pixels change places. mp4 shows one text at a time, so
lines that overlap are joined while both are shown.

Without `--drop incompatible` the run to mp4 is refused before anything is written:

> {refusal}

With it, these notes are given before the first frame:

{notes}
"""


@dataclass
class Found:
    """A file as it reads back."""

    path: Path
    facts: dict[str, str]
    """Row of the table to what is shown in it."""
    exact: dict[str, str]
    """Row of the table to a hash of all its bytes, where showing them would be too long."""
    times: list[Fraction]
    """Seconds of the pictures."""

    def beside(self, source: Found, key: str) -> str:
        """What the table shows in row `key` of this output."""
        shown = self.facts.get(key, "none")
        if shown != source.facts[key]:
            return shown
        return "the same" if self.exact.get(key) == source.exact.get(key) else f"other content, {shown}"


def read(path: Path) -> Found:
    """Everything the table tells of one file."""
    with av.open(str(path)) as container:
        video = next(stream for stream in container.streams.video if not is_cover(stream))
        pictures: list[Any] = list(container.decode(video))
        times = [Fraction(picture.pts * picture.time_base) for picture in pictures]
        first = pictures[0]
        side = {item.type.name: bytes(item) for item in first.side_data}
        facts = {
            "pictures": f"{len(pictures)}, {len({b - a for a, b in pairwise(times)})} distances",
            "size": f"{first.width}x{first.height}",
            "shape of pixels": str(video.sample_aspect_ratio),
            "rotation": f"{first.rotation}°",
            "bit depth": f"{first.format.components[0].bits}",
            "matrix, primaries, transfer": f"{first.colorspace}, {first.color_primaries}, {first.color_trc}",
            "range": {1: "limited", 2: "full"}.get(int(first.color_range), "unknown"),
            "mastering display": _bytes(side.get("MASTERING_DISPLAY_METADATA")),
            "light level": _bytes(side.get("CONTENT_LIGHT_LEVEL")),
            "title": container.metadata.get("title", "none"),
            "chapters": "; ".join(_chapter(item) for item in container.chapters()) or "none",
        }
        exact = {
            "mastering display": _digest(side.get("MASTERING_DISPLAY_METADATA")),
            "light level": _digest(side.get("CONTENT_LIGHT_LEVEL")),
        }
    attached, contents = _attached(path)
    sound = {f"{key}, content": " ".join(hashes) for key, hashes in packets(path).items() if key.startswith("audio")}
    return Found(path, facts | _tracks(path) | attached, exact | contents | sound, times)


def _bytes(data: bytes | None) -> str:
    return "none" if data is None else f"{len(data)} bytes"


def _digest(data: bytes | None) -> str:
    return sha256(data or b"").hexdigest()


def _chapter(item: Any) -> str:
    start, end = (float(item[edge] * item["time_base"]) for edge in ("start", "end"))
    return f"{item['metadata']['title']} {start:.3f} … {end:.3f}"


def _tracks(path: Path) -> dict[str, str]:
    facts, hashes = {}, packets(path)
    with av.open(str(path)) as container:
        for kind in ("audio", "subtitle"):
            for number, stream in enumerate([s for s in container.streams if s.type == kind], 1):
                key = f"{kind} {number}"
                facts[key] = _track(stream)
                sound = f"{len(hashes[key])} packets"
                facts[f"{key}, content"] = sound if kind == "audio" else "; ".join(lines(path, key))
    return facts


def _attached(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """What is shown, and the hashes, of the attached files and the cover art."""
    with av.open(str(path)) as container:
        files = {s.metadata["filename"]: s.data for s in container.streams if isinstance(s, AttachmentStream)}
        covers = [s for s in container.streams if is_cover(s)]
        pictures = [bytes(next(packet for packet in container.demux(s) if packet.size)) for s in covers]
    shown = {
        "font": "; ".join(f"{name}, {_bytes(data)}" for name, data in files.items()) or "none",
        "cover": "; ".join(map(_bytes, pictures)) or "none",
    }
    return shown, {"font": _digest(b"".join(files.values())), "cover": _digest(b"".join(pictures))}


def _track(stream: Any) -> str:
    name = stream.metadata.get("title") or stream.metadata.get("name")
    marks = [mark for bit, mark in LAYERS.items() if stream.disposition & bit]
    codec = stream.codec_context.codec.canonical_name
    return ", ".join(filter(None, (codec, stream.language, name and f"“{name}”", *marks)))


def packets(path: Path) -> dict[str, list[str]]:
    """Hashes of the packets of every track, by `audio 1`, `subtitle 2` and so on."""
    found: dict[str, list[str]] = {}
    with av.open(str(path)) as container:
        for kind in ("audio", "subtitle"):
            for number, stream in enumerate([s for s in container.streams if s.type == kind], 1):
                container.seek(0)
                data = [bytes(packet) for packet in container.demux(stream) if packet.size]
                found[f"{kind} {number}"] = [sha256(item).hexdigest() for item in data]
    return found


def lines(path: Path, track: str) -> list[str]:
    """What a subtitle track (`subtitle 1`) shows: seconds and words."""
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[int(track.split()[1]) - 1]
        shown = []
        packet: Any
        for packet in container.demux(stream):
            decoded = stream.codec_context.decode2(packet) if packet.size else None
            words = " / ".join(text_of(rect) for rect in decoded or ())
            if words:
                start, end = packet.pts * packet.time_base, (packet.pts + packet.duration) * packet.time_base
                shown.append(f"{float(start):.3f} … {float(end):.3f} {words}")
    return shown


def run(folder: Path) -> tuple[Found, dict[str, Found], dict[str, Report], str]:
    """The input, both outputs by their containers, their reports, and what was said before mp4 was refused."""
    source = make_feature_clip(folder / "in.mkv")
    with mock.patch.object(pipeline, "load_model", return_value=describe(Repeater(2))):
        reports = {"mkv": upscale(source, folder / "out.mkv", **CHOICES)}
        try:
            upscale(source, folder / "out.mp4", **CHOICES)
            refusal = ""
        except OutputError as error:
            refusal = f"{error} (hint: {error.hint})"
        assert not (folder / "out.mp4").exists()
        reports["mp4"] = upscale(source, folder / "out.mp4", drop=("incompatible",), **CHOICES)
    return read(source), {name: read(folder / f"out.{name}") for name in reports}, reports, refusal


def table(folder: Path) -> str:
    """The page, in Markdown."""
    source, outputs, reports, refusal = run(folder)
    rows = ["| | input | mkv | mp4 |", "|---|---|---|---|"]
    for key, value in source.facts.items():
        rows.append(_row(key, value, *(output.beside(source, key) for output in outputs.values())))
    shown = ", ".join(f"{float(time) * 1000:.0f}" for time in source.times)
    rows.append(_row("times in ms", shown, *(_off(source, output) for output in outputs.values())))
    notes = [note for note in reports["mp4"].notes if "subtitle" in note or "attachment" in note]
    return PAGE.format(rows="\n".join(rows), refusal=refusal, notes="\n".join(f"* {note}" for note in notes))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _off(source: Found, output: Found) -> str:
    worst = max(abs(a - b) for a, b in zip(source.times, output.times, strict=True))
    return f"up to {float(worst) * 1000:.2f} ms off" if worst else "the same"


def main(arguments: Sequence[str]) -> None:
    target = arguments[0] if arguments else "docs/streams.md"
    with tempfile.TemporaryDirectory() as folder:
        page = table(Path(folder))
    if target == "-":
        sys.stdout.write(page)
    else:
        Path(target).write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
