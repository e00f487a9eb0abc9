"""The ticker: sees to it that what should run does.

Every second it compares what should be running with what is, by leases and due times in the store, and
enqueues what is missing. It never asks RQ's registries: a killed worker leaves its jobs in them for ever.
Several tickers do no harm; those of one data directory take turns through a lock file.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import redis

from monitoring.consumers import stop
from monitoring.consumers.due import AlertsDue
from monitoring.pipeline import jobs
from monitoring.pipeline.bus.embedded import locate_queue
from monitoring.pipeline.bus.streams import META_KEY, OWNER_KEY, Streams, connect, exchange
from monitoring.pipeline.clock import wall_ns
from monitoring.pipeline.errors import BusFull, BusRefused, BusUnavailable, MonitoringError
from monitoring.pipeline.events.signals import SIGNALS
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.control import FILE_NAME, Control
from monitoring.pipeline.store.derived_metrics import InForce
from monitoring.pipeline.store.host import HostMark
from monitoring.pipeline.store.outbox import Outbox

__all__ = ["MAINTENANCE_SECONDS", "Observed", "Ticker", "claim_bus", "drains_to_enqueue", "drains_to_remove", "run"]

_log = logging.getLogger("monitoring.ticker")

TICK_SECONDS = 1.0
"""A killed drain is replaced within this and its lease's 8 s; a tick costs 0.5 ms."""
MAINTENANCE_SECONDS = 60.0
"""How often retention and the like are due: they find nothing to do most times, in some milliseconds."""
HEARTBEAT_SECONDS = 60.0
"""As often as services that watch heartbeats expect; the notify job pings while all is well."""
SWEEP_SECONDS = 60.0
_OWNER_SECONDS = 15
_LOCK_FILE = "ticker.lock"
_LONGEST_PAUSE_SECONDS = 5.0


class Observed(NamedTuple):
    """What the ticker goes by: partitions there are, drain workers that serve the queue, drains alive, jobs waiting."""

    partitions: int
    workers: int
    live: int
    queued: int

    @property
    def desired(self) -> int:
        """Drains there should be: no more than partitions, no more than workers that could run them.

        At least one, for a worker may come that has not announced itself yet.
        """
        return max(1, min(self.partitions, self.workers))


def drains_to_enqueue(seen: Observed) -> int:
    """How many drain jobs are missing."""
    return max(0, seen.desired - seen.live - seen.queued)


def drains_to_remove(seen: Observed) -> int:
    """How many waiting drain jobs are more than could ever be wanted."""
    return max(0, seen.queued - seen.desired)


