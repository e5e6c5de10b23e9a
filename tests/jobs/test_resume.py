"""A run that ended in any way is gone on with by the same command, and gives what an undisturbed one gives."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.clips import make_clip
from tests.fakes import Repeater, describe
from tests.jobs.inline import Inline
from tests.jobs.test_entry import CLOSED
from tests.jobs.test_shards import LOSSLESS, assert_equal, undisturbed
from vidsr import pipeline
from vidsr.errors import BusyError, ExistsError, InputError, OutputError, StoppedError, UsageError
from vidsr.events import Event, Notice, ignore
from vidsr.fs import Target
from vidsr.jobs import film, run
from vidsr.jobs.film import work_folder
from vidsr.jobs.journal import Journal
from vidsr.jobs.messages import Task
from vidsr.options import Options
from vidsr.record import Report

SHARDS = 5


class Stopping(Inline):
    """Is stopped by a signal when `after` tasks are done."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def submit(self, task: Task) -> None:
        if len(self.tasks) == self.after:
            raise StoppedError("stopped by SIGTERM", 15)
        super().submit(task)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "load_model", lambda spec, **_: describe(Repeater(2)))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", frames=60, options=CLOSED)


Go = Callable[..., tuple[Inline, list[str]]]


@pytest.fixture
def go(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Go:
    """Runs the film to out.mkv; the executor it used, and what it said."""

    def run_film(executor: Inline | None = None, **choices: Any) -> tuple[Inline, list[str]]:
        used, said = executor or Inline(), list[Event]()
        monkeypatch.setattr(run, "_executor", lambda options: used)
        with suppress(StoppedError):
            run.upscale([(clip, tmp_path / "out.mkv")], Options(**LOSSLESS | {"shards": SHARDS} | choices), said.append)
        return used, [event.text for event in said if isinstance(event, Notice)]

    return run_film


def folder(tmp_path: Path) -> Path:
    return work_folder(tmp_path / "out.mkv", None)


@pytest.mark.parametrize("after", range(1, SHARDS + 2))
def test_what_is_done_is_not_done_again(after: int, clip: Path, tmp_path: Path, go: Go) -> None:
    stopped, said = go(Stopping(after))
    assert not (tmp_path / "out.mkv").exists()
    assert not list(tmp_path.glob("*.part"))
    assert stopped.segments == list(range(after - 1))
    assert folder(tmp_path).exists() == (after > 1)
    assert any("the same command goes on from there" in text for text in said) == (after > 1)
    again, said = go()
    assert again.segments == list(range(after - 1, SHARDS))
    assert (f"resuming: {after - 1} of {SHARDS} segments are done" in said) == (after > 1)
    undisturbed(clip, tmp_path / "whole.mkv")
    assert_equal(tmp_path / "whole.mkv", tmp_path / "out.mkv")
    assert not folder(tmp_path).exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mkv", "whole.mkv"]


def test_a_journal_cut_anywhere_loses_what_was_cut_and_nothing_else(clip: Path, tmp_path: Path, go: Go) -> None:
    go(Stopping(SHARDS))
    journal = folder(tmp_path) / "journal"
    data = journal.read_bytes()
    ends = [number + 1 for number, byte in enumerate(data) if byte == 10]
    undisturbed(clip, tmp_path / "whole.mkv")
    files = {path.name: path.read_bytes() for path in folder(tmp_path).iterdir()}
    for cut in (*ends, *(end - 7 for end in ends), len(data) // 2):
        folder(tmp_path).mkdir(exist_ok=True)
        for name, content in files.items():
            (folder(tmp_path) / name).write_bytes(content)
        journal.write_bytes(data[:cut])
        committed = max(0, sum(end <= cut for end in ends) - 1)
        again, _ = go(overwrite=True)
        assert again.segments == list(range(committed, SHARDS))
        assert_equal(tmp_path / "whole.mkv", tmp_path / "out.mkv")


def test_a_segment_file_with_one_wrong_byte_is_computed_again(clip: Path, tmp_path: Path, go: Go) -> None:
    go(Stopping(4))
    damaged, missing = folder(tmp_path) / "00001.segment", folder(tmp_path) / "00002.segment"
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    missing.unlink()
    again, said = go()
    assert again.segments == [1, 2, 3, 4]
    assert [text for text in said if "missing or damaged" in text] == [
        f"segment {number} is missing or damaged, it is computed again" for number in (1, 2)
    ]
    undisturbed(clip, tmp_path / "whole.mkv")
    assert_equal(tmp_path / "whole.mkv", tmp_path / "out.mkv")


def test_other_settings_start_over_and_keep_the_old_work(tmp_path: Path, go: Go) -> None:
    go(Stopping(4))
    again, said = go(Stopping(2), scale=4)
    assert again.segments == [0]
    kept = folder(tmp_path).with_name(f"{folder(tmp_path).name}.old-1")
    [told] = [text for text in said if "starting over" in text]
    assert "scale null -> 4" in told
    assert str(kept) in told
    assert len(list(kept.glob("*.segment"))) == 3


@pytest.mark.parametrize(
    ("choices", "reason"), [({"shards": 3}, "shards 5 -> 3"), ({"resume": False}, "--no-resume")], ids=["shards", "no"]
)
def test_another_plan_starts_over(choices: dict[str, Any], reason: str, tmp_path: Path, go: Go) -> None:
    go(Stopping(4))
    again, said = go(**choices)
    assert again.segments == list(range(choices.get("shards", SHARDS)))
    assert any(reason in text and "starting over" in text for text in said)


def test_options_that_change_no_picture_go_on(tmp_path: Path, go: Go) -> None:
    go(Stopping(4))
    again, _ = go(shards="auto", allow_loss=True, overwrite=True, verify=False)
    assert again.segments == [3, 4]


def test_a_swapped_input_starts_over(clip: Path, tmp_path: Path, go: Go) -> None:
    go(Stopping(4))
    data = bytearray(clip.read_bytes())
    data[-1] ^= 1  # the tail of its index: the film is the same, the file is not
    clip.write_bytes(data)
    again, said = go(Stopping(2))
    assert again.segments == [0]
    assert any("input was changed since" in text for text in said)


def test_a_damaged_journal_starts_over(tmp_path: Path, go: Go) -> None:
    go(Stopping(4))
    journal = folder(tmp_path) / "journal"
    data = bytearray(journal.read_bytes())
    data[len(data) // 3] ^= 1
    journal.write_bytes(data)
    again, said = go()
    assert again.segments == list(range(SHARDS))
    assert any("is damaged in line 1" in text for text in said)


def test_a_second_run_on_one_output_is_told(clip: Path, tmp_path: Path, go: Go) -> None:
    with Target(tmp_path / "out.mkv"), pytest.raises(BusyError, match=f"pid {os.getpid()}"):
        go()
    assert not folder(tmp_path).exists()


def test_a_work_folder_of_ones_own(clip: Path, tmp_path: Path, go: Go) -> None:
    go(Stopping(3), work_dir=tmp_path / "work")
    [own] = (tmp_path / "work").iterdir()
    assert own.name.startswith("out.mkv.")
    assert len(list(own.glob("*.segment"))) == 2
    again, _ = go(work_dir=tmp_path / "work")
    assert again.segments == [2, 3, 4]
    assert list((tmp_path / "work").iterdir()) == []


def test_an_output_that_exists_is_refused_before_anything_is_computed(tmp_path: Path, go: Go) -> None:
    (tmp_path / "out.mkv").write_bytes(b"old")
    executor = Inline()
    with pytest.raises(ExistsError, match="exists"):
        go(executor)
    assert executor.segments == []
    assert (tmp_path / "out.mkv").read_bytes() == b"old"


def test_a_work_folder_that_cannot_be_made_is_an_error(tmp_path: Path, go: Go) -> None:
    (tmp_path / "work").write_bytes(b"a file")
    with pytest.raises(OutputError, match=r"work folder .*work"):
        go(work_dir=tmp_path / "work")
    assert not (tmp_path / "out.mkv").exists()


def test_files_of_others_in_the_work_folder_stay(tmp_path: Path, go: Go) -> None:
    folder(tmp_path).mkdir()
    (folder(tmp_path) / "mine.txt").write_text("not yours")
    go()
    assert (tmp_path / "out.mkv").exists()
    assert [path.name for path in folder(tmp_path).iterdir()] == ["mine.txt"]


def test_a_signal_while_finished_segments_are_checked_keeps_them(
    tmp_path: Path, go: Go, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(Stopping(4))

    def stopped(*_: Any) -> bool:
        raise StoppedError("stopped by SIGINT", 2)

    with monkeypatch.context() as patch:
        patch.setattr(film, "intact", stopped)
        go()
    assert len(list(folder(tmp_path).glob("*.segment"))) == 3
    again, _ = go()
    assert again.segments == [3, 4]


@pytest.mark.parametrize("after", range(1, SHARDS + 2))
def test_an_input_that_is_replaced_meanwhile_ends_the_run(after: int, clip: Path, tmp_path: Path, go: Go) -> None:
    other = make_clip(tmp_path / "other.mp4", frames=60, options=CLOSED, color={"colorspace": 1})

    class Replacing(Inline):
        def submit(self, task: Task) -> None:
            if len(self.tasks) == after:
                other.replace(clip)
            super().submit(task)

    with pytest.raises(InputError, match=r"was changed while it was upscaled|does not read as it did"):
        go(Replacing())
    assert not (tmp_path / "out.mkv").exists()


def test_long_names_of_other_scripts_do_not_collide(clip: Path, tmp_path: Path) -> None:
    first, second = (tmp_path / f"{'あ' * 70}{number}.mkv" for number in (1, 2))
    assert work_folder(first, None) != work_folder(second, None)
    with Target(first), Target(second):
        pass
    for path in (work_folder(first, None), work_folder(first, tmp_path)):
        assert len(os.fsencode(path.name)) < 200


def test_a_work_folder_that_is_the_output_is_refused(tmp_path: Path, go: Go) -> None:
    with pytest.raises(UsageError, match="is the output itself"):
        go(work_dir=tmp_path / "out.mkv")


def test_the_speed_of_a_resumed_run_is_that_of_its_own_frames(
    clip: Path, tmp_path: Path, go: Go, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(Stopping(SHARDS + 1))
    used = Inline()
    monkeypatch.setattr(run, "_executor", lambda options: used)
    [report] = run.upscale([(clip, tmp_path / "out.mkv")], Options(**LOSSLESS, shards=SHARDS), ignore)
    assert isinstance(report, Report)
    assert (report.frames_out, report.fps) == (60, 0.0)


def test_a_signal_right_after_a_record_was_written_keeps_the_work(
    tmp_path: Path, go: Go, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Journal.append

    def stopped(journal: Journal, record: dict[str, Any]) -> None:
        append(journal, record)
        journal.records.pop()  # it came before the record was noted
        raise StoppedError("stopped by SIGINT", 2)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", stopped)
        go()
    again, said = go()
    assert again.segments == list(range(1, SHARDS))
    assert f"resuming: 1 of {SHARDS} segments are done" in said
