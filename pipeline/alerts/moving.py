"""What an observation makes of all alerts of a rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from monitoring.pipeline.alerts import lifecycle
from monitoring.pipeline.alerts.alert import Alert, Entry
from monitoring.pipeline.alerts.observation import Finding, Observation
from monitoring.pipeline.alerts.rule import Rule

__all__ = ["MAX_OPEN", "Moved", "moved"]

MAX_OPEN = 1000
"""Alerts that a rule may have open at a time: whoever has more trouble than that does not read them one by one."""


@dataclass(slots=True)
class Moved:
    """An alert before and after an observation, and what its history gains."""

    before: Alert | None
    after: Alert
    entries: list[Entry]


def moved(rule: Rule, known: Mapping[str, Alert], seen: Observation) -> list[Moved]:
    """The alerts of a rule after an observation, by what is `known` of each group; unchanged ones included.

    Groups that the observation lacks count as `missing`. Beyond MAX_OPEN no alert begins.
    """
    found: list[Moved] = []
    room = MAX_OPEN - sum(alert.open for alert in known.values())
    absent = {mark: Finding(alert.labels, seen.missing) for mark, alert in known.items() if mark not in seen.findings}
    for mark, finding in (*seen.findings.items(), *absent.items()):
        before = known.get(mark)
        after: Alert | None = before
        entries: list[Entry] = []
        if not seen.error:
            after, entries = lifecycle.observe(before, rule, finding, seen.at, stale=bool(seen.stale))
        if after is None:
            continue
        if after.open and not (before is not None and before.open):
            if room <= 0:
                continue
            room -= 1
        found.append(Moved(before, after, entries))
    return found
