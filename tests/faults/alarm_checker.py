"""The checker's part for alerts: who had to be told of what the producers of metrics counted, and what a webhook got.

Rule k fires for each series that has come to more than `LEVELS[k]`, once and for good; so the journals say which alerts
there must be, which there may be, and that there are no others. What is delivered twice bears the same key.
Standard library only.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tests.faults.counts import COUNTS, read_counts
from tests.faults.report import Report

__all__ = ["LEVELS", "SHARDS", "TOLD", "check", "missing", "rule_name"]

TOLD = "told.jsonl"
"""What came to the webhook, a message a line, as it was sent."""
LEVELS = (1_000, 5_000, 20_000, 50_000, 200_000, 1_000_000, 5_000_000)
"""Each is reached some seconds or minutes after the one before: alerts come in rounds, all the time."""
SHARDS = ("0", "1", "2", "3", "4", "5", "6", "7")
"""Series that rules look at."""

Alarm = tuple[str, str, str]
"""Rule, producer, shard."""


def rule_name(level: int) -> str:
    """The rule that fires beyond a level."""
    return f"beyond {level}"


def missing(journals: Path) -> set[Alarm]:
    """Alerts that must have been told of and were not."""
    must, _ = _expected(journals)
    return must - {alarm for alarm, event, _, _ in _told(journals) if event == "firing"}


def check(journals: Path, report: Report) -> None:
    """Compare what was told with what was counted; nothing is said of a campaign without a webhook."""
    if not (journals / TOLD).exists():
        return
    must, may = _expected(journals)
    keys: dict[Alarm, Counter[str]] = {}
    ended: Counter[Alarm] = Counter()
    contents: dict[str, str] = {}
    for alarm, event, key, content in _told(journals):
        report.notices += 1
        if contents.setdefault(key, content) != content:
            report.find("notices", f"{key} came again with another content")
        if event == "firing":
            report.copies += key in keys.setdefault(alarm, Counter())
            keys[alarm][key] += 1
        elif event == "resolved":
            ended[alarm] += 1
    report.alerts = len(keys)
    for alarm in sorted(must - keys.keys()):
        report.find("missed", f"nobody was told of {alarm}")
    for alarm in sorted(keys.keys() - may):
        report.find("unexpected", f"{alarm} was told of, and is no alert")
    for alarm, found in keys.items():
        if len(found) > 1 + ended[alarm]:
            report.find("notices", f"{alarm} fired under {len(found)} keys, and ended {ended[alarm]} times")


def _expected(journals: Path) -> tuple[set[Alarm], set[Alarm]]:
    """Alerts that must be, by what was acknowledged, and those that may be, by what was counted."""
    must: set[Alarm] = set()
    may: set[Alarm] = set()
    for path in journals.glob(f"*{COUNTS}"):
        producer, counts = path.name.removesuffix(COUNTS), read_counts(path)
        least, most = counts.total(counts.acknowledged), counts.total(len(counts.rounds))
        for level in LEVELS:
            must |= {(rule_name(level), producer, shard) for shard in SHARDS if least[shard] > level}
            may |= {(rule_name(level), producer, shard) for shard in SHARDS if most[shard] > level}
    return must, may


def _told(journals: Path) -> list[tuple[Alarm, str, str, str]]:
    """Each notice that came: of which alert, which event, its key and its content."""
    path = journals / TOLD
    found = []
    for line in path.read_text().splitlines() if path.exists() else ():
        for notice in json.loads(line)["notices"]:
            alert = notice["alert"]
            alarm = (alert["rule"], alert["labels"].get("service", ""), alert["labels"].get("shard", ""))
            found.append((alarm, notice["event"], notice["key"], json.dumps(alert, sort_keys=True)))
    return found
