"""The jobs there are: their names are the allow-list of the workers.

A queue whose worker resolves any name, or unpickles what it finds, runs the code of whoever can write to
the bus. Ours run the functions below, each from its own queue, and nothing else. A job function takes the
`Settings` in force, whose `bus_url` is filled in, and nothing from the job itself: whatever it needs to
know stands in the store. One that may run for more than some seconds looks at `consumers.stop` as it goes:
a worker takes one that has not for two minutes for hung.

RQ carries the jobs; it is not the source of truth. A job that is lost is enqueued again by the ticker.
"""

from __future__ import annotations

from collections.abc import Mapping

import redis

from monitoring.pipeline.bus.streams import exchange
from monitoring.pipeline.errors import PermanentError

__all__ = ["ALERTS", "ALLOWED", "DRAIN", "MAINTENANCE", "NOTIFY", "QUEUES", "enqueue", "queue_name", "queued"]

DRAIN = "monitoring.consumers.drain.run"
ALERTS = "monitoring.consumers.alerts.run"
MAINTENANCE = "monitoring.consumers.maintenance.run"
NOTIFY = "monitoring.consumers.notify.run"

QUEUES: tuple[str, ...] = ("drain", "alerts", "notify", "maintenance")
"""What `monitoring worker --queue` takes."""

ALLOWED: Mapping[str, str] = {
    DRAIN: "monitoring-drain",
    ALERTS: "monitoring-alerts",
    MAINTENANCE: "monitoring-maintenance",
    NOTIFY: "monitoring-notify",
}
"""Each job function, by its dotted name, with the one queue it may come from."""

_LONGEST_QUEUE = 64
"""More jobs than a machine has use for: enqueueing stops here, whatever goes wrong."""
_JOB_TTL_SECONDS = 3600
"""A job that nobody fetched for an hour vanishes; the ticker has enqueued younger ones."""


def queue_name(queue: str) -> str:
    """RQ's name of a queue of `QUEUES`."""
    return f"monitoring-{queue}"


def queued(client: redis.Redis, name: str) -> int:
    """How many jobs wait in the queue of this job name."""
    return int(exchange(lambda: client.llen(f"rq:queue:{_queue_of(name)}")))


def enqueue(client: redis.Redis, name: str) -> bool:
    """Put a job at the end of its queue; False if the queue is implausibly long already.

    Raises BusFull when the server has no memory for it, BusUnavailable when it did not answer.
    """
    from rq import Queue  # the SDK and the ingest command import this module's neighbours, never RQ
    from rq.serializers import JSONSerializer

    queue = Queue(_queue_of(name), connection=client, serializer=JSONSerializer)
    if queued(client, name) >= _LONGEST_QUEUE:
        return False
    exchange(lambda: queue.enqueue(name, job_timeout=-1, result_ttl=0, failure_ttl=0, ttl=_JOB_TTL_SECONDS))
    return True


def _queue_of(name: str) -> str:
    try:
        return ALLOWED[name]
    except KeyError:
        raise PermanentError(f"no job is called {name}: pipeline/jobs.py lists them all") from None
