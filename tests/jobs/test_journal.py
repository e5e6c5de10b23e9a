"""What a journal says was done, was done: after a cut at any byte, after any altered byte, on a full disk."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from dataclasses import asdict
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidsr.errors import InputError, OutputError
from vidsr.jobs import journal as module
from vidsr.jobs.journal import Identity, Journal, JournalError, differences, identify, set_aside

FIRST = {"input": {"size": 7, "head": "ab"}, "options": {"crf": 18, "name": "f\udcff\n"}}
RECORDS: list[dict[str, Any]] = [
    {"segment": 0, "size": 100, "text": "\n\r\u2028 {"},
    {},
    {"segment": 1, "list": [1, None, 2.5]},
    {"segment": 2, "sha256": "0f" * 32},
]


def written(folder: Path, records: list[dict[str, Any]] = RECORDS) -> Path:
    path = folder / "journal.jsonl"
    with Journal.create(path, FIRST) as journal:
        for record in records:
            journal.append(record)
    return path


def read(path: Path) -> list[dict[str, Any]]:
    """All that a journal holds, the first line too."""
    with Journal.open(path) as journal:
        return [journal.first, *journal.records]


def test_a_journal_gives_back_what_was_committed(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert read(path) == [FIRST, *RECORDS]
    assert [json.loads(line)["record"] for line in path.read_text().split("\n")[:-1]] == [FIRST, *RECORDS]
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_appended_is_known_at_once_and_as_json_gives_it(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "j", FIRST) as journal:
        journal.append({"pair": (1, 2)})
        assert journal.records == [{"pair": [1, 2]}] == read(tmp_path / "j")[1:]


def test_a_journal_is_never_begun_twice(tmp_path: Path) -> None:
    path = written(tmp_path)
    with pytest.raises(JournalError, match="exists"):
        Journal.create(path, {})
    assert read(path) == [FIRST, *RECORDS]


def test_every_line_is_on_the_disk_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    fsync = os.fsync

    def watched(handle: int) -> None:
        fsync(handle)
        here = tmp_path / "j.part" if (tmp_path / "j.part").exists() else tmp_path / "j"
        synced.append(here.read_bytes() + (b"folder" if os.path.isdir(handle) else b""))  # noqa: PTH112  # a handle

    monkeypatch.setattr(os, "fsync", watched)
    journal = Journal.create(tmp_path / "j", FIRST)
    begun = (tmp_path / "j").read_bytes()
    assert synced == [begun, begun + b"folder"]
    journal.append({"a": 1})
    assert synced[2:] == [(tmp_path / "j").read_bytes()]
    journal.close()


@pytest.mark.fault
def test_a_journal_cut_at_any_byte_holds_what_was_committed_before_and_goes_on(tmp_path: Path) -> None:
    data = written(tmp_path).read_bytes()
    ends = [place for place, byte in enumerate(data, 1) if byte == ord("\n")]
    cut = tmp_path / "cut"
    for size in range(len(data) + 1):
        cut.write_bytes(data[:size])
        whole = sum(end <= size for end in ends)
        if not whole:
            with pytest.raises(JournalError):
                Journal.open(cut)
            continue
        with Journal.open(cut) as journal:
            assert [journal.first, *journal.records] == [FIRST, *RECORDS][:whole], size
            assert cut.stat().st_size == ends[whole - 1]
            journal.append({"after": size})
        assert read(cut) == [*[FIRST, *RECORDS][:whole], {"after": size}], size


@pytest.mark.fault
@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80, 0xFF])
def test_an_altered_byte_never_gives_another_record(tmp_path: Path, flip: int) -> None:
    data = written(tmp_path).read_bytes()
    ends = [place for place, byte in enumerate(data, 1) if byte == ord("\n")]
    bad = tmp_path / "bad"
    for place in range(len(data)):
        bad.write_bytes(data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :])
        if place < ends[-2] - 1:  # every line but the last two, and all of the last but one except where it ends
            with pytest.raises(JournalError, match="damaged in line"):
                Journal.open(bad)
        else:  # cannot be told from an append that the power cut short
            found = read(bad)
            assert found == [FIRST, *RECORDS][: len(found)]
            assert len(found) >= len(RECORDS) - 1


@pytest.mark.fault
def test_lines_lost_doubled_or_swapped_are_known(tmp_path: Path) -> None:
    lines = written(tmp_path).read_bytes().splitlines(keepends=True)
    for changed in (
        lines[:2] + lines[3:],
        [*lines[:2], lines[1], *lines[2:]],
        [*lines[:2], lines[3], lines[2], *lines[4:]],
        lines[1:],
    ):
        (tmp_path / "bad").write_bytes(b"".join(changed))
        with pytest.raises(JournalError):
            Journal.open(tmp_path / "bad")


@pytest.mark.fault
@pytest.mark.parametrize(
    "tail", [b"\0" * 300, b"\0" * 40 + b"\n", b'{"crc":"0000', b"\n", b'{"crc":"00000000","record":{}}\n']
)
def test_what_a_power_cut_leaves_behind_the_last_line_is_cut_away(tmp_path: Path, tail: bytes) -> None:
    path = written(tmp_path)
    good = path.read_bytes()
    path.write_bytes(good + tail)
    assert read(path) == [FIRST, *RECORDS]
    assert path.read_bytes() == good


@pytest.mark.parametrize("data", [b"", b"\n", b"{}\n", b"\0" * 100, b'{"done":[]}\n{"done":[]}\n'])
def test_what_is_no_journal_is_refused_and_left_as_it_is(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "j").write_bytes(data)
    with pytest.raises(JournalError, match="line 1"):
        Journal.open(tmp_path / "j")
    assert (tmp_path / "j").read_bytes() == data


def test_a_journal_that_is_missing_or_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(JournalError, match="cannot be read"):
            Journal.open(path)


def attempts(folder: Path) -> None:
    """Writes journals under a limit on their size that rises byte by byte; run in a process of its own."""
    import resource  # not there on Windows

    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    whole = written(folder).read_bytes()
    for limit in range(len(whole)):
        path = folder / f"{limit}.jsonl"
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        committed = _until_full(path, f"work folder {folder}: a file would be larger than allowed")
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert not path.with_name(f"{path.name}.part").exists()
        assert path.exists() == bool(committed)
        if committed:
            left = path.read_bytes()
            assert whole.startswith(left)
            assert left.endswith(b"\n"), "half a line was left"
            assert read(path) == committed


def _until_full(path: Path, words: str) -> list[dict[str, Any]]:
    """What could be committed to a new journal before the disk was full, as told in `words`."""
    journals, committed = [], []

    def fill() -> None:
        journals.append(Journal.create(path, FIRST))
        committed.append(FIRST)
        for record in RECORDS:
            journals[0].append(record)
            committed.append(record)

    with pytest.raises(OutputError, match=re.escape(words)):
        fill()
    for journal in journals:
        with pytest.raises(ValueError, match="closed"):
            journal.append({})
    return committed


@pytest.mark.fault
def test_a_full_disk_at_any_byte_leaves_what_was_committed(tmp_path: Path) -> None:
    code = (
        f"import pathlib; from tests.jobs import test_journal; test_journal.attempts(pathlib.Path({str(tmp_path)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.fault
def test_a_line_that_could_not_be_synced_is_not_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path)
    journal = Journal.open(path)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match=f"work folder {tmp_path}: no space left"):
            journal.append({"segment": 3})
    assert read(path) == [FIRST, *RECORDS]


@pytest.mark.fault
@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_signal_in_the_middle_of_an_append_keeps_a_whole_line_and_cuts_half_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = written(tmp_path)
    journal = Journal.open(path)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    def half(file: FileIO, line: bytes) -> None:
        file.write(line[: len(line) // 2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        target, name, fault = {"write": (module, "_write", half), "fsync": (os, "fsync", interrupted)}[call]
        patch.setattr(target, name, fault)
        with pytest.raises(KeyboardInterrupt):
            journal.append({"segment": 3})
    with pytest.raises(ValueError, match="closed"):
        journal.append({"segment": 4})
    assert read(path) == [FIRST, *RECORDS, *([{"segment": 3}] if call == "fsync" else [])]


def test_identity_is_of_what_the_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "film"
    path.write_bytes(bytes(3 << 20))
    before = identify(path)
    assert before.size == 3 << 20
    assert before == identify(path)
    stamp = before.mtime_ns
    for place in (0, (1 << 20) - 1, 2 << 20, (3 << 20) - 1):
        changed = bytearray(3 << 20)
        changed[place] = 1
        path.write_bytes(changed)
        os.utime(path, ns=(stamp, stamp))
        assert identify(path).mtime_ns == stamp
        assert (identify(path).head == before.head) == (place >= 1 << 20)
        assert (identify(path).tail == before.tail) == (place < 2 << 20)
        assert identify(path) != before


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_identity_of_a_small_file(tmp_path: Path, size: int) -> None:
    path = tmp_path / "film"
    path.write_bytes(os.urandom(size))
    found = identify(path)
    assert found.size == size
    assert (found.head == found.tail) == (size <= 1 << 20)
    assert Identity(**json.loads(json.dumps(asdict(found)))) == found


def test_identity_of_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none"):
        identify(tmp_path / "none")


OLD: dict[str, Any] = {
    "input": {"size": 1, "mtime_ns": 2, "head": "a", "tail": "b"},
    "options": {"crf": 18, "codec": None, "devices": ["cpu", "cpu"]},
    "weights": "0" * 64,
    "versions": {"vidsr": "1.0", "av": "18.1"},
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, []),
        ({"input": {"size": 1, "mtime_ns": 3, "head": "a", "tail": "b"}}, ["input was changed since"]),
        ({"options": {**OLD["options"], "crf": 20}}, ["crf 18 -> 20"]),
        ({"options": {**OLD["options"], "codec": "x265"}}, ["codec null -> x265"]),
        ({"options": {**OLD["options"], "devices": ("cpu", "cpu")}}, []),
        ({"options": {**OLD["options"], "crf": True}}, ["crf 18 -> true"]),
        ({"options": {**OLD["options"], "devices": ["cpu", 1]}}, ['devices ["cpu", "cpu"] -> ["cpu", 1]']),
        ({"options": {"crf": 18, "codec": None}}, ['devices ["cpu", "cpu"] -> (not set)']),
        ({"options": {**OLD["options"], "sharp": 1}}, ["sharp (not set) -> 1"]),
        ({"weights": "1" * 64}, ["weights changed since"]),
        ({"versions": {"vidsr": "1.1", "av": "18.2"}}, ["vidsr 1.0 -> 1.1", "av 18.1 -> 18.2"]),
        ({"versions": "x" * 100}, ['versions {"av": "18.1", "vidsr": "1.0"} -> ' + "x" * 57 + "..."]),
        ({"input": None, "weights": "short"}, ["input was changed since", f"weights {'0' * 57}... -> short"]),
    ],
)
def test_differences_in_words(change: dict[str, Any], words: list[str]) -> None:
    assert differences(OLD, OLD | change) == words


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b", "input"]), inner),
    max_leaves=6,
)
GROUPS = st.dictionaries(st.sampled_from(["a", "b", "input"]), JSON)


@given(GROUPS, GROUPS)
def test_there_are_differences_exactly_when_the_lines_differ(old: dict[str, Any], new: dict[str, Any]) -> None:
    same = json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)
    assert (differences(old, new) == []) == same


def test_one_is_not_true() -> None:
    assert differences({"a": [1]}, {"a": [True]}) == ["a [1] -> [true]"]


def test_work_is_set_aside_under_the_first_free_name(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        work = tmp_path / ".film.work"
        work.mkdir()
        (work / "which").write_text(str(number))
        assert set_aside(work) == tmp_path / f".film.work.old-{number}"
        assert not work.exists()
    assert [(tmp_path / f".film.work.old-{n}" / "which").read_text() for n in (1, 2, 3)] == ["1", "2", "3"]


def test_a_folder_that_cannot_be_set_aside_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=str(tmp_path)):
        set_aside(tmp_path / "none")
