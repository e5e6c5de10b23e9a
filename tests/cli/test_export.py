"""`vidsr export`: the path on stdout, the figures on stderr and in the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from vidsr.cli.export import FORMS, export
from vidsr.errors import ExistsError, OutputError, UsageError
from vidsr.models.archs.compact import SRVGGNetCompact
from vidsr.models.convert import SUFFIXES
from vidsr.models.load import load_model


@pytest.fixture(autouse=True)
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIDSR_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for seed in (1, 2):
        torch.manual_seed(seed)
        torch.save(SRVGGNetCompact(8, 2, 2).state_dict(), tmp_path / f"net{seed}.pth")
    return tmp_path / "net1.pth"


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(export, list(map(str, arguments)))


def test_the_forms_are_those_that_are_written() -> None:
    assert tuple(SUFFIXES) == FORMS


def test_the_path_is_data_and_the_figures_are_talk(network: Path) -> None:
    done = call(network, "--to", "safetensors")
    assert done.stdout == "net1.safetensors\n"
    assert "safetensors fp32, 0.0 MB, run by vidsr: equal to the network" in done.stderr
    half = call(network, "--to", "safetensors", "--half", "-y")
    assert "dB from the network, worst value" in half.stderr


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_pair_is_two_paths(network: Path, tmp_path: Path) -> None:
    assert call(network, "--to", "ncnn", "-o", "out.param").stdout == "out.param\nout.bin\n"
    assert load_model(str(tmp_path / "out.bin")).scale == 2


def test_the_report_says_what_and_how_exact(network: Path, tmp_path: Path) -> None:
    done = call(network, "--to", "torch-export", "--report", "report.json", "--json")
    said = json.loads((tmp_path / "report.json").read_text())
    assert json.loads(done.stdout) == said
    assert said["files"] == ["net1.pt2"]
    assert said["bytes"] == (tmp_path / "net1.pt2").stat().st_size
    assert said["weights_sha256"] == load_model(str(network)).sha256
    assert said["decibels"] is None or said["decibels"] > 100
    assert said["worst"] < 1e-5
    assert (said["form"], said["precision"], said["checked_by"]) == ("torch-export", "fp32", "torch.export")


def test_a_mixture_is_exported_as_one_network(network: Path, tmp_path: Path) -> None:
    call(network, "--to", "safetensors", "-o", "mixed.safetensors", "--blend", "net2.pth:0.25")
    mixed, first, second = (load_model(str(tmp_path / name)) for name in ("mixed.safetensors", "net1.pth", "net2.pth"))
    for value, one, two in zip(*(item.network.parameters() for item in (mixed, first, second)), strict=True):
        torch.testing.assert_close(value, 0.75 * one + 0.25 * two)


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (("--to", "onnx", "-o", "a.pth"), UsageError, "does not end in .onnx"),
        (("--to", "safetensors", "-o", "taken.safetensors"), ExistsError, "taken.safetensors exists"),
        (("--to", "safetensors", "-o", "nowhere/a.safetensors"), OutputError, "nowhere: does not exist"),
        (("--to", "safetensors", "--blend", "net2.pth:2"), UsageError, "expected PATH:W"),
        (("--to", "safetensors", "--denoise", "0.5"), UsageError, "has no denoise strength"),
        (("--to", "safetensors", "--denoise", "5"), UsageError, "--denoise: '5' is not allowed"),
        (("--to", "safetensors", "--report", "nowhere/a.json"), OutputError, "nowhere/a.json cannot be written"),
    ],
)
def test_what_cannot_work_is_told(
    network: Path, tmp_path: Path, arguments: tuple[str, ...], kind: type[Exception], said: str
) -> None:
    (tmp_path / "taken.safetensors").write_bytes(b"")
    done = call(network, *arguments)
    assert isinstance(done.exception, kind)
    assert said in str(done.exception)
