"""`vidsr models`: data on stdout, talk on stderr."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from vidsr.cli.models import models
from vidsr.errors import UsageError, WeightsError
from vidsr.models.archs.compact import SRVGGNetCompact


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIDSR_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "weights"


def call(*arguments: str) -> Result:
    return CliRunner().invoke(models, list(arguments))


def test_list_needs_no_torch() -> None:
    code = "import sys; from vidsr.cli.models import models; models(['list'], standalone_mode=False);"
    code += "assert 'torch' not in sys.modules"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.startswith("animevideov3         x4  in package  anime")
    assert out.stderr == ""


def test_list_as_json_holds_imported_ones(tmp_path: Path, home: Path) -> None:
    torch.save(SRVGGNetCompact(4, 1, 2).state_dict(), tmp_path / "mine.pth")
    made = call("import", str(tmp_path / "mine.pth"), "--name", "show")
    assert made.stdout.strip() == str(home / "show.safetensors")
    assert "unverified" in made.stderr
    rows = {row["name"]: row for row in json.loads(call("list", "--json").stdout)}
    assert rows["show"]["path"] == str(home / "show.safetensors")
    assert rows["animevideov3"]["weights"] == "in package"
    assert rows["x2plus"]["bytes"] == 67061725
    assert call("path", "show").stdout.strip() == str(home / "show.safetensors")


def test_info_tells_what_the_weights_tell() -> None:
    facts = json.loads(call("info", "realesr-animevideov3", "--json").stdout)
    assert (facts["parameters"], facts["receptive_field"], facts["scale"]) == (621424, 18, 4)
    lines = call("info", "animevideov3").stdout.splitlines()
    assert "receptive field  18" in lines


def test_info_downloads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDSR_WEIGHTS_URL", "http://127.0.0.1:9")
    facts = json.loads(call("info", "x2plus", "--json").stdout)
    assert facts["weights"] == "download"
    assert "parameters" not in facts


def test_path(home: Path) -> None:
    assert call("path").stdout.strip() == str(home)
    assert call("path", "animevideov3").stdout.strip().endswith("ANIMAVIDEOV3_UP4X.bin")
    assert isinstance(call("path", "x2plus").exception, WeightsError)
    assert isinstance(call("path", "nothing").exception, UsageError)


def test_what_the_user_says_stands_on_the_card(tmp_path: Path, home: Path) -> None:
    torch.save(SRVGGNetCompact(4, 1, 2).state_dict(), tmp_path / "mine.pth")
    said = ("--purpose", "my show", "--licence", "CC0", "--url", "https://example.org/show")
    call("import", str(tmp_path / "mine.pth"), "--name", "show", *said)
    (row,) = (row for row in json.loads(call("list", "--json").stdout) if row["name"] == "show")
    assert (row["scale"], row["purpose"], row["licence"]) == (2, "my show", "CC0")
    assert row["architecture"] == "SRVGGNetCompact 4 features, 1 convolutions, prelu"
    assert "show                 x2  cached      my show" in call("list").stdout
    facts = json.loads(call("info", "show", "--json").stdout)
    assert (facts["url"], facts["purpose"], facts["receptive_field"]) == ("https://example.org/show", "my show", 3)
    assert call("remove", "show").stdout.strip() == str(home / "show.safetensors")
    assert "show" not in call("list").stdout.split()
    assert isinstance(call("remove", "show").exception, UsageError)


def test_an_activation_can_be_told(tmp_path: Path) -> None:
    torch.save(SRVGGNetCompact(4, 1, 2, "leakyrelu").state_dict(), tmp_path / "mine.pth")
    made = call("import", str(tmp_path / "mine.pth"), "--activation", "leakyrelu")
    assert "taken to be ReLU" not in made.stderr
    assert "prelu" in json.loads(call("info", "mine", "--json").stdout)["architecture"]
