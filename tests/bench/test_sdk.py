"""`make bench-sdk` can still be run: every row of every part is measured, or left out for want of its library."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench.sdk import __main__ as command
from bench.sdk import calls, flusher, imports, requests
from bench.sdk.stopwatch import in_a_row, one_by_one, percentile
from bench.sdk.table import Table, holds, spread

KEYS = {
    "calls": [row.key for group in calls.GROUPS.values() for row in group],
    "requests": [row.key for row in requests.ROWS],
    "flusher": [row.key for row in flusher.ROWS],
    "imports": [row.key for group in imports.GROUPS.values() for row in group],
}
POSITIVE = {
    "calls": ("p99",),  # a median of nothing but the clock's own cost is 0 for a call that does nothing
    "requests": ("median", "p99", "cpu", "wall", "all"),
    "flusher": ("caller", "wall", "arrived"),
    "imports": ("wall", "cpu", "rss_all", "uss_all"),
}


@pytest.mark.parametrize("part", KEYS)
def test_the_short_form_measures_every_row(part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "results.json"
    command.main(["--short", "--only", part, "--output", str(output)])
    found: dict[str, Any] = json.loads(output.read_text())
    rows = {row["key"]: row for row in found[part]["rows"]}
    left_out = found[part]["left_out"]
    assert len(rows) + len(left_out) == len(KEYS[part]) and set(rows) <= set(KEYS[part])
    assert all(key in rows for key in KEYS[part] if key.startswith("ours"))
    assert all("No module named" in reason or "cannot import" in reason for reason in left_out.values())
    for row in rows.values():
        assert all(row[name] > 0 for name in POSITIVE[part]), row
        if row["key"].startswith("ours") and "arrived" in row and "disabled" not in row["key"]:
            assert row["arrived"] == 100, "what is measured is published, every event of it"
    printed = capsys.readouterr().out
    assert all(row["name"] in printed for row in rows.values())
    assert found["about"]["python"] in printed


def test_a_table_is_markdown_and_says_what_is_left_out() -> None:
    table = Table("calls", "us a call", ("median", "x ours", "budget", "holds"))
    table.group("one")
    table.add("ours", "ours", median=1.234, budget=3.0, holds=holds(1.234, 3.0), hidden=7)
    table.add("peer", "another", **{"median": 1234.5, "x ours": 1000})
    table.leave_out("a third", "No module named 'third'")
    lines = str(table).splitlines()
    assert [re.sub(r" +", " ", line) for line in lines] == [
        "| us a call | median | x ours | budget | holds |",
        lines[1],
        "| *one* | | | | |",
        "| ours | 1.23 | | 3.00 | yes |",
        "| another | 1,234 | 1,000 | | |",
        "",
        "left out: a third (No module named 'third')",
    ]
    assert re.fullmatch(r"\|-+\|(-+:\|){4}", lines[1])
    assert len({len(line) for line in lines[:5]}) == 1
    assert table.as_json()["rows"][0]["hidden"] == 7


def test_a_budget_holds_or_not() -> None:
    assert [holds(2.9, 3.0), holds(3.0, 3.0), holds(3.1, 3.0), holds(3.1, None)] == ["yes", "yes", "NO", ""]
    assert spread([3.0, 1.0, 20.0]) == "1.00..20.0"


def test_the_stopwatch_calls_as_often_as_it_is_told() -> None:
    called = []
    assert in_a_row(lambda: called.append(1), 50).wall >= 0
    took = one_by_one(lambda: called.append(1), 50)
    assert len(called) == 100
    assert len(took) == 50 and took == sorted(took) and took[0] >= 0
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 3.0
    assert percentile([1.0], 0.99) == 1.0
