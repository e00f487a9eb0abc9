"""Committing evaluations: alerts, history, notices, what was seen and when the rules are due again, all at once.

for each rule       still claimed by us?  no: drop what was found, somebody else has evaluated it or it has changed
  for each group    observe      the alert afterwards                                alerts/lifecycle.py
for each alert      tell         who hears of it, unless it is to be quiet           alerts/telling.py, quiet.py
write               alerts, history, outbox, seen groups, next due time
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import apsw

from monitoring.pipeline.alerts.alert import Alert
from monitoring.pipeline.alerts.moving import Moved, moved
from monitoring.pipeline.alerts.observation import Observation
from monitoring.pipeline.alerts.quiet import Quiet
from monitoring.pipeline.alerts.rule import Rule
from monitoring.pipeline.alerts.telling import tell
from monitoring.pipeline.store import alerts
from monitoring.pipeline.store.alerts import Samples, latest_of, write
from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.rules import Stored
from monitoring.pipeline.store.seen import Seen, keep
from monitoring.pipeline.store.silences import silences_at, windows_at

__all__ = ["Evaluated", "commit", "known"]

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A claimed rule, what was found, log lines for notices, and the groups that were there."""

    stored: Stored
    observation: Observation
    took_ms: float = 0.0
    samples: Samples = field(default_factory=dict)
    seen: Mapping[str, Seen] = field(default_factory=dict)


def commit(
    control: Control, outcomes: Sequence[Evaluated], now: int, *, base_url: str, default_channels: Sequence[str]
) -> int:
    """Let evaluations take effect, in one transaction; how many did. The others had been claimed by somebody else."""
    with control.transaction() as connection:
        ours = [each for each in outcomes if _still_ours(connection, each.stored)]
        steps = [(each, moved(each.stored.rule, latest_of(connection.execute, each.stored.rule, now), each.observation))
                 for each in ours]  # fmt: skip
        quiet = _quiet(connection, [step for _, found in steps for step in found], now)
        for each, found in steps:
            rule = each.stored.rule
            for step in found:
                told = tell(step.after, rule, now, quiet=quiet.why(step.after, rule),
                            default_channels=_others(rule, step.after, default_channels))  # fmt: skip
                samples = each.samples.get(step.after.fingerprint, ())
                step.after = write(connection, step.before, told, step.entries, rule, now, base_url, samples)
            _note(connection, each, [step.after for step in found], now)
        return len(ours)


def _others(rule: Rule, alert: Alert, channels: Sequence[str]) -> Sequence[str]:
    """Where a channel does not deliver, the others hear of it."""
    if rule.kind != "delivery":
        return channels
    return [name for name in channels if name != alert.labels.get("channel")]


def _still_ours(connection: apsw.Connection, stored: Stored) -> bool:
    query = "SELECT 1 FROM rule WHERE name = ? AND claim = ? AND enabled"
    return bool(connection.execute(query, (stored.rule.name, stored.claim)).get)


def _quiet(connection: apsw.Connection, steps: Sequence[Moved], now: int) -> Quiet:
    """What is in force, with the alerts as they are after these steps."""
    firing = {alert.id: alert for alert in alerts.firing(connection)}
    for step in steps:
        if step.after.state in ("active", "acknowledged"):
            firing[step.after.id] = step.after
        else:
            firing.pop(step.after.id, None)
    return Quiet(silences_at(connection, now), windows_at(connection, now), list(firing.values()))


def _note(connection: apsw.Connection, each: Evaluated, after: Sequence[Alert], now: int) -> None:
    """How it went, and when it is due again: at a whole multiple of its interval, so that rules meet in a job."""
    rule, seen = each.stored.rule, each.observation
    if each.seen:
        keep(connection, rule.name, each.seen, seen.at - rule.lookback_seconds * _SECOND)
    interval = rule.interval_seconds * _SECOND
    states = {alert.state for alert in after if alert.open}
    status = (
        "error" if seen.error
        else "firing" if states & {"active", "acknowledged"}
        else "stale" if seen.stale
        else "pending" if states
        else "ok"
    )  # fmt: skip
    connection.execute(
        "UPDATE rule SET claim = '', claimed_until = 0, due = ?, status = ?, note = ?, evaluated = ?, took_ms = ?,"
        " groups = ? WHERE name = ?",
        ((now // interval + 1) * interval, status, seen.error or seen.stale, now, round(each.took_ms, 3),
         len(seen.findings), rule.name),
    )  # fmt: skip


def known(control: Control, rule: Rule, now: int) -> dict[str, Alert]:
    """The alerts of a rule that an observation may move, as they are before the transaction."""
    return latest_of(lambda sql, bindings: control.rows(sql, *bindings), rule, now)
