"""Weights from strangers, on the way that a user's file takes: all refused, nothing run, memory bounded; counted."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from vidsr.errors import UsageError, WeightsError
from vidsr.models.importing import import_file
from vidsr.models.load import load_model

from . import hostile

CHILD = """
import json, resource, sys
from vidsr.errors import WeightsError
from vidsr.models.load import load_model
load_model("animevideov3")  # all libraries are there, and what they take is counted before the limit is set
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (256 << 20),) * 2)
said = {}
for path in sys.argv[1:]:
    try:
        load_model(path)
        said[path] = "loaded"
    except WeightsError as error:
        said[path] = "refused: " + str(error)
    except BaseException as error:
        said[path] = type(error).__name__
print(json.dumps(said))
"""


def written(folder: Path, files: dict[str, tuple[str, bytes]]) -> list[Path]:
    paths = []
    for index, (ending, content) in enumerate(files.values()):
        path = folder / f"net{index}{ending}"
        path.write_bytes(content)
        if ending == ".param":
            path.with_suffix(".bin").write_bytes(bytes(1000))
        paths.append(path)
    return paths


def outcomes(paths: list[Path], reason: dict[str, str]) -> Counter[str]:
    """How many were refused; each with one sentence that names the file."""
    counts: Counter[str] = Counter()
    for path in paths:
        try:
            load_model(str(path))
            counts["loaded"] += 1
        except WeightsError as error:
            text = str(error)
            counts["refused" if str(path) in text and "\n" not in text else "badly told"] += 1
            reason[path.name] = text
    return counts


def test_pickles_that_run_code_are_refused_and_nothing_runs(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    files = hostile.pickles(mark)
    reasons: dict[str, str] = {}
    assert outcomes(written(tmp_path, files), reasons) == {"refused": 12}
    assert not mark.exists()
    assert sum("it asks to run" in text for text in reasons.values()) >= 8
    for path in tmp_path.glob("net*"):
        with pytest.raises((WeightsError, UsageError)):
            import_file(path)
    assert not mark.exists()


def test_programs_and_strange_files_are_refused(tmp_path: Path) -> None:
    reasons: dict[str, str] = {}
    programs, strange = tmp_path / "programs", tmp_path / "strange"
    for folder in (programs, strange):
        folder.mkdir()
    assert outcomes(written(programs, hostile.programs()), reasons) == {"refused": 4}
    assert all("TorchScript holds a program" in text for text in reasons.values())
    assert outcomes(written(strange, hostile.strange()), reasons) == {"refused": 16}


def test_other_architectures_are_told_by_their_first_five_keys(tmp_path: Path) -> None:
    (path,) = written(tmp_path, {"other": hostile.strange()["other keys"]})
    with pytest.raises(WeightsError, match=r"layer\.0, layer\.1, layer\.2, layer\.3, layer\.4 and 4 more"):
        load_model(str(path))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS is enforced on Linux only")
def test_bombs_are_refused_in_bounded_memory(tmp_path: Path) -> None:
    """The child may take 256 MiB more than it has once everything is loaded; the bombs claim up to 8 EiB."""
    paths = written(tmp_path, hostile.bombs())
    command = [sys.executable, "-c", CHILD, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    said = json.loads(done.stdout)
    assert Counter(text.partition(":")[0] for text in said.values()) == {"refused": 10}, said
    assert resource.getrlimit(resource.RLIMIT_AS) == (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def test_a_pair_cut_anywhere_is_refused(tmp_path: Path) -> None:
    text, numbers = hostile.pair()
    param, binary = tmp_path / "net.param", tmp_path / "net.bin"
    param.write_text(text)
    binary.write_bytes(numbers)
    assert load_model(str(param)).scale == 2
    cuts = [*range(0, len(numbers), len(numbers) // 20)]
    for end in cuts:
        binary.write_bytes(numbers[:end])
        with pytest.raises(WeightsError):
            load_model(str(param))
    assert len(cuts) >= 20
    binary.write_bytes(numbers)
    lines = text.splitlines(keepends=True)
    for end in range(len(lines) - 1):
        param.write_text("".join(lines[:end]))
        with pytest.raises(WeightsError):
            load_model(str(binary))
