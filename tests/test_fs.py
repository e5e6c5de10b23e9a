"""The commit protocol: the old file or the new one, never anything between."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vidsr import fs
from vidsr.errors import BusyError, OutputError, UsageError


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def test_the_name_appears_only_at_commit(tmp_path: Path) -> None:
    final = tmp_path / "out.mp4"
    with fs.Target(final) as target:
        target.path.write_bytes(b"new")
        assert not final.exists()
        target.commit()
    assert final.read_bytes() == b"new"
    assert leftovers(tmp_path) == []


def test_without_commit_the_old_file_stays(tmp_path: Path) -> None:
    final = tmp_path / "out.mp4"
    final.write_bytes(b"old")

    def fail() -> None:
        with fs.Target(final, overwrite=True) as target:
            target.path.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert final.read_bytes() == b"old"
    assert leftovers(tmp_path) == []


def test_an_existing_output_is_refused_unless_told(tmp_path: Path) -> None:
    final = tmp_path / "out.mp4"
    final.write_bytes(b"old")
    with pytest.raises(UsageError, match="exists"):
        fs.Target(final)


def test_an_output_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    final = tmp_path / "out.mp4"
    with fs.Target(final) as target:
        target.path.write_bytes(b"ours")
        final.write_bytes(b"theirs")
        with pytest.raises(UsageError, match="exists"):
            target.commit()
    assert final.read_bytes() == b"theirs"


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    real, link = tmp_path / "real.mp4", tmp_path / "link.mp4"
    real.write_bytes(b"old")
    link.symlink_to(real)
    with fs.Target(link, overwrite=True) as target:
        target.path.write_bytes(b"new")
        target.commit()
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


def test_permissions_are_those_of_the_old_file_or_of_the_umask(tmp_path: Path) -> None:
    old, new = tmp_path / "old.mp4", tmp_path / "new.mp4"
    old.write_bytes(b"")
    old.chmod(0o640)
    for path in (old, new):
        fs.write_atomically(path, b"x")
    umask = os.umask(0)
    os.umask(umask)
    assert (old.stat().st_mode & 0o777, new.stat().st_mode & 0o777) == (0o640, 0o666 & ~umask)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nowhere: does not exist"), fs.Target(tmp_path / "nowhere" / "out.mp4"):
        pass


def test_a_device_is_written_directly() -> None:
    with fs.Target(Path("/dev/null")) as target:
        assert target.direct
        assert target.path == Path("/dev/null")
        target.commit()


def test_a_second_run_is_told_who_is_first(tmp_path: Path) -> None:
    final = tmp_path / "out.mp4"
    with (
        fs.Target(final),
        pytest.raises(BusyError, match=rf"another vidsr \(pid {os.getpid()}, since .*\) is writing out.mp4"),
        fs.Target(final),
    ):
        pass


def test_the_lock_and_the_part_of_a_killed_run_are_taken_over(tmp_path: Path) -> None:
    final = tmp_path / "out[1]*.mp4"
    code = "import os, sys, pathlib, vidsr.fs as f; t = f.Target(pathlib.Path(sys.argv[1])); t.__enter__(); os._exit(9)"
    subprocess.run([sys.executable, "-c", code, str(final)], check=False)
    assert len(leftovers(tmp_path)) == 2
    fs.write_atomically(final, b"done")
    assert final.read_bytes() == b"done"
    assert leftovers(tmp_path) == []


def test_one_file_under_two_names_is_one_file(tmp_path: Path) -> None:
    real = tmp_path / "a.mp4"
    real.write_bytes(b"x")
    (tmp_path / "soft").symlink_to(real)
    os.link(real, tmp_path / "hard")
    for name in ("soft", "hard", "./a.mp4", "../" + tmp_path.name + "/a.mp4"):
        assert fs.same_file(real, tmp_path / name)
    assert not fs.same_file(real, tmp_path / "b.mp4")


@pytest.mark.parametrize("name", ["日" * 83 + ".mkv", "n" * 251 + ".mkv", "\u00e9" * 125 + ".mkv"])
def test_names_as_long_as_the_system_allows(tmp_path: Path, name: str) -> None:
    with fs.Target(tmp_path / name) as target:
        target.path.write_bytes(b"new")
        target.commit()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_only_what_a_killed_run_left_of_this_very_name_is_removed(tmp_path: Path) -> None:
    other = tmp_path / ".film.mkv.abcd1234.part"
    left = tmp_path / ".film.abcd1234.part"
    other.write_bytes(b"of another run")
    left.write_bytes(b"of a killed run")
    with fs.Target(tmp_path / "film"):
        assert other.exists()
        assert not left.exists()


def test_a_share_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(handle: int) -> bool:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fs, "_try_lock", fail)
    with pytest.raises(OutputError, match="no locks available"), fs.Target(tmp_path / "out.mp4"):
        pass
