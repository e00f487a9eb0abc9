"""The measurement of searching can still be made: it must not rot between two uses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import search


def test_every_question_is_asked_of_the_running_product(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "search.json"
    search.main(["--events", "4000", "--repeats", "2", "--data", str(tmp_path / "data"), "--output", str(output)])
    results = json.loads(output.read_text())
    assert {row["kind"] for row in results["questions"]} == {
        "search", "event", "context", "histogram", "facets", "stats"
    }  # fmt: skip
    assert all(row["cold"] > 0 and row["partial"] is None for row in results["questions"])
    assert results["api_peak_pss_mb"] > 0
    printed = capsys.readouterr().out
    for name in search.QUERIES:
        assert f"\n{name} " in printed
