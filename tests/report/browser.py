"""A headless Chromium, driven by ChromeDriver over W3C WebDriver (plain HTTP on this machine, no package needed).

Tests that need it are skipped where it is not installed, and fail there when VIDSR_REQUIRE_CHROMIUM=1.
Debian: `apt-get install --no-install-recommends chromium chromium-driver`.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--disable-default-apps", "--hide-scrollbars", "--force-device-scale-factor=1",
)  # fmt: skip
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The key of an element's reference, as the standard has it."""
KEYS = {"left": "\ue012", "up": "\ue013", "right": "\ue014", "down": "\ue015"}


def require_chromium() -> tuple[str, str]:
    """The programs chromium and chromedriver; skips or fails the test where there are none."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not browser or not driver:
        refuse = pytest.fail if os.environ.get("VIDSR_REQUIRE_CHROMIUM") == "1" else pytest.skip
        refuse("no chromium and chromedriver")
    assert browser
    assert driver
    return browser, driver


class Browser:
    """One window. Every call raises AssertionError with the driver's words when it fails."""

    def __init__(self, url: str, browser: str, profile: str) -> None:
        self._url = url
        wanted = {
            "goog:chromeOptions": {"binary": browser, "args": [*FLAGS, f"--user-data-dir={profile}"]},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        self._session = ""
        answer = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{answer['sessionId']}"

    def close(self) -> None:
        self._call("DELETE", "")

    def open(self, path: Path, width: int = 1280, height: int = 900, dark: bool = False, phone: bool = False) -> None:
        """Show a file, and wait until its pictures are composed."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 2 if phone else 1, "mobile": phone}
        self.cdp("Emulation.setDeviceMetricsOverride", metrics)
        self.cdp("Emulation.setTouchEmulationEnabled", {"enabled": phone})
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.cdp("Emulation.setEmulatedMedia", {"features": [theme]})
        self.requests()  # forget those of the page before, and of the empty one that a browser begins with
        self._call("POST", "/url", {"url": path.resolve().as_uri()})
        ready = "const v = document.getElementById('viewer'); return !v || !!v.querySelector('.pane canvas')"
        self.until(ready)

    def until(self, script: str, seconds: float = 20) -> Any:
        """The first true value of `script`."""
        end = time.monotonic() + seconds
        while not (value := self.js(script)):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.05)
        return value

    def js(self, script: str, *arguments: Any) -> Any:
        return self._call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def wait_js(self, script: str, *arguments: Any) -> Any:
        """The value that `script` hands to its last argument, a function."""
        return self._call("POST", "/execute/async", {"script": script, "args": list(arguments)})

    def cdp(self, command: str, values: dict[str, Any]) -> Any:
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": values})

    def press(self, *keys: str) -> None:
        """Keys, one after another, to what has the focus."""
        for key in keys:
            code = KEYS.get(key, key)
            acts = [{"type": "keyDown", "value": code}, {"type": "keyUp", "value": code}]
            self._call("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": acts}]})

    def drag(self, start: tuple[float, float], end: tuple[float, float], kind: str = "mouse") -> None:
        """Press at `start`, move to `end` in two steps, release; CSS pixels of the window."""
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        moves = [{"type": "pointerMove", "duration": 0, "x": round(x), "y": round(y)} for x, y in (start, middle, end)]
        acts = [moves[0], {"type": "pointerDown", "button": 0}, *moves[1:], {"type": "pointerUp", "button": 0}]
        pointer = {"type": "pointer", "id": kind, "parameters": {"pointerType": kind}, "actions": acts}
        self._call("POST", "/actions", {"actions": [pointer]})

    def screenshot(self, path: Path, whole: bool = False) -> None:
        """A PNG of the window, or of the whole page."""
        data = self.cdp("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": whole})["data"]
        path.write_bytes(base64.b64decode(data))

    def log(self) -> list[dict[str, Any]]:
        """What the console said since the last call."""
        return list(self._call("POST", "/se/log", {"type": "browser"}))

    def requests(self) -> list[str]:
        """Addresses asked for since the last call, but for the page itself and what lies in it."""
        entries = self._call("POST", "/se/log", {"type": "performance"})
        messages = [json.loads(entry["message"])["message"] for entry in entries]
        urls = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        return [url for url in urls if not url.startswith(("data:", "blob:"))]

    def _call(self, method: str, path: str, values: dict[str, Any] | None = None) -> Any:
        body = None if values is None else json.dumps(values).encode()
        request = urllib.request.Request(self._url + self._session + path, body, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read())["value"]
        except urllib.error.HTTPError as error:
            with error:
                said = json.loads(error.read())["value"]
            raise AssertionError(f"{said['error']}: {said['message'].splitlines()[0]}") from None


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with an empty profile, ended with the block."""
    browser, driver = require_chromium()
    with (
        TemporaryDirectory(prefix="vidsr-chromium-", ignore_cleanup_errors=True) as folder,
        subprocess.Popen(
            [driver, "--port=0", f"--log-path={folder}/driver.log"], stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        try:
            window = Browser(_address(process), browser, f"{folder}/profile")
            try:
                yield window
            finally:
                window.close()
        finally:
            process.terminate()


def _address(process: subprocess.Popen[str]) -> str:
    """Where the driver listens: it says so when it has started."""
    assert process.stdout
    for line in process.stdout:
        if "on port" in line and "successfully" in line:
            return f"http://127.0.0.1:{line.rstrip().rstrip('.').split()[-1]}"
    raise AssertionError("chromedriver did not start")
