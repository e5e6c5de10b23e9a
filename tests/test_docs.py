"""The documents say what the program does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from vidsr import presets
from vidsr.cli.main import commands, root
from vidsr.cli.reference import reference
from vidsr.options import Options, flag_of

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def test_reference_of_the_command_line_is_fresh() -> None:
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    # In a process of its own: click keeps the help option of a command from the first context it is used in.
    fresh = subprocess.run([sys.executable, "-m", "vidsr.cli.reference"], check=True, capture_output=True, text=True)
    assert written == fresh.stdout, "run: python -m vidsr.cli.reference > docs/cli.md"


def test_every_command_and_option_has_a_help_text() -> None:
    for command in commands(root):
        assert command.help, command.name
        bare = [param.name for param in command.params if isinstance(param, click.Option) and not param.help]
        assert not bare, (command.name, bare)


@pytest.mark.parametrize("name", list(Options.model_fields))
def test_every_field_has_a_docstring_and_stands_in_the_reference(name: str) -> None:
    assert Options.model_fields[name].description
    long = re.findall(r"--[a-z-]+", flag_of(name).names)
    assert long
    assert all(flag in reference() for flag in long)


def test_readme_commands_are_those_that_ci_runs() -> None:
    commands = re.findall(r"^python3 -m venv .*$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    run, test = commands
    assert run.endswith(".venv/bin/vidsr demo")
    assert test in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_every_preset_is_in_its_document() -> None:
    document = (ROOT / "docs" / "presets.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z-]+)` \|", document, re.MULTILINE) == presets.names()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_nobody_is_sent_to_the_other_project(path: Path) -> None:
    assert not re.search(r"pip install (-\S+ )*vidsr(?!-upscaler)\b", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8"))
    missing = [target for target in targets if not (path.parent / target).exists()]
    assert not missing


def test_the_measured_numbers_are_those_of_the_results() -> None:
    results = json.loads((ROOT / "benchmarks" / "results" / "acceptance.json").read_text(encoding="utf-8"))
    numbers = results["numbers"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert max(row["fp32_worst_code"] for row in numbers) == 1
    for key in ("default_vs_fp32_db", "ncnn_vs_fp32_db"):
        values = [row[key] for row in numbers]
        assert f"{min(values):.1f} to {max(values):.1f} dB" in readme
