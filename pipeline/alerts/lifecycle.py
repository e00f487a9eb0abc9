"""What becomes of an alert: a pure function of the alert, what was found, and the time.

                  beyond                 for so long                  acknowledge
    (nothing) -------------> pending -------------------> active -------------------> acknowledged
        ^                       |                          |  ^                            |
        |                       | not any more             |  |  beyond again soon         | not any more,
        |                       v                          v  |                            | or by hand
        +------------------- resolved <--------------------+--+----------------------------+

A group without `for` is active at once. An alert that comes back within `REOPEN_NS` is the same alert again. One that
has come and gone `FLAPS` times in an hour is flapping: it ends only after a quiet quarter of an hour.
"""

from __future__ import annotations

from dataclasses import replace

from monitoring.pipeline.alerts.alert import Alert, Entry, alert_id, labels_of
from monitoring.pipeline.alerts.observation import Finding
from monitoring.pipeline.alerts.rule import Rule, fingerprint
from monitoring.pipeline.clock import rfc3339
from monitoring.pipeline.errors import PermanentError

__all__ = ["CONDITION_GONE", "FLAPS", "QUIET_NS", "REOPEN_NS", "acknowledge", "close", "observe", "reopens", "resolve"]

_SECOND = 1_000_000_000
REOPEN_NS = 3600 * _SECOND
"""What comes back within the hour is the same trouble to those who look after it."""
FLAPS = 4
"""Activations within `REOPEN_NS` that make an alert flap: by then a person knows, and the rest is noise."""
QUIET_NS = 900 * _SECOND
"""How long a flapping alert must be quiet to end: three of the usual windows of 5 minutes."""
CONDITION_GONE = "the condition does not hold any more"

Outcome = tuple[Alert | None, list[Entry]]
"""The alert afterwards (None: there is none), and what its history gains."""


def observe(alert: Alert | None, rule: Rule, finding: Finding | None, at: int, *, stale: bool = False) -> Outcome:
    """The alert after an observation of its group at a time, nanoseconds since 1970.

    `finding` is None where the group was not there. `stale` data show what is beyond, never that nothing is.
    """
    beyond = _beyond(alert, rule, finding)
    if beyond is None or (stale and not beyond):
        return alert, []
    if alert is None or alert.state == "resolved":
        return _rest(alert) if not beyond else _begin(alert, rule, finding, at)
    if alert.state == "pending":
        return _wait(alert, rule, finding, at) if beyond else _end(alert, at, CONDITION_GONE)
    if beyond:
        return _seen(alert, rule, finding, at), []
    return _calm(alert, at, finding)


def _beyond(alert: Alert | None, rule: Rule, finding: Finding | None) -> bool | None:
    """Whether the condition holds; None where nothing can be said and nothing is to change."""
    if finding is None or finding.value is None:
        return {"ok": False, "alert": True, "keep": None}[rule.no_data]
    firing = alert is not None and alert.state in ("active", "acknowledged")
    return rule.still_beyond(finding.value) if firing else rule.beyond(finding.value)


def _rest(alert: Alert | None) -> Outcome:
    """Nothing is wrong. What was resolved by hand is over now, and counts anew when it comes back."""
    return (replace(alert, by_hand=False) if alert is not None and alert.by_hand else alert), []


def _begin(former: Alert | None, rule: Rule, finding: Finding | None, at: int) -> Outcome:
    if former is not None and former.by_hand and at < (former.resolved or 0) + rule.cooldown_seconds * _SECOND:
        return former, []
    group = finding.labels if finding is not None else {}
    if former is not None and reopens(former, rule, at):
        begun = _seen(replace(former, good_since=None, by_hand=False, resolved=None, started=at), rule, finding, at)
        before = former.state
    else:
        labels, mark = labels_of(rule, group), fingerprint(rule.name, group)
        begun = Alert(
            id=alert_id(mark, at), rule=rule.name, kind=rule.kind, fingerprint=mark, labels=labels, state="pending",
            severity=rule.severity, value=finding.value if finding is not None else None, threshold=rule.threshold,
            operator=rule.operator, started=at, updated=at, told_at=former.told_at if former else None,
        )  # fmt: skip
        before = ""
    begun = replace(begun, state="pending", acknowledged=None, acknowledged_by="")
    if rule.hold_seconds:
        return begun, [Entry("transition", before, "pending", value=begun.value)]
    return _activate(begun, before, at)


