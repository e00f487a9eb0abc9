"""Who is on call for the platform of `monitoring demo`: takes an alert about it up, as a person would."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from monitoring.cli.access import is_local, remote
from monitoring.pipeline.errors import MonitoringError, SettingsError
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.alerts import Alerts
from monitoring.pipeline.store.control import FILE_NAME, Control
from monitoring.producers.demo.machine import HOST

__all__ = ["ACTOR", "OnCall"]

ACTOR = "demo-on-call"
_EVERY_SECONDS = 5.0
_NOTICES_SECONDS = 45.0
"""What passes before somebody who was called has looked: long enough for an alert to be seen active."""
_SERVICES = frozenset({"gateway", "inference", "trainer", "evaluator"})
_SAYS = {
    "High API error rate": "since the deploy of 1.4.2, rolling back",
    "Slow responses": "cuda:0 throttles, the air conditioning was called",
    "Low disk space": "old checkpoints will be removed",
}


class OnCall:
    """Acknowledges alerts about the played platform while they are active. What keeps it from that is told once."""

    def __init__(self, chosen: Settings, say: Callable[[str], None], *, clock: Callable[[], float] = time.time) -> None:
        self._chosen, self._say, self._clock = chosen, say, clock
        self._looked = 0.0
        self._told = False
        try:
            self._local: bool | None = is_local(chosen)
        except SettingsError:  # a bus alone: events go there, but nobody knows where the alerts are
            self._local = None

    def look(self) -> None:
        """Look, if it is time to, and acknowledge what has been active for long enough."""
        if self._local is None or self._clock() - self._looked < _EVERY_SECONDS:
            return
        self._looked = self._clock()
        try:
            self._take_up()
        except MonitoringError as error:
            if not self._told:
                self._say(f"alerts are not acknowledged: {error}")
            self._told = True

    def _take_up(self) -> None:
        if not self._local:
            api = remote(self._chosen)
            for alert in api.call("GET", "alerts", query={"state": "active"})["alerts"]:
                if self._mine(alert["rule"], alert["labels"], _seconds(alert["active_at"])):
                    api.call("POST", "alerts", alert["id"], "acknowledge", body={"comment": _SAYS[alert["rule"]]})
            return
        with contextlib.closing(Control(self._chosen.data / FILE_NAME)) as control:
            alerts = Alerts(control)
            for found in alerts.all(("active",)):
                if self._mine(found.rule, found.labels, (found.activated or 0) / 1e9):
                    alerts.acknowledge(found.id, ACTOR, _SAYS[found.rule])

    def _mine(self, rule: str, labels: Mapping[str, Any], active_seconds: float) -> bool:
        """Whether it is about the played platform, and somebody who was called has had the time to look."""
        ours = labels.get("service") in _SERVICES or labels.get("host") == HOST
        return rule in _SAYS and ours and self._clock() - active_seconds >= _NOTICES_SECONDS


def _seconds(moment: str | None) -> float:
    return datetime.fromisoformat(moment).timestamp() if moment else 0.0
