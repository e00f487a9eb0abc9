"""What keeps an alert quiet at a moment: a silence, a maintenance window, or another alert that explains it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from monitoring.pipeline.alerts.alert import Alert
from monitoring.pipeline.alerts.rule import Rule
from monitoring.pipeline.alerts.silence import Silence, matches
from monitoring.pipeline.alerts.window import Window

__all__ = ["Quiet"]


@dataclass(frozen=True, slots=True)
class Quiet:
    """All that is in force at one moment; `firing` are the alerts that are active or acknowledged then."""

    silences: Sequence[Silence] = ()
    windows: Sequence[Window] = ()
    firing: Sequence[Alert] = ()

    def why(self, alert: Alert, rule: Rule) -> str:
        """What keeps an alert of a rule quiet, in words; "" for nothing."""
        for silence in self.silences:
            if matches(silence.matchers, alert):
                return f"silence {silence.id}: {silence.reason}" if silence.reason else f"silence {silence.id}"
        for window in self.windows:
            if matches(window.matchers, alert):
                return f"maintenance window {window.name}"
        return self._inhibited(alert, rule)

    def _inhibited(self, alert: Alert, rule: Rule) -> str:
        for each in rule.inhibited_by:
            for other in self._firing(each.rule):
                if other.id != alert.id and _same(alert, other, each.equal):
                    return f"inhibited by {other.rule} ({other.id})"
        return ""

    def _firing(self, rule: str) -> Iterable[Alert]:
        return (alert for alert in self.firing if alert.rule == rule)


def _same(alert: Alert, other: Alert, names: Sequence[str]) -> bool:
    """Whether both have these labels with the same values; one that both lack is no likeness."""
    return all(name in alert.labels and alert.labels[name] == other.labels.get(name) for name in names)
