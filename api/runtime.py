"""What a process of the API keeps open: opened on first use, and anew after a fork.

gunicorn may load the application before it forks; no connection, lock or thread crosses that fork.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import TypeVar

import redis

from monitoring.api.auth import Verifier
from monitoring.api.cors import Origins
from monitoring.api.failures import Failures
from monitoring.api.glance import Glance
from monitoring.api.proxy import Proxies
from monitoring.api.quota import Quotas
from monitoring.api.ratelimit import RateLimits
from monitoring.pipeline.addresses import public_url
from monitoring.pipeline.bus.embedded import locate, locate_queue
from monitoring.pipeline.bus.streams import Streams, StreamTransport, connect
from monitoring.pipeline.bus.tally import Tally
from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.events.signals import SIGNALS, Signal
from monitoring.pipeline.publish.outbox import ChoosePartition
from monitoring.pipeline.publish.publisher import Publisher
from monitoring.pipeline.publish.spool import Spool
from monitoring.pipeline.publish.spread import Spread
from monitoring.pipeline.query.gate import Gate
from monitoring.pipeline.query.limits import QUERIES_AT_ONCE, QUERIES_WAITING, STREAMS_AT_ONCE, WAIT_SECONDS
from monitoring.pipeline.redact import Redactor, redactor_from
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.alerts import Alerts
from monitoring.pipeline.store.audit import Audit
from monitoring.pipeline.store.catalog import Catalog
from monitoring.pipeline.store.control import FILE_NAME, Control
from monitoring.pipeline.store.derived_metrics import DerivedMetrics
from monitoring.pipeline.store.interface import LogStore
from monitoring.pipeline.store.keys import Key, Keys
from monitoring.pipeline.store.logs import open_logs
from monitoring.pipeline.store.metrics import SqliteMetricStore, open_metrics
from monitoring.pipeline.store.observing import Observing
from monitoring.pipeline.store.promises import Promises, Replays
from monitoring.pipeline.store.reader import Reader
from monitoring.pipeline.store.rules import Rules
from monitoring.pipeline.store.searches import Searches
from monitoring.pipeline.store.sessions import Session, Sessions
from monitoring.pipeline.store.silences import Silences, Windows

__all__ = ["Runtime"]

T = TypeVar("T")
_log = logging.getLogger("monitoring.api")

CLOSE_SECONDS = 1.0
"""Everything stops within five seconds, each signal's lane in one, and what is not sent waits in the spool."""
PARTITIONS_SECONDS = 5.0
"""How long the number of partitions is believed: it changes once in a deployment's life, and only grows."""


