"""The page in a real browser: slider, blink, zoom, keys, touch, themes, phone, no errors, no requests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.report.browser import Browser, chromium
from vidsr.frames import Box
from vidsr.report.model import Page, Picture, Plot, Shot, Table
from vidsr.report.moving import clip
from vidsr.report.page import write_page

SIZE = (240, 320)
RED, BLUE, GREEN = (200, 20, 20), (20, 20, 200), (20, 160, 20)


def marked(colour: tuple[int, int, int]) -> Picture:
    """A plain picture with one white pixel in the middle."""
    picture = np.empty((*SIZE, 3), np.uint8)
    picture[:] = colour
    picture[SIZE[0] // 2, SIZE[1] // 2] = 255
    return picture


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as window:
        yield window


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "page.html"
    layers = {"bicubic": marked(RED), "one": marked(BLUE), "two": marked(GREEN)}
    shots = [Shot(f"frame {number}", number, layers, (Box(40, 60, 104, 124),), "sharp") for number in range(2)]
    plots = [Plot("Speed", [0, 1, 2], {"now": [1, 3, 2], "average": [1, 2, 2]}, y_label="fps")]
    tables = [Table("Estimates", ("Version", "Size"), [("one", "12 MB")], first=True)]
    write_page(file, Page("Preview of a film", [("Input", "a.mkv")], shots, plots, tables, notes=["A note."]))
    return file


@pytest.fixture
def page(browser: Browser, path: Path) -> Iterator[Browser]:
    """The page, opened, with the keys going to its pictures; nothing may have been said or asked for at the end."""
    browser.log()
    browser.open(path)
    browser.js("document.getElementById('stage').focus()")
    yield browser
    assert browser.log() == []
    assert set(browser.requests()) == {path.resolve().as_uri()}


def view(page: Browser, key: str) -> object:
    return page.js(f"return vidsr.view.{key}")


def seen(page: Browser, across: float, down: float = 0.5, pane: int = 0) -> tuple[int, ...]:
    """The colour at a place of a pane, as shares of its width and height."""
    script = """
        const canvas = document.querySelectorAll('.pane canvas')[arguments[0]];
        const [x, y] = [Math.floor(canvas.width * arguments[1]), Math.floor(canvas.height * arguments[2])];
        const pixel = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
        pixel.drawImage(canvas, x, y, 1, 1, 0, 0, 1, 1);
        return [...pixel.getImageData(0, 0, 1, 1).data].slice(0, 3);"""
    return tuple(page.js(script, pane, across, down))


def middle(page: Browser) -> tuple[float, float, float, float]:
    """Left, top, width and height of the pictures, in CSS pixels of the window."""
    box = page.js(
        "const b = document.getElementById('stage').getBoundingClientRect(); return [b.x, b.y, b.width, b.height]"
    )
    return (box[0], box[1], box[2], box[3])


def test_slider_shows_one_left_and_the_other_right(page: Browser) -> None:
    assert (seen(page, 0.45), seen(page, 0.55)) == (RED, BLUE)
    page.press("[", "[", "[", "[", "[")
    assert view(page, "split") == pytest.approx(0.4)
    assert (seen(page, 0.38), seen(page, 0.45)) == (RED, BLUE)
    page.press("right", "right", "]")
    assert view(page, "split") == pytest.approx(0.46)


def test_the_divider_can_be_dragged(page: Browser) -> None:
    left, top, width, _ = middle(page)
    page.drag((left + width / 2, top + 40), (left + width * 0.7, top + 60))
    assert view(page, "split") == pytest.approx(0.7, abs=0.01)
    assert page.js("return Number(document.getElementById('divider').value)") == pytest.approx(700, abs=10)
    assert seen(page, 0.65) == RED


def test_the_divider_is_an_input_for_all(page: Browser) -> None:
    page.js("const d = document.getElementById('divider'); d.value = 250; d.dispatchEvent(new Event('input'))")
    assert view(page, "split") == 0.25
    assert page.js("return document.getElementById('divider').getAttribute('aria-valuetext')") == "25 %"


@pytest.mark.parametrize("zoom", [1, 2, 4, 8])
def test_zoom_is_exact(page: Browser, zoom: int) -> None:
    """The white pixel in the middle takes zoom x zoom pixels of the screen, with no smoothing."""
    page.press("[", str(zoom))
    assert view(page, "zoom") == zoom
    count = """
        const canvas = document.querySelector('.pane canvas');
        const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        let white = 0, other = 0;
        for (let i = 0; i < data.length; i += 4) {
          if (data[i] === 255 && data[i + 1] === 255) white++;
          else if (data[i + 3] && !([20, 200].includes(data[i]) && [20].includes(data[i + 1]))) other++;
        }
        return [white, other];"""
    assert page.js(count) == [zoom * zoom, 0]


def test_zoom_by_keys_buttons_and_wheel(page: Browser) -> None:
    page.press("+")
    before = view(page, "zoom")
    assert before in (4, 8)  # the first step above what fits
    page.press("0")
    assert view(page, "zoom") == "fit"
    page.js("document.querySelector('[data-zoom=\"8\"]').click()")
    assert view(page, "zoom") == 8
    page.press("-", "-")
    assert view(page, "zoom") == 2
    wheel = "new WheelEvent('wheel', {deltaY: -1, bubbles: true, cancelable: true})"
    page.js(f"document.querySelector('.pane').dispatchEvent({wheel})")
    assert view(page, "zoom") == 4


def test_panning_moves_all_panes_together_and_stops_at_the_edge(page: Browser) -> None:
    page.press("d", "8")
    assert page.js("return document.querySelectorAll('.pane').length") == 3
    assert [seen(page, 0.2, 0.2, pane) for pane in range(3)] == [RED, BLUE, GREEN]
    assert [seen(page, 0.506, 0.505, pane) for pane in range(3)] == [(255, 255, 255)] * 3
    page.press("right")
    assert all(seen(page, 0.506, 0.505, pane) != (255, 255, 255) for pane in range(3))
    left, top, width, height = middle(page)
    for _ in range(12):
        page.drag((left + width * 0.2, top + height * 0.8), (left + width * 0.02, top + height * 0.1))
    x, y = float(str(view(page, "x"))), float(str(view(page, "y")))
    assert 0.5 < x < 1
    assert 0.5 < y < 1
    assert all(seen(page, 0.99, 0.99, pane) != (0, 0, 0) for pane in range(3))


def test_blink_shows_both_in_turn_and_stops(page: Browser) -> None:
    page.press("b")
    colours = set()
    for _ in range(2):
        colours.add(seen(page, 0.3))
        flipped = view(page, "flipped")
        page.until(f"return vidsr.view.flipped !== {str(flipped).lower()}", 5)
    colours.add(seen(page, 0.3))
    assert colours == {RED, BLUE}
    page.press(" ")
    assert view(page, "blinking") is False
    still = seen(page, 0.3)
    page.js("return new Promise((done) => setTimeout(done, 900))")
    assert seen(page, 0.3) == still
    page.press(" ")
    assert seen(page, 0.3) != still


def test_frames_and_versions_can_be_chosen(page: Browser) -> None:
    page.press("n")
    page.until("return vidsr.view.shot === 1 && document.getElementById('status').textContent.startsWith('frame 1')")
    page.press("p")
    page.until("return vidsr.view.shot === 0")
    page.js("const s = document.getElementById('layer-b'); s.value = 2; s.dispatchEvent(new Event('change'))")
    assert seen(page, 0.6) == GREEN
    page.press(" ")
    assert (seen(page, 0.4), seen(page, 0.6)) == (GREEN, RED)


def test_a_close_up_leads_to_its_place(page: Browser) -> None:
    page.js("document.getElementById('crop-1-0-1').click()")
    page.until("return vidsr.view.shot === 1 && vidsr.view.zoom === 4")
    assert view(page, "x") == pytest.approx(92 / 320, abs=0.2)


def test_keys_work_without_a_mouse(page: Browser, path: Path) -> None:
    """Everything that can be clicked can be reached by the tabulator, in a sensible order."""
    names = []
    page.open(path)
    for _ in range(18):
        page.press("\ue004")
        names.append(page.js("const e = document.activeElement; return e.id || e.textContent.trim()"))
    order = "theme,frame 0,frame 1,layer-a,layer-b,Slider,Blink,Side by side,Fit,stage,divider"
    places = [names.index(name) for name in order.split(",")]
    assert places == sorted(places)


@pytest.mark.parametrize("dark", [False, True])
def test_themes_have_contrast(browser: Browser, path: Path, dark: bool) -> None:
    """Text against its ground is at least 4.5:1 (WCAG 2.2, 1.4.3), and the button turns the theme around."""
    browser.open(path, dark=dark)
    ratios = """
        const light = (c) => { const [r, g, b] = c.match(/[0-9.]+/g).slice(0, 3).map((v) => { v /= 255;
          return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
          return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const ground = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
          if (!/, 0\\)$|transparent/.test(c)) return c; } return 'rgb(255, 255, 255)'; };
        const found = {};
        const kinds = 'h1, h2, p, dd, dt, li, th, td, button, figcaption, summary, footer, select';
        for (const e of document.querySelectorAll(kinds)) {
          if (!e.offsetParent) continue;
          const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
          found[e.tagName] = Math.min(found[e.tagName] || 99, (a + 0.05) / (b + 0.05));
        }
        return found;"""
    for turned in (False, True):
        if turned:
            browser.js("document.getElementById('theme').click()")
        found = browser.js(ratios)
        assert len(found) >= 9
        assert min(found.values()) >= 4.5, found
        light = browser.js("return getComputedStyle(document.body).backgroundColor") == "rgb(251, 251, 250)"
        assert light == (dark == turned)


def test_a_phone_shows_it_without_scrolling_sideways(browser: Browser, path: Path) -> None:
    browser.open(path, 390, 844, phone=True)
    assert browser.js("return [document.documentElement.scrollWidth, innerWidth]") == [390, 390]
    touched = "[...document.querySelectorAll('button, select')].filter((e) => e.offsetParent)"
    assert browser.js(f"return Math.min(...{touched}.map((e) => e.offsetHeight))") >= 36
    browser.js("document.getElementById('stage').scrollIntoView({block: 'center'})")
    left, top, width, height = middle(browser)
    browser.js("document.querySelector('[data-zoom=\"8\"]').click()")
    browser.drag((left + width * 0.8, top + height / 2), (left + width * 0.7, top + height / 2), "touch")
    assert float(str(view(browser, "x"))) > 0.5
    assert browser.log() == []


def test_two_fingers_zoom(page: Browser) -> None:
    """The same pointers that a touch screen sends."""
    pinch = """
        const stage = document.getElementById('stage'), box = stage.getBoundingClientRect();
        stage.setPointerCapture = () => {};
        const send = (type, id, x) => stage.dispatchEvent(new PointerEvent(type, {pointerId: id, pointerType: 'touch',
          clientX: box.x + x, clientY: box.y + 90, bubbles: true}));
        send('pointerdown', 11, 200); send('pointerdown', 12, 240);
        const before = document.querySelector('.pane canvas').height / 240;
        send('pointermove', 12, 260);
        send('pointerup', 11, 200); send('pointerup', 12, 260);
        return vidsr.view.zoom / before;"""
    assert page.js(pinch) == pytest.approx(1.5, rel=0.01)


def test_print_hides_what_must_be_moved(browser: Browser, path: Path) -> None:
    browser.open(path)
    browser.cdp("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        hidden = "return getComputedStyle(document.getElementById(arguments[0])).display"
        assert browser.js(hidden, "viewer") == "none"
        assert browser.js(hidden, "theme") == "none"
        assert browser.js("return document.getElementById('crop-0-0-1').offsetHeight") > 50
        assert browser.js("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    finally:
        browser.cdp("Emulation.setEmulatedMedia", {"media": ""})


@pytest.mark.parametrize("codec", ["h264", "vp9"])
def test_clips_play_in_step(browser: Browser, tmp_path: Path, codec: str) -> None:
    from fractions import Fraction

    ramps = {name: [np.full((48, 64, 3), 40 + 5 * n, np.uint8) for n in range(24)] for name in ("one", "two")}
    file = tmp_path / "clips.html"
    write_page(file, Page("clips", [], clips=[clip("Moving", ramps, Fraction(24), codec)]))
    browser.open(file)
    browser.until("return [...document.querySelectorAll('video')].every((v) => v.readyState >= 2)")
    assert browser.js("return [...document.querySelectorAll('video')].map((v) => v.duration)") == pytest.approx(
        [1, 1], abs=0.05
    )
    browser.js("document.querySelector('.clip button').click()")
    browser.until("return document.querySelector('video').currentTime > 0.2")
    browser.js("document.querySelector('.clip button').click()")
    browser.until("return [...document.querySelectorAll('video')].every((v) => v.paused && !v.seeking)")
    one, two = browser.js("return [...document.querySelectorAll('video')].map((v) => v.currentTime)")
    assert one == pytest.approx(two, abs=0.001)
    assert browser.log() == []
