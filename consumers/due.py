"""Whether the alerts job has something to do: a rule is due, or a file of rules has changed."""

from __future__ import annotations

import logging

from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.errors import MonitoringError
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store import rule_files
from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.rules import next_due

__all__ = ["LOOK_SECONDS", "AlertsDue"]

_log = logging.getLogger("monitoring.ticker")

LOOK_SECONDS = 2.0
"""How often files are looked at: an edit is in force before its author has switched windows; 20 us a file."""


class AlertsDue:
    """What the ticker asks every second. A trouble with control.db is said once, and is none of the drains'."""

    def __init__(self, chosen: Settings, control: Control, *, now_ns: NowNs = wall_ns) -> None:
        self._control, self._now_ns = control, now_ns
        self._directory = rule_files.directory(chosen)
        self._looked_at: float | None = None
        self._trouble = False

    def due(self, now: float) -> bool:
        """Whether a job is wanted; `now` is monotonic time in seconds. The first job brings the default rules."""
        try:
            found = self._rules_due() or self._files_changed(now)
        except MonitoringError as error:
            if not self._trouble:
                _log.error("%s; rules wait until it can be read", error)
            self._trouble = True
            return False
        self._trouble = False
        return found

    def _rules_due(self) -> bool:
        now = self._now_ns()
        due = next_due(self._control, now)
        if due is None:
            return not self._control.rows("SELECT 1 FROM rule_default LIMIT 1")
        return due <= now

    def _files_changed(self, now: float) -> bool:
        if self._looked_at is not None and now - self._looked_at < LOOK_SECONDS:
            return False
        self._looked_at = now
        return rule_files.changed(self._control, self._directory)
