"""What is kept on disk: made once, never trusted blindly, never needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vidsr.errors import DeviceError
from vidsr.events import Event, Notice
from vidsr.fs import lock
from vidsr.runtime.artifacts import Artifact, obtain


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDSR_HOME", str(tmp_path / "home"))


class Maker:
    """Builds `data` and counts how often; reading gives text, and refuses bytes that are none."""

    def __init__(self, data: bytes = b"engine", **facts: object) -> None:
        self.data, self.builds, self.events = data, 0, list[Event]()
        self.artifact = Artifact("test", "the engine", {"weights": "0", **facts}, self.build, self.read)

    def build(self) -> bytes:
        self.builds += 1
        return self.data

    def read(self, data: bytes) -> str:
        return data.decode()

    def get(self, check: object = None) -> str:
        return obtain(self.artifact, self.events.append, check or (lambda: None))  # type: ignore[arg-type]

    def warnings(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Notice) and event.level == "warning"]


def test_it_is_built_once_and_that_is_told_with_its_time() -> None:
    first, second = Maker(), Maker()
    assert (first.get(), second.get()) == ("engine", "engine")
    assert (first.builds, second.builds) == (1, 0)
    said = [event.text for event in first.events if isinstance(event, Notice)]
    assert said[0] == "making the engine; this is done once"
    assert said[1].startswith("made the engine in ")
    assert said[1].endswith(" s, 0.0 MB")
    assert not second.events


@pytest.mark.parametrize("change", [{"weights": "1"}, {"gpu": "H200 9.0"}, {"shape": (1, 3, 8, 8)}])
def test_any_fact_that_differs_makes_another(change: dict[str, Any]) -> None:
    first, second = Maker(), Maker(**change)
    first.get()
    second.get()
    assert second.builds == 1
    assert first.artifact.path != second.artifact.path


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "appended"])
def test_a_damaged_file_is_made_again_and_told(damage: str) -> None:
    first, second = Maker(), Maker()
    first.get()
    path = first.artifact.path
    data = path.read_bytes()
    changed = {"cut": data[:-1], "flipped": data[:-1] + b"E", "empty": b"", "appended": data + b"\0"}
    path.write_bytes(changed[damage])
    assert second.get() == "engine"
    assert second.builds == 1
    assert second.warnings() == [f"{path} is made again, its checksum is wrong"]
    assert path.read_bytes() == data


def test_what_no_longer_opens_is_made_again() -> None:
    """An engine may be whole and still not fit a new driver."""
    old, new = Maker(b"\xff"), Maker()
    with pytest.raises(UnicodeDecodeError):
        old.get()
    assert old.artifact.path.exists()
    assert new.get() == "engine"
    assert "is made again, 'utf-8' codec can't decode" in new.warnings()[0]


def test_what_this_machine_cannot_do_is_not_blamed_on_the_file() -> None:
    first, second = Maker(), Maker()
    first.get()

    def fail(data: bytes) -> str:
        raise DeviceError("no such provider")

    object.__setattr__(second.artifact, "open", fail)
    with pytest.raises(DeviceError):
        second.get()
    assert second.builds == 0
    assert not second.events


def test_a_build_that_fails_leaves_nothing() -> None:
    maker = Maker()

    def fail() -> bytes:
        raise DeviceError("no memory")

    object.__setattr__(maker.artifact, "build", fail)
    with pytest.raises(DeviceError):
        maker.get()
    assert list(maker.artifact.path.parent.iterdir()) == []


def test_a_folder_that_cannot_be_written_costs_a_build_each_time(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")
    for _ in range(2):
        maker = Maker()
        assert maker.get() == "engine"
        assert maker.builds == 1
        assert maker.warnings()[0].startswith("the engine is not kept: ")


def test_it_waits_for_another_process_and_takes_what_that_made() -> None:
    maker, other = Maker(), Maker()
    other.get()
    done = other.artifact.path.read_bytes()
    other.artifact.path.unlink()
    held = lock(other.artifact.path.with_name(f".{other.artifact.path.name}.build.lock"))
    held.__enter__()
    looks = 0

    def check() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            other.artifact.path.write_bytes(done)
            held.__exit__(None, None, None)

    assert maker.get(check) == "engine"
    assert (maker.builds, looks) == (0, 3)


def test_waiting_can_be_stopped() -> None:
    maker = Maker()
    maker.artifact.path.parent.mkdir(parents=True)

    def check() -> None:
        raise KeyError("stopped")

    with lock(maker.artifact.path.with_name(f".{maker.artifact.path.name}.build.lock")), pytest.raises(KeyError):
        maker.get(check)
    assert maker.builds == 0