def reopens(former: Alert, rule: Rule, at: int) -> bool:
    """Whether what begins at this time is the resolved alert again, rather than a new one."""
    since = at - (former.resolved or former.updated)
    return since <= max(REOPEN_NS, rule.cooldown_seconds * _SECOND)


def _activate(alert: Alert, before: str, at: int) -> Outcome:
    fired = (*(moment for moment in alert.fired if at - moment < REOPEN_NS), at)[-2 * FLAPS :]
    flapping = len(fired) >= FLAPS
    note = f"flapping: {len(fired)} times within the hour" if flapping and not alert.flapping else ""
    active = replace(alert, state="active", activated=at, fired=fired, flapping=flapping, updated=at, escalated=0)
    return active, [Entry("transition", before, "active", value=alert.value, note=note)]


def _wait(alert: Alert, rule: Rule, finding: Finding | None, at: int) -> Outcome:
    seen = _seen(alert, rule, finding, at)
    if at - alert.started < rule.hold_seconds * _SECOND:
        return seen, []
    return _activate(seen, "pending", at)


def _seen(alert: Alert, rule: Rule, finding: Finding | None, at: int) -> Alert:
    """The alert with what is known now; the rule may have changed as well."""
    return replace(
        alert, value=finding.value if finding is not None else None, threshold=rule.threshold, operator=rule.operator,
        severity=rule.severity, good_since=None, updated=at,
    )  # fmt: skip


def _calm(alert: Alert, at: int, finding: Finding | None) -> Outcome:
    """The condition does not hold: the end, unless the alert is flapping."""
    value = finding.value if finding is not None else None
    since = alert.good_since if alert.good_since is not None else at
    calm = replace(alert, good_since=since, value=value, updated=at)
    if alert.flapping and at - since < QUIET_NS:
        return calm, []
    return _end(calm, at, CONDITION_GONE)


def _end(alert: Alert, at: int, note: str, actor: str = "rule", *, by_hand: bool = False) -> Outcome:
    ended = replace(alert, state="resolved", resolved=at, updated=at, held="", by_hand=by_hand)
    return ended, [Entry("transition", alert.state, "resolved", actor, note, alert.value)]


# ---------------------------------------------------------------------- by hand


def acknowledge(alert: Alert, actor: str, comment: str, at: int) -> tuple[Alert, list[Entry]]:
    """Somebody takes care of it: nobody else is told. Raises PermanentError for one that is not active."""
    if alert.state == "acknowledged":
        return alert, [Entry("comment", alert.state, alert.state, actor, comment)] if comment else []
    if alert.state != "active":
        raise PermanentError(f"state: a {alert.state} alert cannot be acknowledged, only an active one")
    taken = replace(alert, state="acknowledged", acknowledged=at, acknowledged_by=actor, updated=at, held="")
    return taken, [Entry("transition", "active", "acknowledged", actor, comment, alert.value)]


def resolve(alert: Alert, actor: str, comment: str, at: int) -> tuple[Alert, list[Entry]]:
    """Somebody says it is over. Where the condition still holds after the rule's cooldown, it comes back.

    Raises PermanentError for one that is resolved already.
    """
    if not alert.open:
        when = f" since {rfc3339(alert.resolved)}" if alert.resolved is not None else ""
        raise PermanentError(f"state: the alert is resolved already{when}")
    ended, entries = _end(alert, at, comment, actor, by_hand=True)
    return ended or alert, entries


def close(alert: Alert, actor: str, note: str, at: int) -> tuple[Alert, list[Entry]]:
    """Its rule is gone or switched off."""
    ended, entries = _end(alert, at, note, actor)
    return ended or alert, entries
