"""Which inputs go to workers, many inputs at once, and the command line of all that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import cv2
import pytest
from click.testing import CliRunner

import vidsr
from tests.clips import make_clip, picture
from tests.fakes import Repeater, describe
from tests.jobs.inline import Inline
from tests.jobs.test_entry import CLOSED
from vidsr import pipeline
from vidsr.cli.main import root
from vidsr.errors import ExistsError, InputError, UsageError
from vidsr.jobs import batch, devices, run
from vidsr.jobs.devices import devices_for, segment_frames
from vidsr.options import Options
from vidsr.record import Report


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "load_model", lambda spec, **_: describe(Repeater(2)))
    monkeypatch.setattr(run, "_executor", lambda options: Inline(2))


def frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_short_inputs_stay_in_this_process_and_long_ones_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=30)
    assert not run.wanted(clip, Options(device="cpu"))
    monkeypatch.setitem(devices.SEGMENT_PIXELS, "cpu", 64 * 64 * 10)
    assert run.wanted(clip, Options(device="cpu"))
    assert not run.wanted(clip, Options(device="cpu", shards=1))
    assert not run.wanted(clip, Options(device="cuda:0"))  # which does in a minute what a CPU does in an hour
    with av.open(str(tmp_path / "in.ts"), "w") as copy, av.open(str(clip)) as old:  # states no length
        stream = copy.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)
    assert run.wanted(tmp_path / "in.ts", Options(device="cpu", shards=2))


@pytest.mark.parametrize("words", [{"shards": 3}, {"devices": "cpu,cpu"}, {"cluster": "auto"}])
def test_what_asks_for_workers_gets_them(words: dict[str, Any], tmp_path: Path) -> None:
    assert run.wanted(make_clip(tmp_path / "in.mp4", frames=3), Options(**words))
    with pytest.raises(UsageError, match="no regular file"):
        run.wanted(Path("/dev/null"), Options(**words))
    assert not run.wanted(Path("/dev/null"), Options())


def test_devices_of_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cuda_count", lambda: 2)
    assert devices_for(Options()) == ["cuda:0", "cuda:1"]
    assert devices_for(Options(device="cuda:1")) == ["cuda:1"]
    assert devices_for(Options(devices="cpu,cpu")) == ["cpu", "cpu"]
    with pytest.raises(UsageError, match="exclude each other"):
        devices_for(Options(device="cpu", devices="cpu,cpu"))
    monkeypatch.setattr(devices, "cuda_count", lambda: 0)
    assert devices_for(Options()) == ["auto"]
    with pytest.raises(ValueError, match="auto, or names"):
        Options(devices="gpu0;rm")


def test_segments_are_some_minutes_long() -> None:
    assert segment_frames("cpu", 1920, 1080) == 48
    assert segment_frames("cuda", 1920, 1080) == 1929
    assert segment_frames("cpu", 100000, 100000) == 1


def test_one_device_by_the_name_of_devices(tmp_path: Path) -> None:
    report = vidsr.upscale(make_clip(tmp_path / "in.mp4", frames=3), tmp_path / "out.mkv", devices="cpu", codec="ffv1")
    assert report.device == "cpu"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Videos on two levels, and files that are none."""
    (tmp_path / "films" / "more").mkdir(parents=True)
    for name in ("b.mp4", "a.mkv", "more/c.mp4"):
        make_clip(tmp_path / "films" / name, frames=24, options=CLOSED)
    (tmp_path / "films" / "notes.txt").write_text("no video")
    (tmp_path / "films" / ".hidden.mp4").write_bytes(b"")
    return tmp_path / "films"


def test_a_folder_goes_to_a_folder_of_the_same_shape(folder: Path, tmp_path: Path) -> None:
    found = batch.pairs([folder], None, Options())
    target = tmp_path / "films_animevideov3"
    assert found == [
        (folder / "a.mkv", target),
        (folder / "b.mp4", target),
        (folder / "more" / "c.mp4", target / "more"),
    ]
    assert (target / "more").is_dir()
    inside = batch.pairs([folder], folder / "out", Options())
    assert [source for source, _ in inside] == [source for source, _ in found]
    (folder / "out" / "a_again.mkv").write_bytes(b"")
    assert batch.pairs([folder], folder / "out", Options()) == inside, "what was made is not an input"


def test_a_folder_without_videos_and_an_output_that_is_a_file_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no video"):
        batch.pairs([tmp_path / "empty"], None, Options())
    with pytest.raises(UsageError, match="is a file, and there are several inputs"):
        batch.pairs([folder], folder / "notes.txt", Options())


