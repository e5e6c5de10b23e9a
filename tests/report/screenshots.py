"""`python -m tests.report.screenshots`: the pictures of docs/preview.md, made from a real preview in a real browser.

The film is the cartoon of `vidsr demo`. Needs chromium and chromedriver, see `tests.report.browser`.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.report.browser import Browser, chromium
from vidsr.cli.demo import make_clip
from vidsr.cli.main import run

DOCS = Path(__file__).parents[2] / "docs"
SHOWN = (1000, 760)
"""Pixels of the window."""


def main() -> None:
    """Make them all."""
    with TemporaryDirectory(prefix="vidsr-screenshots-") as name:
        film, page = Path(name) / "cartoon.mp4", Path(name) / "page.html"
        make_clip(film, 72)
        words = ["-m", "animevideov3", "-p", "fast", "--auto", "3", "--stretch", "3", "-q"]
        assert run(["preview", str(film), "-o", str(page), *words]) == 0
        with chromium() as browser:
            take(browser, page, DOCS / "preview-light.png")
            take(browser, page, DOCS / "preview-dark.png", dark=True)
            browser.open(page, 390, 844, phone=True)
            browser.screenshot(DOCS / "preview-phone.png")


def take(browser: Browser, page: Path, target: Path, dark: bool = False) -> None:
    """The page at 4:1 where the versions differ most."""
    browser.open(page, *SHOWN, dark=dark)
    browser.js("document.getElementById('crop-1-0-1').click()")
    browser.until("return vidsr.view.shot === 1 && vidsr.view.zoom === 4")
    browser.js("window.scrollTo(0, document.getElementById('viewer').offsetTop - 16)")
    browser.screenshot(target)


if __name__ == "__main__":
    main()