class Runtime:
    """The open resources of this process, by what they are for. Safe between threads."""

    def __init__(self, settings: Settings, *, now_ns: NowNs = wall_ns) -> None:
        self.settings = settings
        self.now_ns = now_ns
        self.began = now_ns()
        self.stopping: Callable[[], bool] = lambda: False
        """Whether this process is about to end: what is streamed ends then."""
        self.authorize: Callable[[], tuple[str, str] | None] = lambda: None
        """Whom the application around us knows the current request to be of: name and role."""
        self.proxies = Proxies(settings)
        self.origins = Origins(settings)
        self._inherited: list[object] = []
        self._forget()
        _after_fork(self)

    def _forget(self) -> None:
        self._lock = threading.RLock()
        self._open: dict[str, object] = {}
        self._local = threading.local()

    def _once(self, name: str, make: Callable[[], T]) -> T:
        found = self._open.get(name)
        if found is None:
            with self._lock:
                found = self._open.get(name)
                if found is None:
                    found = self._open[name] = make()
        return found  # type: ignore[return-value]  # whatever `make` for this name returned

    @property
    def control(self) -> Control:
        """control.db."""
        return self._once("control", lambda: Control(self.settings.data / FILE_NAME))

    @property
    def keys(self) -> Keys:
        """The API keys."""
        return self._once("keys", lambda: Keys(self.control, now_ns=self.now_ns))

    @property
    def verifier(self) -> Verifier:
        """The API keys, behind their cache."""
        return self._once("verifier", lambda: Verifier(self.keys.verify, now_ns=self.now_ns))

    @property
    def sessions(self) -> Sessions:
        """The browser sessions."""
        lifetime = self.settings.number("session_lifetime")
        return self._once("sessions", lambda: Sessions(self.control, lifetime_seconds=lifetime, now_ns=self.now_ns))

    @property
    def session_verifier(self) -> Verifier:
        """The browser sessions, as keys, behind their cache."""
        return self._once("session_verifier", lambda: Verifier(self._session_key, now_ns=self.now_ns))

    def _session_key(self, text: str) -> Key | None:
        session = self.sessions.find(text)
        return None if session is None else self.key_of(session)

    def key_of(self, session: Session) -> Key | None:
        """What a session may do, as a key that expires with it: that of its own key, or of its link."""
        if session.key:
            key = self.keys.get(session.key)
            ends = None if key is None else min(key.expires or session.expires, session.expires)
            return None if key is None else dataclasses.replace(key, expires=ends)
        return Key(f"session:{session.id}", session.id, session.name, session.role, session.created,
                   session.expires, None, None, None)  # fmt: skip

    @property
    def audit(self) -> Audit:
        """The audit log."""
        return self._once("audit", lambda: Audit(self.control, now_ns=self.now_ns))

    @property
    def failures(self) -> Failures:
        """Which failed attempts are written down."""
        return self._once("failures", Failures)

    @property
    def limits(self) -> RateLimits:
        """How often somebody may ask."""
        return self._once("limits", lambda: RateLimits(self.settings, lambda: self.queue))

    @property
    def redactor(self) -> Redactor:
        """Hides secrets in what is written down."""
        return self._once("redactor", lambda: redactor_from(self.settings))

    @property
    def quotas(self) -> Quotas:
        """How much each key has brought lately."""
        return self._once("quotas", Quotas)

    @property
    def promises(self) -> Promises:
        """Idempotency records."""
        return self._once("promises", lambda: Promises(self.control, now_ns=self.now_ns))

    @property
    def searches(self) -> Searches:
        """Saved searches."""
        return self._once("searches", lambda: Searches(self.control, now_ns=self.now_ns))

    @property
    def derived_metrics(self) -> DerivedMetrics:
        """Metrics derived from logs."""
        return self._once(
            "derived_metrics",
            lambda: DerivedMetrics(self.control, self.settings.path("derived_file"), now_ns=self.now_ns),
        )

    @property
    def alerts(self) -> Alerts:
        """The alerts."""
        return self._once(
            "alerts", lambda: Alerts(self.control, base_url=public_url(self.settings), now_ns=self.now_ns)
        )

    @property
    def rules(self) -> Rules:
        """The alert rules."""
        return self._once("rules", lambda: Rules(self.control, base_url=public_url(self.settings), now_ns=self.now_ns))

    @property
    def silences(self) -> Silences:
        """The silences."""
        return self._once("silences", lambda: Silences(self.control, now_ns=self.now_ns))

    @property
    def windows(self) -> Windows:
        """The maintenance windows."""
        return self._once("windows", lambda: Windows(self.control))

    @property
    def observing(self) -> Observing:
        """What this thread's backtests read."""
        found: Observing | None = getattr(self._local, "observing", None)
        if found is None:
            found = self._local.observing = Observing(
                self.settings, self.control, store=self.store, streams=lambda: self.streams
            )
        return found

    @property
    def replays(self) -> Replays:
        """Dead letters that were sent again."""
        return self._once("replays", lambda: Replays(self.control, now_ns=self.now_ns))

    @property
    def bus(self) -> redis.Redis:
        """A client of the bus. Raises BusUnavailable where none is known yet."""
        return self._once("bus", lambda: connect(locate(self.settings)))

    @property
    def queue(self) -> redis.Redis:
        """A client of what carries jobs and counts: the bus, unless that is a cluster. Raises as `locate_queue`."""
        if not self.settings.text("queue_url"):
            locate_queue(self.settings)
            return self.bus
        return self._once("queue", lambda: connect(locate_queue(self.settings)))

    @property
    def streams(self) -> Streams:
        """The consuming side of the bus, for status."""
        return self._once("streams", lambda: Streams(self.bus))

    @property
    def transport(self) -> StreamTransport:
        """This thread's transport to the bus."""
        found: StreamTransport | None = getattr(self._local, "transport", None)
        if found is None:
            found = self._local.transport = self._new_transport()
        return found

    def partitions(self, signal: str) -> int:
        """How many partitions the signal has; asked of the bus every few seconds."""
        known = self._open.get(f"partitions:{signal}")
        now = time.monotonic()
        if isinstance(known, tuple) and known[1] > now:
            return int(known[0])
        count = self.transport.partitions(signal)
        self._open[f"partitions:{signal}"] = (count, now + PARTITIONS_SECONDS)
        return count

    @property
    def spool(self) -> Spool:
        """Where frames are fsynced before they are answered for."""
        directory = self.settings.path("spool_dir") or self.settings.data / "spool"
        return self._once("spool", lambda: Spool(directory, max_bytes=self.settings.whole("spool_bytes")))

    @property
    def gate(self) -> Gate:
        """Where queries wait their turn."""
        return self._once("gate", lambda: Gate(QUERIES_AT_ONCE, QUERIES_WAITING, WAIT_SECONDS))

    @property
    def streams_gate(self) -> Gate:
        """Answers that are sent for as long as somebody reads them; none waits for another to end."""
        return self._once("streams_gate", lambda: Gate(STREAMS_AT_ONCE, 0, 0))

    @property
    def reader(self) -> Reader:
        """The open segments."""
        return self._once("reader", Reader)

    def lanes(self, signal: Signal) -> Spread:
        """The process's own lanes of a signal, spooled: what they have fsynced is answered for."""
        return self._once(f"lanes:{signal.name}", lambda: self._make_lanes(signal))

    @property
    def store(self) -> LogStore:
        """This thread's log store. Raises StoreCorrupt where the data directory has none."""
        found: LogStore | None = getattr(self._local, "store", None)
        if found is None:
            found = self._local.store = open_logs(self.settings, reader=self.reader)
        return found

    @property
    def metrics(self) -> SqliteMetricStore:
        """This thread's metric store. Raises StoreCorrupt where the data directory has none."""
        found: SqliteMetricStore | None = getattr(self._local, "metrics", None)
        if found is None:
            found = self._local.metrics = open_metrics(self.settings)
        return found

    @property
    def tally(self) -> Tally:
        """What all processes of the server count together."""
        return self._once("tally", lambda: Tally(lambda: self.queue))

    @property
    def glance(self) -> Glance:
        """The overview, put together once a second however many look at it."""
        return self._once("glance", Glance)

    @property
    def catalog(self) -> Catalog:
        """The catalog of this thread's store."""
        return self.store.catalog

    def close(self) -> None:
        """Send what is on its way, as far as that is quick, and close what is open. What was answered for is safe."""
        control, reader = (self._open.get(name) for name in ("control", "reader"))
        found = [self._open.get(f"lanes:{name}") for name in SIGNALS]
        self._forget()
        for lanes in found:
            if isinstance(lanes, Spread):
                lanes.close(CLOSE_SECONDS)
        for resource in (reader, control):
            if isinstance(resource, Reader | Control):
                resource.close()

    def _make_lanes(self, signal: Signal) -> Spread:
        return Spread(
            lambda choose: self._make_publisher(signal, choose), lambda: len(self.catalog.partitions(signal.name))
        )

    def _make_publisher(self, signal: Signal, choose_partition: ChoosePartition) -> Publisher:
        chosen = self.settings
        return Publisher(
            self._new_transport,
            service="monitoring-api",
            signal=signal.name,
            max_events=chosen.whole("buffer_events"),
            max_bytes=chosen.whole("buffer_bytes"),
            frame_events=chosen.whole("frame_events"),
            flush_interval_seconds=chosen.number("flush_interval"),
            spool=self.spool,
            required=True,
            choose_partition=choose_partition,
            on_trouble=_log_trouble,
            now_ns=self.now_ns,
        )

    def _new_transport(self) -> StreamTransport:
        return StreamTransport(connect(locate(self.settings)), stream_length=self.settings.whole("stream_length"))


def _log_trouble(reason: str) -> None:
    _log.warning("%s; what was answered 202 is safe in the spool", reason)


def _leave_to_parent(runtime: Runtime) -> None:
    """Begin anew in a forked child. What the parent has open is kept from the collector: closing it here would
    run the end of its life, such as SQLite's last checkpoint, behind the parent's back."""
    runtime._inherited.append((runtime._open, runtime._local))
    runtime._forget()


def _after_fork(runtime: Runtime) -> None:
    reference = weakref.ref(runtime)

    def forget() -> None:
        alive = reference()
        if alive is not None:
            _leave_to_parent(alive)

    os.register_at_fork(after_in_child=forget)
