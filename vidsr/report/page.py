"""A `Page` as one HTML file that needs nothing else: no network, no other file, and for most of it no script.

Facts, plots, tables and close-ups are plain HTML. The script in `page/viewer.js` adds what has to be moved: slider,
blinking, zoom. A policy in the head of the page forbids the browser every request.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from .. import __version__
from ..events import clock
from ..fs import write_atomically
from .budget import Coded, code
from .model import Clip, Page, Plot, Shot, Table
from .svg import COLOURS, svg

BUDGET = 13_000_000
"""Bytes of a page at most, about, when nothing else is said."""
BASE64 = 4 / 3
"""Characters of the page for each byte of a file in it."""


def write_page(path: Path, page: Page, budget: int = BUDGET) -> int:
    """Write the page to `path`, replacing what is there, and return its size in bytes.

    `budget` is in bytes and is met by coding whole pictures with loss where it must be (see `vidsr.report.budget`).
    Raises OutputError.
    """
    data = render(page, budget).encode()
    write_atomically(path, data)
    return len(data)


def render(page: Page, budget: int = BUDGET) -> str:
    """The page as HTML."""
    fixed = [*_head(page), *_plots(page), *map(_table, page.tables), *map(_clip, page.clips)]
    frame = sum(map(len, fixed)) + sum(len(_part(name)) for name in ("page.css", "viewer.js", "viewer.html"))
    coded = code(page.comparisons, int((budget - frame) / BASE64))
    first = [_table(table) for table in page.tables if table.first]
    last = [_table(table) for table in page.tables if not table.first]
    body = [*_head(page), *first, *_viewer(page), *_shots(page, coded), *map(_clip, page.clips)]
    body += [*_plots(page), *last, _foot(page, coded)]
    script = _part("viewer.js") + (_part("clips.js") if page.clips else "")
    return Template(_part("page.html")).substitute(
        title=escape(page.title),
        style=_part("page.css"),
        body="\n".join(body),
        data=_json({"shots": [_viewed(shot, coded, index) for index, shot in enumerate(page.comparisons)]}),
        script=script,
    )


def _part(name: str) -> str:
    return files("vidsr.report").joinpath("page", name).read_text(encoding="utf-8")


def _json(values: Any) -> str:
    """JSON that cannot end the element it stands in."""
    return json.dumps(values, ensure_ascii=False).replace("<", "\\u003c")


def _source(data: bytes, mime: str = "image/webp") -> str:
    return f"data:{mime};base64,{b64encode(data).decode()}"


def _head(page: Page) -> Iterator[str]:
    button = '<button type="button" id="theme" hidden>Dark or light</button>'
    yield f"<header><h1>{escape(page.title)}</h1>{button}</header>"
    yield "<main>"
    if page.summary:
        rows = (f"<div><dt>{escape(what)}</dt><dd>{escape(much)}</dd></div>" for what, much in page.summary)
        yield f'<dl class="facts">{"".join(rows)}</dl>'
    if page.notes:
        yield f'<ul class="notes quiet">{"".join(f"<li>{escape(note)}</li>" for note in page.notes)}</ul>'


def _viewer(page: Page) -> Iterator[str]:
    if page.comparisons:
        yield _part("viewer.html")
        yield '<noscript><p class="quiet">The slider needs scripts; the close-ups below do not.</p></noscript>'


def _viewed(shot: Shot, coded: Coded, index: int) -> dict[str, Any]:
    """What the script needs of a shot; it takes the crops from the elements that show them."""
    height, width = next(iter(shot.layers.values())).shape[:2]
    layers = zip(shot.layers, coded.whole[index], strict=True)
    return {
        "name": shot.name,
        "note": shot.note,
        "width": width,
        "height": height,
        "thumb": _source(coded.thumbs[index]),
        "layers": [{"name": name, "src": _source(data)} for name, data in layers],
        "crops": [{"left": box.left, "top": box.top, "width": box.width, "height": box.height} for box in shot.crops],
    }


def _shots(page: Page, coded: Coded) -> Iterator[str]:
    if any(shot.crops for shot in page.comparisons):
        yield "<section><h2>Close-ups</h2>"
        yield '<p class="quiet">The parts that differ most. A click shows one in the comparison above.</p>'
        for index, shot in enumerate(page.comparisons):
            yield from _close_ups(shot, coded, index)
        yield "</section>"


def _close_ups(shot: Shot, coded: Coded, index: int) -> Iterator[str]:
    when = "" if shot.time is None else f" at {clock(shot.time)}"
    yield f'<article class="shot"><h3>{escape(shot.name)}</h3><p class="note">{escape(shot.note)}</p>'
    for row, (box, parts) in enumerate(zip(shot.crops, coded.crops[index], strict=True)):
        columns = f"--columns:{len(shot.layers)};grid-template-columns:repeat({len(shot.layers)},1fr)"
        yield f'<div class="crops" style="{columns}">'
        for column, (name, data) in enumerate(zip(shot.layers, parts, strict=True)):
            place = f"{box.width}x{box.height} pixels from column {box.left}, row {box.top}"
            alt = escape(f"{name}{when}: {place}")
            size = f'width="{box.width}" height="{box.height}"'
            image = f'<img id="crop-{index}-{row}-{column}" {size} alt="{alt}" src="{_source(data)}">'
            yield f"<figure>{image}<figcaption>{escape(name)}</figcaption></figure>"
        yield "</div>"
    yield "</article>"


def _clip(clip: Clip) -> str:
    label = escape(clip.name)
    videos = "".join(
        f'<figure><video muted playsinline preload="auto" width="{clip.width}" height="{clip.height}" '
        f'aria-label="{escape(name)}" src="{_source(data, clip.mime)}"></video>'
        f"<figcaption>{escape(name)}</figcaption></figure>"
        for name, data in clip.versions.items()
    )
    controls = (
        f'<button type="button">Play</button><input type="range" max="1000" value="0" aria-label="Time of {label}">'
    )
    player = f'<div class="player" hidden>{controls}</div>'
    return f'<section class="clip"><h2>{label}</h2>{player}<div class="videos">{videos}</div></section>'


def _plots(page: Page) -> Iterator[str]:
    if page.plots:
        yield f'<section><h2>Plots</h2><div class="plots">{"".join(map(_plot, page.plots))}</div></section>'


def _plot(plot: Plot) -> str:
    unit = f" ({escape(plot.y_label)})" if plot.y_label else ""
    styles = (f"border-color:var(--s{index % COLOURS}){';border-top-style:dashed' if index >= COLOURS else ''}"
              for index in range(len(plot.series)))  # fmt: skip
    keys = (f'<li><i style="{style}"></i>{escape(name)}</li>' for name, style in zip(plot.series, styles, strict=True))
    legend = f'<ul class="legend">{"".join(keys)}</ul>' if len(plot.series) > 1 else ""
    return f'<figure class="plot"><h3>{escape(plot.name)}{unit}</h3>{legend}{svg(plot)}</figure>'


def _table(table: Table) -> str:
    numeric = [all(_is_number(str(row[i])) for row in table.rows) and bool(table.rows) for i in range(len(table.head))]

    def cells(tag: str, values: Any) -> str:
        kinds = (' class="number"' if number else "" for number in numeric)
        scope = ' scope="col"' if tag == "th" else ""
        return "".join(
            f"<{tag}{scope}{kind}>{escape(str(value))}</{tag}>" for value, kind in zip(values, kinds, strict=True)
        )

    rows = "".join(f"<tr>{cells('td', row)}</tr>" for row in table.rows)
    inner = f"<table><thead><tr>{cells('th', table.head)}</tr></thead><tbody>{rows}</tbody></table>"
    return (
        f'<section><h2>{escape(table.name)}</h2><div class="scroll" tabindex="0" role="region" '
        f'aria-label="{escape(table.name)}">{inner}</div></section>'
    )


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+−]?[0-9][0-9.,: ]*( ?(%|s|ms|MB|GB|kB|fps|dB|GiB|MiB))?|–|", text) is not None


def _foot(page: Page, coded: Coded) -> str:
    kept = f"{escape(coded.words)} " if page.comparisons else ""
    return f"</main><footer>{kept}Made by vidsr {__version__}.</footer>"
