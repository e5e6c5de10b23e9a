"""Faults of disk, machine and every stage: the first cause is told, nothing is left, the old output stays."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.clips import make_clip
from tests.fakes import Faulty, Repeater, describe
from tests.faults import fail_at, left_behind, one_thread, stray_threads
from vidsr import fs, pipeline
from vidsr.api import upscale
from vidsr.cli import main
from vidsr.errors import BusyError, DeviceError, OutputError, UsageError
from vidsr.stages.encode import Encoding
from vidsr.stages.infer import Inference
from vidsr.stages.mux import Muxer

pytestmark = pytest.mark.fault

OLD = b"the output of before"
Fault = Callable[[Repeater, Tensor, Tensor], Tensor]


@pytest.fixture(autouse=True)
def repeater(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A network that costs nothing, and after each test nothing left running or lying about."""
    monkeypatch.setattr(pipeline, "load_model", lambda spec, **_: describe(Repeater(2)))
    with one_thread():
        yield
    assert stray_threads() == []
    assert left_behind(tmp_path) == []


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mkv", frames=24)


def old_output(folder: Path) -> Path:
    path = folder / "out.mkv"
    path.write_bytes(OLD)
    return path


def luma(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray() for frame in container.decode(video=0)]


def test_a_full_disk_at_every_step_leaves_the_old_output_or_the_whole_new_one(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=24)
    output = old_output(tmp_path)
    command = [sys.executable, "-m", "tests.full_disk", str(source), str(output), "4096"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent)
    *failed, last = map(json.loads, done.stdout.splitlines())
    assert len(failed) > 10
    assert {told["code"] for told in failed} == {4}
    assert {told["output"] for told in failed} == {hashlib.sha256(OLD).hexdigest()}
    assert all(told["left"] == [] for told in [*failed, last])
    assert all("larger than allowed" in told["said"] for told in failed), {told["said"] for told in failed}
    assert len(luma(output)) == 24


def test_a_device_without_space(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "out.mkv").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="no space left"):
        upscale(clip, tmp_path / "out.mkv")


def test_folders_that_cannot_be_written(tmp_path: Path, clip: Path) -> None:
    with pytest.raises(OutputError, match=r"folder .* does not exist"):
        upscale(clip, tmp_path / "none" / "out.mkv")
    with pytest.raises(OutputError, match="output folder /proc"):
        upscale(clip, "/proc/out.mkv")


