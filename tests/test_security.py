"""docs/security.md: each threat names the tests that prove what stops it, and those exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "security.md"


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE.read_text())
    assert len(named) > 40
    for file, test in named:
        text = (ROOT / file).read_text()
        assert not test or re.search(rf"^def {test}\(", text, re.MULTILINE), f"{file}::{test}"


def test_every_threat_has_what_stops_it_and_a_test() -> None:
    section = PAGE.read_text().partition("## Threats")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 20
    for row in rows:
        _, how, stopped, proof = (cell.strip() for cell in row)
        assert how and stopped and "::test_" in proof, row