class Ticker:
    """Ticks for one data directory and bus. Not shared between threads or forks."""

    def __init__(self, chosen: Settings, client: redis.Redis, queue: redis.Redis | None = None) -> None:
        """`client` is of the bus, `queue` of what carries the jobs, where that is not the bus.

        Raises StoreCorrupt where the data directory has no catalog.
        """
        self._client = client
        self._queue = queue or client
        self._streams = Streams(client)
        self._catalog = Catalog(chosen.data / CATALOG_FILE)
        self._host = HostMark(chosen.data)
        self._settings = chosen
        self._control: Control | None = None
        self._alerts: AlertsDue | None = None
        self._heartbeat = bool(chosen.text("heartbeat_url"))
        self._beaten_at: float | None = None
        self._outbox_trouble = False
        self._derived = InForce(chosen)
        self._maintained_at: float | None = None
        self._swept_at: float | None = None

    def tick(self, now: float) -> list[str]:
        """Enqueue what is missing; the names of the jobs, most often none.

        `now` is monotonic time in seconds. Raises BusUnavailable, BusFull or BusRefused: nothing is lost then,
        the next tick finds the same. Raises OtherHost where another host has taken the data directory.
        """
        self._host.beat(now)
        away = self._announce()
        self._tell_derived()
        names = self._tend_drains()
        if self._due(self._maintained_at, now, MAINTENANCE_SECONDS):
            if jobs.queued(self._queue, jobs.MAINTENANCE) == 0 and jobs.enqueue(self._queue, jobs.MAINTENANCE):
                names.append(jobs.MAINTENANCE)
            self._maintained_at = now
        if self._notices_due(now) and jobs.queued(self._queue, jobs.NOTIFY) == 0:
            names += [jobs.NOTIFY] * jobs.enqueue(self._queue, jobs.NOTIFY)
        if self._alerts_due(now) and jobs.queued(self._queue, jobs.ALERTS) == 0:
            names += [jobs.ALERTS] * jobs.enqueue(self._queue, jobs.ALERTS)
        if self._due(self._swept_at, now, SWEEP_SECONDS):
            self._sweep()
            self._swept_at = now
        if away is not None:
            raise away
        return names

    def close(self) -> None:
        """Give up the catalog and control.db; the clients are their owner's."""
        self._catalog.close()
        self._derived.close()
        if self._control is not None:
            self._control.close()

    @staticmethod
    def _due(last: float | None, now: float, every_seconds: float) -> bool:
        return last is None or now - last >= every_seconds

    def _notices_due(self, now: float) -> bool:
        """Whether something waits in the outbox, or the heartbeat is due.

        A trouble with control.db is said once and stops nothing else: drains are not to depend on it.
        """
        if self._heartbeat and self._due(self._beaten_at, now, HEARTBEAT_SECONDS):
            self._beaten_at = now
            return True
        try:
            due = Outbox(self._opened()).due_at()
        except MonitoringError as error:
            if not self._outbox_trouble:
                _log.error("%s; notices wait until it can be read", error)
            self._outbox_trouble = True
            return False
        self._outbox_trouble = False
        return due is not None and due <= wall_ns()

    def _alerts_due(self, now: float) -> bool:
        """Whether a rule is due, or a file of rules has changed."""
        try:
            if self._alerts is None:
                self._alerts = AlertsDue(self._settings, self._opened())
        except MonitoringError:
            return False  # `_notices_due` has said it
        return self._alerts.due(now)

    def _tell_derived(self) -> None:
        """Say once what is wrong with definitions of derived metrics: drains come and go."""
        try:
            if not self._derived.changed():
                return
        except MonitoringError:
            return  # `_notices_due` says it
        for error in self._derived.errors:
            _log.warning("a metric is not derived: %s", error)

    def _opened(self) -> Control:
        """control.db, opened when it is first needed. Raises MonitoringError."""
        if self._control is None:
            self._control = Control(self._settings.data / FILE_NAME)
        return self._control

    def _announce(self) -> BusUnavailable | None:
        """Make the servers ours, also after they lost everything: publishers wait for the bus's meta key.

        Where the bus does not carry the jobs, that it is away is returned: jobs are to be enqueued all the same.
        """
        if self._queue is self._client:
            self._announce_bus()
            return None
        claim_bus(self._queue, self._catalog.instance)
        try:
            self._announce_bus()
        except BusUnavailable as error:
            return error
        return None

    def _announce_bus(self) -> None:
        instance = self._catalog.instance
        claim_bus(self._client, instance)
        counts = {signal: len(self._catalog.partitions(signal)) for signal in SIGNALS}
        fields = ["instance", *(f"partitions:{signal}" for signal in SIGNALS)]
        found = exchange(lambda: self._client.hmget(META_KEY, fields))
        if found != [value.encode() for value in (instance, *map(str, counts.values()))]:
            self._streams.announce(counts, instance)
            _log.info("announced the partitions to the bus: %s", counts)

    def _tend_drains(self) -> list[str]:
        seen = self._observe()
        missing = drains_to_enqueue(seen)
        for _ in range(missing):
            jobs.enqueue(self._queue, jobs.DRAIN)
        for _ in range(drains_to_remove(seen)):
            self._drop_last(f"rq:queue:{jobs.ALLOWED[jobs.DRAIN]}")
        return [jobs.DRAIN] * missing

    def _observe(self) -> Observed:
        queue = jobs.ALLOWED[jobs.DRAIN]

        def ask() -> list[Any]:
            pipe = self._queue.pipeline(transaction=False)
            pipe.llen(f"rq:queue:{queue}")
            pipe.smembers(f"rq:workers:{queue}")
            return pipe.execute()

        queued, workers = exchange(ask)
        return Observed(
            # Each signal's are shared by themselves: a drain that holds some of one has its part of another as well.
            partitions=max(len(self._catalog.partitions(signal)) for signal in SIGNALS),
            workers=self._existing(workers),
            live=len(self._catalog.drains()),
            queued=int(queued),
        )

    def _existing(self, keys: set[bytes]) -> int:
        return int(exchange(lambda: self._queue.exists(*keys))) if keys else 0

    def _drop_last(self, queue_key: str) -> None:
        job_id = exchange(lambda: self._queue.rpop(queue_key))
        if job_id is not None:
            exchange(lambda: self._queue.unlink(b"rq:job:" + job_id))

    def _sweep(self) -> None:
        """Take workers that vanished without a word off RQ's lists; their own keys have expired."""
        queues = [jobs.queue_name(queue) for queue in jobs.QUEUES]
        for queue in queues:
            self._sweep_workers(f"rq:workers:{queue}")
        exchange(lambda: self._queue.unlink(*_residue(queues)))

    def _sweep_workers(self, key: str) -> None:
        members = exchange(lambda: self._queue.smembers(key))
        dead = [member for member in members if not self._existing({member})]
        if dead:
            exchange(lambda: self._queue.srem(key, *dead))
            exchange(lambda: self._queue.srem("rq:workers", *dead))