def test_many_inputs_by_one_queue_and_a_second_run_does_what_is_missing(folder: Path, tmp_path: Path) -> None:
    (folder / "broken.mkv").write_bytes(b"no video at all")
    options = Options(codec="ffv1", precision="fp32", shards=2, report=tmp_path / "report.json")
    done = vidsr.upscale_all([folder], tmp_path / "out", options=options)
    assert {path.name: type(outcome) for path, outcome in done.items()} == {
        "a.mkv": Report,
        "b.mp4": Report,
        "broken.mkv": InputError,
        "c.mp4": Report,
    }
    made = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.m*"))
    assert made == ["a_animevideov3_x2.mkv", "b_animevideov3_x2.mp4", "more/c_animevideov3_x2.mp4"]
    assert all(frames(tmp_path / "out" / name) == 24 for name in made)
    told = json.loads((tmp_path / "report.json").read_text())["files"]
    assert [bool(item.get("error")) for item in told] == [False, False, True, False]
    (tmp_path / "out" / made[0]).unlink()
    again = vidsr.upscale_all([folder], tmp_path / "out", options=options)
    assert [type(outcome) for outcome in again.values()] == [Report, ExistsError, InputError, ExistsError]


def test_the_command_line_of_many_inputs(folder: Path, tmp_path: Path) -> None:
    words = ["upscale", str(folder / "a.mkv"), str(folder / "b.mp4"), "-o", str(tmp_path / "out"), "--codec", "x264"]
    first = CliRunner().invoke(root, words)
    assert first.exit_code == 0
    assert "2 files: 2 done" in first.stderr
    second = CliRunner().invoke(root, words)
    assert second.exit_code == 0
    assert "2 files: 2 done before" in second.stderr
    (tmp_path / "broken.mkv").write_bytes(b"no video at all")
    third = CliRunner().invoke(root, [*words, str(tmp_path / "broken.mkv")])
    assert third.exit_code == 3
    assert "3 files: 2 done before, 1 failed" in third.stderr
    dry = CliRunner().invoke(root, [*words, "--dry-run", "-y"])
    assert dry.exit_code == 0
    assert dry.stdout.count("segments 1") == 2
    assert dry.stdout.count("estimate 0:00:0") == 2


def test_the_supervisor_loads_no_torch() -> None:
    code = "import vidsr.jobs.run, sys; assert 'torch' not in sys.modules, 'torch'"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_real_run_by_real_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    clip = make_clip(tmp_path / "in.mp4", frames=24, options=CLOSED)
    words = [
        "upscale",
        str(clip),
        "-o",
        str(tmp_path / "out.mkv"),
        "--codec",
        "ffv1",
        "--shards",
        "2",
        "--devices",
        "cpu,cpu",
    ]
    done = subprocess.run([sys.executable, "-m", "vidsr", *words], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "verified: 24 frames at their times" in done.stderr
    assert frames(tmp_path / "out.mkv") == 24
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mkv"]


def test_a_folder_with_one_film_is_passed_over_too(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    make_clip(tmp_path / "films" / "a.mkv", frames=6)
    words = ["upscale", str(tmp_path / "films"), "--shards", "2"]
    assert CliRunner().invoke(root, words).exit_code == 0
    again = CliRunner().invoke(root, words)
    assert (again.exit_code, "1 files: 1 done before" in again.stderr) == (0, True)


def test_pipes_are_not_waited_for_and_outputs_are_not_inputs(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(folder / "pipe.mkv")
    assert folder / "pipe.mkv" not in [source for source, _ in batch.pairs([folder], None, Options())]
    with pytest.raises(UsageError, match="is no file, and there are several inputs"):
        batch.pairs([folder / "a.mkv", folder / "pipe.mkv"], None, Options())
    with pytest.raises(UsageError, match="is the input folder"):
        batch.pairs([folder], folder, Options())


def test_two_inputs_with_one_output_are_refused(folder: Path, tmp_path: Path) -> None:
    make_clip(folder / "a.avi", frames=3)
    with pytest.raises(UsageError, match="would have outputs of one name"):
        batch.pairs([folder], None, Options())
    assert len(batch.pairs([folder / "a.avi", folder / "b.mp4"], None, Options())) == 2
    with pytest.raises(UsageError, match="would have outputs of one name"):
        batch.pairs([folder / "a.avi", folder / "b.mp4", folder / "a.mkv"], None, Options(container="mp4"))


def test_pictures_and_videos_of_one_folder(folder: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(folder / "still.png"), picture(3))
    done = CliRunner().invoke(root, ["upscale", str(folder), "-o", str(tmp_path / "out"), "--progress", "none"])
    assert done.exit_code == 0, done.stderr
    assert "4 files: 4 done" in done.stderr
    [still] = (tmp_path / "out").glob("still*.png")
    assert cv2.imread(str(still)).shape == (256, 256, 3)


def test_json_names_the_file_that_failed(folder: Path, tmp_path: Path) -> None:
    (folder / "broken.mkv").write_bytes(b"no video at all")
    words = ["upscale", str(folder), "-o", str(tmp_path / "out"), "--progress", "json"]
    said = [json.loads(line) for line in CliRunner().invoke(root, words).stderr.splitlines()]
    [error] = [item for item in said if item["event"] == "error"]
    assert error["input"] == str(folder / "broken.mkv")
