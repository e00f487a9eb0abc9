"""The dead-man's switch: MONITORING_HEARTBEAT_URL is pinged each minute while all is well here.

    the ticker enqueues a notify job -> assess -> well: GET the URL; not well: say why, and stay silent

Silence is the signal: what waits for the ping elsewhere raises the alarm, also where this whole machine is gone. That
the ping is sent by a job says that bus, ticker and worker work; the rest is looked at.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading

import apsw

from monitoring.consumers.channels.http import exchange
from monitoring.pipeline.bus.streams import Streams, connect
from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.errors import MonitoringError
from monitoring.pipeline.events.signals import SIGNALS
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.alerts import Alerts
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.outbox import Outbox, deliveries

__all__ = ["Heartbeat", "assess"]

_log = logging.getLogger("monitoring.heartbeat")

EVERY_NS = 55 * 10**9
"""The ticker asks each minute; a job for notices comes more often, and pings once in that time."""
_LATE_NS = 60 * 10**9
"""A frame that has waited so long, or a rule that is overdue by so much, says that nobody drains or evaluates."""
_UNTOLD_NS = 600 * 10**9
"""A notice that nobody has been told for so long: a channel has been down for ten minutes."""


class Heartbeat(threading.Thread):
    """One beat, in a thread: an outside URL that hangs must not hold up notices."""

    def __init__(self, chosen: Settings, control: Control, *, now_ns: NowNs = wall_ns) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._settings, self._control, self._now_ns = chosen, control, now_ns

    def due(self) -> bool:
        """Whether a beat is due; if so, it is this caller's."""
        if not self._settings.text("heartbeat_url"):
            return False
        now = self._now_ns()
        with self._control.transaction() as connection:
            tried = connection.execute("SELECT tried FROM heartbeat").get
            if tried is not None and 0 <= now - tried < EVERY_NS:
                return False
            connection.execute(
                "INSERT INTO heartbeat VALUES(1, ?, '') ON CONFLICT(one) DO UPDATE SET tried = excluded.tried", (now,)
            )
        return True

    def run(self) -> None:
        """See Thread. Best effort: what goes wrong is said, and the ping that stays away says it louder."""
        try:
            problem = assess(self._settings, self._control, self._now_ns()) or self._ping()
        except Exception:
            _log.exception("the heartbeat failed")
            problem = "the heartbeat failed in a way nobody foresaw"
        with contextlib.suppress(MonitoringError, apsw.Error), self._control.transaction() as connection:
            before = connection.execute("SELECT problem FROM heartbeat").get
            connection.execute("UPDATE heartbeat SET problem = ?", (problem,))
            if problem and problem != before:
                _log.warning("no heartbeat: %s", problem)

    def _ping(self) -> str:
        try:
            # The operator's own setting: it may lead anywhere.
            reply = exchange("GET", self._settings.text("heartbeat_url"), headers={}, allow_private=True)
        except MonitoringError as error:
            return str(error)
        return "" if reply.status < 300 else f"MONITORING_HEARTBEAT_URL answered {reply.status} {reply.text}"


def assess(chosen: Settings, control: Control, now_ns: int) -> str:
    """What is wrong here, in one line; "" while all is well."""
    try:
        return (
            _store(chosen) or _lag(chosen, now_ns) or _rules(control, now_ns) or _notices(control, now_ns)
            or _nobody(control)
        )  # fmt: skip
    except (MonitoringError, apsw.Error, OSError) as error:
        return f"{type(error).__name__}: {error}"


def _store(chosen: Settings) -> str:
    free, reserve = shutil.disk_usage(chosen.data).free, chosen.whole("disk_reserve")
    return "" if free >= reserve else f"{free >> 20} MiB of disk are free, {reserve >> 20} MiB are reserved"


def _lag(chosen: Settings, now_ns: int) -> str:
    client = connect(chosen.text("bus_url"))
    try:
        with contextlib.closing(Catalog(chosen.data / CATALOG_FILE)) as catalog:
            streams = Streams(client)
            for signal in SIGNALS:
                for partition in catalog.partitions(signal):
                    created = streams.oldest_created(signal, partition)
                    if created is not None and now_ns - created > _LATE_NS:
                        return f"a frame of {signal} has waited for {(now_ns - created) // 10**9} s"
    finally:
        client.close()
    return ""


def _rules(control: Control, now_ns: int) -> str:
    """Whether rules are evaluated when they are due; an instance without rules has nothing to be late with."""
    if not control.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'rule'"):
        return ""
    ((due,),) = control.rows("SELECT min(due) FROM rule WHERE enabled")
    return "" if due is None or now_ns - due <= _LATE_NS else f"a rule is overdue by {(now_ns - due) // 10**9} s"


def _notices(control: Control, now_ns: int) -> str:
    waiting = Outbox(control, now_ns=lambda: now_ns).overdue_ns()
    return "" if waiting <= _UNTOLD_NS else f"a notice has waited for {waiting // 10**9} s"


def _nobody(control: Control) -> str:
    """Whether notifications cannot be delivered, and of that nobody could be told through another channel either."""
    for alert in Alerts(control).all(("active",)):
        if alert.kind == "delivery":
            told = {each["state"] for sent in deliveries(control, alert.id).values() for each in sent}
            if not alert.channels or ("failed" in told and "sent" not in told):
                return f"nobody can be told: {alert.texts.get('summary', alert.rule)}"
    return ""
