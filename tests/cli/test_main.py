"""The command line as a whole: words on stderr, data on stdout, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vidsr import api, errors
from vidsr.cli import main, messages
from vidsr.cli.progress import LINES_EVERY, SPELLED_OUT, Lines, Talk, Teller, listening
from vidsr.events import Concealed, FellBack, Notice, Progress, Stage

from ..clips import make_clip

LEAVES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.VidsrError)]


def vidsr(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vidsr", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.__name__)
def test_each_error_is_a_sentence_a_hint_and_its_code(
    kind: type[errors.VidsrError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = kind("that is wrong", 15, "do this") if kind is errors.StoppedError else kind("that is wrong", "do this")  # type: ignore[arg-type]

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(api, "upscale", fail)
    assert main.run(["upscale", "in.mp4"]) == error.exit_code
    said = "" if kind is errors.ReaderGoneError else "error: that is wrong\nhint: do this\n"  # who is gone knows it
    assert capsys.readouterr() == ("", said)


def test_other_exceptions_are_bugs_and_have_a_traceback_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(api, "upscale", lambda *_, **__: 1 // 0)
    assert main.run(["upscale", "in.mp4"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: a bug in vidsr: ZeroDivisionError")
    assert "Traceback" not in said
    assert main.run(["-v", "upscale", "in.mp4"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["upscale"], "no input is given"),
        (["upscale", "a.mp4", "-i", "b.mp4"], "given twice"),
        (["upscale", "a.mp4", "--scale", "99", "--tile", "x"], "--tile: 'x'"),
        (["upscale", "a.mp4", "--skale", "2"], "--skale"),
        (["upscale", "a.mp4", "-p", "anmie"], "did you mean 'anime'"),
        (["upscal"], "upscal"),
    ],
)
def test_bad_usage_is_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(arguments) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert "hint:" in err
    assert out == ""


def test_errors_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["upscale", "--progress", "json"]) == 2
    assert json.loads(capsys.readouterr().err) == {
        "event": "error", "message": "no input is given", "hint": "vidsr upscale INPUT [-o OUTPUT]", "exit_code": 2,
    }  # fmt: skip


def test_short_options_of_the_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def note(source: Path, output: Path | None, *, options: Any, emit: Any) -> None:
        seen.update(source=source, output=output, options=options)
        raise errors.InputError("seen")

    monkeypatch.setattr(api, "upscale", note)
    line = ["upscale", "-i", "a.mp4", "-o", "b.mp4", "-n", "realesr-general-x4v3", "-s", "2", "-dn", "0.5", "-t", "64"]
    assert main.run(line) == 3
    options = seen["options"]
    assert (str(seen["source"]), str(seen["output"])) == ("a.mp4", "b.mp4")
    assert (options.model, options.scale, options.denoise, options.tile) == ("realesr-general-x4v3", 2, 0.5, 64)


@pytest.mark.parametrize("kind", ["lines", "json", "none", "bar"])
def test_upscale_talks_on_stderr_only(kind: str, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=3, size=(32, 32))
    done = vidsr("upscale", str(clip), "-o", str(tmp_path / "b.mp4"), "--progress", kind)
    assert (done.returncode, done.stdout) == (0, "")
    if kind == "json":
        events = [json.loads(line) for line in done.stderr.splitlines()]
        assert events[-1]["report"]["frames_out"] == 3
        assert [event["name"] for event in events if event["event"] == "stage"][-1] == "done"
    else:
        assert "3 frames" in done.stderr


def test_upscale_survives_a_closed_stderr(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=2, size=(32, 32))
    line = f'exec "{sys.executable}" -m vidsr upscale "{clip}" -o "{tmp_path}/b.mp4" --progress bar 2>&-'
    assert subprocess.run(["sh", "-c", line], check=False).returncode == 0
    assert (tmp_path / "b.mp4").is_file()


def test_reader_gone_is_141() -> None:
    line = f'{{ "{sys.executable}" -m vidsr presets show fast; echo $? >&2; }} | true'
    codes = {subprocess.run(["sh", "-c", f"sleep 0; {line}"], capture_output=True, text=True, check=True).stderr}
    assert codes <= {"error: the reader of our output closed it\n141\n"}


def test_losses_are_spelled_out_some_times_and_notices_by_level() -> None:
    told: list[str] = []
    teller = Teller(False, lambda event: None, told.append)
    for index in range(50):
        teller(Concealed(float(index)))
    assert len(told) == SPELLED_OUT + 1
    teller(Notice("small", "detail"))
    teller(FellBack("a", "b", "c"))
    assert told[SPELLED_OUT + 1 :] == ["warning: b is used in place of a: c"]


def test_lines_tell_progress_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    monkeypatch.setattr("vidsr.cli.progress.time.monotonic", lambda: now[0])
    lines = Lines()
    for step in range(4):
        now[0] = step * LINES_EVERY / 2
        lines(Progress(step, 10, 0.0, 2.0))
    assert capsys.readouterr().err == "2/10 frames, 2.0 fps, 0:00:04 left\n"


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with listening(Talk(quiet=True, progress="lines")) as emit:
        emit(Stage("open", "x"))
        emit(FellBack("a", "b", "c"))
    assert capsys.readouterr() == ("", "")


def test_no_colour_without_a_terminal() -> None:
    assert "\x1b" not in messages._red("error:")