@pytest.mark.parametrize("name", ["mkstemp", "replace", "fsync"])
def test_a_system_call_that_fails_is_an_output_error(
    tmp_path: Path, clip: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = old_output(tmp_path)

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    owner = {"mkstemp": fs.tempfile, "replace": Path, "fsync": fs.os}[name]
    monkeypatch.setattr(owner, name, fail)
    with pytest.raises(OutputError, match="no space left"):
        upscale(clip, output, overwrite=True)
    assert output.read_bytes() == OLD


def test_the_input_by_any_name_is_refused(tmp_path: Path, clip: Path) -> None:
    before = clip.read_bytes()
    (tmp_path / "link.mkv").symlink_to(clip)
    (tmp_path / "hard.mkv").hardlink_to(clip)
    names = ("in.mkv", "link.mkv", "hard.mkv", f"../{tmp_path.name}/in.mkv")
    for name in names:
        assert main.run(["upscale", str(clip), "-o", str(tmp_path / name), "-y"]) == 2
    assert clip.read_bytes() == before


def test_an_output_that_exists_is_kept_unless_told(tmp_path: Path, clip: Path) -> None:
    output = old_output(tmp_path)
    assert main.run(["upscale", str(clip), "-o", str(output)]) == 2
    assert output.read_bytes() == OLD
    assert main.run(["upscale", str(clip), "-o", str(output), "-y", "-q"]) == 0
    assert len(luma(output)) == 24


def test_an_output_that_another_run_writes_is_busy(tmp_path: Path, clip: Path) -> None:
    with fs.Target(tmp_path / "out.mkv"), pytest.raises(BusyError, match="another vidsr"):
        upscale(clip, tmp_path / "out.mkv")


def test_an_output_that_appears_meanwhile_is_kept(tmp_path: Path, clip: Path) -> None:
    output = tmp_path / "out.mkv"
    with pytest.raises(UsageError, match="exists"):
        upscale(clip, output, emit=_Appears(output))
    assert output.read_bytes() == OLD


class _Appears:
    """Writes a file at the time of the first progress."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, event: Any) -> None:
        if type(event).__name__ == "Progress" and not self.path.exists():
            self.path.write_bytes(OLD)


GENERATORS: dict[str, tuple[Any, str]] = {
    "source": (pipeline, "packets"),
    "decode": (pipeline, "pictures"),
    "reuse": (pipeline, "find_held"),
    "convert": (pipeline, "to_rgb"),
    "batch": (pipeline, "group"),
    "infer": (Inference, "upscaled"),
    "assemble": (pipeline, "to_planes"),
    "encode": (Encoding, "packets"),
    "mux": (Muxer, "write"),
}
"""Where each stage is made: (owner, name)."""


@pytest.mark.parametrize("place", [0, 1, 17])
@pytest.mark.parametrize("stage", GENERATORS)
def test_an_exception_in_any_stage_is_the_one_that_is_told(
    tmp_path: Path, clip: Path, stage: str, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = old_output(tmp_path)
    owner, name = GENERATORS[stage]
    made = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *a, **k: fail_at(made(*a, **k), place, ArithmeticError(f"in {stage}")))
    with pytest.raises(ArithmeticError, match=f"in {stage}"):
        upscale(clip, output, overwrite=True)
    assert output.read_bytes() == OLD
    assert left_behind(tmp_path) == []
    assert stray_threads() == []


@pytest.mark.parametrize(
    ("choices", "match"),
    [
        ({"codec": "x266"}, "did you mean 'x26"),
        ({"encoder_option": ("presett=slow",)}, "did you mean 'preset'"),
        ({"pix_fmt": "yuv420q"}, "did you mean 'yuv420p"),
        ({"encoder_preset": "warp"}, "warp"),
        ({"codec": "x264", "pix_fmt": "yuv420p12le"}, "does not take"),
    ],
)
def test_what_no_encoder_knows_is_refused_by_name(
    tmp_path: Path, clip: Path, choices: dict[str, Any], match: str
) -> None:
    output = old_output(tmp_path)
    with pytest.raises(UsageError, match=match):
        upscale(clip, output, overwrite=True, **choices)
    assert output.read_bytes() == OLD


def with_network(monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    monkeypatch.setattr(pipeline, "load_model", lambda spec, **_: describe(Faulty(fault)))


def test_nan_in_bfloat16_is_redone_in_float32_and_told(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = upscale(clip, tmp_path / "whole.mkv", codec="ffv1", precision="fp32")

    def fault(network: Repeater, rgb: Tensor, out: Tensor) -> Tensor:
        return out * torch.nan if network.get_submodule("tail").weight.dtype == torch.bfloat16 else out

    network = Faulty(fault)
    network.tail = torch.nn.Conv2d(3, 3, 1).requires_grad_(False)  # the first layer of a network stays in float32
    monkeypatch.setattr(pipeline, "load_model", lambda spec, **_: describe(network))
    report = upscale(clip, tmp_path / "out.mkv", codec="ffv1", precision="bf16")
    assert any("bf16 gave NaN" in note for note in report.notes)
    assert report.frames_out == whole.frames_out
    assert all(map(np.array_equal, luma(tmp_path / "out.mkv"), luma(tmp_path / "whole.mkv")))


def test_nan_in_float32_is_an_error_and_never_a_black_frame(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = old_output(tmp_path)
    with_network(monkeypatch, lambda network, rgb, out: out * torch.nan)
    for precision in ("fp32", "bf16"):
        with pytest.raises(DeviceError, match="NaN or infinite values in float32"):
            upscale(clip, output, overwrite=True, precision=precision)
    assert output.read_bytes() == OLD


def test_out_of_memory_takes_smaller_tiles_to_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(tmp_path / "in.mkv", size=(160, 128), frames=3, audio=None)
    upscale(clip, tmp_path / "whole.mkv", codec="ffv1", precision="fp32")

    def fault(network: Repeater, rgb: Tensor, out: Tensor) -> Tensor:
        if rgb.shape[-1] * rgb.shape[-2] > 64 * 64:
            raise torch.OutOfMemoryError("out of memory")
        return out

    with_network(monkeypatch, fault)
    report = upscale(clip, tmp_path / "out.mkv", codec="ffv1", precision="fp32")
    assert any("out of memory: tile" in note for note in report.notes)
    assert all(map(np.array_equal, luma(tmp_path / "out.mkv"), luma(tmp_path / "whole.mkv")))


def test_out_of_memory_at_the_smallest_step_ends_after_few_tries(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def fault(network: Repeater, rgb: Tensor, out: Tensor) -> Tensor:
        tries.append(rgb.shape)
        raise torch.OutOfMemoryError("out of memory")

    with_network(monkeypatch, fault)
    with pytest.raises(DeviceError, match=r"out of memory .* the smallest step"):
        upscale(clip, tmp_path / "out.mkv")
    assert 1 < len(tries) < 12


BAD_WEIGHTS = {
    "missing.pth": None,
    "empty.pth": b"",
    "page.pth": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "page.safetensors": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "code.pth": b"cposix\nsystem\n(S'touch pwned'\ntR.",
    "huge.safetensors": (2**63 - 1).to_bytes(8, "little") + b"{}",
}


@pytest.mark.parametrize("name", [*BAD_WEIGHTS, "other.pth"])
def test_weights_that_cannot_be_used_end_the_run_before_it_begins(
    tmp_path: Path, clip: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from vidsr.models.load import load_model

    monkeypatch.setattr(pipeline, "load_model", load_model)
    monkeypatch.chdir(tmp_path)
    output = old_output(tmp_path)
    if (data := BAD_WEIGHTS.get(name)) is not None:
        (tmp_path / name).write_bytes(data)
    if name == "other.pth":
        torch.save({"layer.weight": torch.zeros(4, 4), "layer.bias": torch.zeros(4)}, tmp_path / name)
    assert main.run(["upscale", str(clip), "-o", str(output), "-y", "-n", str(tmp_path / name)]) == 5
    said = capsys.readouterr().err
    assert "error:" in said
    assert "Traceback" not in said
    assert output.read_bytes() == OLD
    assert not (tmp_path / "pwned").exists()
