"""Who is told of an alert, and when: a pure function of the alert, its rule, what keeps it quiet, and the time.

A notice that must wait is never lost. The alert remembers what channels heard last; while that is not how things
are, the notice is owed, and it goes out as soon as nothing holds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from monitoring.pipeline.alerts.alert import Alert, Entry
from monitoring.pipeline.alerts.rule import Rule

__all__ = ["Telling", "Told", "tell", "tell_after", "tell_of"]

_SECOND = 1_000_000_000


class Telling(NamedTuple):
    """A notice to make: what happened, and the channels that are to hear of it."""

    event: str
    channels: tuple[str, ...]


class Told(NamedTuple):
    """The alert afterwards, the notices to make, and what its history gains; an entry stands for each notice."""

    alert: Alert
    tellings: list[Telling]
    entries: list[Entry]


def tell(alert: Alert, rule: Rule, at: int, *, quiet: str, default_channels: Sequence[str]) -> Told:
    """What is to be told at this time. `quiet` says what keeps the alert quiet: a silence, a window, another alert.

    Channels of an alert that were told that it fires are told when it ends, whatever is quiet by then.
    """
    if alert.state == "resolved":
        return _ended(alert)
    if alert.state != "active":
        return Told(alert, [], [])
    if alert.told == "firing":
        return _held(alert, quiet) if quiet else _escalated(alert, rule, at)
    reason = quiet or _cooling(alert, rule, at)
    if reason:
        return _held(alert, reason)
    channels = tuple(rule.channels or default_channels)
    told = replace(alert, told="firing", told_at=at, channels=channels, escalated=0, held="")
    if not channels:
        return Told(told, [], [_entry(alert, "nobody was told: there are no channels")])
    return tell_of(told, "firing", channels)


def tell_after(before: Alert, after: Alert, why: str) -> Told:
    """What is told when somebody acknowledged or resolved an alert, or its rule went: to those who heard of it."""
    if after.state == before.state or before.told != "firing":
        return Told(after, [], [])
    if after.state == "resolved":
        return tell_of(replace(after, told="resolved"), "resolved", before.channels, why)
    return tell_of(after, "acknowledged", before.channels, why)


def tell_of(alert: Alert, event: str, channels: Sequence[str], note: str = "") -> Told:
    """One notice to these channels; none where there are none."""
    if not channels:
        return Told(alert, [], [])
    text = f"{event}: {', '.join(channels)}" + (f" ({note})" if note else "")
    return Told(alert, [Telling(event, tuple(channels))], [_entry(alert, text)])


def _ended(alert: Alert) -> Told:
    if alert.told != "firing":
        return Told(alert, [], [])
    return tell_of(replace(alert, told="resolved", held=""), "resolved", alert.channels)


def _cooling(alert: Alert, rule: Rule, at: int) -> str:
    """Why the alert is not told again so soon."""
    if alert.told_at is not None and at - alert.told_at < rule.cooldown_seconds * _SECOND:
        return "cooldown"
    return ""


def _held(alert: Alert, reason: str) -> Told:
    if alert.held == reason:
        return Told(alert, [], [])
    return Told(replace(alert, held=reason), [], [Entry("held", alert.state, alert.state, "rule", reason)])


def _escalated(alert: Alert, rule: Rule, at: int) -> Told:
    """The next step, once nobody has acknowledged for so long."""
    alert = replace(alert, held="")
    steps = rule.escalation
    if alert.escalated >= len(steps) or alert.told_at is None:
        return Told(alert, [], [])
    step = steps[alert.escalated]
    if at - alert.told_at < step.after_seconds * _SECOND:
        return Told(alert, [], [])
    channels = tuple(dict.fromkeys((*alert.channels, *step.channels)))
    told = replace(alert, escalated=alert.escalated + 1, channels=channels)
    return tell_of(told, "escalated", step.channels, f"not acknowledged, step {told.escalated}")


def _entry(alert: Alert, note: str) -> Entry:
    return Entry("notification", alert.state, alert.state, "rule", note)
