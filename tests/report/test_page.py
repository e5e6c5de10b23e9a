"""The page as a file: what is in it, how large it is, and that it needs nothing else."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vidsr.errors import OutputError
from vidsr.frames import Box
from vidsr.report.budget import LADDER, code, webp
from vidsr.report.model import Clip, Page, Picture, Plot, Shot, Table
from vidsr.report.page import render, write_page
from vidsr.report.svg import spoken, svg, thinned, ticks


def textured(height: int, width: int, seed: int, blur: float = 2.0) -> Picture:
    """Smoothed noise: about as hard to code as film."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), blur), np.uint8)


def shot(height: int = 48, width: int = 64, seed: int = 0, crops: tuple[Box, ...] = ()) -> Shot:
    layers = {"bicubic": textured(height, width, seed), "model": textured(height, width, seed + 1)}
    return Shot(f"frame {seed}", float(seed), layers, crops, "sharp")


def data_of(html: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def picture_of(source: str) -> Picture:
    data = np.frombuffer(b64decode(source.split(",", 1)[1]), np.uint8)
    return np.asarray(cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


class Elements(HTMLParser):
    """All start tags, and whether every one that needs an end has it."""

    VOID = frozenset({"meta", "link", "img", "input", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def full_page() -> Page:
    plots = [
        Plot("Speed", [0, 1, 2], {"now": [1.0, float("nan"), 3.0]}, y_label="fps"),
        Plot("Stages", [0, 1], {"s": [1.0, 2.0]}, kind="bars", labels=("decode", "infer")),
    ]
    tables = [Table("Streams", ("a", "b"), [("<b>", "12.5 MB")])]
    clips = [Clip("Moving", {"one": b"1", "two": b"2"}, "video/mp4", 64, 48)]
    return Page("A & <B>", [("x", "</script>")], [shot(crops=(Box(4, 8, 20, 24),))], plots, tables, clips, ["a note"])


def test_small_pictures_are_kept_without_loss() -> None:
    page = full_page()
    [seen] = data_of(render(page))["shots"]
    for layer, (name, picture) in zip(seen["layers"], page.comparisons[0].layers.items(), strict=True):
        assert layer["name"] == name
        assert np.array_equal(picture_of(layer["src"]), picture)
    assert (seen["width"], seen["height"], seen["crops"]) == (
        64,
        48,
        [{"left": 8, "top": 4, "width": 16, "height": 16}],
    )


def test_markup_is_whole_and_names_nothing_outside() -> None:
    html = render(full_page())
    elements = Elements(html)
    assert elements.open == []
    sources = [attrs[key] or "" for _, attrs in elements.found for key in ("src", "href") if key in attrs]
    assert sources
    assert all(source.startswith("data:") for source in sources)
    assert "default-src 'none'" in html
    assert "A &amp; &lt;B&gt;" in html
    assert "<b>" not in html


def test_everything_shown_has_words() -> None:
    elements = Elements(render(full_page())).found
    assert all(attrs.get("alt") is not None for tag, attrs in elements if tag == "img")
    assert all(attrs.get("aria-label") for tag, attrs in elements if tag in ("svg", "video"))
    ids = [attrs["id"] for _, attrs in elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert ("html", {"lang": "en"}) in elements


def test_words_cannot_leave_their_place() -> None:
    evil = '</script><img src=x onerror="alert(1)">'
    layers = {evil: textured(16, 16, 0), "b": textured(16, 16, 1)}
    page = Page(
        evil,
        [(evil, evil)],
        [Shot(evil, 0.0, layers, (Box(0, 0, 8, 8),), evil)],
        tables=[Table(evil, (evil,), [(evil,)])],
    )
    elements = Elements(render(page))
    assert [tag for tag, _ in elements.found].count("script") == 2
    assert not [attrs for _, attrs in elements.found if "onerror" in attrs]


def test_five_frames_of_4k_stay_under_15_mb(tmp_path: Path) -> None:
    box = Box(900, 1700, 1156, 1956)
    shots = [
        shot(2160, 3840, seed, (box, Box(0, 0, 256, 256), Box(1800, 3000, 2056, 3256))) for seed in (0, 2, 4, 6, 8)
    ]
    size = write_page(tmp_path / "page.html", Page("4K", [], shots))
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert 3_000_000 < size < 15_000_000
    assert size == (tmp_path / "page.html").stat().st_size
    assert re.search(r"Whole pictures are WebP of quality [0-9]+", html)
    crop = re.search(r'id="crop-4-0-1"[^>]* src="([^"]+)"', html)
    assert crop
    assert np.array_equal(picture_of(crop[1]), shots[4].layers["model"][box.top : box.bottom, box.left : box.right])


def test_the_first_rung_that_fits_is_taken() -> None:
    shots = [shot(200, 300, 0), shot(200, 300, 2)]
    for quality, ratio in LADDER[:5]:
        room = sum(len(webp(layer, quality)) for one in shots for layer in one.layers.values())
        thumbs = sum(map(len, code(shots, 10**9).thumbs))
        coded = code(shots, room + thumbs)
        assert coded.whole[1][0] == webp(shots[1].layers["bicubic"], quality)
        assert ratio == 1


def test_a_page_is_written_even_when_nothing_fits() -> None:
    coded = code([shot(400, 600)], 10)
    assert picture_of("," + b64encode(coded.whole[0][0]).decode()).shape == (133, 200, 3)


def test_layers_must_be_of_one_size() -> None:
    with pytest.raises(ValueError, match="one size"):
        Shot("x", 0.0, {"a": textured(8, 8, 0), "b": textured(8, 9, 0)})


def test_a_page_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write_page(tmp_path / "missing" / "page.html", Page("x", []))


def test_plots_without_values_and_with_gaps() -> None:
    assert "polyline" not in svg(Plot("none", [0, 1], {"a": [float("nan")] * 2}))
    gap = svg(Plot("gap", [0, 1, 2, 3, 4], {"a": [1, 2, float("inf"), 3, 4]}))
    assert gap.count("<polyline") == 2
    assert spoken(Plot("gap", [0, 1], {"a": [1.0, 3.0]})) == "gap. a: 1 to 3, 2 on average"


def test_a_thinned_line_keeps_its_peaks() -> None:
    points = [(float(x), 0.0) for x in range(100_000)]
    points[77_777] = (77_777.0, 9.0)
    kept = thinned(points)
    assert len(kept) <= 1201
    assert (77_777.0, 9.0) in kept
    assert [x for x, _ in kept] == sorted(x for x, _ in kept)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.001, 0.0042), (-7, 31), (0, 98_765), (5, 5)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 1 <= len(found) <= 12
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)