def claim_bus(client: redis.Redis, instance: str) -> None:
    """Say that this instance uses the bus, for some seconds.

    Raises BusRefused while another one does: two instances would each drain a part of the events.
    """
    owner = exchange(lambda: client.get(OWNER_KEY))
    if owner is None:
        with suppress(BusFull):  # it is ours all the same; to say so waits until there is room
            exchange(lambda: client.set(OWNER_KEY, instance, ex=_OWNER_SECONDS, nx=True))
    elif owner == instance.encode():
        exchange(lambda: client.expire(OWNER_KEY, _OWNER_SECONDS))
    else:
        raise BusRefused(
            "another monitoring instance, with another data directory, uses this bus: stop it, or give each its own "
            f"(MONITORING_BUS_URL); one that has just ended is forgotten after {_OWNER_SECONDS} s"
        )


def _residue(queues: Sequence[str]) -> list[str]:
    """Where plain RQ would keep the jobs of workers that died. Ours never use these keys."""
    kinds = ("wip", "failed", "finished", "deferred", "scheduled", "canceled")
    return [
        *(f"rq:{kind}:{queue}" for queue in queues for kind in kinds),
        *(f"rq:queue:{queue}:intermediate" for queue in queues),
    ]


def run(chosen: Settings, bus_url: str) -> None:
    """Tick until a stop is requested (`stop.handle_signals`), waiting for the lock of the data directory first."""
    with (chosen.data / _LOCK_FILE).open("ab") as lock:
        told = False
        while not _try_lock(lock.fileno()):
            if not told:
                _log.info("another ticker is at work here, standing by")
                told = True
            stop.wait(TICK_SECONDS)
            if stop.requested():
                return
        client, carrier = connect(bus_url), locate_queue(chosen, bus_url)
        queue = client if carrier == bus_url else connect(carrier)
        ticker = Ticker(chosen, client, queue)
        try:
            _loop(ticker)
        finally:
            ticker.close()
            client.close()
            queue.close()


def _loop(ticker: Ticker) -> None:
    pause, trouble = TICK_SECONDS, False
    while not stop.requested():
        try:
            for name in ticker.tick(time.monotonic()):
                _log.debug("enqueued %s", name)
        except (BusUnavailable, BusFull, BusRefused) as error:
            if not trouble:
                _log.warning("%s; trying again until it works", error)
            trouble, pause = True, min(pause * 2, _LONGEST_PAUSE_SECONDS)
        else:
            if trouble:
                _log.warning("the bus is back")
            trouble, pause = False, TICK_SECONDS
        stop.wait(pause)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    os.set_inheritable(handle, False)
    return True
