"""The reference of configurations is fresh, and says something of every key."""

from __future__ import annotations

import re
from pathlib import Path

from trainer.config import schema
from trainer.config_page import _title, page

PAGE = Path(__file__).parent.parent.parent / "docs" / "training-config.md"


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m trainer.config_page > docs/training-config.md"


def test_every_part_and_every_key_is_in_it() -> None:
    made = page()
    for name, part in schema()["$defs"].items():
        if "properties" not in part:
            continue
        section = re.search(rf"^## {_title(name)}( \(|$).*?(?=^## |\Z)", made, re.MULTILINE | re.DOTALL)
        assert section, name
        for key, value in part["properties"].items():
            row = re.search(rf"^\| `{key}` \| (.+) \| (.*) \| (.*) \|$", section[0], re.MULTILINE)
            assert "const" in value or row, f"{name}.{key}"


def test_links_lead_to_headings() -> None:
    made = page()
    headings = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^## (.*)$", made, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", made)) <= headings
    assert len(headings) > 20
