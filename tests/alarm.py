"""An alert and a silence in a control.db, for tests that need one to look at."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from monitoring.pipeline.alerts.observation import Finding, Observation
from monitoring.pipeline.alerts.rule import Rule, fingerprint
from monitoring.pipeline.alerts.silence import matcher_of
from monitoring.pipeline.store.alerts import Alerts
from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.evaluations import Evaluated, commit
from monitoring.pipeline.store.rules import Rules
from monitoring.pipeline.store.silences import Silences

NAME = "Sample"


def an_alert(path: Path, *, name: str = NAME, host: str = "web-1", value: float = 95.0) -> tuple[str, str]:
    """Ids of an active alert, told to the channel `ops`, and of a silence that matches something else."""
    with contextlib.closing(Control(path)) as control:
        now = time.time_ns()
        rules = Rules(control)
        if rules.get(name) is None:
            rules.create(Rule(name, "logs", threshold=90.0, channels=("ops",), interval_seconds=86_400), "somebody")
            stored = next(each for each in rules.claim(100) if each.rule.name == name)
            labels = {"host": host}
            seen = Observation(now, {fingerprint(name, labels): Finding(labels, value)}, 0.0)
            commit(control, [Evaluated(stored, seen)], now, base_url="http://m", default_channels=())
        silences = Silences(control)
        silence = silences.add([matcher_of("rule=other")], now, now + 3600 * 10**9, "somebody", "a test")
        return Alerts(control).all(rule=name)[0].id, silence.id
